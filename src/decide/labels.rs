//! Labels: the fold of verdicts, in log order.

use std::collections::HashMap;

use crate::types::{ImageId, Side};

use super::event::{Answer, ReviewAnswer, Verdict};

/// What verdicts say of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// Which of the two.
    pub side: Side,
    /// Whether the image was shown, or named one by one, rather than implied by its cluster.
    pub seen: bool,
    /// The event that gave it.
    pub event: u64,
    /// Whether that was a verdict in bulk, rather than an answer to a review item.
    pub bulk: bool,
    /// How far it reaches as evidence, a cosine distance: the radius that its cluster had when it was judged. `None`
    /// where it was labelled singly or as noise: the policy's radius.
    pub reach: Option<f32>,
    /// The medoid of the cluster or item that was judged, where the label is implied by one.
    pub medoid: Option<ImageId>,
    /// Whether it was discarded for being a duplicate of a kept image: that says nothing of others like it.
    pub duplicate: bool,
}

impl Label {
    /// Whether it says anything of other images: one that was discarded as a duplicate may be just what is needed.
    pub fn speaks(&self) -> bool {
        !self.duplicate
    }
}

/// The labels of a collection. They belong to image ids: deleting an image leaves its label.
///
/// Per image the last *seen* word wins; only where there is none, the last *implied* one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    by_image: HashMap<ImageId, Label>,
    /// Labels by side: keep, discard.
    counts: [usize; 2],
    /// Seen ones among them.
    seen: [usize; 2],
    verdicts: u64,
    answers: u64,
}

impl Labels {
    /// Folds one more verdict in; `event` is its place in the log.
    pub fn apply(&mut self, event: u64, verdict: &Verdict) {
        self.verdicts += 1;
        let (reach, medoid) =
            verdict.cluster.map_or((None, None), |cluster| (cluster.radius, cluster.medoid));
        let duplicate = verdict.duplicate_of.is_some();
        let implied =
            Label { side: verdict.side, seen: false, event, bulk: true, reach, medoid, duplicate: false };
        verdict.implied.iter().for_each(|&image| self.say(image, implied));
        self.say_seen(&verdict.seen, Label { duplicate, ..implied });
        self.say_seen(&verdict.exceptions, Label { side: verdict.side.other(), ..implied });
    }

    /// Folds one more answer to a review item in.
    pub fn answer(&mut self, event: u64, answer: &ReviewAnswer) {
        self.answers += 1;
        match answer.answer {
            Answer::Keep | Answer::Discard => {
                let side = if answer.answer == Answer::Keep { Side::Keep } else { Side::Discard };
                let (reach, medoid) = (Some(answer.radius), answer.medoid);
                let implied =
                    Label { side, seen: false, event, bulk: false, reach, medoid, duplicate: false };
                answer.others.iter().for_each(|&image| self.say(image, implied));
                self.say_seen(&answer.shown, implied);
                self.say_seen(&answer.exceptions, Label { side: side.other(), ..implied });
            }
            Answer::Mixed => answer.images().for_each(|image| self.end_implied(image)),
            Answer::Skip => {}
        }
    }

    fn say_seen(&mut self, images: &[ImageId], label: Label) {
        let label = Label { seen: true, reach: None, medoid: None, ..label };
        images.iter().for_each(|&image| self.say(image, label));
    }

    fn say(&mut self, image: ImageId, label: Label) {
        if !label.seen && self.by_image.get(&image).is_some_and(|before| before.seen) {
            return;
        }
        let before = self.by_image.insert(image, label);
        self.count_label(&label, 1);
        if let Some(before) = before {
            self.count_label(&before, -1);
        }
    }

    fn end_implied(&mut self, image: &ImageId) {
        if let Some(label) = self.by_image.get(image).copied().filter(|label| !label.seen) {
            self.by_image.remove(image);
            self.count_label(&label, -1);
        }
    }

    fn count_label(&mut self, label: &Label, change: isize) {
        let side = usize::from(label.side == Side::Discard);
        self.counts[side] = self.counts[side].saturating_add_signed(change);
        if label.seen && label.speaks() {
            self.seen[side] = self.seen[side].saturating_add_signed(change);
        }
    }

    /// The label of an image.
    pub fn get(&self, image: &ImageId) -> Option<&Label> {
        self.by_image.get(image)
    }

    /// All labels, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&ImageId, &Label)> {
        self.by_image.iter()
    }

    /// Whether no image has one.
    pub fn is_empty(&self) -> bool {
        self.by_image.is_empty()
    }

    /// Labels of this side.
    pub fn count(&self, side: Side) -> usize {
        self.counts[usize::from(side == Side::Discard)]
    }

    /// Whether images of both sides were looked at, duplicates apart.
    pub fn both_sides_seen(&self) -> bool {
        self.seen.iter().all(|&seen| seen > 0)
    }

    /// Bulk verdicts in force.
    pub fn verdicts(&self) -> u64 {
        self.verdicts
    }

    /// Answers to review items in force.
    pub fn answers(&self) -> u64 {
        self.answers
    }
}
