//! What the data say of themselves before any parameter is chosen: neighbours, the k-distance curve with its knee, what
//! DBSCAN would give at every radius, and how clustered they are at all.
//!
//! One spanning tree answers for every radius: the clusters of DBSCAN at eps are what the links of mutual reachability
//! up to eps join among the points whose core distance is at most eps (Campello et al. 2013), and a point that is no
//! core has all its neighbours within eps in its short list.

use super::curve::{k_distances, knee};
use super::hdbscan::LISTED_NEIGHBOURS;
use super::knn::{KnnGraph, knn};
use super::mst::{Edge, UnionFind, minimum_spanning_tree};
use super::outcome::{RedFlag, members};
use super::progress::Stage;
use super::sketch::{Sketches, Space};
use super::validity::{clustering_tendency, density_flags};
use super::{ClusterError, ClusterInput};
use crate::types::PointOffset;

/// Radii looked at, evenly spread over the k-distance curve, the knee apart.
const RADII: usize = 16;
/// A tendency to cluster below this is what data without groups show.
pub(super) const TENDENCY_MIN: f32 = 0.6;

/// What DBSCAN would give at one radius.
#[derive(Debug, Clone, PartialEq)]
pub struct EpsLook {
    /// The radius, a cosine distance.
    pub eps: f32,
    /// Clusters.
    pub clusters: usize,
    /// The share of noise, in [0, 1].
    pub noise_share: f32,
    /// The share of core points, in [0, 1].
    pub core_share: f32,
    /// The share of the largest cluster, in [0, 1].
    pub largest_share: f32,
    /// What speaks against it.
    pub flags: Vec<RedFlag>,
}

/// The neighbours of all points, and what follows from them.
pub(super) struct Survey {
    /// Points, the point itself included, that make a core point.
    pub(super) min_points: usize,
    pub(super) graph: KnnGraph,
    /// The distance of each row to its `min_points`-th nearest point, itself the first; 2 where there are fewer.
    pub(super) core: Vec<f32>,
    /// The minimum spanning tree of mutual reachability, by weight.
    pub(super) tree: Vec<Edge>,
    pub(super) knee: Option<f32>,
    /// The core distances that exist, ascending.
    pub(super) curve: Vec<f32>,
    /// See [`clustering_tendency`].
    pub(super) tendency: f32,
}

impl Survey {
    /// Looks at all points.
    pub(super) fn new(
        input: &ClusterInput<'_>,
        min_points: usize,
        stage: &Stage<'_>,
    ) -> Result<Self, ClusterError> {
        let sketches = Sketches::new(input.vectors);
        let space = Space::new(input.vectors, &sketches);
        let listed = LISTED_NEIGHBOURS.max(min_points);
        let graph = knn(input, &space, listed, &stage.part(0.0, 0.5, "finding neighbours"))?;
        let core = core_distances(&graph, min_points);
        let tree = minimum_spanning_tree(&space, &graph, &core, &stage.part(0.5, 1.0, "growing the tree"))?;
        let curve = k_distances(&graph, min_points);
        let tendency = clustering_tendency(input.vectors, stage.seed());
        Ok(Self { min_points, knee: knee(&curve), core, tree, curve, tendency, graph })
    }

    /// What DBSCAN would give at the knee and at radii spread over the k-distance curve, ascending.
    pub(super) fn looks(&self, input: &ClusterInput<'_>) -> Vec<EpsLook> {
        let last = self.curve.len().saturating_sub(1);
        let spread = (0..RADII).filter_map(|i| self.curve.get(i * last / (RADII - 1)));
        let mut radii: Vec<f32> = spread.copied().chain(self.knee).collect();
        radii.sort_unstable_by(f32::total_cmp);
        radii.dedup();
        radii.into_iter().map(|eps| self.look(input, eps)).collect()
    }

    fn look(&self, input: &ClusterInput<'_>, eps: f32) -> EpsLook {
        let n = self.core.len();
        let share = |count: usize| count as f32 / n.max(1) as f32;
        let labels = self.labels(eps);
        let is_core: Vec<bool> = self.core.iter().map(|&core| core <= eps).collect();
        let clusters = members(&labels);
        EpsLook {
            eps,
            clusters: clusters.len(),
            noise_share: share(labels.iter().filter(|label| label.is_none()).count()),
            core_share: share(is_core.iter().filter(|&&core| core).count()),
            largest_share: share(clusters.iter().map(Vec::len).max().unwrap_or(0)),
            flags: density_flags(input.vectors, &labels, Some(&is_core)),
        }
    }

    /// The labels of DBSCAN at this radius.
    fn labels(&self, eps: f32) -> Vec<Option<u32>> {
        let n = self.core.len();
        let mut sets = UnionFind::new(n);
        for edge in self.tree.iter().take_while(|edge| edge.weight <= eps) {
            sets.union(edge.a, edge.b);
        }
        let is_core = |row: usize| self.core[row] <= eps;
        let owner = |row: usize| {
            let listed = self.graph.row(row).iter().take_while(|near| near.distance <= eps);
            let nearest = || listed.map(|near| near.offset).find(|&near| is_core(near as usize));
            if is_core(row) { Some(row as PointOffset) } else { nearest() }
        };
        let mut number = std::collections::HashMap::new();
        (0..n)
            .map(|row| {
                let root = sets.find(owner(row)?);
                let next = number.len() as u32;
                Some(*number.entry(root).or_insert(next))
            })
            .collect()
    }
}

/// Core distances as densities want them: a point without enough neighbours is as sparse as can be.
pub(super) fn core_distances(graph: &KnnGraph, min_points: usize) -> Vec<f32> {
    (0..graph.len()).map(|row| graph.core_distance(row, min_points).min(2.0)).collect()
}
