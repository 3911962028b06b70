//! HDBSCAN over cosine distances, with the exact minimum spanning tree.

use super::knn::knn;
use super::mst::minimum_spanning_tree;
use super::outcome::{Algorithm, Outcome};
use super::progress::Stage;
use super::sketch::{Sketches, Space};
use super::survey::core_distances;
use super::tree::CondensedTree;
use super::validity::density_flags;
use super::{ClusterError, ClusterInput, Parameters};

/// Neighbours listed per point: enough that the tree is nearly finished before all pairs have to be looked at.
pub(super) const LISTED_NEIGHBOURS: usize = 32;

/// HDBSCAN (Campello, Moulavi and Sander 2013) with clusters selected by excess of mass; the root is never a cluster.
pub(super) struct Hdbscan {
    pub(super) min_cluster_size: Option<u32>,
    pub(super) min_samples: Option<u32>,
}

/// The smallest group that counts as a cluster when nothing is asked for.
pub(super) fn default_min_cluster_size(points: usize) -> u32 {
    5.min(points.max(2) as u32)
}

impl Algorithm for Hdbscan {
    fn run(&self, input: &ClusterInput<'_>, stage: &Stage<'_>) -> Result<Outcome, ClusterError> {
        let n = input.vectors.len();
        let min_cluster_size = self.min_cluster_size.unwrap_or_else(|| default_min_cluster_size(n));
        let min_samples = self.min_samples.unwrap_or(min_cluster_size).min(n.max(1) as u32);
        let sketches = Sketches::new(input.vectors);
        let space = Space::new(input.vectors, &sketches);
        let listed = LISTED_NEIGHBOURS.max(min_samples as usize);
        let graph = knn(input, &space, listed, &stage.part(0.0, 0.5, "finding neighbours"))?;
        let core = core_distances(&graph, min_samples as usize);
        let edges = minimum_spanning_tree(&space, &graph, &core, &stage.part(0.5, 1.0, "growing the tree"))?;
        let tree = CondensedTree::new(n, &edges, min_cluster_size as usize);
        let parameters =
            Parameters::Hdbscan { min_cluster_size: Some(min_cluster_size), min_samples: Some(min_samples) };
        let mut outcome = Outcome::new("hdbscan", parameters, tree.labels(&tree.excess_of_mass()));
        outcome.flags = density_flags(input.vectors, &outcome.labels, None);
        outcome.neighbour_recall = Some(graph.recall);
        outcome.approximate = graph.approximate;
        Ok(outcome)
    }
}
