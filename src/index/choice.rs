//! Which index a collection gets.

use std::path::Path;

use super::{FlatIndex, HnswIndex, HnswValidParams, IndexError, IndexKind, SnapshotKey, VectorIndex};
use crate::types::{PointOffset, Vectors};

/// From this many rows on, [`IndexChoice::Auto`] takes HNSW; see [`crate::index`] for the figures.
pub const HNSW_ROWS_MIN: usize = 100_000;

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
        let mut index: Box<dyn VectorIndex> = match self.kind(offsets.len()) {
            IndexKind::Flat => Box::new(FlatIndex::new(vectors.dim())),
            IndexKind::Hnsw => Box::new(HnswIndex::new(vectors.dim(), params)),
        };
        index.insert(vectors, offsets)?;
        Ok(index)
    }

    /// [`IndexChoice::build`], or the snapshot in `folder` where it is the same and shows no damage.
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
        self.build(vectors, offsets, params)
    }
}
