//! K-Medoids: FasterPAM, and FastCLARA for collections whose distance matrix would be too large (Schubert and
//! Rousseeuw, "Fast and Eager k-Medoids Clustering", 2021).

use rand::RngExt;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::distances::distances_to_all;
use super::outcome::{Algorithm, Outcome};
use super::params::default_k;
use super::progress::Stage;
use super::seeding::{generator, plus_plus};
use super::{ClusterError, ClusterInput, Parameters};
use crate::types::{PointOffset, Vectors};

/// The most points whose distances are all held, 4 bytes per pair.
pub(super) const FULL_MATRIX_POINTS_MAX: usize = 4_000;
/// The most points of a sample.
const SAMPLE_POINTS_MAX: usize = 8_000;
/// Samples tried, as in CLARA.
const SAMPLES: u64 = 5;
/// Restarts on the whole matrix.
const RESTARTS: u64 = 8;
/// Candidates between two looks at cancellation.
const CANDIDATES_PER_TICK: usize = 64;

/// K-Medoids over cosine distance.
pub(super) struct KMedoids {
    pub(super) k: Option<u32>,
}

impl Algorithm for KMedoids {
    fn run(&self, input: &ClusterInput<'_>, stage: &Stage<'_>) -> Result<Outcome, ClusterError> {
        let vectors = input.vectors;
        let k = self.k.unwrap_or_else(|| default_k(vectors.len()));
        let medoids = if vectors.len() <= FULL_MATRIX_POINTS_MAX {
            faster_pam_restarted(vectors, k as usize, stage)?
        } else {
            fast_clara(vectors, k as usize, stage)?
        };
        let labels = assign(vectors, &medoids).0.into_iter().map(Some).collect();
        Ok(Outcome::new("k-medoids", Parameters::KMedoids { k: Some(k) }, labels))
    }
}

fn faster_pam_restarted(
    vectors: &Vectors,
    k: usize,
    stage: &Stage<'_>,
) -> Result<Vec<PointOffset>, ClusterError> {
    let matrix = distances_to_all(vectors, vectors);
    let mut best = (f64::INFINITY, Vec::new());
    for restart in 0..RESTARTS {
        let at = |done: u64| done as f32 / RESTARTS as f32;
        let stage = stage.part(at(restart), at(restart + 1), "swapping medoids");
        let mut rng = generator(stage.seed(), restart);
        let start = plus_plus(vectors, k, &mut rng, &stage.part(0.0, 0.2, "seeding medoids"))?;
        let found = faster_pam(&matrix, start, &mut rng, &stage.part(0.2, 1.0, "swapping medoids"))?;
        if found.0 < best.0 {
            best = found;
        }
    }
    Ok(best.1)
}

/// Runs FasterPAM on samples, each of which holds the best medoids so far, and keeps what suits all points best.
fn fast_clara(vectors: &Vectors, k: usize, stage: &Stage<'_>) -> Result<Vec<PointOffset>, ClusterError> {
    // The paper's sample of 80 + 4k is for small k; a thousand costs little and loses less.
    let size = (80 + 4 * k).max(1_000).min(vectors.len());
    if size > SAMPLE_POINTS_MAX {
        return Err(ClusterError::TooLarge {
            what: "the sample for so many medoids",
            max: SAMPLE_POINTS_MAX,
            unit: "points",
        });
    }
    let mut best: (f64, Vec<PointOffset>) = (f64::INFINITY, Vec::new());
    for sample in 0..SAMPLES {
        let at = |done: u64| done as f32 / SAMPLES as f32;
        let stage = stage.part(at(sample), at(sample + 1), "swapping medoids");
        let mut rng = generator(stage.seed(), sample);
        let mut rows = best.1.clone();
        rows.extend(index::sample(&mut rng, vectors.len(), size).iter().map(|row| row as PointOffset));
        rows.sort_unstable();
        rows.dedup();
        let drawn = vectors.gather(&rows);
        let start = if best.1.is_empty() {
            plus_plus(&drawn, k, &mut rng, &stage)?
        } else {
            // The best so far are in the sample by construction.
            best.1.iter().filter_map(|m| rows.binary_search(m).ok().map(|at| at as PointOffset)).collect()
        };
        let (_, medoids) = faster_pam(&distances_to_all(&drawn, &drawn), start, &mut rng, &stage)?;
        let medoids: Vec<PointOffset> = medoids.into_iter().map(|medoid| rows[medoid as usize]).collect();
        let loss = assign(vectors, &medoids).1;
        if loss < best.0 {
            best = (loss, medoids);
        }
    }
    Ok(best.1)
}

/// The nearest medoid of every row, ties to the first, and the sum of the distances.
fn assign(vectors: &Vectors, medoids: &[PointOffset]) -> (Vec<u32>, f64) {
    let n = vectors.len();
    let distances = distances_to_all(vectors, &vectors.gather(medoids));
    let mut nearest = vec![(0u32, f32::INFINITY); n];
    for (medoid, row) in distances.chunks_exact(n.max(1)).enumerate() {
        for (nearest, &distance) in nearest.iter_mut().zip(row) {
            if distance < nearest.1 {
                *nearest = (medoid as u32, distance);
            }
        }
    }
    let loss = nearest.iter().map(|&(_, distance)| f64::from(distance)).sum();
    (nearest.into_iter().map(|(medoid, _)| medoid).collect(), loss)
}

/// A point's nearest and second nearest medoid, by place in the list of medoids.
#[derive(Clone, Copy)]
struct Nearest {
    near: usize,
    near_distance: f32,
    second: f32,
}

/// The search's state: medoids, and what each point and each removal cost.
struct Pam<'a> {
    matrix: &'a [f32],
    points: usize,
    medoids: Vec<PointOffset>,
    is_medoid: Vec<bool>,
    nearest: Vec<Nearest>,
    /// What the loss would grow by if the medoid were removed, shape (k).
    removal_loss: Vec<f64>,
}

impl<'a> Pam<'a> {
    fn new(matrix: &'a [f32], points: usize, medoids: Vec<PointOffset>) -> Self {
        let mut is_medoid = vec![false; points];
        for &medoid in &medoids {
            is_medoid[medoid as usize] = true;
        }
        let mut pam =
            Self { matrix, points, medoids, is_medoid, nearest: Vec::new(), removal_loss: Vec::new() };
        pam.measure();
        pam
    }

    fn row(&self, point: PointOffset) -> &'a [f32] {
        &self.matrix[point as usize * self.points..(point as usize + 1) * self.points]
    }

    /// Finds the two nearest medoids of every point and the removal losses.
    fn measure(&mut self) {
        let mut nearest =
            vec![Nearest { near: 0, near_distance: f32::INFINITY, second: f32::INFINITY }; self.points];
        for (place, &medoid) in self.medoids.iter().enumerate() {
            for (point, (nearest, &measured)) in nearest.iter_mut().zip(self.row(medoid)).enumerate() {
                // A medoid is its own, whatever rounding or a duplicate says.
                let distance = if point == medoid as usize { -1.0 } else { measured };
                if distance < nearest.near_distance {
                    *nearest =
                        Nearest { near: place, near_distance: distance, second: nearest.near_distance };
                } else if distance < nearest.second {
                    nearest.second = distance;
                }
            }
        }
        self.removal_loss = vec![0.0; self.medoids.len()];
        for nearest in &mut nearest {
            nearest.near_distance = nearest.near_distance.max(0.0);
            self.removal_loss[nearest.near] += f64::from(nearest.second) - f64::from(nearest.near_distance);
        }
        self.nearest = nearest;
    }

    fn loss(&self) -> f64 {
        self.nearest.iter().map(|nearest| f64::from(nearest.near_distance)).sum()
    }

    /// The change of the loss by the best swap that makes `candidate` a medoid, and the place it takes.
    fn best_swap(&self, candidate: PointOffset, change: &mut Vec<f64>) -> (f64, usize) {
        change.clone_from(&self.removal_loss);
        let mut gain = 0.0;
        for (&distance, nearest) in self.row(candidate).iter().zip(&self.nearest) {
            if distance < nearest.near_distance {
                gain += f64::from(distance) - f64::from(nearest.near_distance);
                change[nearest.near] += f64::from(nearest.near_distance) - f64::from(nearest.second);
            } else if distance < nearest.second {
                change[nearest.near] += f64::from(distance) - f64::from(nearest.second);
            }
        }
        let best = change.iter().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map_or((0.0, 0), |(place, &change)| (change + gain, place))
    }

    fn swap(&mut self, place: usize, candidate: PointOffset) {
        self.is_medoid[self.medoids[place] as usize] = false;
        self.is_medoid[candidate as usize] = true;
        self.medoids[place] = candidate;
        self.measure();
    }
}

/// Swaps eagerly until no candidate improves the loss: (loss, medoids). `matrix` is square, row-major.
fn faster_pam(
    matrix: &[f32],
    start: Vec<PointOffset>,
    rng: &mut ChaCha8Rng,
    stage: &Stage<'_>,
) -> Result<(f64, Vec<PointOffset>), ClusterError> {
    let points = matrix.len().isqrt();
    if start.is_empty() {
        return Ok((0.0, start));
    }
    let mut pam = Pam::new(matrix, points, start);
    // With a single medoid there is no second; every removal then costs infinitely much, so it is chosen directly.
    if pam.medoids.len() == 1 {
        let total = |point: PointOffset| pam.row(point).iter().map(|&d| f64::from(d)).sum::<f64>();
        let best = (0..points as PointOffset).min_by(|&a, &b| total(a).total_cmp(&total(b))).unwrap_or(0);
        return Ok((total(best), vec![best]));
    }
    let mut change = Vec::new();
    let mut candidate = rng.random_range(0..points);
    let (mut unchanged, mut tried) = (0, 0);
    while unchanged < points {
        if tried % CANDIDATES_PER_TICK == 0 {
            stage.tick(unchanged, points)?;
        }
        tried += 1;
        unchanged += 1;
        if !pam.is_medoid[candidate] {
            let (gain, place) = pam.best_swap(candidate as PointOffset, &mut change);
            // Not for what rounding leaves: the search must end.
            if gain < -1e-9 * points as f64 {
                pam.swap(place, candidate as PointOffset);
                unchanged = 0;
            }
        }
        candidate = (candidate + 1) % points;
    }
    Ok((pam.loss(), pam.medoids))
}
