//! DBSCAN in one pass over the pairs within eps, in memory linear in the points.

use super::knn::knn;
use super::mst::UnionFind;
use super::outcome::{Algorithm, Outcome};
use super::pairs::{all_within, candidates_within};
use super::params::default_min_points;
use super::progress::Stage;
use super::sketch::{Sketches, Space};
use super::survey::{k_distances, knee, thin};
use super::validity::density_flags;
use super::{ClusterError, ClusterInput, Parameters};
use crate::types::PointOffset;

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
        let sketches = Sketches::new(input.vectors);
        let space = Space::new(input.vectors, &sketches);
        let curve = if self.eps.is_some() {
            Vec::new()
        } else {
            let stage = stage.part(0.0, 0.5, "finding neighbours");
            k_distances(&knn(input, &space, min_points as usize, &stage)?, min_points as usize)
        };
        let knee = knee(&curve);
        let eps = self.eps.or(knee).unwrap_or(0.0);
        let mut growing = Growing::new(n, min_points as usize);
        let stage = stage.part(0.5, 1.0, "finding neighbours within eps");
        let recall = match input.candidates {
            None => all_within(&space, eps, &stage, |a, b| growing.link(a, b)).map(|()| 1.0)?,
            Some(source) => candidates_within(&space, source, eps, &stage, |a, b| growing.link(a, b))?,
        };
        let core: Vec<bool> = (0..n as PointOffset).map(|row| growing.is_core(row)).collect();
        let labels = growing.labels(&space);
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

/// The clusters of the pairs seen so far, in whatever order they come.
///
/// A pair matters only once both its points are core points, and then it only joins two sets. A point that is no core
/// has fewer than `min_points` neighbours, so the pairs that may matter later fit in short lists: memory stays within
/// `min_points` numbers a point, and the list of a point that never becomes a core is complete.
struct Growing {
    min_points: usize,
    /// The neighbours of each point that is no core, itself excluded.
    listed: Vec<Vec<PointOffset>>,
    core: Vec<bool>,
    sets: UnionFind,
}

impl Growing {
    fn new(points: usize, min_points: usize) -> Self {
        Self {
            min_points,
            listed: vec![Vec::new(); points],
            core: vec![min_points <= 1; points],
            sets: UnionFind::new(points),
        }
    }

    fn is_core(&self, row: PointOffset) -> bool {
        self.core[row as usize]
    }

    /// Two points lie within eps; each pair is told once.
    fn link(&mut self, a: PointOffset, b: PointOffset) {
        if self.is_core(a) && self.is_core(b) {
            self.sets.union(a, b);
            return;
        }
        self.list(a, b);
        self.list(b, a);
    }

    fn list(&mut self, row: PointOffset, neighbour: PointOffset) {
        if self.is_core(row) {
            return;
        }
        self.listed[row as usize].push(neighbour);
        if self.listed[row as usize].len() + 1 < self.min_points {
            return;
        }
        self.core[row as usize] = true;
        // Those of its neighbours that are no cores yet have it in their own lists.
        for other in std::mem::take(&mut self.listed[row as usize]) {
            if self.is_core(other) {
                self.sets.union(row, other);
            }
        }
    }

    fn labels(mut self, space: &Space<'_>) -> Vec<Option<u32>> {
        let mut number = std::collections::HashMap::new();
        (0..self.core.len() as PointOffset)
            .map(|row| {
                let owner = if self.is_core(row) { row } else { self.nearest_core(space, row)? };
                let root = self.sets.find(owner);
                let next = number.len() as u32;
                Some(*number.entry(root).or_insert(next))
            })
            .collect()
    }

    fn nearest_core(&self, space: &Space<'_>, row: PointOffset) -> Option<PointOffset> {
        let cores = self.listed[row as usize].iter().filter(|&&other| self.is_core(other));
        cores
            .map(|&other| (space.distance(row as usize, other as usize), other))
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
            .map(|(_, other)| other)
    }
}
