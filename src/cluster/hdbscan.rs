//! HDBSCAN over cosine distances, with the exact minimum spanning tree.

use super::graph::{KnnGraph, knn};
use super::mst::minimum_spanning_tree;
use super::outcome::{Algorithm, Outcome};
use super::progress::Stage;
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
        let listed = LISTED_NEIGHBOURS.max(min_samples as usize);
        let graph = knn(input, listed, &stage.part(0.0, 0.5, "finding neighbours"))?;
        let tree = condensed_tree(
            input,
            &graph,
            min_cluster_size as usize,
            min_samples as usize,
            &stage.part(0.5, 1.0, "growing the tree"),
        )?;
        let parameters =
            Parameters::Hdbscan { min_cluster_size: Some(min_cluster_size), min_samples: Some(min_samples) };
        let mut outcome = Outcome::new("hdbscan", parameters, tree.labels(&tree.excess_of_mass()));
        outcome.flags = density_flags(input.vectors, &outcome.labels, None);
        outcome.neighbour_recall = Some(graph.recall);
        outcome.approximate = graph.approximate;
        Ok(outcome)
    }
}

/// The hierarchy of clusters over a neighbour graph of at least `min_samples` − 1 neighbours.
pub(super) fn condensed_tree(
    input: &ClusterInput<'_>,
    graph: &KnnGraph,
    min_cluster_size: usize,
    min_samples: usize,
    stage: &Stage<'_>,
) -> Result<CondensedTree, ClusterError> {
    // A point without enough neighbours (few points, or few candidates) is as sparse as can be.
    let core: Vec<f32> = (0..graph.len()).map(|row| graph.core_distance(row, min_samples).min(2.0)).collect();
    let edges = minimum_spanning_tree(input, graph, &core, stage)?;
    Ok(CondensedTree::new(graph.len(), &edges, min_cluster_size))
}
