//! The exact index: compares the query with every row.

use std::path::Path;

use rayon::prelude::*;

use super::members::Members;
use super::nearest::{Nearest, by_distance, k_nearest};
use super::{Exclude, ExcludeFor, IndexError, IndexKind, SnapshotKey, VectorIndex, check_query};
use crate::product::products;
use crate::types::{Neighbour, PointOffset, Vectors, cosine_distance};

/// Rows that are compared with a block of queries at a time; at 1280 dimensions 10 MiB.
const TILE_ROWS: usize = 2048;

/// Queries that share one pass over the rows.
const BLOCK_QUERIES: usize = 64;

/// Exact search by comparison with every row: [`VectorIndex`] for small collections, and the oracle for the other.
#[derive(Debug, Clone)]
pub struct FlatIndex {
    dim: usize,
    members: Members,
}

impl FlatIndex {
    /// An empty index of vectors of `dim` dimensions.
    pub fn new(dim: usize) -> Self {
        Self { dim, members: Members::default() }
    }
}

impl VectorIndex for FlatIndex {
    fn kind(&self) -> IndexKind {
        IndexKind::Flat
    }

    fn len(&self) -> usize {
        self.members.live()
    }

    fn insert(&mut self, vectors: &Vectors, offsets: &[PointOffset]) -> Result<(), IndexError> {
        self.members.insert(self.dim, vectors, offsets)
    }

    fn remove(&mut self, offset: PointOffset) -> Result<(), IndexError> {
        self.members.remove(offset)
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
        Ok(scan(&self.members, vectors, query, k, exclude))
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
        let mut answers = Vec::with_capacity(queries.len());
        for first in (0..queries.len()).step_by(BLOCK_QUERIES) {
            let block = Block {
                queries: &queries.as_slice()[first * self.dim..],
                len: BLOCK_QUERIES.min(queries.len() - first),
                first,
                k,
            };
            answers.extend(self.search_block(vectors, &block, exclude));
        }
        Ok(answers)
    }

    fn propose(&self, vectors: &Vectors, query: &[f32], k: usize) -> Vec<PointOffset> {
        let members = (0..vectors.len() as PointOffset).filter(|&offset| self.members.contains(offset));
        k_nearest(vectors, query, k, members).into_iter().map(|near| near.offset).collect()
    }

    fn is_stale(&self) -> bool {
        false
    }

    fn save(&self, _folder: &Path, _key: &SnapshotKey) -> Result<(), IndexError> {
        Ok(())
    }
}

/// Up to [`BLOCK_QUERIES`] queries, the first being row `first` of all queries.
struct Block<'a> {
    queries: &'a [f32],
    len: usize,
    first: usize,
    k: usize,
}

impl FlatIndex {
    /// The matrix product rounds otherwise on each processor, so it only selects: per query everything within
    /// [`slack`] of the k-th nearest, whose distances are then taken one by one.
    fn search_block(
        &self,
        vectors: &Vectors,
        block: &Block<'_>,
        exclude: &ExcludeFor<'_>,
    ) -> Vec<Vec<Neighbour>> {
        let rows = &vectors.as_slice()[..self.members.end() * self.dim];
        let tiles: Vec<Vec<Vec<Neighbour>>> = rows
            .par_chunks(TILE_ROWS * self.dim)
            .enumerate()
            .map_init(Vec::new, |cosines, (tile, rows)| {
                self.search_tile(rows, tile * TILE_ROWS, block, exclude, cosines)
            })
            .collect();
        (0..block.len)
            .into_par_iter()
            .map(|query| {
                let found = tiles.iter().flat_map(|tile| &tile[query]).copied().collect();
                let selected = select(found, block.k, slack(self.dim));
                let row = &block.queries[query * self.dim..][..self.dim];
                k_nearest(vectors, row, block.k, selected.iter().map(|neighbour| neighbour.offset))
            })
            .collect()
    }

    /// What each query selects in one tile, whose first row is at offset `base`.
    fn search_tile(
        &self,
        rows: &[f32],
        base: usize,
        block: &Block<'_>,
        exclude: &ExcludeFor<'_>,
        cosines: &mut Vec<f32>,
    ) -> Vec<Vec<Neighbour>> {
        let row_count = rows.len() / self.dim;
        cosines.resize(block.len * row_count, 0.0);
        products(&block.queries[..block.len * self.dim], rows, self.dim, cosines);
        cosines
            .chunks_exact(row_count)
            .enumerate()
            .map(|(query, cosines)| {
                let near = (base as PointOffset..)
                    .zip(cosines)
                    .filter(|(offset, _)| {
                        self.members.contains(*offset) && !exclude(block.first + query, *offset)
                    })
                    .map(|(offset, cosine)| Neighbour { offset, distance: 1.0 - cosine })
                    .collect();
                select(near, block.k, slack(self.dim))
            })
            .collect()
    }
}

/// A dot product of unit vectors, summed in any order, is off by at most `dim` half-ulps of 1. So are the product and
/// the distance that it stands for, and two of each are compared.
fn slack(dim: usize) -> f32 {
    2.0 * dim as f32 * f32::EPSILON
}

/// Those not farther than the k-th nearest by more than `slack`.
fn select(mut found: Vec<Neighbour>, k: usize, slack: f32) -> Vec<Neighbour> {
    if k == 0 {
        return Vec::new();
    }
    if found.len() > k {
        let (_, kth, _) = found.select_nth_unstable_by(k - 1, by_distance);
        let bound = kth.distance + slack;
        found.retain(|neighbour| neighbour.distance <= bound);
    }
    found
}

/// The exact answer to one query; memory bandwidth is its limit, so it goes without the product.
pub(super) fn scan(
    members: &Members,
    vectors: &Vectors,
    query: &[f32],
    k: usize,
    exclude: &Exclude<'_>,
) -> Vec<Neighbour> {
    let end = members.end() as PointOffset;
    let tiles: Vec<Vec<Neighbour>> = (0..end)
        .into_par_iter()
        .step_by(TILE_ROWS)
        .map(|base| {
            let mut nearest = Nearest::new(k);
            for offset in base..end.min(base + TILE_ROWS as PointOffset) {
                if members.contains(offset) && !exclude(offset) {
                    let distance = cosine_distance(query, vectors.row(offset as usize));
                    nearest.offer(Neighbour { offset, distance });
                }
            }
            nearest.into_sorted()
        })
        .collect();
    let mut found = tiles.concat();
    found.sort_unstable_by(by_distance);
    found.truncate(k);
    found
}
