//! Changes of decisions, for those who follow them: from a point on, as often as they look.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::decide::Decision;
use crate::types::ImageId;

use super::collection::Collection;
use super::decisions::{DecisionReader, Look};
use super::error::EngineError;
use super::filter::Filter;
use super::lock::{lock, now_ms, read};
use super::revisions::{ChangePoint, Revisions, SavedHead};

/// How long a point can be gone on from, milliseconds: 7 days.
pub const POINT_LASTS_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// The reason of a point that can't be gone on from.
pub const POINT_EXPIRED: &str = "TOKEN_EXPIRED";
/// How often revisions are saved at most while the daemon runs: about 45 bytes an image each time.
const SAVED_EVERY: Duration = Duration::from_mins(5);

/// A point as a caller holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldPoint {
    /// The point.
    pub point: ChangePoint,
    /// When the collection was made that it is of, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// The first tick of the start that it was given out after.
    pub epoch: u64,
    /// When it was given out, milliseconds since 1970 UTC.
    pub given_ms: i64,
}

/// Some changes, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// Stored images that changed and are selected, with their revisions.
    pub decided: Vec<(ImageId, Decision)>,
    /// Images that are deleted, with the revision.
    pub deleted: Vec<ChangePoint>,
    /// Images that changed and are not selected, or not any more.
    pub unselected: Vec<ChangePoint>,
    /// Everything up to here is known with these.
    pub until: ChangePoint,
    /// Whether there is more.
    pub more: bool,
}

/// What was saved last, and when.
pub(super) struct Saving {
    head: Option<SavedHead>,
    at: Instant,
}

impl Default for Saving {
    fn default() -> Self {
        Self { head: None, at: Instant::now() }
    }
}

/// The error of a point that can't be gone on from.
fn expired(why: &str) -> EngineError {
    EngineError::OutOfRange {
        reason: POINT_EXPIRED,
        message: format!(
            "{why}: fetch all decisions without a token, and go on with the token that they end with"
        ),
    }
}

impl Revisions {
    /// Whether everything after a point can be told.
    fn check_remembered(&self, point: ChangePoint) -> Result<(), EngineError> {
        if point < self.forgotten() {
            return Err(expired("more images were deleted since than are remembered"));
        }
        Ok(())
    }
}

impl Collection {
    /// Wakes whoever waits for changes: it holds the last tick. Look for [`Collection::is_closed`] then, too.
    pub fn ticks(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }

    /// Where a caller's point lies.
    ///
    /// # Errors
    /// It is too old, or of another collection of this name: everything has to be read again.
    pub fn resume(&self, held: &HeldPoint) -> Result<ChangePoint, EngineError> {
        if held.created_ms != self.record.created_ms {
            return Err(expired("the token is of a collection of this name that was deleted"));
        }
        if now_ms() - held.given_ms > POINT_LASTS_MS {
            return Err(expired("the token is more than 7 days old"));
        }
        let revisions = read(&self.state).revisions.clone();
        if held.epoch != revisions.epoch() && held.point.revision >= revisions.epoch() {
            return Err(expired("the clock has gone back since the token was given out"));
        }
        revisions.check_remembered(held.point)?;
        Ok(held.point)
    }

    /// Saves revisions for the next start, where they are not saved yet; unless `now`, not more often than every 5
    /// minutes.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn save_revisions(&self, now: bool) -> Result<(), EngineError> {
        let mut saving = lock(&self.saving);
        if !now && saving.at.elapsed() < SAVED_EVERY {
            return Ok(());
        }
        saving.at = Instant::now();
        // With the writer's turn, nothing of it can outlive a collection that is deleted meanwhile.
        let writer = self.writer()?;
        let saved = {
            let state = read(&self.state);
            if saving.head == Some(state.revisions_head()) {
                return Ok(());
            }
            state.saved_revisions()
        };
        let mut batch = writer.batch();
        batch.put_revisions(&saved, self.store.revision_chunks()?)?;
        self.store.commit("revisions", batch)?;
        saving.head = Some(saved.head);
        Ok(())
    }
}

impl Look {
    /// What a caller holds who knows everything up to this point.
    pub fn held(&self, point: ChangePoint, collection: &Collection) -> HeldPoint {
        HeldPoint {
            point,
            created_ms: collection.record.created_ms,
            epoch: self.revisions().epoch(),
            given_ms: now_ms(),
        }
    }

    /// The point at which everything of this look is known.
    pub fn now(&self) -> ChangePoint {
        ChangePoint::end_of(self.revisions().tick())
    }
}

impl DecisionReader<'_> {
    /// The revision of a stored image's decision; 0 where it is not stored.
    pub fn revision(&self, image: &ImageId) -> u64 {
        let told = self.snapshot.rows.offset(image).and_then(|row| self.revisions().told(row));
        told.map_or(0, |told| told.revision)
    }

    fn revisions(&self) -> &Revisions {
        &self.snapshot.revisions
    }

    /// The first changes after a point, at most so many.
    ///
    /// # Errors
    /// The store fails, or it is not known any more what was deleted since.
    pub fn changes(&self, after: ChangePoint, filter: &Filter, max: usize) -> Result<Changes, EngineError> {
        let snapshot = &self.snapshot;
        self.revisions().check_remembered(after)?;
        let found = self.revisions().after(&snapshot.rows, after, max);
        let end = ChangePoint::end_of(self.revisions().tick());
        let last = found.last().map(|(at, _)| *at).filter(|_| found.len() >= max);
        let mut changes = Changes {
            decided: Vec::new(),
            deleted: Vec::new(),
            unselected: Vec::new(),
            // A point is never taken back.
            until: last.unwrap_or(end).max(after),
            more: last.is_some(),
        };
        for (at, row) in found {
            match row {
                None => changes.deleted.push(at),
                Some(row) if self.collection.is_selected(snapshot, filter, row)? => {
                    changes.decided.push((at.image, snapshot.derived.decisions[row as usize]));
                }
                Some(_) => changes.unselected.push(at),
            }
        }
        Ok(changes)
    }
}
