//! Directions that make trouble, and distances at which they do.

use culld::types::cosine_distance;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub(in crate::cluster::live) fn unit(values: &[f32]) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / length).collect()
}

/// Directions of which many are equal, equally far apart or in line.
pub(in crate::cluster::live) fn directions(kind: u8, points: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    let dim = [2, 3, 8][rng.random_range(0..3)];
    let grid = |span: i32, rng: &mut ChaCha8Rng| loop {
        let row: Vec<f32> = (0..dim).map(|_| rng.random_range(-span..=span) as f32).collect();
        if row.iter().any(|&value| value != 0.0) {
            return unit(&row);
        }
    };
    let one = |rng: &mut ChaCha8Rng| match kind {
        0 => grid(1, rng),
        1 => grid(3, rng),
        2 => {
            let angle = rng.random_range(0..40) as f32 * 0.02;
            vec![angle.cos(), angle.sin()]
        }
        // A tangent plane's grid: dense, with chains and holes.
        3 => {
            let (x, y) = (rng.random_range(0..8) as f32, rng.random_range(0..8) as f32);
            unit(&[0.02 * x, 0.02 * y, 1.0])
        }
        // Blobs around a few axes.
        _ => {
            let axis = rng.random_range(0..dim.min(4));
            let value = |i: usize, rng: &mut ChaCha8Rng| {
                f32::from(u8::from(i == axis)) + rng.random_range(-0.15..0.15f32)
            };
            unit(&(0..dim).map(|i| value(i, rng)).collect::<Vec<_>>())
        }
    };
    (0..points).map(|_| one(rng)).collect()
}

/// An eps that is the distance of some pair, one of the smaller ones.
pub(in crate::cluster::live) fn some_distance(rows: &[Vec<f32>], share: f64, rng: &mut ChaCha8Rng) -> f32 {
    let mut distances: Vec<f32> =
        (0..rows.len()).flat_map(|a| (0..a).map(move |b| cosine_distance(&rows[a], &rows[b]))).collect();
    distances.sort_by(f32::total_cmp);
    distances[rng.random_range(0..=(share * (distances.len() - 1) as f64) as usize)]
}
