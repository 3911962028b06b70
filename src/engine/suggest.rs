//! Parameters without guessing.

use std::sync::TryLockError;
use std::time::Duration;

use crate::cluster::{self, CandidateSource, ClusterError, ClusterInput, ParameterCard, RunContext};
use crate::types::Generation;

use super::collection::Collection;
use super::error::EngineError;
use super::points::IndexCandidates;
use super::recluster::cluster_error;

/// When to ask again for parameters while another caller's look goes on.
const SUGGESTION_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What the images of one generation suggest.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// What was seen, and what follows.
    pub card: ParameterCard,
    /// Images looked at.
    pub images: u64,
    /// Their generation.
    pub generation: Generation,
}

impl Collection {
    /// Looks at the images of the moment for parameters.
    ///
    /// # Errors
    /// `min_points` out of its range, another look going on, or `cancelled` came true.
    pub fn suggest_parameters(
        &self,
        min_points: Option<u32>,
        exact: bool,
        seed: u64,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Suggestion, EngineError> {
        // Each look takes all processors for as long as a clustering.
        let _turn = match self.suggesting.try_lock() {
            Ok(turn) => turn,
            // Nothing is kept between two looks that a panic could have left half done.
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(EngineError::Exhausted {
                    message: "the collection is being looked at for parameters already".into(),
                    retry_after: Some(SUGGESTION_RETRY_AFTER),
                });
            }
        };
        let data = self.data();
        let candidates = (data.approximate && !exact).then(|| self.candidates(&data));
        let input = ClusterInput {
            vectors: &data.vectors,
            ids: &data.ids,
            candidates: candidates.as_ref().map(|source| source as &dyn CandidateSource),
        };
        let context = RunContext { seed, progress: &|_| {}, cancelled };
        let card =
            self.pool.install(|| cluster::suggest(&input, min_points, &context)).map_err(
                |error| match error {
                    ClusterError::Parameter(error) => EngineError::invalid(error.field(), error.to_string()),
                    other => cluster_error(other),
                },
            )?;
        candidates.as_ref().map_or(Ok(()), IndexCandidates::check)?;
        Ok(Suggestion { card, images: data.ids.len() as u64, generation: data.generation })
    }
}
