//! The history of a collection's counts, recorded as it grows.

use crate::growth::{Growth, GrowthPoint};

use super::collection::Collection;
use super::error::EngineError;
use super::lock::{lock, now_ms, read};
use super::state::count_kinds;

impl Collection {
    /// How the counts went since the collection was made (or since the daemon first recorded them), oldest first: each
    /// holds until the next, and the last is of the moment. One point more than [`crate::growth::POINTS_MAX`] at most.
    pub fn growth(&self) -> Vec<GrowthPoint> {
        let mut points = lock(&self.growth).points().to_vec();
        let now = self.counted();
        points.retain(|point| point.at_ms < now.at_ms);
        points.push(now);
        points
    }

    /// Records the counts of the moment where they changed and it is time for it.
    ///
    /// # Errors
    /// The collection was deleted, or the store fails.
    pub(super) fn note_growth(&self) -> Result<(), EngineError> {
        if !lock(&self.growth).is_due(now_ms()) {
            return Ok(());
        }
        let point = self.counted();
        let mut grown = lock(&self.growth).clone();
        if grown.note(point) {
            // Nothing is written of a collection while it is deleted.
            let writer = self.writer()?;
            let mut batch = writer.batch();
            batch.put_growth(&grown)?;
            self.store.commit("growth", batch)?;
            *lock(&self.growth) = grown;
        }
        Ok(())
    }

    fn counted(&self) -> GrowthPoint {
        let state = read(&self.state);
        GrowthPoint { at_ms: now_ms(), decided: count_kinds(&state.rows, &state.derived) }
    }
}

/// What was saved. It is of use to people alone: where it is damaged, it begins anew.
pub(super) fn load(found: Result<Option<Growth>, EngineError>) -> Growth {
    let found = found.unwrap_or_else(|error| {
        tracing::error!(%error, "the history of the counts can't be read, and begins anew");
        None
    });
    found.unwrap_or_default()
}
