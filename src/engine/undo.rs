//! Taking back: the log is folded without what is undone, so that all is as if it had never been said.

use serde::{Deserialize, Serialize};

use crate::decide::event::Act;
use crate::decide::fold::{Fold, undone};

use super::collection::{Collection, fold_log};
use super::error::EngineError;
use super::lock::read;
use super::requests::RequestKey;
use super::verdict::{ACTOR_CHARACTERS_MAX, NOTE_CHARACTERS_MAX, check_text};

/// What is to be taken back.
#[derive(Debug, Clone)]
pub struct NewUndo {
    /// The event's place in the log.
    pub event: u64,
    /// The caller's words.
    pub note: String,
    /// Who says so.
    pub actor: String,
}

/// What taking it back did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The undo's own place in the log.
    pub event: u64,
    /// Images whose decision is another now.
    pub changed: u64,
}

impl Collection {
    /// Takes back a verdict, an answer or an undo, whatever came after it. Durable when this returns.
    ///
    /// # Errors
    /// An event that is not there, of another kind, or undone already; texts beyond their limits, or a store that fails.
    pub fn undo(&self, undo: &NewUndo, request: Option<&RequestKey>) -> Result<Undone, EngineError> {
        check_text("note", &undo.note, NOTE_CHARACTERS_MAX)?;
        check_text("actor", &undo.actor, ACTOR_CHARACTERS_MAX)?;
        let writer = self.writer()?;
        if let Some(first) = writer.replay(request)? {
            return Ok(first);
        }
        let judged = self.judged_afresh(self.fold_without(undo.event)?);
        let act = Act::Undo { event: undo.event };
        let answer = |event, changed| Undone { event, changed };
        let undone = writer.judge(&undo.actor, &undo.note, act, judged, request, answer)?;
        self.review.wake();
        Ok(undone)
    }

    /// The fold of the log with one more event undone.
    pub(super) fn fold_without(&self, event: u64) -> Result<Fold, EngineError> {
        let (mut undos, next) = {
            let state = read(&self.state);
            ((*state.undos).clone(), state.events + 1)
        };
        let found = self.store.event(event)?.ok_or_else(|| EngineError::not_found("event", event))?;
        if !matches!(found.act, Act::Verdict(_) | Act::Answer(_) | Act::Undo { .. }) {
            return Err(EngineError::Precondition {
                reason: "NOT_UNDOABLE",
                message: format!(
                    "event {event} can't be undone ({}): only verdicts, answers and undos can",
                    found.summary()
                ),
            });
        }
        if let Some(by) = undone(&undos).get(&event) {
            return Err(EngineError::Precondition {
                reason: "ALREADY_UNDONE",
                message: format!("event {event} is undone already, by event {by}: undo that to have it back"),
            });
        }
        undos.push((next, event));
        fold_log(&self.store, &undos)
    }
}
