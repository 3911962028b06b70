//! A flat map of all images: pictures that are alike lie together.
//!
//! A sample is laid out as UMAP does it (`McInnes`, Healy and Melville, *UMAP: Uniform Manifold Approximation and
//! Projection for Dimension Reduction*, 2018): neighbours pull each other close and random others push apart, from the
//! first two principal coordinates on. Every image then lies among the sampled images it is most like, so a place
//! depends on the sample and on the image alone: whoever comes moves nobody. Pure, and the same for the same sample.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::product::products;
use crate::review::{DIRECTIONS, Point};

/// The most images that are laid out; the others are placed among them.
pub const SAMPLE_MAX: usize = 2_048;
/// Neighbours of a sampled image, itself excluded.
const NEIGHBOURS: usize = 15;
/// Sampled images that a place is the mean of.
const ANCHORS: usize = 5;
/// Times that all pairs are visited.
const EPOCHS: usize = 200;
/// Random images that push, for each neighbour that pulls.
const PUSHES: usize = 5;
/// The curve 1 / (1 + a d^2b) of closeness over distance that UMAP fits for a minimum distance of 0.1.
const CURVE: (f32, f32) = (1.577, 0.895);
/// The longest step along one axis.
const STEP_MAX: f32 = 4.0;
/// Half the width of the map before the first step.
const START_SPAN: f32 = 10.0;
/// What keeps a sampled image in its own place, and others from dividing by zero.
const NEAR: f32 = 1e-6;
/// Images placed at a time.
const BLOCK: usize = 256;

/// A place on the map; both axes reach from -1 to 1.
pub type Place = [f32; 2];

/// Where the sampled images lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    sample: Vec<Point>,
    places: Vec<Place>,
}

impl Layout {
    /// Lays out a sample, shape (≤ [`SAMPLE_MAX`], 32); further rows are ignored.
    pub fn fit(sample: &[Point]) -> Self {
        let sample = sample[..sample.len().min(SAMPLE_MAX)].to_vec();
        let mut places: Vec<Place> = sample.iter().map(|point| [point[0], point[1]]).collect();
        fill(&mut places, START_SPAN);
        spread(&mut places, &pulls(&sample));
        fill(&mut places, 1.0);
        Self { sample, places }
    }

    /// Where images lie, shape (n, 32) to (n, 2): among the sampled images nearest to them; all at the centre where
    /// nothing was sampled.
    pub fn place(&self, points: &[Point]) -> Vec<Place> {
        let blocks = points.par_chunks(BLOCK);
        blocks.flat_map_iter(|block| self.place_block(block)).collect()
    }

    fn place_block(&self, points: &[Point]) -> Vec<Place> {
        let n = self.sample.len();
        if n == 0 {
            return vec![[0.0; 2]; points.len()];
        }
        let distances = squared_distances(points, &self.sample);
        let place = |distances: &[f32]| {
            let mut place = [0.0; 2];
            let mut sum = 0.0;
            for row in nearest(distances, ANCHORS, None) {
                let weight = 1.0 / (distances[row] + NEAR);
                sum += weight;
                place.iter_mut().zip(self.places[row]).for_each(|(to, of)| *to += weight * of);
            }
            place.map(|value| value / sum)
        };
        distances.chunks_exact(n).map(place).collect()
    }
}

/// Squared distances, shape (a, b), row-major; not negative, and a missing number counts as far away.
fn squared_distances(a: &[Point], b: &[Point]) -> Vec<f32> {
    let mut out = vec![0.0; a.len() * b.len()];
    products(a.as_flattened(), b.as_flattened(), DIRECTIONS, &mut out);
    let norm = |point: &Point| point.iter().map(|value| value * value).sum::<f32>();
    let norms: Vec<f32> = b.iter().map(norm).collect();
    for (row, a) in out.chunks_exact_mut(b.len().max(1)).zip(a) {
        let own = norm(a);
        row.iter_mut().zip(&norms).for_each(|(product, norm)| {
            let squared = own + norm - 2.0 * *product;
            *product = if squared.is_finite() { squared.max(0.0) } else { f32::MAX };
        });
    }
    out
}

/// The positions of the `k` smallest, ascending, ties to the first; without one of them.
fn nearest(distances: &[f32], k: usize, without: Option<usize>) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..distances.len()).filter(|&row| Some(row) != without).collect();
    let by_distance = |a: &usize, b: &usize| distances[*a].total_cmp(&distances[*b]).then(a.cmp(b));
    if rows.len() > k {
        rows.select_nth_unstable_by(k, by_distance);
        rows.truncate(k);
    }
    rows.sort_unstable_by(by_distance);
    rows
}

/// Pairs of neighbours, the smaller row first, and how strongly they pull, (0, 1]: UMAP's fuzzy union.
fn pulls(sample: &[Point]) -> Vec<(usize, usize, f32)> {
    let n = sample.len();
    let directed: Vec<(usize, usize, f32)> = (0..n)
        .into_par_iter()
        .flat_map_iter(|row| {
            let distances: Vec<f32> =
                squared_distances(&sample[row..=row], sample).into_iter().map(f32::sqrt).collect();
            let near = nearest(&distances, NEIGHBOURS, Some(row));
            let distances: Vec<f32> = near.iter().map(|&other| distances[other]).collect();
            let strengths = strengths(&distances);
            near.into_iter().zip(strengths).map(move |(other, strength)| (row, other, strength))
        })
        .collect();
    let mut both: std::collections::BTreeMap<(usize, usize), [f32; 2]> = std::collections::BTreeMap::new();
    for (row, other, strength) in directed {
        let key = (row.min(other), row.max(other));
        both.entry(key).or_default()[usize::from(row > other)] = strength;
    }
    both.into_iter().map(|((a, b), [x, y])| (a, b, x + y - x * y)).collect()
}

/// How strongly a row's neighbours pull, by their ascending distances: the nearest fully, and all of them together as
/// much as log2(k + 1) would.
fn strengths(distances: &[f32]) -> Vec<f32> {
    let Some(&first) = distances.first() else { return Vec::new() };
    let target = (distances.len() as f32 + 1.0).log2();
    let strength = |distance: f32, width: f32| (-(distance - first) / width.max(f32::MIN_POSITIVE)).exp();
    let (mut low, mut high) = (0.0f32, 2.0f32);
    for _ in 0..30 {
        let width = f32::midpoint(low, high);
        let sum: f32 = distances.iter().map(|&distance| strength(distance, width)).sum();
        if sum > target { high = width } else { low = width }
    }
    distances.iter().map(|&distance| strength(distance, high)).collect()
}

/// Moves and scales places so that the wider axis reaches from -span to span; equal places all go to the centre.
fn fill(places: &mut [Place], span: f32) {
    for axis in 0..2 {
        let values = || places.iter().map(|place| place[axis]).filter(|value| value.is_finite());
        let (low, high) = (values().fold(f32::MAX, f32::min), values().fold(f32::MIN, f32::max));
        let middle = if low <= high { f32::midpoint(low, high) } else { 0.0 };
        places.iter_mut().for_each(|place| {
            place[axis] = if place[axis].is_finite() { place[axis] - middle } else { 0.0 };
        });
    }
    let widest = places.iter().flatten().fold(0.0f32, |widest, value| widest.max(value.abs()));
    if widest > 0.0 {
        places.iter_mut().flatten().for_each(|value| *value *= span / widest);
    }
}

/// UMAP's descent: pairs are visited as often as they are strong.
fn spread(places: &mut [Place], pulls: &[(usize, usize, f32)]) {
    let n = places.len();
    let strongest = pulls.iter().fold(0.0f32, |strongest, pull| strongest.max(pull.2));
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    // Equal places would never part.
    places.iter_mut().flatten().for_each(|value| *value += rng.random_range(-0.01..0.01f32));
    let mut due: Vec<f32> = vec![0.0; pulls.len()];
    for epoch in 0..EPOCHS {
        let rate = 1.0 - epoch as f32 / EPOCHS as f32;
        for (&(a, b, strength), due) in pulls.iter().zip(&mut due) {
            *due += strength / strongest;
            if *due < 1.0 {
                continue;
            }
            *due -= 1.0;
            let force = pull(places[a], places[b]);
            for axis in 0..2 {
                places[a][axis] += rate * force[axis];
                places[b][axis] -= rate * force[axis];
            }
            for (row, _) in [a, b].into_iter().flat_map(|row| (0..PUSHES).map(move |push| (row, push))) {
                let other = rng.random_range(0..n);
                if other != row {
                    let force = push(places[row], places[other]);
                    (0..2).for_each(|axis| places[row][axis] += rate * force[axis]);
                }
            }
        }
    }
}

fn apart(a: Place, b: Place) -> ([f32; 2], f32) {
    let apart = [a[0] - b[0], a[1] - b[1]];
    (apart, apart[0] * apart[0] + apart[1] * apart[1])
}

fn pull(a: Place, b: Place) -> [f32; 2] {
    let (apart, squared) = apart(a, b);
    if squared <= 0.0 {
        return [0.0; 2];
    }
    let (scale, power) = CURVE;
    let force = -2.0 * scale * power * squared.powf(power - 1.0) / (1.0 + scale * squared.powf(power));
    apart.map(|value| (force * value).clamp(-STEP_MAX, STEP_MAX))
}

fn push(a: Place, b: Place) -> [f32; 2] {
    let (apart, squared) = apart(a, b);
    let (scale, power) = CURVE;
    let force = 2.0 * power / ((0.001 + squared) * (1.0 + scale * squared.powf(power)));
    apart.map(|value| (force * value).clamp(-STEP_MAX, STEP_MAX))
}
