//! DBSCAN by `linfa-clustering`, which is handed the range graph as its neighbour index.

use std::sync::Arc;

use linfa::traits::Transformer;
use linfa::{Float, ParamGuard};
use linfa_clustering::Dbscan as LinfaDbscan;
use linfa_nn::distance::{Distance, L2Dist};
use linfa_nn::{BuildError, NearestNeighbour, NearestNeighbourIndex, NnError};
use ndarray016::{Array2, ArrayBase, ArrayView1, ArrayView2, Data, Ix2};

use super::graph::{KnnGraph, RangeGraph, knn, range};
use super::outcome::{Algorithm, CURVE_POINTS_MAX, Outcome};
use super::params::default_min_points;
use super::progress::Stage;
use super::validity::density_flags;
use super::{ClusterError, ClusterInput, Parameters};
use crate::types::{PointOffset, cosine_distance};

/// DBSCAN (Ester et al. 1996) over cosine distance. A border point belongs to its nearest core point, ties to the
/// smaller image id: the original gives it to whichever cluster came first.
pub(super) struct Dbscan {
    pub(super) eps: Option<f32>,
    pub(super) min_points: Option<u32>,
}

impl Algorithm for Dbscan {
    fn run(&self, input: &ClusterInput<'_>, stage: &Stage<'_>) -> Result<Outcome, ClusterError> {
        let n = input.vectors.len();
        let min_points = self.min_points.unwrap_or_else(|| default_min_points(n));
        let (curve, recall) = if self.eps.is_some() && input.candidates.is_none() {
            (Vec::new(), 1.0)
        } else {
            let graph = knn(input, min_points as usize, &stage.part(0.0, 0.5, "finding neighbours"))?;
            (k_distances(&graph, min_points as usize), graph.recall)
        };
        let knee = knee(&curve);
        let eps = self.eps.or(knee).unwrap_or(0.0);
        let graph = range(input, eps, &stage.part(0.5, 0.95, "finding neighbours within eps"))?;
        let core: Vec<bool> = graph.rows.iter().map(|row| row.len() + 1 >= min_points as usize).collect();
        let labels = labels(input, graph, &core, min_points as usize)?;
        let parameters = Parameters::Dbscan { eps: Some(eps), min_points: Some(min_points) };
        let mut outcome = Outcome::new("dbscan", parameters, labels);
        if self.eps.is_none() {
            outcome.explanation.push(format!(
                "eps is {eps:.4}, the knee of the {n} ascending distances to the {min_points}th nearest point"
            ));
        }
        outcome.k_distance = thin(curve);
        outcome.knee = knee;
        outcome.neighbour_recall = Some(recall);
        outcome.approximate = input.candidates.is_some();
        outcome.flags = density_flags(input.vectors, &outcome.labels, Some(&core));
        Ok(outcome)
    }
}

/// The distances to the `min_points`-th point, ascending; points without as many are left out.
pub(super) fn k_distances(graph: &KnnGraph, min_points: usize) -> Vec<f32> {
    let mut curve: Vec<f32> = (0..graph.len()).map(|row| graph.core_distance(row, min_points)).collect();
    curve.retain(|distance| distance.is_finite());
    curve.sort_unstable_by(f32::total_cmp);
    curve
}

/// Where an ascending curve bends: the point farthest below the chord between its ends (Satopää et al., "Finding a
/// Kneedle in a Haystack", 2011).
pub(super) fn knee(curve: &[f32]) -> Option<f32> {
    let (&first, &last) = (curve.first()?, curve.last()?);
    let end = (curve.len() - 1).max(1) as f32;
    let below = |(i, &value): (usize, &f32)| first + (last - first) * i as f32 / end - value;
    let best = curve.iter().enumerate().max_by(|a, b| below(*a).total_cmp(&below(*b)).then(b.0.cmp(&a.0)));
    best.map(|(_, &value)| value)
}

/// At most [`CURVE_POINTS_MAX`] points of a curve, both ends among them.
pub(super) fn thin(curve: Vec<f32>) -> Vec<f32> {
    if curve.len() <= CURVE_POINTS_MAX {
        return curve;
    }
    (0..CURVE_POINTS_MAX).map(|i| curve[i * (curve.len() - 1) / (CURVE_POINTS_MAX - 1)]).collect()
}

fn labels(
    input: &ClusterInput<'_>,
    graph: RangeGraph,
    core: &[bool],
    min_points: usize,
) -> Result<Vec<Option<u32>>, ClusterError> {
    let n = core.len();
    let library = |error: &dyn std::fmt::Display| ClusterError::Library {
        library: "linfa-clustering",
        message: error.to_string(),
    };
    let index = GraphIndex(Arc::new(graph));
    // linfa hands a query back as the point it was given; a point that is its own row number says which it is.
    let numbers = Array2::from_shape_vec((n, 1), (0..n).map(|row| row as f64).collect())
        .map_err(|error| library(&error))?;
    let found = LinfaDbscan::params_with(min_points, L2Dist, index.clone())
        .tolerance(1.0)
        .check()
        .map_err(|error| library(&error))?
        .transform(&numbers);
    let nearest_core = |row: usize| {
        let near = index.0.rows[row].iter().filter(|&&other| core[other as usize]);
        near.map(|&other| (cosine_distance(input.vectors.row(row), input.vectors.row(other as usize)), other))
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
    };
    Ok((0..n)
        .map(|row| {
            let owner =
                if core[row] { Some(row) } else { nearest_core(row).map(|(_, other)| other as usize) };
            owner.and_then(|owner| found[owner]).map(|label| label as u32)
        })
        .collect())
}

/// A prebuilt range graph in the place of linfa's spatial index: the range asked for is the one it was built with.
#[derive(Clone)]
struct GraphIndex(Arc<RangeGraph>);

impl std::fmt::Debug for GraphIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GraphIndex({} rows)", self.0.rows.len())
    }
}

impl NearestNeighbour for GraphIndex {
    fn from_batch_with_leaf_size<'a, F: Float, DT: Data<Elem = F>, D: 'a + Distance<F>>(
        &self,
        batch: &'a ArrayBase<DT, Ix2>,
        _leaf_size: usize,
        _dist_fn: D,
    ) -> Result<Box<dyn 'a + Send + Sync + NearestNeighbourIndex<F>>, BuildError> {
        Ok(Box::new(BoundIndex { graph: Arc::clone(&self.0), points: batch.view() }))
    }
}

struct BoundIndex<'a, F> {
    graph: Arc<RangeGraph>,
    points: ArrayView2<'a, F>,
}

impl<F: Float> BoundIndex<'_, F> {
    fn found(&self, point: ArrayView1<'_, F>) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        let row = point.first().and_then(num_row).filter(|&row| row < self.graph.rows.len());
        let row = row.ok_or(NnError::WrongDimension)?;
        let near = self.graph.rows[row].iter().map(|&other: &PointOffset| other as usize);
        Ok(std::iter::once(row).chain(near).map(|other| (self.points.row(other), other)).collect())
    }
}

/// The row number that a coordinate stands for.
fn num_row<F: Float>(coordinate: &F) -> Option<usize> {
    coordinate.to_usize()
}

impl<F: Float> NearestNeighbourIndex<F> for BoundIndex<'_, F> {
    fn k_nearest(
        &self,
        point: ArrayView1<'_, F>,
        k: usize,
    ) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        let mut found = self.found(point)?;
        found.truncate(k);
        Ok(found)
    }

    fn within_range(
        &self,
        point: ArrayView1<'_, F>,
        _range: F,
    ) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        self.found(point)
    }
}
