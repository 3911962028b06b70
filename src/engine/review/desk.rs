//! Leases: who looks at what. They live in memory; after a restart every item is asked for anew.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::error::EngineError;
use crate::engine::lock::now_ms;
use crate::engine::state::State;
use crate::types::{Generation, ImageId};

use super::outlook::Question;
use super::{ITEM_STALE, ReviewItem};

/// Items leased at a time, at most.
const LEASES_MAX: usize = 1000;
/// What a caller waits where all of them are.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// An item in somebody's hands.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) question: Arc<Question>,
    pub(super) generation: Generation,
    /// What was known of its images.
    pub(super) digest: [u8; 32],
    reviewer: String,
    expires: Instant,
}

/// All leases of a collection, by item.
#[derive(Debug, Default)]
pub(super) struct Desk {
    leases: BTreeMap<u64, Lease>,
    last: u64,
}

impl Desk {
    /// Leases that run.
    pub(super) fn leased(&self) -> usize {
        self.leases.len()
    }

    /// Whether somebody looks at an item.
    pub(super) fn is_busy(&self) -> bool {
        let now = Instant::now();
        self.leases.values().any(|lease| lease.expires > now)
    }

    /// Releases what ran out, and what this reviewer holds no more; one without a name is nobody in particular.
    pub(super) fn release_others(&mut self, reviewer: &str, held: &[u64]) {
        let now = Instant::now();
        self.leases.retain(|item, lease| {
            lease.expires > now && (reviewer.is_empty() || lease.reviewer != reviewer || held.contains(item))
        });
    }

    /// Releases what can't be answered any more.
    pub(super) fn release_stale(&mut self, state: &State) {
        self.leases.retain(|_, lease| digest(state, &lease.question) == lease.digest);
    }

    /// Images in somebody's hands.
    pub(super) fn leased_images(&self) -> HashSet<ImageId> {
        self.leases.values().flat_map(|lease| lease.question.images.iter().copied()).collect()
    }

    /// Leases a question out.
    ///
    /// # Errors
    /// Too many are.
    pub(super) fn lease(
        &mut self,
        reviewer: &str,
        question: Arc<Question>,
        generation: Generation,
        digest: [u8; 32],
        time: Duration,
    ) -> Result<ReviewItem, EngineError> {
        if self.leases.len() >= LEASES_MAX {
            return Err(EngineError::Exhausted {
                message: format!("{LEASES_MAX} review items are leased already"),
                retry_after: Some(RETRY_AFTER),
            });
        }
        // Ids of before a restart never come again: they grow with the clock.
        let id = (self.last + 1).max(now_ms().max(0) as u64 * 1000);
        self.last = id;
        let item = ReviewItem {
            id,
            shown: question.shown.clone(),
            images: question.images.len() as u64,
            generation,
            expires_ms: now_ms() + time.as_millis() as i64,
            gain: question.gain,
            skipped_before: question.skipped,
        };
        let expires = Instant::now() + time;
        self.leases
            .insert(id, Lease { question, generation, digest, reviewer: reviewer.to_owned(), expires });
        Ok(item)
    }

    /// A lease that runs.
    ///
    /// # Errors
    /// It ran out, or never was.
    pub(super) fn get(&self, item: u64) -> Result<Lease, EngineError> {
        let lease = self.leases.get(&item).filter(|lease| lease.expires > Instant::now());
        lease.cloned().ok_or_else(|| stale("it is not leased, or not any more"))
    }

    /// Ends a lease.
    pub(super) fn end(&mut self, item: u64) {
        self.leases.remove(&item);
    }
}

/// An answer that comes too late.
pub(super) fn stale(why: &str) -> EngineError {
    EngineError::Aborted {
        reason: ITEM_STALE,
        message: format!("this review item is stale: {why}; ask for the next one"),
    }
}

/// What is known of a question's images: changes when one of them is deleted, gets or loses a label, or is split off.
pub(super) fn digest(state: &State, question: &Question) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for image in &question.images {
        let came = state.rows.offset(image).map_or(0, |offset| state.rows.get(offset).generation.0);
        let label = state.labels.get(image).map_or(0, |label| label.event);
        hasher.update(&came.to_le_bytes()).update(&label.to_le_bytes());
        hasher.update(&[u8::from(state.answers.is_covered(image))]);
    }
    let is_open = question.part.is_none_or(|part| state.answers.parts().any(|(key, _)| key == part));
    hasher.update(&[u8::from(is_open)]);
    *hasher.finalize().as_bytes()
}
