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
}

impl Event {
    /// What happened, in one line.
    pub fn summary(&self) -> String {
        match &self.act {
            Act::Verdict(verdict) => verdict.summary(),
            Act::SetPolicy { version, .. } => format!("policy version {version} set"),
            Act::Delete { images, sources } => {
                format!("{} images and {sources} sources deleted", images.len())
            }
            Act::Activate { clustering } => format!("clustering {clustering} activated"),
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

    /// Whether it gives this image a label.
    pub fn names(&self, image: &ImageId) -> bool {
        [&self.seen, &self.implied, &self.exceptions].into_iter().any(|list| list.contains(image))
    }
}
