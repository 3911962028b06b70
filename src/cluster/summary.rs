//! What a person is told of a cluster: its medoid, its extent, and samples that give a mixture away.

use super::outcome::members;
use crate::types::{ImageId, PointOffset, Vectors, cosine_distance};
use rayon::prelude::*;

/// The most samples of a cluster: what one look takes in.
pub const SAMPLES_MAX: usize = 9;

/// A cluster in short.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSummary {
    /// The member with the least sum of cosine distances to all members.
    pub medoid: PointOffset,
    /// The number of members.
    pub size: usize,
    /// The largest cosine distance from the medoid to a member, in [0, 2].
    pub radius: f32,
    /// The medoid, then always the member farthest from those picked; at most [`SAMPLES_MAX`], no two of one vector.
    pub samples: Vec<PointOffset>,
}

/// The summary of every label, in order.
pub fn summarise(vectors: &Vectors, ids: &[ImageId], labels: &[Option<u32>]) -> Vec<ClusterSummary> {
    members(labels).par_iter().filter_map(|rows| summary(vectors, ids, rows)).collect()
}

/// The summary of the images at `rows`; `None` when there are none. Ties go to the smaller image id.
pub fn summary(vectors: &Vectors, ids: &[ImageId], rows: &[PointOffset]) -> Option<ClusterSummary> {
    let medoid = medoid(vectors, ids, rows)?;
    let mut nearest: Vec<f32> = rows.iter().map(|&row| between(vectors, medoid, row)).collect();
    let radius = nearest.iter().copied().fold(0.0, f32::max);
    let mut samples = vec![medoid];
    while samples.len() < SAMPLES_MAX {
        // Farthest-first traversal (Gonzalez 1985): whatever differs from what is shown comes next.
        let farthest = (0..rows.len()).max_by(|&a, &b| {
            nearest[a].total_cmp(&nearest[b]).then_with(|| id(ids, rows[b]).cmp(&id(ids, rows[a])))
        });
        let Some(place) = farthest.filter(|&place| nearest[place] > 1e-6) else {
            break;
        };
        samples.push(rows[place]);
        for (nearest, &row) in nearest.iter_mut().zip(rows) {
            *nearest = nearest.min(between(vectors, rows[place], row));
        }
    }
    Some(ClusterSummary { medoid, size: rows.len(), radius, samples })
}

fn id(ids: &[ImageId], row: PointOffset) -> ImageId {
    ids[row as usize]
}

fn between(vectors: &Vectors, a: PointOffset, b: PointOffset) -> f32 {
    cosine_distance(vectors.row(a as usize), vectors.row(b as usize))
}

/// The member with the least sum of distances. As Σ (1 − a·b) = n − a·Σb, one look at the sum of all members gives
/// every member's total; it is the member nearest to the mean's direction at once, whatever the size.
fn medoid(vectors: &Vectors, ids: &[ImageId], rows: &[PointOffset]) -> Option<PointOffset> {
    let mut sum = vec![0.0f64; vectors.dim()];
    for &row in rows {
        sum.iter_mut().zip(vectors.row(row as usize)).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let closeness = |row: PointOffset| -> f64 {
        sum.iter().zip(vectors.row(row as usize)).map(|(sum, &value)| sum * f64::from(value)).sum()
    };
    rows.iter()
        .map(|&row| (closeness(row), row))
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| id(ids, b.1).cmp(&id(ids, a.1))))
        .map(|(_, row)| row)
}
