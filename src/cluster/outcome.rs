//! What a clustering run gives.

use serde::{Deserialize, Serialize};

use super::live::Live;
use super::progress::Stage;
use super::sketch::Sketches;
use super::{ClusterError, ClusterInput, Parameters};
use crate::types::{ImageId, PointOffset};

/// The most points of a k-distance curve that are reported.
pub(super) const CURVE_POINTS_MAX: usize = 1000;

/// One way to cluster.
pub trait Algorithm {
    /// Clusters `input`, which has been checked.
    ///
    /// # Errors
    /// [`ClusterError`]: cancelled, or a structure beyond its limit.
    fn run(&self, input: &ClusterInput<'_>, stage: &Stage<'_>) -> Result<Outcome, ClusterError>;
}

/// The result of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The cluster of each row, shape (n); `None` is noise. Dense from 0, numbered by their smallest image id.
    pub labels: Vec<Option<u32>>,
    /// The algorithm that made them; for [`Parameters::Auto`] the one chosen.
    pub algorithm: &'static str,
    /// The parameters in force, with every default filled in.
    pub parameters: Parameters,
    /// Why these parameters, with the numbers used; empty where the caller said all.
    pub explanation: Vec<String>,
    /// What a reader should distrust.
    pub flags: Vec<RedFlag>,
    /// The reachability plot, from OPTICS only.
    pub reachability: Option<Reachability>,
    /// Distances to the `min_points`-th neighbour in ascending order, at most 1,000 of them evenly picked; empty when
    /// not computed.
    pub k_distance: Vec<f32>,
    /// The cosine distance at the knee of the k-distance curve.
    pub knee: Option<f32>,
    /// The share of true nearest neighbours that were known, in [0, 1]: 1 for exact search, measured on a sample with
    /// candidates, `None` where no neighbours are used.
    pub neighbour_recall: Option<f32>,
    /// Whether candidates stood in for an exact search.
    pub approximate: bool,
    /// What to follow the rows by from here on; from an exact DBSCAN only.
    pub followed: Option<Box<(Live, Sketches)>>,
}

/// OPTICS's order of the points and their distances, as in Ankerst et al. 1999.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reachability {
    /// The rows in the order visited, shape (n).
    pub order: Vec<PointOffset>,
    /// The reachability distance of each row (not of each position), shape (n); infinite where undefined.
    pub reachability: Vec<f32>,
    /// The core distance of each row, shape (n); infinite where undefined.
    pub core_distance: Vec<f32>,
    /// The row from which each row was reached, shape (n); itself where undefined.
    pub predecessor: Vec<PointOffset>,
}

/// A sign that a clustering may mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum RedFlag {
    /// The data look no more clustered than random points of the same spread.
    NoStructure {
        /// How often a random point of the same spread is farther from its nearest image than an image is; 0.5 means
        /// no structure, 1 strong structure.
        clustering_tendency: f32,
    },
    /// Every image is noise.
    AllNoise,
    /// One cluster holds nearly everything.
    GiantCluster {
        /// Its share of all images, in [0, 1].
        share: f32,
    },
    /// Nearly every point is a core point: `eps` may be too large.
    NearlyAllCore {
        /// The share of core points, in [0, 1].
        share: f32,
    },
    /// A cluster reaches so far that it may be a chain of neighbours without a common centre.
    Chaining {
        /// Its label.
        cluster: u32,
        /// The median distance between two of its members, over the same among all images.
        spread: f32,
    },
}

impl Outcome {
    pub(super) fn new(algorithm: &'static str, parameters: Parameters, labels: Vec<Option<u32>>) -> Self {
        Self {
            labels,
            algorithm,
            parameters,
            explanation: Vec::new(),
            flags: Vec::new(),
            reachability: None,
            k_distance: Vec::new(),
            knee: None,
            neighbour_recall: None,
            approximate: false,
            followed: None,
        }
    }

    /// The number of clusters.
    pub fn clusters(&self) -> usize {
        self.labels.iter().flatten().max().map_or(0, |&label| label as usize + 1)
    }

    /// The number of noise points.
    pub fn noise(&self) -> usize {
        self.labels.iter().filter(|label| label.is_none()).count()
    }

    /// Renumbers the clusters by their smallest image id, flags included.
    pub(super) fn number_canonically(&mut self, ids: &[ImageId]) {
        let new = canonical_numbers(&self.labels, ids);
        for label in self.labels.iter_mut().flatten() {
            *label = new[*label as usize];
        }
        for flag in &mut self.flags {
            if let RedFlag::Chaining { cluster, .. } = flag {
                *cluster = new[*cluster as usize];
            }
        }
    }
}

/// The number each label gets when clusters are numbered by their smallest image id.
fn canonical_numbers(labels: &[Option<u32>], ids: &[ImageId]) -> Vec<u32> {
    let used = labels.iter().flatten().max().map_or(0, |&label| label as usize + 1);
    let mut smallest: Vec<Option<ImageId>> = vec![None; used];
    for (label, id) in labels.iter().zip(ids) {
        if let Some(label) = label {
            let entry = smallest[*label as usize].get_or_insert(*id);
            *entry = (*entry).min(*id);
        }
    }
    let mut order: Vec<u32> = (0..used as u32).filter(|&label| smallest[label as usize].is_some()).collect();
    order.sort_by_key(|&label| smallest[label as usize]);
    let mut new = vec![0; used];
    for (number, &label) in order.iter().enumerate() {
        new[label as usize] = number as u32;
    }
    new
}

/// The rows of each label, ascending.
pub(super) fn members(labels: &[Option<u32>]) -> Vec<Vec<PointOffset>> {
    let used = labels.iter().flatten().max().map_or(0, |&label| label as usize + 1);
    let mut rows = vec![Vec::new(); used];
    for (row, label) in labels.iter().enumerate() {
        if let Some(label) = label {
            rows[*label as usize].push(row as PointOffset);
        }
    }
    rows
}
