//! The approximate index: `hnsw_rs`, kept off the path of correctness.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use hnsw_rs::anndists::dist::Distance;
use hnsw_rs::hnsw::Hnsw;
use rayon::prelude::*;

use super::members::Members;
use super::nearest::k_nearest;
use super::params::HnswValidParams;
use super::{Exclude, ExcludeFor, IndexError, IndexKind, SnapshotKey, VectorIndex, check_query, flat};
use crate::types::{Neighbour, PointOffset, Vectors, cosine_distance};

/// The graph's own limit.
const LAYERS_MAX: usize = 16;

/// Rows that the graph reserves space for at first.
const CAPACITY_ROWS: usize = 10_000;

/// An index pays for being built anew once this share of its rows is removed or unreachable: a third.
const STALE_DIVISOR: usize = 3;

/// A search is widened to at most this share of the rows; beyond, the exact scan is as fast.
const WIDEN_DIVISOR: usize = 8;

/// Neighbours that a row may hide behind (duplicates of it, say) and still count as found.
const SELF_SEARCH_K: usize = 10;

/// The cosine distance of unit vectors, as everywhere in this crate. The library's own `DistDot` asserts that the
/// product of two vectors is at most 1, which rounding breaks; this one is clamped to [0, 2] and has no other case.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UnitCosine;

impl Distance<f32> for UnitCosine {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        cosine_distance(a, b)
    }
}

/// Approximate search in a hierarchical navigable small world graph (Malkov and Yashunin, 2016), by `hnsw_rs`.
///
/// The graph only proposes; what is known to be wrong with it is worked around:
/// - It can't delete: removed rows are filtered out, the search widens until enough others are left, and
///   [`VectorIndex::is_stale`] asks for a new graph once a third is removed.
/// - It loses rows: each is looked for right after insertion, and those not found are kept in a list that every
///   search scans. [`HnswIndex::recheck`] repeats this for rows inserted earlier.
/// - It may panic: then it is given up, and every search is an exact scan until the index is built anew.
///
/// Rows are inserted by one thread, in order, with the library's constant seed: the same inserts give the same graph.
pub struct HnswIndex {
    pub(super) dim: usize,
    pub(super) params: HnswValidParams,
    pub(super) graph: Hnsw<'static, f32, UnitCosine>,
    pub(super) members: Members,
    pub(super) unreachable: BTreeSet<PointOffset>,
    pub(super) broken: AtomicBool,
}

impl HnswIndex {
    /// An empty index of vectors of `dim` dimensions.
    pub fn new(dim: usize, params: HnswValidParams) -> Self {
        let graph =
            Hnsw::new(params.get().m, CAPACITY_ROWS, LAYERS_MAX, params.get().ef_construction, UnitCosine);
        Self {
            dim,
            params,
            graph,
            members: Members::default(),
            unreachable: BTreeSet::new(),
            broken: AtomicBool::new(false),
        }
    }

    /// The rows that the graph did not find when asked for themselves; searches scan them.
    pub fn unreachable(&self) -> usize {
        self.unreachable.len()
    }

    /// Whether the graph was given up after a panic, so that every search is an exact scan.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Looks for each of `offsets` in the graph, since later inserts can cut rows off, and returns how many are not
    /// found. Costs a search each.
    ///
    /// # Errors
    /// Vectors shorter than the index.
    pub fn recheck(&mut self, vectors: &Vectors, offsets: &[PointOffset]) -> Result<usize, IndexError> {
        self.members.check_rows(self.dim, vectors)?;
        let present: Vec<PointOffset> =
            offsets.iter().copied().filter(|&offset| self.members.contains(offset)).collect();
        let lost: Vec<PointOffset> =
            present.par_iter().copied().filter(|&offset| !self.finds(vectors, offset)).collect();
        for offset in present {
            self.unreachable.remove(&offset);
        }
        self.unreachable.extend(&lost);
        Ok(lost.len())
    }

    /// Whether a search for a row finds it, or another as near to it as itself.
    fn finds(&self, vectors: &Vectors, offset: PointOffset) -> bool {
        let row = vectors.row(offset as usize);
        let own = cosine_distance(row, row);
        let found = self.in_graph(row, SELF_SEARCH_K);
        found.is_some_and(|found| {
            let same = |&other: &PointOffset| {
                other == offset || cosine_distance(row, vectors.row(other as usize)) <= own
            };
            found.iter().any(same)
        })
    }

    /// Up to `count` rows that the graph holds nearest, removed ones included; `None` once it is broken.
    fn in_graph(&self, query: &[f32], count: usize) -> Option<Vec<PointOffset>> {
        let ef = self.params.get().ef_search.max(count);
        self.guarded(|| self.graph.search(query, count, ef))
            .map(|found| found.into_iter().map(|neighbour| neighbour.d_id as PointOffset).collect())
    }

    fn guarded<T>(&self, use_graph: impl FnOnce() -> T) -> Option<T> {
        if self.is_broken() {
            return None;
        }
        let result = catch_unwind(AssertUnwindSafe(use_graph));
        if result.is_err() && !self.broken.swap(true, Ordering::Relaxed) {
            tracing::error!("the neighbour graph panicked, searching without it until it is rebuilt");
        }
        result.ok()
    }

    fn search_checked(
        &self,
        vectors: &Vectors,
        query: &[f32],
        k: usize,
        exclude: &Exclude<'_>,
    ) -> Vec<Neighbour> {
        let wanted = |offset: PointOffset| self.members.contains(offset) && !exclude(offset);
        let inserted = self.members.live() + self.members.removed();
        let mut count = k + 1;
        // An answer of fewer than k is only given by the scan, which knows that there are no more.
        while count <= inserted / WIDEN_DIVISOR {
            let Some(proposed) = self.in_graph(query, count) else {
                break;
            };
            let exhausted = proposed.len() < count;
            let kept: Vec<PointOffset> = proposed.into_iter().filter(|&offset| wanted(offset)).collect();
            if kept.len() >= k {
                let listed = self.unreachable.iter().copied().filter(|&offset| wanted(offset));
                return k_nearest(vectors, query, k, kept.into_iter().chain(listed));
            }
            if exhausted {
                break;
            }
            count *= 4;
        }
        flat::scan(&self.members, vectors, query, k, exclude)
    }
}

impl VectorIndex for HnswIndex {
    fn kind(&self) -> IndexKind {
        IndexKind::Hnsw
    }

    fn len(&self) -> usize {
        self.members.live()
    }

    fn insert(&mut self, vectors: &Vectors, offsets: &[PointOffset]) -> Result<(), IndexError> {
        self.members.insert(self.dim, vectors, offsets)?;
        for &offset in offsets {
            let row = vectors.row(offset as usize);
            self.guarded(|| self.graph.insert_slice((row, offset as usize)));
        }
        self.recheck(vectors, offsets).map(|_| ())
    }

    fn remove(&mut self, offset: PointOffset) -> Result<(), IndexError> {
        self.members.remove(offset)?;
        self.unreachable.remove(&offset);
        Ok(())
    }

    fn search(
        &self,
        vectors: &Vectors,
        query: &[f32],
        k: usize,
        exclude: &Exclude<'_>,
    ) -> Result<Vec<Neighbour>, IndexError> {
        check_query(self.dim, query, k)?;
        self.members.check_rows(self.dim, vectors)?;
        Ok(self.search_checked(vectors, query, k, exclude))
    }

    fn search_batch(
        &self,
        vectors: &Vectors,
        queries: &Vectors,
        k: usize,
        exclude: &ExcludeFor<'_>,
    ) -> Result<Vec<Vec<Neighbour>>, IndexError> {
        self.members.check_rows(self.dim, vectors)?;
        (0..queries.len()).try_for_each(|row| check_query(self.dim, queries.row(row), k))?;
        let search = |row| self.search_checked(vectors, queries.row(row), k, &|offset| exclude(row, offset));
        Ok((0..queries.len()).into_par_iter().map(search).collect())
    }

    fn propose(&self, _vectors: &Vectors, query: &[f32], k: usize) -> Vec<PointOffset> {
        let found = self.in_graph(query, k).unwrap_or_default();
        let found = found.into_iter().chain(self.unreachable.iter().copied());
        found.filter(|&offset| self.members.contains(offset)).collect()
    }

    fn is_stale(&self) -> bool {
        let lost = self.members.removed() + self.unreachable.len();
        self.is_broken() || lost * STALE_DIVISOR > self.members.live() + self.members.removed()
    }

    fn save(&self, folder: &Path, key: &SnapshotKey) -> Result<(), IndexError> {
        self.save_graph(folder, key)
    }
}
