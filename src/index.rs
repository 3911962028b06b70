//! Nearest neighbours of a vector among the rows of a collection. Derived state: every index can be built again from
//! the vectors, and none is the truth: what it proposes is measured again on the rows themselves.
//!
//! The rows belong to the caller ([`Vectors`], one row per [`PointOffset`]) and are lent to each call. The row of an
//! offset never changes; a removed offset is never inserted again into the same index.
//!
//! # Which index
//!
//! `cargo bench --bench index -- 5000 20000 50000`: clustered rows of 1280 dimensions, M 24, efConstruction 200, ef 128,
//! two cores, shared with five to ten busy processes but for the line marked *. ms per row or query:
//!
//! | rows | flat: one query | of a batch of 64 | insert | HNSW: one query | of a batch | insert | recall@10 | not reachable |
//! |---|---|---|---|---|---|---|---|---|
//! | 5,000 | 1.1 | 0.31 | 0.0002 | 0.7 | 0.7 | 1.8 | 1.000 | 0 |
//! | 20,000 | 4.5 | 1.2 | 0.0003 | 2.2 | 2.0 | 4.5 | 1.000 | 0 |
//! | 20,000* | 2.1 | 0.60 | 0.0002 | 1.4 | 0.62 | 2.6 | 1.000 | 0 |
//! | 50,000 | 16 | 4.2 | 0.0003 | 4.1 | 4.1 | 9.2 | 1.000 | 163 |
//!
//! A new image costs one insert and one query, in batches: 0.6 ms against 3.2 at 20,000 rows, 4.2 against 13.3 at
//! 50,000. The exact cost grows with the rows, the graph's far slower, and the lines meet beyond 100,000. Single
//! queries are faster in the graph from 5,000 rows on, but exact ones take about 10 ms at 100,000, and the graph holds
//! the vectors a second time. So [`IndexChoice::Auto`] changes over at [`HNSW_ROWS_MIN`].

mod choice;
mod flat;
mod hnsw;
mod members;
mod nearest;
mod params;
mod snapshot;

use std::path::{Path, PathBuf};

pub use choice::{BUILT_NOW_ROWS_MAX, HNSW_ROWS_MIN, IndexChoice};
pub use flat::FlatIndex;
pub use hnsw::HnswIndex;
pub use params::{HnswParams, HnswValidParams};
pub use snapshot::SnapshotKey;

use crate::types::{Neighbour, PointOffset, Vectors};

/// The most neighbours that one query may ask for.
pub const NEIGHBOURS_MAX: usize = 10_000;

/// How far the squared length of a row or query may be from 1.
pub const UNIT_TOLERANCE: f32 = 1e-3;

/// Rows that a search leaves out, beside the removed ones.
pub type Exclude<'a> = dyn Fn(PointOffset) -> bool + Sync + 'a;

/// As [`Exclude`], for the query at a row of the queries.
pub type ExcludeFor<'a> = dyn Fn(usize, PointOffset) -> bool + Sync + 'a;

/// Finds the nearest rows by cosine distance. All vectors are of unit length.
///
/// Distances answered are [`crate::types::cosine_distance`] to the bit, nearest first, equal ones by ascending
/// offset, whichever the index; what an index may get wrong is only *which* rows it finds.
pub trait VectorIndex: Send + Sync {
    /// Which index this is.
    fn kind(&self) -> IndexKind;

    /// The number of rows inserted and not removed.
    fn len(&self) -> usize;

    /// Whether there is no row to be found.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Inserts rows of `vectors`, in this order; 64 at a time cost far less than one by one.
    ///
    /// # Errors
    /// An offset beyond the vectors, inserted before, or whose row is not of unit length. Then none is inserted.
    fn insert(&mut self, vectors: &Vectors, offsets: &[PointOffset]) -> Result<(), IndexError>;

    /// Removes a row from all later answers.
    ///
    /// # Errors
    /// An offset that is not there.
    fn remove(&mut self, offset: PointOffset) -> Result<(), IndexError>;

    /// The `k` nearest rows to `query`, shape (`dim`), fewer only when there are fewer.
    ///
    /// # Errors
    /// A query of another dimension or not of unit length, vectors shorter than the index, or a `k` above
    /// [`NEIGHBOURS_MAX`].
    fn search(
        &self,
        vectors: &Vectors,
        query: &[f32],
        k: usize,
        exclude: &Exclude<'_>,
    ) -> Result<Vec<Neighbour>, IndexError>;

    /// [`VectorIndex::search`] for every row of `queries`, in their order.
    ///
    /// # Errors
    /// As [`VectorIndex::search`].
    fn search_batch(
        &self,
        vectors: &Vectors,
        queries: &Vectors,
        k: usize,
        exclude: &ExcludeFor<'_>,
    ) -> Result<Vec<Vec<Neighbour>>, IndexError>;

    /// About `k` rows that lie near `query`, unordered and unmeasured, on the caller's thread alone: for callers that hold
    /// locks in a pool of threads, where a search that shares its work could be given theirs to do.
    fn propose(&self, vectors: &Vectors, query: &[f32], k: usize) -> Vec<PointOffset>;

    /// Whether the index has aged so much (removed or unreachable rows) that building it anew pays.
    fn is_stale(&self) -> bool;

    /// Writes what [`IndexChoice::load_or_build`] loads into `folder`, which holds nothing else; nothing for an index
    /// that is built in no time.
    ///
    /// # Errors
    /// [`IndexError::Snapshot`]; the folder then holds no snapshot, or one that will not load.
    fn save(&self, folder: &Path, key: &SnapshotKey) -> Result<(), IndexError>;
}

/// The two indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    /// Exact.
    Flat,
    /// Hierarchical navigable small world graph.
    Hnsw,
}

impl IndexKind {
    /// Its name, such as "flat".
    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Hnsw => "hnsw",
        }
    }
}

/// Why an index refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IndexError {
    /// Vectors of different dimensions.
    #[error("the vector has {received} dimensions, the index has {expected}")]
    Dimension {
        /// The dimension of the index.
        expected: usize,
        /// The dimension of the vector.
        received: usize,
    },
    /// A vector that is not of unit length, or has a component that is not a finite number.
    #[error("a vector has squared length {squared_length} instead of 1")]
    NotUnit {
        /// Its squared length.
        squared_length: f32,
    },
    /// An offset without a row.
    #[error("there is no row {offset}, the vectors have {rows}")]
    NoRow {
        /// The offset.
        offset: PointOffset,
        /// How many rows there are.
        rows: usize,
    },
    /// An offset that was inserted before, be it removed since.
    #[error("row {offset} was inserted before")]
    Inserted {
        /// The offset.
        offset: PointOffset,
    },
    /// An offset that is not in the index.
    #[error("row {offset} is not in the index")]
    Absent {
        /// The offset.
        offset: PointOffset,
    },
    /// A query for too many neighbours.
    #[error("{k} neighbours asked for, at most {k_max} are allowed")]
    TooMany {
        /// How many were asked for.
        k: usize,
        /// The limit.
        k_max: usize,
    },
    /// An HNSW parameter out of its range.
    #[error("HNSW parameter {name} is {value}, must be in [{min}, {max}]")]
    Param {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The smallest allowed.
        min: usize,
        /// The largest allowed.
        max: usize,
    },
    /// A snapshot that can't be written or must not be used; the index can be built without.
    #[error("index snapshot {}: {reason}", .path.display())]
    Snapshot {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Refuses what no index may accept as a query.
fn check_query(dim: usize, query: &[f32], k: usize) -> Result<(), IndexError> {
    if query.len() != dim {
        return Err(IndexError::Dimension { expected: dim, received: query.len() });
    }
    if k > NEIGHBOURS_MAX {
        return Err(IndexError::TooMany { k, k_max: NEIGHBOURS_MAX });
    }
    check_unit(query)
}

fn check_unit(vector: &[f32]) -> Result<(), IndexError> {
    let squared_length = crate::types::dot(vector, vector);
    // Written so that NaN is refused.
    if (squared_length - 1.0).abs() <= UNIT_TOLERANCE {
        Ok(())
    } else {
        Err(IndexError::NotUnit { squared_length })
    }
}
