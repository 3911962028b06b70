//! What a log folds to: labels, and what is left to ask.
//!
//! The fold of the events that are not undone, in log order, is the state; taking an event back is folding without it.

use std::collections::{BTreeMap, HashSet};

use crate::types::ImageId;

use super::event::{Act, Answer, PartKey, ReviewAnswer};
use super::labels::Labels;

/// What verdicts and answers say together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fold {
    /// What they say of images.
    pub labels: Labels,
    /// What they say of review items.
    pub answers: Answers,
}

impl Fold {
    /// Folds one more event in that is not undone; answers whether it was a verdict or an answer.
    pub fn apply(&mut self, event: u64, act: &Act) -> bool {
        match act {
            Act::Verdict(verdict) => {
                self.labels.apply(event, verdict);
                self.answers.cover(verdict.images());
                true
            }
            Act::Answer(answer) => {
                self.labels.answer(event, answer);
                self.answers.apply(event, answer);
                true
            }
            Act::SetPolicy { .. } | Act::Delete { .. } | Act::Activate { .. } | Act::Undo { .. } => false,
        }
    }
}

/// What was answered already, and what follows from it for what to ask next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    covered: HashSet<ImageId>,
    shown_mixed: HashSet<ImageId>,
    skipped: HashSet<ImageId>,
    parts: BTreeMap<PartKey, Vec<ImageId>>,
}

impl Answers {
    fn apply(&mut self, event: u64, answer: &ReviewAnswer) {
        if answer.answer == Answer::Skip {
            self.skipped.extend(answer.images());
            return;
        }
        self.cover(answer.images());
        if let Some(part) = answer.part {
            self.parts.remove(&part);
        }
        if answer.answer == Answer::Mixed {
            self.shown_mixed.extend(answer.shown.iter().chain(&answer.exceptions));
            for (part, images) in (0..).zip(&answer.parts) {
                self.parts.insert(PartKey { event, part }, images.clone());
            }
        }
    }

    fn cover<'a>(&mut self, images: impl Iterator<Item = &'a ImageId>) {
        for image in images {
            self.covered.insert(*image);
            self.skipped.remove(image);
        }
    }

    /// Whether a verdict or an answer named or implied this image, or it was in an item that turned out mixed.
    pub fn is_covered(&self, image: &ImageId) -> bool {
        self.covered.contains(image)
    }

    /// Images shown in items that turned out mixed.
    pub fn shown_mixed(&self) -> impl Iterator<Item = &ImageId> {
        self.shown_mixed.iter()
    }

    /// Whether nobody wanted to say anything of this image when it was asked for.
    pub fn is_skipped(&self, image: &ImageId) -> bool {
        self.skipped.contains(image)
    }

    /// Halves of mixed items that were not answered yet, with the images they had.
    pub fn parts(&self) -> impl Iterator<Item = (PartKey, &[ImageId])> {
        self.parts.iter().map(|(key, images)| (*key, images.as_slice()))
    }
}

/// The events that are undone, each with the undo in force that took it back. `undos` holds every undo of the log, in
/// order, as (its own place, the event it is of): an undo that is itself undone takes nothing back.
pub fn undone(undos: &[(u64, u64)]) -> BTreeMap<u64, u64> {
    let mut undone = BTreeMap::new();
    for &(undo, of) in undos.iter().rev() {
        if !undone.contains_key(&undo) {
            undone.insert(of, undo);
        }
    }
    undone
}
