//! What the model sees of an image: 32 principal coordinates, and from them the Nyström features of an RBF kernel.

use rayon::prelude::*;

use super::kmeans::{kmeans, nearest, plus_plus, squared_distance};
use super::linalg::Square;
use super::principal;
use crate::product::products;
use crate::types::{PointOffset, Vectors};

/// The most images that the features are fitted on.
pub const SAMPLE_MAX: usize = 2_048;
/// Principal directions kept.
pub const DIRECTIONS: usize = 32;
/// Images that the kernel is approximated by.
pub const LANDMARKS: usize = 128;
/// Length of an image's feature vector: one per landmark, and a constant.
pub const FEATURES: usize = LANDMARKS + 1;
/// An image's principal coordinates: of unit length, or zero where the image has no direction.
pub type Point = [f32; DIRECTIONS];

/// The most centroids.
const CENTROIDS_MAX: usize = 40;
const CENTROID_ITERATIONS: usize = 15;
/// Images whose pairwise distances give the kernel's width.
const WIDTH_SAMPLE: usize = 300;
/// The median squared distance of independent unit vectors: the width where the sample has no distances.
const WIDTH_DEFAULT: f32 = 2.0;
/// Median squared distances below this are rounding.
const WIDTH_MIN: f32 = 1e-6;
/// Variance of the constant feature: how far all images may lean to one side together.
const BIAS: f32 = 0.1;
/// What is added to the landmarks' kernel matrix so that near-duplicates among them don't make it singular.
const JITTER: f64 = 1e-5;
/// Projections shorter than this (of unit vectors, in single precision) have no direction.
const NORM_MIN: f32 = 1e-5;
/// Rows per matrix product. Every product has exactly this shape (the last block is padded), so the bits of a row don't
/// depend on the rows beside it: one image that arrives gets the numbers that a rebuild gives it.
pub(super) const BLOCK: usize = 128;

/// How embeddings become features: mean, directions, landmarks, kernel width and centroids, all from a sample.
///
/// k(x, y) = exp(−|x − y|² / (2 ℓ²)) on unit coordinates, with ℓ² the median squared distance, is approximated by
/// Nyström's method (Williams and Seeger, *Using the Nyström method to speed up kernel machines*, 2001): with landmarks
/// l and their kernel matrix K = L Lᵀ, φ(x) = L⁻¹ k(l, x). Any root of K⁻¹ gives the same model, as its prior has no
/// preferred direction; Cholesky's is the cheapest. The landmarks are spread by k-means++ (Oglic and Gärtner, *Nyström
/// method with kernel K-means++ samples as landmarks*, 2017), which pays while little is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    dim: usize,
    /// Shape (32, dim).
    directions: Vec<f32>,
    /// The coordinates of the mean.
    offset: Point,
    landmarks: Vec<Point>,
    /// 1 / (2 ℓ²).
    decay: f32,
    /// L⁻¹, shape (landmarks, landmarks).
    whitening: Vec<f32>,
    centroids: Vec<Point>,
}

impl Features {
    /// Fits the features on a sample, shape (≤ [`SAMPLE_MAX`], dim), of the `images_total` images that there are; further
    /// rows are ignored. The sample should be uniform, and its first rows as well: the stored images with the smallest
    /// ids, ascending, are both, as ids are digests.
    pub fn fit(sample: &Vectors, images_total: usize) -> Self {
        let dim = sample.dim();
        let sample =
            Vectors::from_rows(dim, sample.as_slice().iter().copied().take(SAMPLE_MAX * dim).collect());
        let mean = mean(&sample);
        let directions = principal::directions(&sample, &mean, DIRECTIONS);
        let mean: Vec<f32> = mean.iter().map(|&value| value as f32).collect();
        let mut offset = [0.0; DIRECTIONS];
        products(&mean, &directions, dim, &mut offset);
        let mut features = Self {
            dim,
            directions,
            offset,
            landmarks: Vec::new(),
            decay: 0.0,
            whitening: Vec::new(),
            centroids: Vec::new(),
        };
        let points = features.points(&sample);
        features.landmarks = plus_plus(&points, LANDMARKS.min(points.len()));
        features.decay = 0.5 / median_distance(&points[..points.len().min(WIDTH_SAMPLE)]);
        features.whitening = whitening(&features.landmarks, features.decay);
        let k = (images_total as f64).sqrt().round() as usize;
        features.centroids = kmeans(&points, k.clamp(1, CENTROIDS_MAX), CENTROID_ITERATIONS).centres;
        features
    }

    /// The number of centroids, which are the groups that unjudged images are asked about in; at least 1 unless the
    /// sample was empty.
    pub fn centroids(&self) -> usize {
        self.centroids.len()
    }

    /// Projects embeddings, shape (n, dim). Rows of another dimension than the sample's have no direction.
    pub fn project(&self, rows: &Vectors) -> Projected {
        let points = self.points(rows);
        let blocks: Vec<_> = points.par_chunks(BLOCK).map(|block| self.block_features(block)).collect();
        let (features, residuals): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
        let (features, residuals) = (features.concat(), residuals.concat());
        let centroids = points.par_iter().map(|point| nearest(point, &self.centroids) as u32).collect();
        Projected { points, features, residuals, centroids }
    }

    /// The unit coordinates of embeddings.
    fn points(&self, rows: &Vectors) -> Vec<Point> {
        if rows.dim() != self.dim {
            return vec![[0.0; DIRECTIONS]; rows.len()];
        }
        let mut points = vec![[0.0; DIRECTIONS]; rows.len()];
        points.par_chunks_mut(BLOCK).zip(rows.as_slice().par_chunks(BLOCK * self.dim)).for_each(
            |(points, rows)| {
                let projections = padded_products(rows, &self.directions, self.dim);
                for (point, projection) in points.iter_mut().zip(projections.as_chunks::<DIRECTIONS>().0) {
                    *point = std::array::from_fn(|i| projection[i] - self.offset[i]);
                    let norm = point.iter().map(|value| value * value).sum::<f32>().sqrt();
                    let factor = if norm > NORM_MIN && norm.is_finite() { 1.0 / norm } else { 0.0 };
                    // A value that is no number stays none when multiplied by zero.
                    *point = point.map(|value| if factor > 0.0 { value * factor } else { 0.0 });
                }
            },
        );
        points
    }

    /// The feature vectors of up to [`BLOCK`] points, and what each lacks of the kernel's variance.
    fn block_features(&self, points: &[Point]) -> (Vec<[f32; FEATURES]>, Vec<f32>) {
        let m = self.landmarks.len();
        let mut kernel = padded_products(points.as_flattened(), self.landmarks.as_flattened(), DIRECTIONS);
        for (row, point) in kernel.chunks_exact_mut(m.max(1)).zip(points) {
            for (value, landmark) in row.iter_mut().zip(&self.landmarks) {
                let distance = square(point) + square(landmark) - 2.0 * *value;
                *value = (-self.decay * distance.max(0.0)).exp();
            }
        }
        let whitened = padded_products(&kernel, &self.whitening, m);
        let mut features = vec![[0.0; FEATURES]; points.len()];
        features.iter_mut().for_each(|row| row[LANDMARKS] = BIAS.sqrt());
        for (row, values) in features.iter_mut().zip(whitened.chunks_exact(m.max(1))) {
            row[..m].copy_from_slice(values);
        }
        let residual = |row: &[f32; FEATURES]| {
            (1.0 - row[..LANDMARKS].iter().map(|value| value * value).sum::<f32>()).clamp(0.0, 1.0)
        };
        let residuals = features.iter().map(residual).collect();
        (features, residuals)
    }
}

/// Images as the model sees them, in rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Projected {
    points: Vec<Point>,
    features: Vec<[f32; FEATURES]>,
    residuals: Vec<f32>,
    centroids: Vec<u32>,
}

impl Projected {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Unit coordinates, shape (n, 32).
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Nyström features φ, shape (n, 129).
    pub fn features(&self) -> &[[f32; FEATURES]] {
        &self.features
    }

    /// The kernel's variance that the landmarks don't explain: 1 − |φ|² but for the constant, [0, 1], shape (n).
    pub fn residuals(&self) -> &[f32] {
        &self.residuals
    }

    /// The nearest of the centroids, shape (n).
    pub fn centroids(&self) -> &[u32] {
        &self.centroids
    }

    /// Appends rows.
    pub fn append(&mut self, mut more: Self) {
        self.points.append(&mut more.points);
        self.features.append(&mut more.features);
        self.residuals.append(&mut more.residuals);
        self.centroids.append(&mut more.centroids);
    }

    /// A copy of the rows named, in that order; those that don't exist are left out.
    #[must_use]
    pub fn gather(&self, rows: &[PointOffset]) -> Self {
        let rows: Vec<usize> = rows.iter().map(|&row| row as usize).filter(|&row| row < self.len()).collect();
        Self {
            points: rows.iter().map(|&row| self.points[row]).collect(),
            features: rows.iter().map(|&row| self.features[row]).collect(),
            residuals: rows.iter().map(|&row| self.residuals[row]).collect(),
            centroids: rows.iter().map(|&row| self.centroids[row]).collect(),
        }
    }
}

/// A·Bᵀ of up to [`BLOCK`] rows `a` by all rows `b`, taken as a product of exactly [`BLOCK`] rows.
pub(super) fn padded_products(a: &[f32], b: &[f32], dim: usize) -> Vec<f32> {
    let mut out = vec![0.0; BLOCK * (b.len() / dim.max(1))];
    if a.len() == BLOCK * dim {
        products(a, b, dim, &mut out);
    } else {
        let mut padded = a.to_vec();
        padded.resize(BLOCK * dim, 0.0);
        products(&padded, b, dim, &mut out);
    }
    out
}

fn square(point: &Point) -> f32 {
    point.iter().map(|value| value * value).sum()
}

/// The mean row, shape (dim); zero without rows.
fn mean(rows: &Vectors) -> Vec<f64> {
    let mut sum = vec![0.0; rows.dim()];
    for row in rows.as_slice().chunks_exact(rows.dim()) {
        sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sum.iter_mut().for_each(|sum| *sum /= rows.len().max(1) as f64);
    sum
}

/// The median squared distance of all pairs: the usual width of an RBF kernel where nothing is known.
fn median_distance(points: &[Point]) -> f32 {
    let mut distances: Vec<f32> = (points.iter().enumerate())
        .flat_map(|(i, a)| points[..i].iter().map(|b| squared_distance(a, b)))
        .collect();
    let middle = distances.len() / 2;
    distances.sort_unstable_by(f32::total_cmp);
    distances.get(middle).copied().filter(|&median| median > WIDTH_MIN).unwrap_or(WIDTH_DEFAULT)
}

/// L⁻¹ of the landmarks' kernel matrix L Lᵀ.
fn whitening(landmarks: &[Point], decay: f32) -> Vec<f32> {
    let kernel = |a: &Point, b: &Point| (-f64::from(decay) * f64::from(squared_distance(a, b))).exp();
    let data = landmarks.iter().flat_map(|a| landmarks.iter().map(move |b| kernel(a, b))).collect();
    let mut matrix = Square::from_data(landmarks.len(), data);
    matrix.add_to_diagonal(JITTER);
    matrix.cholesky().inverse().to_f32()
}
