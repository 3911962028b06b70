//! Which index a collection gets.

use std::path::Path;

use super::{FlatIndex, HnswIndex, HnswValidParams, IndexError, IndexKind, SnapshotKey, VectorIndex};
use crate::types::{PointOffset, Vectors};

/// From this many rows on, [`IndexChoice::Auto`] takes HNSW; see [`crate::index`] for the figures.
pub const HNSW_ROWS_MIN: usize = 100_000;

/// Up to this many rows a graph is built while the caller waits, a second at most.
pub const BUILT_NOW_ROWS_MAX: usize = 500;

/// What the operator chose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IndexChoice {
    /// Always exact.
    Flat,
    /// Always the graph.
    Hnsw,
    /// Exact below [`HNSW_ROWS_MIN`] rows, the graph from there on.
    #[default]
    Auto,
}

impl IndexChoice {
    /// The index for this many rows. A collection that outgrows its index gets another by [`IndexChoice::build`].
    pub fn kind(self, rows: usize) -> IndexKind {
        match self {
            Self::Flat => IndexKind::Flat,
            Self::Auto if rows < HNSW_ROWS_MIN => IndexKind::Flat,
            Self::Hnsw | Self::Auto => IndexKind::Hnsw,
        }
    }

    /// Whether an index of this kind may stay with this many rows. The graph is given up only where a tenth of the rows
    /// are missing, so that a few that come and go at the border don't have it built again and again.
    pub fn allows(self, kind: IndexKind, rows: usize) -> bool {
        kind == self.kind(rows) || (kind == IndexKind::Hnsw && kind == self.kind(rows.saturating_mul(10) / 9))
    }

    /// Builds the index that fits, of the rows named.
    ///
    /// # Errors
    /// As [`VectorIndex::insert`].
    pub fn build(
        self,
        vectors: &Vectors,
        offsets: &[PointOffset],
        params: HnswValidParams,
    ) -> Result<Box<dyn VectorIndex>, IndexError> {
        let mut index = self.empty(vectors.dim(), offsets.len(), params);
        index.insert(vectors, offsets)?;
        Ok(index)
    }

    /// The index that fits where it is built in no time, else an exact one until [`IndexChoice::empty`] has been filled.
    ///
    /// # Errors
    /// As [`VectorIndex::insert`].
    pub fn build_now(
        self,
        vectors: &Vectors,
        offsets: &[PointOffset],
        params: HnswValidParams,
    ) -> Result<Box<dyn VectorIndex>, IndexError> {
        if offsets.len() > BUILT_NOW_ROWS_MAX {
            return Self::Flat.build(vectors, offsets, params);
        }
        self.build(vectors, offsets, params)
    }

    /// An empty index of the kind that fits this many rows.
    pub fn empty(self, dim: usize, rows: usize, params: HnswValidParams) -> Box<dyn VectorIndex> {
        match self.kind(rows) {
            IndexKind::Flat => Box::new(FlatIndex::new(dim)),
            IndexKind::Hnsw => Box::new(HnswIndex::new(dim, params)),
        }
    }

    /// [`IndexChoice::build_now`], or the snapshot in `folder` where it is the same and shows no damage.
    ///
    /// # Errors
    /// As [`VectorIndex::insert`].
    pub fn load_or_build(
        self,
        vectors: &Vectors,
        offsets: &[PointOffset],
        params: HnswValidParams,
        folder: &Path,
        key: &SnapshotKey,
    ) -> Result<Box<dyn VectorIndex>, IndexError> {
        if self.kind(offsets.len()) == IndexKind::Hnsw {
            match HnswIndex::load(folder, key, vectors.dim(), params) {
                Ok(index) => return Ok(Box::new(index)),
                Err(reason) => tracing::info!(%reason, "building the index"),
            }
        }
        self.build_now(vectors, offsets, params)
    }
}
