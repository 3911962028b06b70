//! OPTICS (Ankerst, Breunig, Kriegel and Sander 1999) over cosine distance, in memory linear in the points.

use std::collections::HashMap;

use super::distances::distances_to_all;
use super::knn::knn;
use super::outcome::{Algorithm, Outcome, Reachability};
use super::params::{EPS_MAX, Extraction, default_min_points};
use super::progress::Stage;
use super::sketch::{Sketches, Space};
use super::validity::density_flags;
use super::{ClusterError, ClusterInput, Parameters, xi};
use crate::types::{PointOffset, Vectors};

/// Rows of the distance matrix computed in one product: those likely to be visited next.
const ROWS_PER_PRODUCT: usize = 64;
/// The most rows kept for later visits, 4 bytes per point each.
const ROWS_KEPT_MAX: usize = 512;

/// Distances closer than this are one and the same to f32 rounding.
const ROUNDING: f32 = 1e-6;

/// OPTICS, and the clusters cut out of its plot.
pub(super) struct Optics {
    pub(super) min_points: Option<u32>,
    pub(super) max_eps: Option<f32>,
    pub(super) extraction: Extraction,
}

impl Algorithm for Optics {
    fn run(&self, input: &ClusterInput<'_>, stage: &Stage<'_>) -> Result<Outcome, ClusterError> {
        let n = input.vectors.len();
        let min_points = self.min_points.unwrap_or_else(|| default_min_points(n)).max(2);
        let max_eps = self.max_eps.unwrap_or(EPS_MAX);
        let sketches = Sketches::new(input.vectors);
        let space = Space::new(input.vectors, &sketches);
        let graph = knn(input, &space, min_points as usize, &stage.part(0.0, 0.4, "finding neighbours"))?;
        let core =
            |row| Some(graph.core_distance(row, min_points as usize)).filter(|&distance| distance <= max_eps);
        let core_distance = (0..n).map(|row| core(row).unwrap_or(f32::INFINITY)).collect();
        let plot = order(input.vectors, core_distance, max_eps, &stage.part(0.4, 1.0, "ordering"))?;
        let labels = match self.extraction {
            Extraction::Eps(eps) => extract_eps(&plot, eps),
            Extraction::Xi(xi) => extract_xi(&plot, xi, min_points),
        };
        let parameters = Parameters::Optics {
            min_points: Some(min_points),
            max_eps: Some(max_eps),
            extraction: self.extraction,
        };
        let mut outcome = Outcome::new("optics", parameters, labels);
        outcome.flags = density_flags(input.vectors, &outcome.labels, None);
        outcome.neighbour_recall = Some(graph.recall);
        outcome.approximate = graph.approximate;
        outcome.reachability = Some(plot);
        Ok(outcome)
    }
}

/// Rows of the distance matrix, computed many at a time and dropped once used.
struct RowCache<'a> {
    vectors: &'a Vectors,
    rows: HashMap<PointOffset, Vec<f32>>,
}

impl RowCache<'_> {
    /// The distances from `row` to all points; `next` names the rows worth computing along with it.
    fn take(&mut self, row: PointOffset, next: impl FnOnce() -> Vec<PointOffset>) -> Vec<f32> {
        if let Some(distances) = self.rows.remove(&row) {
            return distances;
        }
        let mut wanted = vec![row];
        wanted.extend(next().into_iter().filter(|other| *other != row && !self.rows.contains_key(other)));
        if self.rows.len() + wanted.len() > ROWS_KEPT_MAX {
            self.rows.clear();
        }
        let distances = distances_to_all(self.vectors, &self.vectors.gather(&wanted));
        let mut computed = distances.chunks_exact(self.vectors.len()).map(<[f32]>::to_vec);
        let first = computed.next().unwrap_or_default();
        self.rows.extend(wanted[1..].iter().copied().zip(computed));
        first
    }
}

/// Visits the points: next is always the one of least reachability, ties to the smaller image id; where nothing can be
/// reached, the smallest id starts a new component and its reachability stays undefined.
fn order(
    vectors: &Vectors,
    core_distance: Vec<f32>,
    max_eps: f32,
    stage: &Stage<'_>,
) -> Result<Reachability, ClusterError> {
    let n = vectors.len();
    let mut reachability = vec![f32::INFINITY; n];
    let mut predecessor: Vec<PointOffset> = (0..n as PointOffset).collect();
    let mut open = predecessor.clone();
    let mut order = Vec::with_capacity(n);
    let mut cache = RowCache { vectors, rows: HashMap::new() };
    while !open.is_empty() {
        if order.len() % ROWS_PER_PRODUCT == 0 {
            stage.tick(order.len(), n)?;
        }
        let first = |&(_, a): &(usize, &PointOffset), &(_, b): &(usize, &PointOffset)| {
            let by_distance = reachability[*a as usize].total_cmp(&reachability[*b as usize]);
            by_distance.then_with(|| a.cmp(b))
        };
        let Some((place, &row)) = open.iter().enumerate().min_by(first) else {
            break;
        };
        open.swap_remove(place);
        order.push(row);
        let own_core = core_distance[row as usize];
        if own_core.is_infinite() {
            continue;
        }
        let distances = cache.take(row, || nearest_seeds(&open, &reachability));
        for &other in &open {
            let distance = distances[other as usize];
            // The core distance is one of these distances, but measured in another order of additions.
            let reached = if distance <= own_core + ROUNDING { own_core } else { distance };
            if distance <= max_eps && reached < reachability[other as usize] {
                reachability[other as usize] = reached;
                predecessor[other as usize] = row;
            }
        }
    }
    Ok(Reachability { order, reachability, core_distance, predecessor })
}

/// The open points of least reachability.
fn nearest_seeds(open: &[PointOffset], reachability: &[f32]) -> Vec<PointOffset> {
    let mut seeds = open.to_vec();
    let by_reachability = |a: &PointOffset, b: &PointOffset| {
        reachability[*a as usize].total_cmp(&reachability[*b as usize]).then(a.cmp(b))
    };
    if seeds.len() >= ROWS_PER_PRODUCT {
        seeds.select_nth_unstable_by(ROWS_PER_PRODUCT - 1, by_reachability);
        seeds.truncate(ROWS_PER_PRODUCT - 1);
    }
    seeds
}

/// The clusters of a horizontal cut through the plot at `eps`, a cosine distance: DBSCAN's, but for border points.
pub fn extract_eps(plot: &Reachability, eps: f32) -> Vec<Option<u32>> {
    let mut labels = vec![None; plot.order.len()];
    let mut next = 0;
    let mut current = None;
    for &row in &plot.order {
        let row = row as usize;
        if plot.reachability[row] > eps {
            current = (plot.core_distance[row] <= eps).then_some(next);
            next += u32::from(current.is_some());
        }
        labels[row] = current;
    }
    labels
}

/// The smallest clusters between steep areas of the plot, `xi` in (0, 1), of at least `min_points` points.
pub fn extract_xi(plot: &Reachability, xi: f32, min_points: u32) -> Vec<Option<u32>> {
    let mut place = vec![0; plot.order.len()];
    plot.order.iter().enumerate().for_each(|(at, &row)| place[row as usize] = at);
    let mut labels = vec![None; plot.order.len()];
    let mut next = 0;
    for cluster in xi::clusters(plot, &place, f64::from(xi), min_points as usize) {
        let rows = &plot.order[cluster];
        if rows.iter().all(|&row| labels[row as usize].is_none()) {
            for &row in rows {
                labels[row as usize] = Some(next);
            }
            next += 1;
        }
    }
    labels
}
