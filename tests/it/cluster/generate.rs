//! Mixtures of clusters and noise on the unit sphere.

use culld::types::Vectors;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What to generate.
pub(super) struct Mixture {
    pub(super) dim: usize,
    pub(super) clusters: usize,
    pub(super) points: usize,
    /// The share of points spread evenly over the sphere.
    pub(super) noise: f32,
    /// A cluster's deviation from its centre, drawn log-evenly between these.
    pub(super) spread: (f32, f32),
    /// Cluster sizes fall as rank to the minus this; 0 makes them equal.
    pub(super) zipf: f64,
    /// Dimensions that a cluster extends in; 0 for all.
    pub(super) intrinsic: usize,
}

impl Default for Mixture {
    fn default() -> Self {
        Self { dim: 64, clusters: 3, points: 600, noise: 0.0, spread: (0.2, 0.6), zipf: 0.0, intrinsic: 0 }
    }
}

/// Vectors and the cluster of each; noise is −1.
pub(super) struct Generated {
    pub(super) vectors: Vectors,
    pub(super) classes: Vec<i64>,
}

pub(super) fn normal(rng: &mut ChaCha8Rng, dim: usize) -> Vec<f32> {
    (0..dim).map(|_| StandardNormal.sample(rng)).collect()
}

pub(super) fn unit(values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.into_iter().map(|value| value / length).collect()
}

impl Mixture {
    pub(super) fn generate(&self, seed: u64) -> Generated {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut vectors = Vectors::new(self.dim);
        let mut classes = Vec::new();
        let noise = (self.points as f32 * self.noise) as usize;
        let share = |rank: usize| (rank as f64 + 1.0).powf(-self.zipf);
        let total: f64 = (0..self.clusters).map(share).sum();
        for cluster in 0..self.clusters {
            let centre = unit(normal(rng, self.dim));
            let (low, high) = (self.spread.0.ln(), self.spread.1.ln());
            let spread = (low + (high - low) * rng.random::<f32>()).exp();
            let axes: Vec<Vec<f32>> = (0..self.intrinsic).map(|_| unit(normal(rng, self.dim))).collect();
            let size = (share(cluster) / total * (self.points - noise) as f64).round() as usize;
            for _ in 0..size.max(8).min(self.points) {
                let offset = self.offset(rng, &axes);
                let point =
                    centre.iter().zip(offset).map(|(centre, offset)| centre + spread * offset).collect();
                vectors.push(&unit(point)).unwrap();
                classes.push(cluster as i64);
            }
        }
        for _ in 0..noise {
            vectors.push(&unit(normal(rng, self.dim))).unwrap();
            classes.push(-1);
        }
        Generated { vectors, classes }
    }

    /// A step of about unit length.
    fn offset(&self, rng: &mut ChaCha8Rng, axes: &[Vec<f32>]) -> Vec<f32> {
        if axes.is_empty() {
            return normal(rng, self.dim).into_iter().map(|value| value / (self.dim as f32).sqrt()).collect();
        }
        let weights = normal(rng, axes.len());
        let scale = (axes.len() as f32).sqrt();
        let along =
            |i: usize| weights.iter().zip(axes).map(|(weight, axis)| weight * axis[i]).sum::<f32>() / scale;
        (0..self.dim).map(along).collect()
    }
}
