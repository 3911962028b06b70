//! K-Means on the model's 32 coordinates: small, seeded, and the same for the same points in the same order.

use rand::{RngExt, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::features::{DIRECTIONS, Point};

/// The sum of squared distances below which all points count as equal.
const SPREAD_MIN: f64 = 1e-9;

/// Points in groups.
pub(super) struct Partition {
    /// The group of every point.
    pub(super) labels: Vec<usize>,
    /// The centre of every group, also of the empty ones.
    pub(super) centres: Vec<Point>,
}

impl Partition {
    /// The positions of the points of one group.
    pub(super) fn members(&self, group: usize) -> impl Iterator<Item = usize> {
        self.labels
            .iter()
            .enumerate()
            .filter(move |&(_, &label)| label == group)
            .map(|(position, _)| position)
    }
}

/// Lloyd's iterations from k-means++ centres (Arthur and Vassilvitskii 2007).
pub(super) fn kmeans(points: &[Point], k: usize, iterations: usize) -> Partition {
    let mut centres = plus_plus(points, k.min(points.len()));
    let mut labels = assigned(points, &centres);
    for _ in 0..iterations {
        let (mut sums, mut counts) = (vec![[0.0f64; DIRECTIONS]; centres.len()], vec![0.0f64; centres.len()]);
        for (point, &label) in points.iter().zip(&labels) {
            sums[label].iter_mut().zip(point).for_each(|(sum, &value)| *sum += f64::from(value));
            counts[label] += 1.0;
        }
        // A group that lost all its points keeps its centre.
        for ((centre, sum), &count) in
            centres.iter_mut().zip(&sums).zip(&counts).filter(|(_, count)| **count > 0.0)
        {
            centre.iter_mut().zip(sum).for_each(|(to, sum)| *to = (sum / count) as f32);
        }
        let next = assigned(points, &centres);
        if next == labels {
            break;
        }
        labels = next;
    }
    Partition { labels, centres }
}

/// The nearest centre of every point.
fn assigned(points: &[Point], centres: &[Point]) -> Vec<usize> {
    points.iter().map(|point| nearest(point, centres)).collect()
}

/// The position of the nearest of some points, the first of equals; 0 where there is none.
pub(super) fn nearest(point: &Point, among: &[Point]) -> usize {
    let mut best = (f32::INFINITY, 0);
    for (position, other) in among.iter().enumerate() {
        let distance = squared_distance(point, other);
        if distance < best.0 {
            best = (distance, position);
        }
    }
    best.1
}

/// `k` of the points, each drawn with probability proportional to its squared distance to those drawn before; any where
/// no distance is left.
pub(super) fn plus_plus(points: &[Point], k: usize) -> Vec<Point> {
    if k == 0 {
        return Vec::new();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut centres = vec![points[rng.random_range(0..points.len())]];
    let mut distances = vec![f32::INFINITY; points.len()];
    while let (Some(&last), true) = (centres.last(), centres.len() < k) {
        let mut sum = 0.0;
        let cumulated: Vec<f64> = points
            .iter()
            .zip(&mut distances)
            .map(|(point, distance)| {
                *distance = distance.min(squared_distance(point, &last));
                sum += f64::from(*distance);
                sum
            })
            .collect();
        let at = rng.random::<f64>();
        let drawn = if sum > SPREAD_MIN {
            cumulated.partition_point(|&c| c <= at * sum)
        } else {
            (at * points.len() as f64) as usize
        };
        centres.push(points[drawn.min(points.len() - 1)]);
    }
    centres
}

/// The mean of the points named.
pub(super) fn mean<'a>(points: impl Iterator<Item = &'a Point>) -> Point {
    let (mut sum, mut count) = ([0.0f64; DIRECTIONS], 0.0f64);
    for point in points {
        sum.iter_mut().zip(point).for_each(|(sum, &value)| *sum += f64::from(value));
        count += 1.0;
    }
    sum.map(|sum| (sum / count.max(1.0)) as f32)
}

/// The squared Euclidean distance, in eight independent sums.
pub(super) fn squared_distance(a: &Point, b: &Point) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0f32; LANES];
    for (x, y) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            let difference = x[lane] - y[lane];
            sums[lane] += difference * difference;
        }
    }
    sums.iter().sum()
}
