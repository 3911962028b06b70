//! Clusterings as they are kept: heads in memory, members in the store, the active one spread over the rows.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::cluster::{Parameters, RedFlag};
use crate::decide::Standing;
use crate::types::{ClusterId, Generation, ImageId};

use super::state::Row;

/// Everything about a clustering but its members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusteringHead {
    /// Grows by one with each clustering of the collection.
    pub id: u64,
    /// The algorithm that made it, such as "k-means".
    pub algorithm: String,
    /// What was asked for.
    pub requested: Parameters,
    /// What was used.
    pub parameters: Parameters,
    /// The seed of its random choices.
    pub seed: u64,
    /// The generation of the data.
    pub generation: Generation,
    /// When it was made, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Images clustered.
    pub images: u64,
    /// Images in no cluster.
    pub noise: u64,
    /// Its clusters, largest first.
    pub clusters: Vec<ClusterHead>,
    /// What a person should know.
    pub flags: Vec<RedFlag>,
    /// Why these parameters, a sentence each.
    pub explanation: Vec<String>,
    /// The share [0, 1] of true neighbours that were seen, measured on a sample.
    pub neighbour_recall: Option<f32>,
    /// Whether neighbours came from an approximate index.
    pub approximate: bool,
    /// Distances to the k-th nearest neighbour, ascending, at most 1,000.
    pub k_distances: Vec<f32>,
    /// The knee of that curve.
    pub knee: Option<f32>,
    /// Whether it has a reachability plot.
    pub has_reachability: bool,
}

/// Everything about a cluster but its members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterHead {
    /// Survives reclustering wherever the cluster does.
    pub id: ClusterId,
    /// Members when it was made.
    pub size: u64,
    /// The member with the smallest sum of distances to the others.
    pub medoid: ImageId,
    /// The largest cosine distance from the medoid to a member.
    pub radius: f32,
    /// Up to 9 members that reveal a mixed cluster, the medoid first.
    pub samples: Vec<ImageId>,
    /// The clusters before that its members came from, with how many.
    pub parents: Vec<(ClusterId, u64)>,
}

impl ClusteringHead {
    /// One of its clusters.
    pub fn cluster(&self, id: ClusterId) -> Option<&ClusterHead> {
        self.clusters.iter().find(|cluster| cluster.id == id)
    }
}

/// One image's place in a clustering.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Which image.
    pub image: ImageId,
    /// Its cluster; `None` is noise.
    pub cluster: Option<ClusterId>,
    /// Cosine distance to the cluster's medoid; 0 for noise.
    pub distance: f32,
}

/// One bar of a reachability plot; infinite distances are undefined ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReachabilityRecord {
    /// Which image.
    pub image: ImageId,
    /// Its cluster; `None` is noise.
    pub cluster: Option<ClusterId>,
    /// Cosine distance from what was reached before.
    pub reachability: f32,
    /// Cosine distance within which it is a core image.
    pub core_distance: f32,
}

/// A row's place in the active clustering.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Place {
    /// It was added since, or there is no active clustering.
    #[default]
    Unclustered,
    /// In no cluster.
    Noise,
    /// In a cluster, so far from its medoid.
    Member(ClusterId, f32),
}

impl Place {
    /// The place as [`crate::decide`] wants it.
    pub(super) fn standing(self, votes: &HashMap<ClusterId, crate::decide::Votes>) -> Standing {
        match self {
            Self::Unclustered => Standing::Unclustered,
            Self::Noise => Standing::Noise,
            Self::Member(cluster, distance_to_medoid) => Standing::Member {
                cluster,
                votes: votes.get(&cluster).copied().unwrap_or_default(),
                distance_to_medoid,
            },
        }
    }

    /// The cluster, where it is in one.
    pub(super) fn cluster(self) -> Option<ClusterId> {
        match self {
            Self::Member(cluster, _) => Some(cluster),
            Self::Noise | Self::Unclustered => None,
        }
    }
}

/// Everybody's place in a clustering.
#[derive(Debug, Default)]
pub(super) struct Places {
    generation: Generation,
    by_image: HashMap<ImageId, Place>,
}

impl Places {
    /// The place of a row; an image that was deleted and added again since is a new one.
    pub(super) fn of(&self, row: &Row) -> Place {
        let place = self.by_image.get(&row.image).filter(|_| row.generation <= self.generation);
        place.copied().unwrap_or_default()
    }
}

/// Everybody's place in the clustering of this generation with these members.
pub(super) fn places(generation: Generation, members: &[MemberRecord]) -> Places {
    let place = |member: &MemberRecord| match member.cluster {
        Some(cluster) => Place::Member(cluster, member.distance),
        None => Place::Noise,
    };
    Places { generation, by_image: members.iter().map(|member| (member.image, place(member))).collect() }
}
