//! Short sketches of vectors that bound their distances, so that most pairs never need a whole inner product.
//!
//! Let P hold a few orthonormal directions. For unit vectors a and b, a·b = Pa·Pb + a'·b', where a' is what P leaves of
//! a; by Cauchy and Schwarz the last term lies within ±|a'||b'|. A sketch is Pa with |a'| behind it: the product of two
//! sketches is at least a·b, and that product less 2|a'||b'| at most. The bounds hold for any P; they are tight where
//! the directions are those of most variance (principal components, here by subspace iteration on a sample), as those
//! of embeddings are: 257 numbers settle all but a few in a hundred pairs of 1,280 dimensions.

use super::distances::ROUNDING;
use super::leaders::{Leaders, NOBODY};
use super::params::EPS_MAX;
use crate::product::products;
use crate::types::{PointOffset, Vectors, cosine_distance, dot};
use rayon::prelude::*;

/// Directions are a fifth of the dimensions, at most so many.
const DIRECTIONS_MAX: usize = 256;
/// With fewer dimensions than this whole products are as cheap.
const SKETCHED_DIMENSIONS_MIN: usize = 64;
/// With fewer rows than this finding directions costs more than they save.
const SKETCHED_ROWS_MIN: usize = 4_096;
/// Rows that the directions are found from.
const SAMPLE_ROWS: usize = 2_048;
/// Steps of the subspace iteration: the directions need not be exact.
const STEPS: usize = 3;
/// By how much a bound may be off: f32 sums, and directions that are orthonormal within rounding.
const BOUND_ROUNDING: f32 = 1e-4;
/// Rows sketched at a time.
const BLOCK_ROWS: usize = 256;

/// A few orthonormal directions, shape (directions, dim).
#[derive(Debug, Clone, PartialEq)]
struct Projection(Vectors);

impl Projection {
    /// The directions in which the rows vary most.
    fn fit(vectors: &Vectors) -> Self {
        let count = (vectors.dim() / 5).min(DIRECTIONS_MAX);
        let step = (vectors.len() / SAMPLE_ROWS).max(1);
        let rows: Vec<PointOffset> =
            (0..vectors.len()).step_by(step).take(SAMPLE_ROWS).map(|row| row as PointOffset).collect();
        let sample = vectors.gather(&rows);
        let mut directions = orthonormal(&sample.gather(&(0..count as PointOffset).collect::<Vec<_>>()));
        let transposed = transpose(&sample);
        for _ in 0..STEPS {
            // Directions · sampleᵀ · sample: what varies most grows most.
            let loads = product(&directions, &sample);
            directions = orthonormal(&product(&loads, &transposed));
        }
        Self(directions)
    }

    /// The sketches of rows, row-major: components along the directions, then the length of the rest.
    fn sketch(&self, rows: &[f32]) -> Vec<f32> {
        let (dim, width) = (self.0.dim(), self.0.len());
        let mut sketches = vec![0.0; rows.len() / dim * (width + 1)];
        sketches.par_chunks_mut(BLOCK_ROWS * (width + 1)).zip(rows.par_chunks(BLOCK_ROWS * dim)).for_each(
            |(sketches, rows)| {
                let mut components = vec![0.0; rows.len() / dim * width];
                products(rows, self.0.as_slice(), dim, &mut components);
                for (sketch, components) in
                    sketches.chunks_exact_mut(width + 1).zip(components.chunks_exact(width))
                {
                    let along: f64 =
                        components.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
                    sketch[..width].copy_from_slice(components);
                    // A little more than the rest, so that rounding can't make it less: of its square before the root,
                    // which would make much of little, and of itself.
                    sketch[width] = ((1.0 - along).max(0.0) + 4e-6).sqrt() as f32 + 1e-4;
                }
            },
        );
        sketches
    }
}

/// A·Bᵀ as rows of numbers.
fn product(a: &Vectors, b: &Vectors) -> Vectors {
    let mut out = vec![0.0; a.len() * b.len()];
    out.par_chunks_mut(16 * b.len()).zip(a.as_slice().par_chunks(16 * a.dim())).for_each(|(out, rows)| {
        products(rows, b.as_slice(), a.dim(), out);
    });
    Vectors::from_rows(b.len(), out)
}

fn transpose(vectors: &Vectors) -> Vectors {
    let (n, dim) = (vectors.len(), vectors.dim());
    let mut data = vec![0.0; n * dim];
    for row in 0..n {
        for (column, &value) in vectors.row(row).iter().enumerate() {
            data[column * n + row] = value;
        }
    }
    Vectors::from_rows(n, data)
}

/// Gram and Schmidt, each row twice, which is enough (Kahan); rows that depend on those before them become zeros, along
/// which nothing extends.
fn orthonormal(rows: &Vectors) -> Vectors {
    let dim = rows.dim();
    let mut done = Vectors::new(dim);
    for row in 0..rows.len() {
        let mut direction = rows.row(row).to_vec();
        let before = dot(&direction, &direction).sqrt();
        for _ in 0..2 {
            let along: Vec<f32> = (0..done.len()).map(|other| dot(&direction, done.row(other))).collect();
            for (other, along) in along.into_iter().enumerate() {
                direction.iter_mut().zip(done.row(other)).for_each(|(value, &unit)| *value -= along * unit);
            }
        }
        let length = dot(&direction, &direction).sqrt();
        let scale = if length > 1e-4 * before { 1.0 / length } else { 0.0 };
        direction.iter_mut().for_each(|value| *value *= scale);
        // The row has the dimension of the rest by construction.
        let _ = done.push(&direction);
    }
    done
}

/// The sketches of a growing set of vectors; few or low-dimensional vectors are their own sketches.
#[derive(Debug, Clone, PartialEq)]
pub struct Sketches {
    fit: Option<Fit>,
    /// Empty without a fit.
    rows: Vectors,
}

/// What was found from the rows at the beginning.
#[derive(Debug, Clone, PartialEq)]
struct Fit {
    projection: Projection,
    leaders: Leaders,
}

impl Sketches {
    /// The sketches of all rows.
    pub fn new(vectors: &Vectors) -> Self {
        if vectors.dim() < SKETCHED_DIMENSIONS_MIN || vectors.len() < SKETCHED_ROWS_MIN {
            return Self { fit: None, rows: Vectors::new(vectors.dim()) };
        }
        let projection = Projection::fit(vectors);
        let width = projection.0.len() + 1;
        let rows = Vectors::from_rows(width, projection.sketch(vectors.as_slice()));
        Self { fit: Some(Fit { projection, leaders: Leaders::new(vectors) }), rows }
    }

    /// Sketches the rows that were appended since. Directions and leaders are those of the rows at the beginning, or of
    /// all once there are enough to find any.
    pub fn extend(&mut self, vectors: &Vectors) {
        match &mut self.fit {
            None => *self = Self::new(vectors),
            Some(Fit { projection, leaders }) => {
                leaders.extend(vectors);
                let fresh = &vectors.as_slice()[self.rows.len() * vectors.dim()..];
                let width = self.rows.dim();
                projection.sketch(fresh).chunks_exact(width).for_each(|sketch| {
                    // A sketch has the width of the others by construction.
                    let _ = self.rows.push(sketch);
                });
            }
        }
    }

    /// The sketches of `rows` rows, of which these are at the places named; nothing is near to the others.
    #[must_use]
    pub fn placed(&self, at: &[PointOffset], rows: usize) -> Self {
        let width = self.rows.dim();
        let Some(Fit { projection, leaders }) = &self.fit else { return self.clone() };
        let mut data = vec![0.0; rows * width];
        let mut members = vec![NOBODY; rows];
        for (row, &place) in at.iter().enumerate() {
            let place = place as usize;
            data[place * width..(place + 1) * width].copy_from_slice(self.rows.row(row));
            members[place] = leaders.members[row];
        }
        let leaders = Leaders { vectors: leaders.vectors.clone(), members };
        let fit = Fit { projection: projection.clone(), leaders };
        Self { fit: Some(fit), rows: Vectors::from_rows(width, data) }
    }

    /// The sketches of these rows, in this order, as the only ones.
    pub fn keep(&mut self, rows: &[PointOffset]) {
        if let Some(Fit { leaders, .. }) = &mut self.fit {
            self.rows = self.rows.gather(rows);
            leaders.members = rows.iter().map(|&row| leaders.members[row as usize]).collect();
        }
    }
}

/// Vectors with their sketches: what pairs of rows are compared by.
#[derive(Clone, Copy)]
pub(super) struct Space<'a> {
    /// The vectors, shape (n, dim).
    pub(super) vectors: &'a Vectors,
    short: &'a Vectors,
    /// Where the rows are sketched.
    leaders: Option<&'a Leaders>,
}

/// Products below this, of sketches or of whole vectors, are of pairs farther apart than `limit`.
pub(super) fn floor(limit: f32, sketched: bool) -> f32 {
    if limit >= EPS_MAX {
        return f32::NEG_INFINITY;
    }
    1.0 - limit - if sketched { BOUND_ROUNDING } else { ROUNDING }
}

/// What is known of a pair's cosine distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Known {
    /// It is not less than this.
    pub(super) at_least: f32,
    /// It is not more than this.
    pub(super) at_most: f32,
}

impl Known {
    /// By the product of the whole vectors.
    pub(super) fn whole(product: f32) -> Self {
        Self { at_least: 1.0 - product - ROUNDING, at_most: 1.0 - product + ROUNDING }
    }
}

impl<'a> Space<'a> {
    /// The vectors with their sketches.
    pub(super) fn new(vectors: &'a Vectors, sketches: &'a Sketches) -> Self {
        match &sketches.fit {
            Some(fit) => Self { vectors, short: &sketches.rows, leaders: Some(&fit.leaders) },
            None => Self { vectors, short: vectors, leaders: None },
        }
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.vectors.len()
    }

    /// The rows whose products bound inner products from above.
    pub(super) fn short(&self) -> &'a Vectors {
        self.short
    }

    /// Whether products of sketches are looser than products of vectors.
    pub(super) fn sketched(&self) -> bool {
        self.leaders.is_some()
    }

    /// The leaders of the rows, where there are any.
    pub(super) fn leaders(&self) -> Option<&'a Leaders> {
        self.leaders
    }

    /// What the product of two sketches says of a pair.
    pub(super) fn known(&self, a: usize, b: usize, product: f32) -> Known {
        if !self.sketched() {
            return Known::whole(product);
        }
        let slack = 2.0 * self.rest(a) * self.rest(b) + BOUND_ROUNDING;
        Known { at_least: 1.0 - product - BOUND_ROUNDING, at_most: 1.0 - product + slack }
    }

    /// The length of what the directions leave of a row.
    fn rest(&self, row: usize) -> f32 {
        self.short.row(row).last().copied().unwrap_or(0.0)
    }

    /// The cosine distance of two rows, with the same bits wherever it is asked for.
    pub(super) fn distance(&self, a: usize, b: usize) -> f32 {
        cosine_distance(self.vectors.row(a), self.vectors.row(b))
    }
}
