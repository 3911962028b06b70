//! What is clustered: the images of one generation, the neighbours that their index proposes, and the threads for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cluster::CandidateSource;
use crate::index::IndexKind;
use crate::types::{Generation, ImageId, PointOffset, Vectors};

use super::collection::Collection;
use super::error::EngineError;
use super::lock::read;

/// The images of one generation in the order of their ids, as an algorithm wants them.
pub(super) struct Data {
    pub(super) generation: Generation,
    pub(super) ids: Vec<ImageId>,
    pub(super) offsets: Vec<PointOffset>,
    pub(super) vectors: Vectors,
    /// Whether the index would propose neighbours.
    pub(super) approximate: bool,
    /// How often rows had been renumbered.
    pub(super) compactions: u64,
}

/// Neighbours that the collection's index proposes.
pub(super) struct IndexCandidates<'a> {
    collection: &'a Collection,
    data: &'a Data,
    rows: HashMap<PointOffset, u32>,
    /// Rows were renumbered meanwhile: what was proposed since means nothing.
    renumbered: AtomicBool,
}

impl IndexCandidates<'_> {
    /// Whether all that was proposed was meant.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        if self.renumbered.load(Ordering::Relaxed) {
            return Err(EngineError::Precondition {
                reason: "CLUSTERING_FAILED",
                message: "most images were deleted while their neighbours were looked up: cluster again"
                    .into(),
            });
        }
        Ok(())
    }
}

impl CandidateSource for IndexCandidates<'_> {
    fn name(&self) -> &'static str {
        "hnsw"
    }

    fn candidates(&self, row: usize, k: usize) -> Vec<u32> {
        let state = read(&self.collection.state);
        if state.compactions != self.data.compactions {
            self.renumbered.store(true, Ordering::Relaxed);
            return Vec::new();
        }
        let found = state.index.propose(&state.vectors, self.data.vectors.row(row), k);
        found.into_iter().filter_map(|offset| self.rows.get(&offset).copied()).collect()
    }
}

impl Collection {
    /// The neighbours that the index proposes.
    pub(super) fn candidates<'a>(&'a self, data: &'a Data) -> IndexCandidates<'a> {
        let rows = data.offsets.iter().copied().zip(0..).collect();
        IndexCandidates { collection: self, data, rows, renumbered: AtomicBool::new(false) }
    }

    /// The images of the moment.
    pub(super) fn data(&self) -> Data {
        let state = read(&self.state);
        let mut rows: Vec<(ImageId, PointOffset)> =
            state.rows.alive().map(|(offset, row)| (row.image, offset)).collect();
        rows.sort_unstable();
        let (ids, offsets): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        Data {
            generation: state.generation,
            vectors: state.vectors.gather(&offsets),
            ids,
            offsets,
            approximate: state.index.kind() == IndexKind::Hnsw,
            compactions: state.compactions,
        }
    }
}

/// The threads that cluster, for all collections together.
///
/// # Errors
/// The system has none left.
pub(super) fn clustering_pool() -> Result<rayon::ThreadPool, EngineError> {
    let pool =
        rayon::ThreadPoolBuilder::new().thread_name(|thread| format!("culld-cluster-{thread}")).build();
    pool.map_err(|error| EngineError::Internal(format!("can't start the threads that cluster: {error}")))
}
