//! k-means++ seeding (Arthur and Vassilvitskii 2007), greedy: of a few draws the one that helps most is kept.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ClusterError;
use super::distances::distances_to_all;
use super::progress::Stage;
use crate::types::{PointOffset, Vectors};

/// The generator for one purpose of a run: the same seed and stream give the same numbers everywhere.
pub(super) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Picks up to `k` rows, each with probability proportional to its distance to those picked before; fewer when the
/// rest are duplicates of those picked.
pub(super) fn plus_plus(
    vectors: &Vectors,
    k: usize,
    rng: &mut ChaCha8Rng,
    stage: &Stage<'_>,
) -> Result<Vec<PointOffset>, ClusterError> {
    let n = vectors.len();
    if n == 0 || k == 0 {
        return Ok(Vec::new());
    }
    let draws = 2 + (k as f64).ln() as usize;
    let first = rng.random_range(0..n) as PointOffset;
    let mut picked = vec![first];
    let mut nearest = distances_to_all(vectors, &vectors.gather(&[first]));
    while picked.len() < k {
        stage.tick(picked.len(), k)?;
        let mut sum = 0.0;
        let cumulated: Vec<f64> = nearest
            .iter()
            .map(|&distance| {
                // What rounding leaves between duplicates is no distance.
                sum += if distance > 1e-6 { f64::from(distance) } else { 0.0 };
                sum
            })
            .collect();
        if sum <= 0.0 {
            break;
        }
        let drawn: Vec<PointOffset> = (0..draws)
            .map(|_| {
                let at = rng.random_range(0.0..sum);
                cumulated.partition_point(|&c| c <= at).min(n - 1) as PointOffset
            })
            .collect();
        let distances = distances_to_all(vectors, &vectors.gather(&drawn));
        let closer = |row: &[f32]| row.iter().zip(&nearest).map(|(&a, &b)| a.min(b)).collect::<Vec<f32>>();
        let total = |row: &[f32]| row.iter().map(|&d| f64::from(d)).sum::<f64>();
        let best = distances
            .chunks_exact(n)
            .map(closer)
            .zip(&drawn)
            .min_by(|(a, _), (b, _)| total(a).total_cmp(&total(b)));
        if let Some((row, &drawn)) = best {
            nearest = row;
            picked.push(drawn);
        }
    }
    Ok(picked)
}
