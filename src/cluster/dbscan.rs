//! DBSCAN in one pass over the pairs within eps, in memory linear in the points.

use super::curve::{k_distances, knee, thin};
use super::knn::knn;
use super::live::{Density, EdgeStream};
use super::outcome::{Algorithm, Outcome};
use super::pairs::all_within;
use super::params::default_min_points;
use super::progress::Stage;
use super::ranges::RowRanges;
use super::sketch::{Sketches, Space};
use super::validity::density_flags;
use super::{ClusterError, ClusterInput, Parameters};
use crate::types::PointOffset;

/// DBSCAN (Ester et al. 1996) over cosine distance. A border point belongs to its nearest core point, ties to the
/// smaller image id: the original gives it to whichever cluster came first.
///
/// It takes no candidates: a range holds as many rows as a cluster has, far more than a graph proposes cheaply, and what
/// is followed from here on has to be exact.
pub(super) struct Dbscan {
    pub(super) eps: Option<f32>,
    pub(super) min_points: Option<u32>,
}

impl Algorithm for Dbscan {
    fn run(&self, input: &ClusterInput<'_>, stage: &Stage<'_>) -> Result<Outcome, ClusterError> {
        let n = input.vectors.len();
        let min_points = self.min_points.unwrap_or_else(|| default_min_points(n));
        let sketches = Sketches::new(input.vectors);
        let space = Space::new(input.vectors, &sketches);
        let curve = if self.eps.is_some() {
            Vec::new()
        } else {
            let stage = stage.part(0.0, 0.5, "finding neighbours");
            let exact = ClusterInput { candidates: None, ..*input };
            k_distances(&knn(&exact, &space, min_points as usize, &stage)?, min_points as usize)
        };
        let knee = knee(&curve);
        let eps = self.eps.or(knee).unwrap_or(0.0);
        let density = Density { eps, min_points };
        EdgeStream::check(density, n)?;
        let mut stream = EdgeStream::new(density, n);
        let stage = stage.part(0.5, 1.0, "finding neighbours within eps");
        all_within(&space, eps, &stage, |a, b| stream.edge(a, b))?;
        let id = |row: PointOffset| input.ids[row as usize];
        let live = stream.finish(&RowRanges::new(input.vectors, &sketches, &id));
        let rows = 0..n as PointOffset;
        let core: Vec<bool> = rows.clone().map(|row| live.is_core(row)).collect();
        let labels = rows.map(|row| live.label(row)).collect();
        let parameters = Parameters::Dbscan { eps: Some(eps), min_points: Some(min_points) };
        let mut outcome = Outcome::new("dbscan", parameters, labels);
        if self.eps.is_none() {
            outcome.explanation.push(format!(
                "eps is {eps:.4}, the knee of the {n} ascending distances to the {min_points}th nearest point"
            ));
        }
        outcome.k_distance = thin(curve);
        outcome.knee = knee;
        outcome.neighbour_recall = Some(1.0);
        outcome.flags = density_flags(input.vectors, &outcome.labels, Some(&core));
        outcome.followed = Some(Box::new((live, sketches)));
        Ok(outcome)
    }
}
