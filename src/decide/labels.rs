//! Labels: the fold of verdicts, in log order.

use std::collections::HashMap;

use crate::types::{ImageId, Side};

use super::event::Verdict;

/// What verdicts say of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// Which of the two.
    pub side: Side,
    /// Whether the image was shown, or named one by one, rather than implied by its cluster.
    pub seen: bool,
    /// The event that gave it.
    pub event: u64,
    /// How far it reaches as evidence, a cosine distance: the radius that its cluster had when it was judged. `None`
    /// where it was labelled singly or as noise: the policy's radius.
    pub reach: Option<f32>,
    /// Whether it was discarded for being a duplicate of a kept image: that says nothing of others like it.
    pub duplicate: bool,
}

/// The labels of a collection. They belong to image ids: deleting an image leaves its label.
///
/// Per image the last *seen* word wins; only where there is none, the last *implied* one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    by_image: HashMap<ImageId, Label>,
    keep: usize,
    verdicts: u64,
}

impl Labels {
    /// Folds one more verdict in; `event` is its place in the log.
    pub fn apply(&mut self, event: u64, verdict: &Verdict) {
        self.verdicts += 1;
        let reach = verdict.cluster.and_then(|cluster| cluster.radius);
        for &image in &verdict.implied {
            self.say(image, Label { side: verdict.side, seen: false, event, reach, duplicate: false });
        }
        let duplicate = verdict.duplicate_of.is_some();
        for &image in &verdict.seen {
            self.say(image, Label { side: verdict.side, seen: true, event, reach: None, duplicate });
        }
        for &image in &verdict.exceptions {
            let side = verdict.side.other();
            self.say(image, Label { side, seen: true, event, reach: None, duplicate: false });
        }
    }

    fn say(&mut self, image: ImageId, label: Label) {
        if !label.seen && self.by_image.get(&image).is_some_and(|before| before.seen) {
            return;
        }
        let before = self.by_image.insert(image, label);
        self.keep += usize::from(label.side == Side::Keep);
        self.keep -= usize::from(before.is_some_and(|before| before.side == Side::Keep));
    }

    /// The label of an image.
    pub fn get(&self, image: &ImageId) -> Option<&Label> {
        self.by_image.get(image)
    }

    /// All labels, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&ImageId, &Label)> {
        self.by_image.iter()
    }

    /// Labels of this side.
    pub fn count(&self, side: Side) -> usize {
        match side {
            Side::Keep => self.keep,
            Side::Discard => self.by_image.len() - self.keep,
        }
    }

    /// Verdicts in force.
    pub fn verdicts(&self) -> u64 {
        self.verdicts
    }
}
