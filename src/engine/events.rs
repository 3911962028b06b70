//! The log as callers read it.

use crate::decide::event::{Act, Event, ReviewAnswer, Verdict};
use crate::decide::fold::undone;

use super::collection::Collection;
use super::error::EngineError;
use super::lock::read;

/// Entries looked at for one page at most: a filter may select few.
const LOOKED_AT_MAX: u64 = 10_000;

/// What kind of thing was said or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A verdict in bulk.
    Verdict,
    /// A new policy.
    Policy,
    /// Images or sources went.
    Deletion,
    /// Another clustering became active.
    Activation,
    /// A review item was answered.
    Answer,
    /// Something was taken back.
    Undo,
}

/// How many images an event names, by what it says of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamedImages {
    /// Shown, or named one by one.
    pub seen: u64,
    /// Other members of a judged cluster.
    pub implied: u64,
    /// Exceptions, of the other side.
    pub exceptions: u64,
    /// Deleted.
    pub deleted: u64,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Its place in the log, from 1.
    pub sequence: u64,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Who, as the caller said.
    pub actor: String,
    /// The caller's words.
    pub note: String,
    /// What kind.
    pub kind: EventKind,
    /// What, in one line.
    pub summary: String,
    /// How many images it names.
    pub named: NamedImages,
    /// Its hash in the chain.
    pub hash: [u8; 32],
    /// The event that took it back, where one did.
    pub undone_by: Option<u64>,
}

/// Selects entries: all fields that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Of exactly this actor.
    pub actor: Option<String>,
    /// Of one of these kinds; empty: any.
    pub kinds: Vec<EventKind>,
    /// At or after, milliseconds since 1970 UTC.
    pub after_ms: Option<i64>,
    /// Before.
    pub before_ms: Option<i64>,
}

/// Some entries.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// Newest first.
    pub entries: Vec<LogEntry>,
    /// Entries below this one come next; `None` after the last.
    pub next: Option<u64>,
}

impl LogFilter {
    fn matches(&self, event: &Event) -> bool {
        self.actor.as_ref().is_none_or(|actor| *actor == event.actor)
            && (self.kinds.is_empty() || self.kinds.contains(&kind(&event.act)))
            && self.after_ms.is_none_or(|after| event.at_ms >= after)
            && self.before_ms.is_none_or(|before| event.at_ms < before)
    }
}

impl Collection {
    /// Entries of the log below `below`, newest first. A page may be short before the last, where few are selected.
    ///
    /// # Errors
    /// The store fails.
    pub fn log(&self, filter: &LogFilter, below: Option<u64>, max: usize) -> Result<LogPage, EngineError> {
        let (end, undone) = {
            let state = read(&self.state);
            (state.events + 1, undone(&state.undos))
        };
        let below = below.map_or(end, |below| below.min(end));
        let last = below.saturating_sub(LOOKED_AT_MAX).max(1);
        let mut entries = Vec::new();
        let mut next = (last > 1).then_some(last);
        // One by one: an event may name many images, and only their number is kept.
        for sequence in (last..below).rev() {
            let Some((hash, event)) = self.store.entry(sequence)? else {
                return Err(EngineError::Internal(format!("log entry {sequence} is missing")));
            };
            if !filter.matches(&event) {
                continue;
            }
            if entries.len() >= max {
                next = Some(sequence + 1);
                break;
            }
            entries
                .push(LogEntry { undone_by: undone.get(&sequence).copied(), ..entry(sequence, hash, event) });
        }
        Ok(LogPage { entries, next })
    }
}

fn kind(act: &Act) -> EventKind {
    match act {
        Act::Verdict(_) => EventKind::Verdict,
        Act::SetPolicy { .. } => EventKind::Policy,
        Act::Delete { .. } => EventKind::Deletion,
        Act::Activate { .. } => EventKind::Activation,
        Act::Answer(_) => EventKind::Answer,
        Act::Undo { .. } => EventKind::Undo,
    }
}

fn named(act: &Act) -> NamedImages {
    match act {
        Act::Verdict(Verdict { seen, implied, exceptions, .. }) => NamedImages {
            seen: seen.len() as u64,
            implied: implied.len() as u64,
            exceptions: exceptions.len() as u64,
            deleted: 0,
        },
        Act::Delete { images, .. } => NamedImages { deleted: images.len() as u64, ..NamedImages::default() },
        Act::Answer(ReviewAnswer { shown, others, exceptions, .. }) => NamedImages {
            seen: shown.len() as u64,
            implied: others.len() as u64,
            exceptions: exceptions.len() as u64,
            deleted: 0,
        },
        Act::SetPolicy { .. } | Act::Activate { .. } | Act::Undo { .. } => NamedImages::default(),
    }
}

fn entry(sequence: u64, hash: [u8; 32], event: Event) -> LogEntry {
    LogEntry {
        sequence,
        at_ms: event.at_ms,
        kind: kind(&event.act),
        summary: event.summary(),
        named: named(&event.act),
        actor: event.actor,
        note: event.note,
        hash,
        undone_by: None,
    }
}
