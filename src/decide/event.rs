//! What the log holds: who said or did what, and when.

use serde::{Deserialize, Serialize};

use crate::types::{ClusterId, Generation, ImageId, Side};

use super::policy::Policy;

/// One entry of a collection's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Who, as the caller said; at most 128 characters.
    pub actor: String,
    /// The caller's words; at most 1,000 characters.
    pub note: String,
    /// What.
    pub act: Act,
}

/// What was said or done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Act {
    /// A verdict in bulk.
    Verdict(Verdict),
    /// A new policy.
    SetPolicy {
        /// Its version.
        version: u64,
        /// The policy.
        policy: Policy,
    },
    /// Images or sources went.
    Delete {
        /// Images that went.
        images: Vec<ImageId>,
        /// Sources that went.
        sources: u64,
    },
    /// Another clustering became active.
    Activate {
        /// Which.
        clustering: u64,
    },
    /// A review item was answered.
    Answer(ReviewAnswer),
    /// A verdict, an answer or an undo was taken back.
    Undo {
        /// Which event.
        event: u64,
    },
}

impl Act {
    /// Every image that a verdict or an answer is said of.
    pub fn images(&self) -> impl Iterator<Item = &ImageId> {
        let (verdict, answer) = match self {
            Self::Verdict(verdict) => (Some(verdict), None),
            Self::Answer(answer) => (None, Some(answer)),
            Self::SetPolicy { .. } | Self::Delete { .. } | Self::Activate { .. } | Self::Undo { .. } => {
                (None, None)
            }
        };
        let judged = verdict.into_iter().flat_map(Verdict::images);
        judged.chain(answer.into_iter().flat_map(ReviewAnswer::images))
    }
}

/// What a person says of a review item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// Needed: the images shown but for the exceptions, and so the item.
    Keep,
    /// Not needed.
    Discard,
    /// Some of each.
    Mixed,
    /// Not now.
    Skip,
}

impl Answer {
    /// The side said, if one was.
    pub fn side(self) -> Option<Side> {
        match self {
            Self::Keep => Some(Side::Keep),
            Self::Discard => Some(Side::Discard),
            Self::Mixed | Self::Skip => None,
        }
    }
}

/// One half of an item that was answered mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartKey {
    /// The event of that answer.
    pub event: u64,
    /// 0 or 1.
    pub part: u8,
}

/// The answer to a review item: one judgement. Holds the exact images, as a [`Verdict`] does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewAnswer {
    /// What was said.
    pub answer: Answer,
    /// The images shown, at most 9, without the exceptions.
    pub shown: Vec<ImageId>,
    /// Of those shown the ones of the other side.
    pub exceptions: Vec<ImageId>,
    /// The item's other images.
    pub others: Vec<ImageId>,
    /// Which part of an earlier item it was, if it was one.
    pub part: Option<PartKey>,
    /// The two halves that a mixed item falls into; else empty.
    pub parts: Vec<Vec<ImageId>>,
    /// The image in the item's middle.
    pub medoid: Option<ImageId>,
    /// The largest cosine distance from the medoid to an image of the item, [0, 2].
    pub radius: f32,
    /// The generation of the data that the item was made of.
    pub generation: Generation,
}

/// Keep or discard, said of a cluster or of images. Holds the exact images it was given for, so that nothing that
/// happens to clusterings later changes what was said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which of the two.
    pub side: Side,
    /// The cluster it was said of; `None` where images were named.
    pub cluster: Option<JudgedCluster>,
    /// Images named one by one: seen labels of this side.
    pub seen: Vec<ImageId>,
    /// The cluster's other members: implied labels of this side.
    pub implied: Vec<ImageId>,
    /// Members named as exceptions: seen labels of the other side.
    pub exceptions: Vec<ImageId>,
    /// The kept image that the images are duplicates of.
    pub duplicate_of: Option<ImageId>,
}

/// A cluster as it was when it was judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JudgedCluster {
    /// The clustering it was read from.
    pub clustering: u64,
    /// Which cluster; `None` is the noise.
    pub cluster: Option<ClusterId>,
    /// That clustering's generation.
    pub generation: Generation,
    /// Its radius, a cosine distance; `None` for noise.
    pub radius: Option<f32>,
    /// Its medoid; `None` for noise.
    pub medoid: Option<ImageId>,
}

impl Event {
    /// Whether it gave this image a label, or took one from it.
    pub fn names(&self, image: &ImageId) -> bool {
        let skipped = matches!(&self.act, Act::Answer(answer) if answer.answer == Answer::Skip);
        !skipped && self.act.images().any(|named| named == image)
    }

    /// What happened, in one line.
    pub fn summary(&self) -> String {
        match &self.act {
            Act::Verdict(verdict) => verdict.summary(),
            Act::SetPolicy { version, .. } => format!("policy version {version} set"),
            Act::Delete { images, sources } => {
                format!("{} images and {sources} sources deleted", images.len())
            }
            Act::Activate { clustering } => format!("clustering {clustering} activated"),
            Act::Answer(answer) => answer.summary(),
            Act::Undo { event } => format!("event {event} undone"),
        }
    }
}

impl Verdict {
    fn summary(&self) -> String {
        let side = match self.side {
            Side::Keep => "keep",
            Side::Discard => "discard",
        };
        let of = match self.cluster {
            None => format!("{} images", self.seen.len()),
            Some(JudgedCluster { clustering, cluster: Some(ClusterId(id)), .. }) => {
                format!("cluster {id} of clustering {clustering}, {} images", self.implied.len())
            }
            Some(JudgedCluster { clustering, cluster: None, .. }) => {
                format!("the noise of clustering {clustering}, {} images", self.implied.len())
            }
        };
        match self.exceptions.len() {
            0 => format!("{side} {of}"),
            exceptions => format!("{side} {of}, except {exceptions}"),
        }
    }

    /// Every image that it gives a label.
    pub fn images(&self) -> impl Iterator<Item = &ImageId> {
        self.seen.iter().chain(&self.implied).chain(&self.exceptions)
    }
}

impl ReviewAnswer {
    /// Every image of the item.
    pub fn images(&self) -> impl Iterator<Item = &ImageId> {
        self.shown.iter().chain(&self.exceptions).chain(&self.others)
    }

    fn summary(&self) -> String {
        let (images, shown) = (self.images().count(), self.shown.len() + self.exceptions.len());
        let said = match self.answer {
            Answer::Keep => "keep",
            Answer::Discard => "discard",
            Answer::Mixed => "mixed",
            Answer::Skip => "skip",
        };
        let of = format!("{said} a review item of {images} images, {shown} shown");
        match self.exceptions.len() {
            0 => of,
            exceptions => format!("{of}, except {exceptions}"),
        }
    }
}
