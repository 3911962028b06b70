//! K-Means: Lloyd's iterations by `linfa-clustering`, over a distance that vectorises, from centres of ours.

use linfa::traits::{Fit, Predict};
use linfa::{DatasetBase, ParamGuard};
use linfa_clustering::{KMeans as LinfaKMeans, KMeansInit};
use linfa_nn::distance::{Distance, L2Dist};
use ndarray016::{Array2, ArrayView, ArrayView2, Dimension};
use rand::seq::index;

use super::outcome::{Algorithm, Outcome};
use super::params::default_k;
use super::progress::Stage;
use super::seeding::{generator, plus_plus};
use super::{ClusterError, ClusterInput, KMeansStart, Parameters, ward};
use crate::types::{PointOffset, Vectors};

const ITERATIONS: u32 = 300;
/// Restarts from k-means++, whose draws differ much.
const RESTARTS: u32 = 4;
/// Iterations end when the squared shift of all centres is below this share of the variance per dimension.
const TOLERANCE: f32 = 1e-4;
/// The most points that Ward's clusters are made of: their costs are all held, 4 bytes per pair.
const WARD_POINTS_MAX: usize = 4_000;

/// K-Means over squared Euclidean distance.
pub(super) struct KMeans {
    pub(super) k: Option<u32>,
    pub(super) max_iterations: Option<u32>,
    pub(super) restarts: Option<u32>,
    pub(super) start: Option<KMeansStart>,
}

impl KMeans {
    /// Where the centres start when nothing is said. Ward's clusters need no luck: what a judgement of whole clusters
    /// is worth then hardly depends on the seed, and on pictures it is at least as good as that of a lucky draw.
    fn start(&self) -> KMeansStart {
        let drawn = if self.restarts.is_some() { KMeansStart::PlusPlus } else { KMeansStart::Ward };
        self.start.unwrap_or(drawn)
    }
}

impl Algorithm for KMeans {
    fn run(&self, input: &ClusterInput<'_>, stage: &Stage<'_>) -> Result<Outcome, ClusterError> {
        let k = self.k.unwrap_or_else(|| default_k(input.vectors.len()));
        let max_iterations = self.max_iterations.unwrap_or(ITERATIONS);
        let start = self.start();
        let restarts = self.restarts.unwrap_or(match start {
            KMeansStart::Ward => 1,
            KMeansStart::PlusPlus => RESTARTS,
        });
        let mut best: Option<Partition> = None;
        for restart in 0..restarts {
            let at = |done: u32| done as f32 / restarts as f32;
            let stage = stage.part(at(restart), at(restart + 1), "moving centres");
            let centres = centres(input.vectors, k, start, u64::from(restart), &stage)?;
            let stage = stage.part(0.3, 1.0, "moving centres");
            let found = partition(input.vectors, &centres, max_iterations, &stage)?;
            if best.as_ref().is_none_or(|best| found.inertia < best.inertia) {
                best = Some(found);
            }
        }
        let labels = best.map_or_else(Vec::new, |best| best.labels);
        let parameters = Parameters::KMeans {
            k: Some(k),
            max_iterations: Some(max_iterations),
            restarts: Some(restarts),
            start: Some(start),
        };
        Ok(Outcome::new("k-means", parameters, labels.into_iter().map(Some).collect()))
    }
}

/// Where up to `k` centres start, by random stream `stream` of the run's seed.
fn centres(
    vectors: &Vectors,
    k: u32,
    start: KMeansStart,
    stream: u64,
    stage: &Stage<'_>,
) -> Result<Vectors, ClusterError> {
    let stage = stage.part(0.0, 0.3, "seeding centres");
    let mut rng = generator(stage.seed(), stream);
    match start {
        KMeansStart::PlusPlus => Ok(vectors.gather(&plus_plus(vectors, k as usize, &mut rng, &stage)?)),
        KMeansStart::Ward => {
            let points = WARD_POINTS_MAX.max(k as usize).min(vectors.len());
            let mut rows: Vec<PointOffset> =
                index::sample(&mut rng, vectors.len(), points).iter().map(|row| row as PointOffset).collect();
            rows.sort_unstable();
            let sample = vectors.gather(&rows);
            let group = ward::merge(&sample, k as usize, &stage)?;
            Ok(means(&sample, &group))
        }
    }
}

/// The mean of each group of rows; groups are dense from 0.
fn means(vectors: &Vectors, group: &[u32]) -> Vectors {
    let dim = vectors.dim();
    let groups = group.iter().max().map_or(0, |&last| last as usize + 1);
    let (mut sums, mut counts) = (vec![0.0f32; groups * dim], vec![0.0f32; groups]);
    for (row, &group) in group.iter().enumerate() {
        let sum = &mut sums[group as usize * dim..(group as usize + 1) * dim];
        sum.iter_mut().zip(vectors.row(row)).for_each(|(sum, value)| *sum += value);
        counts[group as usize] += 1.0;
    }
    for (sum, count) in sums.chunks_exact_mut(dim).zip(&counts) {
        sum.iter_mut().for_each(|value| *value /= count);
    }
    Vectors::from_rows(dim, sums)
}

/// The squared Euclidean distance in sixteen independent sums; linfa's own takes one and is ten times slower.
#[derive(Debug, Clone, PartialEq)]
struct LanedL2;

impl Distance<f32> for LanedL2 {
    fn distance<D: Dimension>(&self, a: ArrayView<'_, f32, D>, b: ArrayView<'_, f32, D>) -> f32 {
        self.rdistance(a, b).sqrt()
    }

    fn rdistance<D: Dimension>(&self, a: ArrayView<'_, f32, D>, b: ArrayView<'_, f32, D>) -> f32 {
        match (a.as_slice(), b.as_slice()) {
            (Some(a), Some(b)) => squared_distance(a, b),
            _ => a.iter().zip(&b).map(|(x, y)| (x - y) * (x - y)).sum(),
        }
    }

    fn rdist_to_dist(&self, rdist: f32) -> f32 {
        rdist.sqrt()
    }

    fn dist_to_rdist(&self, dist: f32) -> f32 {
        dist * dist
    }
}

/// The squared Euclidean distance, in an order of additions that is fixed and vectorises.
pub(super) fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 =
        a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| (x - y) * (x - y)).sum();
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            let difference = x[lane] - y[lane];
            sums[lane] += difference * difference;
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// One run of Lloyd's iterations.
struct Partition {
    /// The cluster of each row.
    labels: Vec<u32>,
    /// The sum of squared distances to the centres.
    inertia: f64,
}

/// Moves the centres until they rest.
fn partition(
    vectors: &Vectors,
    start: &Vectors,
    max_iterations: u32,
    stage: &Stage<'_>,
) -> Result<Partition, ClusterError> {
    if vectors.is_empty() {
        return Ok(Partition { labels: Vec::new(), inertia: 0.0 });
    }
    let shape = |rows: usize| (rows, vectors.dim());
    let mut centres =
        Array2::from_shape_vec(shape(start.len()), start.as_slice().to_vec()).map_err(library)?;
    let data =
        DatasetBase::from(ArrayView2::from_shape(shape(vectors.len()), vectors.as_slice()).map_err(library)?);
    let tolerance = TOLERANCE * variance(vectors) / vectors.dim() as f32;
    for iteration in 0..max_iterations {
        // Most runs rest after some dozens; progress need not be linear.
        stage.tick(iteration.min(50) as usize, 51)?;
        let moved = lloyd_step(&data, &centres)?;
        let shift = LanedL2.rdistance(centres.view(), moved.view());
        centres = moved;
        if shift <= tolerance {
            break;
        }
    }
    let model = fit(&data, &centres)?;
    let labels = model.predict(data.records());
    let inertia = labels
        .iter()
        .zip(data.records().rows())
        .map(|(&label, row)| f64::from(LanedL2.rdistance(row, model.centroids().row(label))))
        .sum();
    Ok(Partition { labels: labels.iter().map(|&label| label as u32).collect(), inertia })
}

type Data<'a> = DatasetBase<ArrayView2<'a, f32>, ndarray016::Array1<()>>;

/// One iteration: linfa starts from the centres given and is stopped after its first, so that a run can be cancelled
/// between two.
fn fit(data: &Data<'_>, centres: &Array2<f32>) -> Result<LinfaKMeans<f32, LanedL2>, ClusterError> {
    // The generator goes unused, since the centres are given; linfa's own spares naming its old rand.
    let rng = LinfaKMeans::<f32, L2Dist>::params(1).check().map_err(library)?.rng().clone();
    LinfaKMeans::params_with(centres.nrows(), rng, LanedL2)
        .init_method(KMeansInit::Precomputed(centres.clone()))
        .n_runs(1)
        .max_n_iterations(1)
        .check()
        .map_err(library)?
        .fit(data)
        .map_err(library)
}

fn lloyd_step(data: &Data<'_>, centres: &Array2<f32>) -> Result<Array2<f32>, ClusterError> {
    Ok(fit(data, centres)?.centroids().clone())
}

/// The mean squared distance to the mean: for unit vectors 1 − |mean|².
pub(super) fn variance(vectors: &Vectors) -> f32 {
    let mut mean = vec![0.0f64; vectors.dim()];
    for row in 0..vectors.len() {
        mean.iter_mut().zip(vectors.row(row)).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let n = vectors.len().max(1) as f64;
    (1.0 - mean.iter().map(|sum| (sum / n) * (sum / n)).sum::<f64>()).max(0.0) as f32
}

fn library(error: impl std::fmt::Display) -> ClusterError {
    ClusterError::Library { library: "linfa-clustering", message: error.to_string() }
}
