//! What a verdict, an answer or an undo would change, before it is given.

use std::sync::Arc;

use crate::decide::event::Act;
use crate::decide::fold::Answers;
use crate::decide::labels::Labels;
use crate::decide::{DecisionKind, Reason};
use crate::engine::collection::Collection;
use crate::engine::error::EngineError;
use crate::engine::judged::{Judged, deleted_seen};
use crate::engine::lock::{lock, read};
use crate::engine::state::{Derived, Snapshot, count_kinds, decide_all};
use crate::engine::undo::NewUndo;
use crate::engine::verdict::NewVerdict;
use crate::review::{Features, Projected};
use crate::types::{ImageId, Side};

use super::NewAnswer;
use super::outlook::{Believed, Stored};

/// Images told of in one preview, at most.
const IMAGES_MAX: usize = 1000;
/// Times that it starts over because something was said or stored meanwhile, at most.
const TRIES: usize = 8;

/// What would be said.
#[derive(Debug, Clone)]
pub enum Proposal {
    /// A verdict.
    Verdict(NewVerdict),
    /// An answer to a leased item.
    Answer(NewAnswer),
    /// That something is taken back.
    Undo(NewUndo),
}

/// One decision that would be another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionChange {
    /// Which image.
    pub image: ImageId,
    /// What it is now.
    pub before: (DecisionKind, Side),
    /// What it would be.
    pub after: (DecisionKind, Side),
}

/// What would hold once the classifier has caught up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// Images whose decision or side would be another.
    pub changed: u64,
    /// The bytes of their files.
    pub changed_bytes: u64,
    /// The first of them, at most 1,000.
    pub changes: Vec<DecisionChange>,
    /// Images that would be in doubt and are not now, at most 1,000.
    pub doubtful: Vec<ImageId>,
    /// How many these are in all.
    pub doubtful_count: u64,
    /// Images by decision: keep, discard, review.
    pub kinds: [u64; 3],
}

impl Collection {
    /// Says what would change; nothing does.
    ///
    /// # Errors
    /// As giving it.
    pub fn preview(&self, proposal: &Proposal) -> Result<Preview, EngineError> {
        let mut looks = lock(&self.review.looks);
        for _ in 0..TRIES {
            let snapshot = self.snapshot();
            let Some((features, projected)) = looks.of(self, &snapshot) else { continue };
            let judged = {
                // What is compared is of one moment.
                let _turn = self.writer()?;
                if read(&self.state).stamp() != snapshot.stamp() {
                    continue;
                }
                self.proposed(proposal)?
            };
            let settled = |labels: &Labels, answers: &Answers, deleted: &[_], derived: &Derived| {
                settle(&snapshot, &features, projected, (labels, answers), deleted, derived)
            };
            let deleted = deleted_seen(&snapshot.rows, &snapshot.seen);
            let now = settled(&snapshot.labels, &snapshot.answers, &deleted, &snapshot.derived);
            let Judged { fold, derived, .. } = &judged;
            let deleted = judged.deleted_seen(&snapshot.rows, &snapshot.seen);
            let then = settled(&fold.labels, &fold.answers, &deleted, derived);
            return self.compared(&snapshot, &now, &then);
        }
        let message = "too much is being said and stored at the moment to say what would change".to_owned();
        Err(EngineError::Exhausted { message, retry_after: Some(std::time::Duration::from_secs(1)) })
    }

    fn proposed(&self, proposal: &Proposal) -> Result<Judged, EngineError> {
        match proposal {
            Proposal::Verdict(verdict) => Ok(self.judged_with(&Act::Verdict(self.exact_verdict(verdict)?))),
            Proposal::Answer(answer) => Ok(self.judged_with(&Act::Answer(self.exact_answer(answer)?))),
            Proposal::Undo(undo) => Ok(self.judged_afresh(self.fold_without(undo.event)?)),
        }
    }

    fn compared(&self, snapshot: &Snapshot, now: &Derived, then: &Derived) -> Result<Preview, EngineError> {
        let mut preview = Preview { kinds: count_kinds(&snapshot.rows, then), ..Preview::default() };
        for (offset, row) in snapshot.rows.alive() {
            let (before, after) = (now.decisions[offset as usize], then.decisions[offset as usize]);
            let image = row.image;
            if after.reason == Reason::Doubtful && before.reason != Reason::Doubtful {
                preview.doubtful_count += 1;
                if preview.doubtful.len() < IMAGES_MAX {
                    preview.doubtful.push(image);
                }
            }
            let (before, after) = ((before.kind, before.side), (after.kind, after.side));
            if before == after {
                continue;
            }
            preview.changed += 1;
            preview.changed_bytes += self.store.header(&image)?.map_or(0, |header| header.bytes);
            if preview.changes.len() < IMAGES_MAX {
                preview.changes.push(DecisionChange { image, before, after });
            }
        }
        Ok(preview)
    }
}

/// What is derived of these labels once the classifier has caught up with them.
fn settle(
    snapshot: &Snapshot,
    features: &Arc<Features>,
    projected: &Projected,
    (labels, answers): (&Labels, &Answers),
    deleted: &[(Side, ImageId, Vec<f32>)],
    derived: &Derived,
) -> Derived {
    let stored = Stored::new(&snapshot.rows, labels, answers, projected);
    let believed = Believed::new(&stored, features, deleted, snapshot.policy.precision_weight);
    let mut settled = derived.clone();
    settled.scores = Arc::new(believed.scores);
    decide_all(&snapshot.rows, labels, &snapshot.policy, &mut settled);
    settled
}
