//! The exact minimum spanning tree of mutual reachability distances, without all pairs in memory.
//!
//! Borůvka's rounds run on the k-nearest-neighbour graph as far as that graph can prove an edge to be the shortest
//! way out of its component; the few components that are left are joined from one pass over all pairs.

use std::collections::HashMap;

use super::ClusterError;
use super::knn::KnnGraph;
use super::params::EPS_MAX;
use super::progress::Stage;
use super::sketch::Space;
use super::sweep::{Tile, sweep};
use crate::types::PointOffset;

/// The most components whose shortest links are kept for every pair of them, 20 bytes each, a few
/// times per thread.
const PAIRED_COMPONENTS_MAX: usize = 512;

/// A link between two points, weighted by their mutual reachability distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    pub(super) a: PointOffset,
    pub(super) b: PointOffset,
    pub(super) weight: f32,
    /// Their cosine distance, which orders links of one weight.
    distance: f32,
}

/// Weight, distance, then both ends, rows being in the order of ids: a total order of edges, so that the tree is unique.
type EdgeKey = (u32, u32, u32, u32);

impl Edge {
    fn key(&self) -> EdgeKey {
        (self.weight.to_bits(), self.distance.to_bits(), self.a.min(self.b), self.a.max(self.b))
    }
}

/// Disjoint sets with path halving and union by size.
pub(super) struct UnionFind {
    parent: Vec<u32>,
    size: Vec<u32>,
}

impl UnionFind {
    pub(super) fn new(n: usize) -> Self {
        Self { parent: (0..n as u32).collect(), size: vec![1; n] }
    }

    pub(super) fn find(&mut self, mut x: u32) -> u32 {
        while self.parent[x as usize] != x {
            let grand = self.parent[self.parent[x as usize] as usize];
            self.parent[x as usize] = grand;
            x = grand;
        }
        x
    }

    /// Joins two sets and returns the new root; `None` when they were one already.
    pub(super) fn union(&mut self, a: u32, b: u32) -> Option<u32> {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return None;
        }
        let (root, child) = if self.size[a as usize] >= self.size[b as usize] { (a, b) } else { (b, a) };
        self.parent[child as usize] = root;
        self.size[root as usize] += self.size[child as usize];
        Some(root)
    }
}

/// The tree as it grows.
struct Forest<'a> {
    space: &'a Space<'a>,
    core: &'a [f32],
    sets: UnionFind,
    edges: Vec<Edge>,
}

fn is_better(old: Option<Edge>, new: &Edge) -> bool {
    old.is_none_or(|old| new.key() < old.key())
}

/// Slot by slot the better of two lists; one that saw no pair is empty.
fn best_of_both(mut a: Vec<Option<Edge>>, b: Vec<Option<Edge>>) -> Vec<Option<Edge>> {
    if a.len() < b.len() {
        return b;
    }
    for (old, new) in a.iter_mut().zip(b) {
        if let Some(edge) = new.filter(|edge| is_better(*old, edge)) {
            *old = Some(edge);
        }
    }
    a
}

impl Forest<'_> {
    fn edge(&self, a: PointOffset, b: PointOffset, distance: f32) -> Edge {
        let weight = distance.max(self.core[a as usize]).max(self.core[b as usize]);
        Edge { a, b, weight, distance }
    }

    fn add(&mut self, edge: Edge) -> bool {
        let joined = self.sets.union(edge.a, edge.b).is_some();
        if joined {
            self.edges.push(edge);
        }
        joined
    }

    /// One round on the neighbour graph; false when it can prove no further edge.
    fn proven_round(&mut self, knn: &KnnGraph) -> bool {
        let n = knn.len();
        let component: Vec<u32> = (0..n as u32).map(|row| self.sets.find(row)).collect();
        let mut best: Vec<Option<Edge>> = vec![None; n];
        // What a component's unlisted links can't be shorter than.
        let mut bound = vec![f32::INFINITY; n];
        for row in 0..n {
            let near = knn.row(row);
            let home = component[row] as usize;
            if let Some(last) = near.last().filter(|_| near.len() + 1 < n) {
                bound[home] = bound[home].min(last.distance.max(self.core[row]));
            }
            for neighbour in near {
                let away = component[neighbour.offset as usize] as usize;
                if away == home {
                    continue;
                }
                let edge = self.edge(row as PointOffset, neighbour.offset, neighbour.distance);
                for side in [home, away] {
                    if is_better(best[side], &edge) {
                        best[side] = Some(edge);
                    }
                }
            }
        }
        let mut proven: Vec<Edge> = best
            .iter()
            .zip(&bound)
            .filter_map(|(edge, bound)| edge.filter(|edge| edge.weight <= *bound))
            .collect();
        proven.sort_by_key(Edge::key);
        proven.into_iter().fold(false, |any, edge| self.add(edge) | any)
    }

    /// Numbers the components densely: (number of each row, how many).
    fn components(&mut self) -> (Vec<u32>, usize) {
        let mut number = HashMap::new();
        let component = (0..self.core.len() as u32)
            .map(|row| {
                let next = number.len() as u32;
                *number.entry(self.sets.find(row)).or_insert(next)
            })
            .collect();
        (component, number.len())
    }

    /// Lowers the shortest links known by the pairs of a tile: a slot for every pair of the `paired` components, or for
    /// every component.
    fn shortest_of_tile(
        &self,
        tile: &mut Tile<'_>,
        component: &[u32],
        paired: Option<usize>,
        best: &mut [Option<Edge>],
    ) {
        let space = self.space;
        // What a component's links must not exceed to matter; unknown while there is a slot for every pair.
        let limit = |row: usize| match paired {
            None => best[component[row] as usize].map_or(EPS_MAX, |edge| edge.weight),
            Some(_) => EPS_MAX,
        };
        let (row_limits, column_limits): (Vec<f32>, Vec<f32>) =
            (tile.rows().map(limit).collect(), tile.columns().map(limit).collect());
        tile.pairs_within(&row_limits, &column_limits, |row, column, known| {
            let (home, away) = (component[row] as usize, component[column] as usize);
            if home == away {
                return;
            }
            let sides = match paired {
                Some(count) => [home.min(away) * count + home.max(away); 2],
                None => [home, away],
            };
            // The cheap comparison first: it fails for nearly every pair.
            let least = known.at_least.max(self.core[row]).max(self.core[column]);
            if sides.into_iter().all(|slot| best[slot].is_some_and(|old| least > old.weight)) {
                return;
            }
            let distance = space.distance(row, column);
            let edge = self.edge(row as PointOffset, column as PointOffset, distance);
            for slot in sides {
                if is_better(best[slot], &edge) {
                    best[slot] = Some(edge);
                }
            }
        });
    }

    /// Finds the shortest link of every pair of components (or of every component, when there are too many pairs)
    /// among all pairs of points, and adds those that belong to the tree.
    fn joined_by_all_pairs(&mut self, stage: &Stage<'_>) -> Result<(), ClusterError> {
        let (component, count) = self.components();
        let paired = count <= PAIRED_COMPONENTS_MAX;
        let slots = if paired { count * count } else { count };
        let this = &*self;
        let visit = |best: &mut Vec<Option<Edge>>, tile: &mut Tile<'_>| {
            best.resize(slots, None);
            this.shortest_of_tile(tile, &component, paired.then_some(count), best);
            Ok(())
        };
        let best = sweep(self.space, stage, Vec::new, visit, best_of_both)?;
        let mut found: Vec<Edge> = best.into_iter().flatten().collect();
        found.sort_by_key(Edge::key);
        for edge in found {
            self.add(edge);
        }
        Ok(())
    }
}

/// The tree's n − 1 edges by weight, ties by id. `core` holds each row's core distance.
pub(super) fn minimum_spanning_tree(
    space: &Space<'_>,
    knn: &KnnGraph,
    core: &[f32],
    stage: &Stage<'_>,
) -> Result<Vec<Edge>, ClusterError> {
    let n = knn.len();
    let mut forest = Forest { space, core, sets: UnionFind::new(n), edges: Vec::with_capacity(n) };
    while forest.proven_round(knn) {
        stage.tick(forest.edges.len(), 2 * n)?;
    }
    while forest.edges.len() + 1 < n {
        let done = forest.edges.len() as f32 / n as f32;
        forest.joined_by_all_pairs(&stage.part(0.5 * done, 1.0, "joining components"))?;
    }
    let mut edges = std::mem::take(&mut forest.edges);
    edges.sort_by_key(Edge::key);
    Ok(edges)
}
