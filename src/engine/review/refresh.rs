//! Letting the classifier catch up: worked out beside the collection, and published whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::collection::Collection;
use crate::engine::error::EngineError;
use crate::engine::judged::deleted_seen;
use crate::engine::lock::{lock, read};
use crate::engine::state::{Snapshot, State, decide_all};
use crate::review::{Features, Projected};
use crate::types::{ImageId, PointOffset};

use super::looks::Scorer;
use super::outlook::{Believed, Outlook, Stored};

/// Times that it starts over because rows were renumbered, at most.
const TRIES: usize = 8;
/// While images come and nobody says anything, it rests so many times as long as it took.
const REST: u32 = 4;
/// And at least so long.
const REST_MIN: Duration = Duration::from_secs(1);

/// What a refresh was worked out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    events: u64,
    generation: u64,
    compactions: u64,
}

/// The last refresh.
#[derive(Debug, Clone)]
pub(super) struct Refreshed {
    stamp: Stamp,
    outlook: Arc<Outlook>,
    at: Instant,
    took: Duration,
}

impl State {
    pub(super) fn stamp(&self) -> Stamp {
        Stamp { events: self.events, generation: self.generation.0, compactions: self.compactions }
    }
}

impl Snapshot {
    pub(super) fn stamp(&self) -> Stamp {
        Stamp { events: self.events, generation: self.generation.0, compactions: self.compactions }
    }
}

impl Collection {
    /// What to ask next, with all felt that was said and stored before the call.
    ///
    /// # Errors
    /// The collection was deleted.
    pub(super) fn refreshed(&self) -> Result<Arc<Outlook>, EngineError> {
        let mut looks = lock(&self.review.looks);
        for _ in 0..TRIES {
            let snapshot = self.snapshot();
            let stamp = snapshot.stamp();
            if let Some(last) = &*lock(&self.review.refreshed)
                && last.stamp == stamp
            {
                return Ok(Arc::clone(&last.outlook));
            }
            let began = Instant::now();
            let Some((features, projected)) = looks.of(self, &snapshot) else { continue };
            let stored = Stored::new(&snapshot.rows, &snapshot.labels, &snapshot.answers, projected);
            let deleted = deleted_seen(&snapshot.rows, &snapshot.seen);
            let believed = Believed::new(&stored, &features, &deleted, snapshot.policy.precision_weight);
            let Some(snapshot) = self.publish_scores(&snapshot, &believed)? else { continue };
            let outlook = Arc::new(believed.outlook(&stored, &snapshot.derived.decisions, stamp.events));
            let outlook_of = Arc::clone(&outlook);
            let last = Refreshed { stamp, outlook, at: Instant::now(), took: began.elapsed() };
            *lock(&self.review.refreshed) = Some(last);
            return Ok(outlook_of);
        }
        Err(EngineError::Internal("rows were renumbered again and again while they were scored".to_owned()))
    }

    /// Shows what the images of a generation look like; `None` where rows were renumbered since.
    pub(in crate::engine) fn with_looks<T>(
        &self,
        snapshot: &Snapshot,
        look: impl FnOnce(&Arc<Features>, &Projected) -> T,
    ) -> Option<T> {
        let mut looks = lock(&self.review.looks);
        let (features, projected) = looks.of(self, snapshot)?;
        Some(look(&features, projected))
    }

    /// Waits until the classifier has caught up with what was said and stored before the call.
    ///
    /// # Errors
    /// The collection was deleted.
    pub(in crate::engine) fn settle(&self) -> Result<(), EngineError> {
        if self.is_silent() { Ok(()) } else { self.refreshed().map(drop) }
    }

    /// Whether nobody said anything yet, so that the classifier has nothing to say.
    fn is_silent(&self) -> bool {
        let state = read(&self.state);
        state.labels.is_empty() && state.derived.scores.is_empty()
    }

    /// Publishes scores with the decisions that follow; answers what then is. Rows that came since are scored as well.
    /// `None`: rows were renumbered since.
    fn publish_scores(&self, of: &Snapshot, believed: &Believed) -> Result<Option<Snapshot>, EngineError> {
        let writer = self.writer()?;
        let derived = {
            let state = read(&self.state);
            if state.compactions != of.compactions {
                return Ok(None);
            }
            let mut scores = believed.scores.clone();
            if !scores.is_empty() {
                let since: Vec<PointOffset> =
                    (scores.len()..state.rows.all().len()).map(|row| row as PointOffset).collect();
                scores.extend(believed.scorer.score(&state.vectors.gather(&since)));
            }
            let mut derived = (*state.derived).clone();
            derived.scores = Arc::new(scores);
            decide_all(&state.rows, &state.labels, &state.policy, &mut derived);
            derived
        };
        let scorer = Arc::new(believed.scorer.clone());
        writer.publish(|state| {
            state.derived = Arc::new(derived);
            state.scorer = Some(scorer);
        });
        Ok(Some(self.snapshot()))
    }

    /// Whether it is worked out what the next reviewer is asked, with all felt that was said and stored: that the
    /// answer waits for nothing.
    pub fn review_is_ready(&self) -> bool {
        let stamp = read(&self.state).stamp();
        lock(&self.review.refreshed).as_ref().is_some_and(|last| last.stamp == stamp)
    }

    /// Lets the classifier catch up where it is behind. While images come and nobody says anything it takes its time:
    /// they were scored as they came. Before anything is said, there is only the first question to be worked out, which
    /// waits until no image came between two looks.
    pub(super) fn catch_up_review(&self) -> Result<(), EngineError> {
        let stamp = read(&self.state).stamp();
        let is_calm = lock(&self.review.looked_at).replace(stamp) == Some(stamp);
        let is_silent = self.is_silent();
        let last = lock(&self.review.refreshed).clone();
        let due = match last {
            None => is_calm || !is_silent,
            Some(last) if last.stamp == stamp => false,
            Some(last) => {
                let rested = last.at.elapsed() >= REST_MIN.max(last.took * REST);
                if is_silent { is_calm && rested } else { last.stamp.events != stamp.events || rested }
            }
        };
        if due { self.refreshed().map(drop) } else { Ok(()) }
    }

    /// The two halves of a mixed item.
    pub(super) fn halves(&self, images: &[ImageId]) -> Result<Vec<Vec<ImageId>>, EngineError> {
        let (scorer, vectors): (Option<Arc<Scorer>>, _) = {
            let state = read(&self.state);
            let offsets: Vec<_> = images.iter().filter_map(|image| state.rows.offset(image)).collect();
            (state.scorer.clone(), state.vectors.gather(&offsets))
        };
        let scorer = scorer.ok_or_else(|| EngineError::Internal("an item without looks".to_owned()))?;
        Ok(super::outlook::halves(&scorer.features, images, &vectors))
    }
}
