//! Parameters as asked for, and as checked against the number of points.

use serde::{Deserialize, Serialize};

use super::outcome::Algorithm;
use super::{auto, birch, dbscan, hdbscan, kmeans, kmedoids, optics};

/// The most clusters that may be asked for.
pub(super) const K_MAX: u32 = 10_000;
/// The most iterations K-Means takes, per restart.
pub(super) const ITERATIONS_MAX: u32 = 10_000;
/// The most restarts of K-Means.
pub(super) const RESTARTS_MAX: u32 = 100;
/// The most neighbours that make a core point; bounds the neighbour lists.
pub(super) const MIN_POINTS_MAX: u32 = 10_000;
/// The most children of a node of BIRCH's tree.
pub(super) const BRANCHING_MAX: u32 = 1_000;
/// The largest threshold of BIRCH: unit vectors are at most 2 apart.
pub(super) const THRESHOLD_MAX: f32 = 2.0;
/// The largest cosine distance.
pub(super) const EPS_MAX: f32 = 2.0;

/// An algorithm and its parameters. An absent value is derived from the data; the outcome says what it became.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Parameters {
    /// Picks algorithm and parameters by itself, and says why.
    Auto,
    /// Lloyd's K-Means.
    KMeans {
        /// Clusters, 1..=n; by default √n, within [2, 40].
        k: Option<u32>,
        /// Iterations per restart, 1..=10,000; by default 300.
        max_iterations: Option<u32>,
        /// Restarts, of which the best counts, 1..=100; by default 1 from Ward's clusters, which few draws change, and
        /// 4 from k-means++.
        restarts: Option<u32>,
        /// Where the centres start; by default [`KMeansStart::Ward`], where restarts are asked for
        /// [`KMeansStart::PlusPlus`].
        start: Option<KMeansStart>,
    },
    /// K-Medoids by FasterPAM, by FastCLARA beyond 4,000 points.
    KMedoids {
        /// Clusters, 1..=n; by default √n, within [2, 40].
        k: Option<u32>,
    },
    /// DBSCAN.
    Dbscan {
        /// Cosine distance within which points are neighbours, in [0, 2]; by default the knee of the k-distance curve.
        eps: Option<f32>,
        /// Points within `eps`, the point itself included, that make it a core point, 2..=n; by default 5.
        min_points: Option<u32>,
    },
    /// OPTICS.
    Optics {
        /// As for DBSCAN.
        min_points: Option<u32>,
        /// Cosine distance beyond which nothing is reached, in [0, 2]; by default 2.
        max_eps: Option<f32>,
        /// How clusters are cut out of the reachability plot.
        extraction: Extraction,
    },
    /// BIRCH, with Ward linkage of its subclusters.
    Birch {
        /// The largest radius of a subcluster, a Euclidean distance in (0, 2]; by default 0.5, or 0.7
        /// of the radius of all the data where that is less.
        threshold: Option<f32>,
        /// Children of a tree node, 2..=1,000; by default 50.
        branching: Option<u32>,
        /// Clusters the subclusters are merged to, 1..=n; absent, every subcluster is a cluster.
        k: Option<u32>,
    },
    /// HDBSCAN with excess of mass.
    Hdbscan {
        /// Points that make a cluster, 2..=n; by default 5.
        min_cluster_size: Option<u32>,
        /// Points, the point itself included, whose distance is a point's density, 1..=n; by default
        /// `min_cluster_size`.
        min_samples: Option<u32>,
    },
}

/// Where the centres of K-Means start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KMeansStart {
    /// The means of the clusters that Ward linkage finds, on a sample where there are many points.
    Ward,
    /// Points drawn far from each other (k-means++).
    PlusPlus,
}

/// How clusters are cut out of a reachability plot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Extraction {
    /// Steep areas whose reachability falls and rises by at least this share, in (0, 1).
    Xi(f32),
    /// A horizontal cut at this cosine distance, in [0, 2]: what DBSCAN would give.
    Eps(f32),
}

/// Parameters that can't be used with the number of points at hand.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the value received and the largest allowed")]
pub enum ParameterError {
    /// No such number of clusters.
    #[error("k is {received}, allowed is 1..={max}")]
    K { received: u32, max: u32 },
    /// No such number of iterations.
    #[error("max_iterations is {received}, allowed is 1..={max}")]
    MaxIterations { received: u32, max: u32 },
    /// No such number of restarts.
    #[error("restarts is {received}, allowed is 1..={max}")]
    Restarts { received: u32, max: u32 },
    /// Not a cosine distance.
    #[error("eps is {received}, allowed is 0..={max}")]
    Eps { received: f32, max: f32 },
    /// Not a cosine distance.
    #[error("max_eps is {received}, allowed is 0..={max}")]
    MaxEps { received: f32, max: f32 },
    /// The cut lies beyond what OPTICS looked at.
    #[error("extraction eps is {received}, allowed is 0..={max}, which is max_eps")]
    ExtractionEps { received: f32, max: f32 },
    /// Not a share.
    #[error("xi is {received}, allowed is above 0 and below 1")]
    Xi { received: f32 },
    /// No such neighbourhood.
    #[error("min_points is {received}, allowed is 2..={max}")]
    MinPoints { received: u32, max: u32 },
    /// No such radius.
    #[error("threshold is {received}, allowed is above 0 and up to {max}")]
    Threshold { received: f32, max: f32 },
    /// No such tree.
    #[error("branching is {received}, allowed is 2..={max}")]
    Branching { received: u32, max: u32 },
    /// No such cluster.
    #[error("min_cluster_size is {received}, allowed is 2..={max}")]
    MinClusterSize { received: u32, max: u32 },
    /// No such neighbourhood.
    #[error("min_samples is {received}, allowed is 1..={max}")]
    MinSamples { received: u32, max: u32 },
}

impl ParameterError {
    /// The name of the field at fault.
    pub fn field(&self) -> &'static str {
        match self {
            Self::K { .. } => "k",
            Self::MaxIterations { .. } => "max_iterations",
            Self::Restarts { .. } => "restarts",
            Self::Eps { .. } => "eps",
            Self::MaxEps { .. } => "max_eps",
            Self::ExtractionEps { .. } => "extraction.eps",
            Self::Xi { .. } => "extraction.xi",
            Self::MinPoints { .. } => "min_points",
            Self::Threshold { .. } => "threshold",
            Self::Branching { .. } => "branching",
            Self::MinClusterSize { .. } => "min_cluster_size",
            Self::MinSamples { .. } => "min_samples",
        }
    }
}

/// Parameters that fit a given number of points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValidParameters {
    parameters: Parameters,
    points: usize,
}

impl Parameters {
    /// Checks every value that is present against its range and against the number of points.
    ///
    /// # Errors
    /// The first value out of its range, with the range.
    pub fn check(&self, points: usize) -> Result<ValidParameters, ParameterError> {
        use ParameterError as E;
        let up_to = |max: u32| max.min(u32::try_from(points).unwrap_or(u32::MAX));
        let k = |k| count(k, 1, up_to(K_MAX), |received, max| E::K { received, max });
        let min_points =
            |m| count(m, 2, up_to(MIN_POINTS_MAX), |received, max| E::MinPoints { received, max });
        match *self {
            Self::Auto => {}
            Self::KMeans { k: clusters, max_iterations, restarts, start: _ } => {
                k(clusters)?;
                count(max_iterations, 1, ITERATIONS_MAX, |received, max| E::MaxIterations { received, max })?;
                count(restarts, 1, RESTARTS_MAX, |received, max| E::Restarts { received, max })?;
            }
            Self::KMedoids { k: clusters } => k(clusters)?,
            Self::Dbscan { eps, min_points: m } => {
                distance(eps, EPS_MAX, |received, max| E::Eps { received, max })?;
                min_points(m)?;
            }
            Self::Optics { min_points: m, max_eps, extraction } => {
                min_points(m)?;
                distance(max_eps, EPS_MAX, |received, max| E::MaxEps { received, max })?;
                check_extraction(extraction, max_eps.unwrap_or(EPS_MAX))?;
            }
            Self::Birch { threshold, branching, k: clusters } => {
                check_threshold(threshold)?;
                count(branching, 2, BRANCHING_MAX, |received, max| E::Branching { received, max })?;
                k(clusters)?;
            }
            Self::Hdbscan { min_cluster_size, min_samples } => {
                count(min_cluster_size, 2, up_to(u32::MAX), |received, max| E::MinClusterSize {
                    received,
                    max,
                })?;
                count(min_samples, 1, up_to(MIN_POINTS_MAX), |received, max| E::MinSamples {
                    received,
                    max,
                })?;
            }
        }
        Ok(ValidParameters { parameters: *self, points })
    }
}

impl ValidParameters {
    /// The parameters, as asked for.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The number of points they were checked for.
    pub fn points(&self) -> usize {
        self.points
    }

    /// The algorithm they name.
    pub(super) fn algorithm(&self) -> Box<dyn Algorithm> {
        match self.parameters {
            Parameters::Auto => Box::new(auto::Auto),
            Parameters::KMeans { k, max_iterations, restarts, start } => {
                Box::new(kmeans::KMeans { k, max_iterations, restarts, start })
            }
            Parameters::KMedoids { k } => Box::new(kmedoids::KMedoids { k }),
            Parameters::Dbscan { eps, min_points } => Box::new(dbscan::Dbscan { eps, min_points }),
            Parameters::Optics { min_points, max_eps, extraction } => {
                Box::new(optics::Optics { min_points, max_eps, extraction })
            }
            Parameters::Birch { threshold, branching, k } => {
                Box::new(birch::Birch { threshold, branching, k })
            }
            Parameters::Hdbscan { min_cluster_size, min_samples } => {
                Box::new(hdbscan::Hdbscan { min_cluster_size, min_samples })
            }
        }
    }
}

fn count(
    value: Option<u32>,
    min: u32,
    max: u32,
    error: impl FnOnce(u32, u32) -> ParameterError,
) -> Result<(), ParameterError> {
    match value {
        Some(received) if received < min || received > max => Err(error(received, max)),
        _ => Ok(()),
    }
}

fn distance(
    value: Option<f32>,
    max: f32,
    error: impl FnOnce(f32, f32) -> ParameterError,
) -> Result<(), ParameterError> {
    match value {
        Some(received) if !(0.0..=max).contains(&received) => Err(error(received, max)),
        _ => Ok(()),
    }
}

fn check_threshold(threshold: Option<f32>) -> Result<(), ParameterError> {
    match threshold {
        Some(received) if !(received > 0.0 && received <= THRESHOLD_MAX) => {
            Err(ParameterError::Threshold { received, max: THRESHOLD_MAX })
        }
        _ => Ok(()),
    }
}

fn check_extraction(extraction: Extraction, max_eps: f32) -> Result<(), ParameterError> {
    match extraction {
        Extraction::Xi(received) if !(received > 0.0 && received < 1.0) => {
            Err(ParameterError::Xi { received })
        }
        Extraction::Xi(_) => Ok(()),
        Extraction::Eps(eps) => {
            distance(Some(eps), max_eps, |received, max| ParameterError::ExtractionEps { received, max })
        }
    }
}

/// The number of clusters when none is asked for: √n, enough to tell the classes of a collection apart, few enough to
/// look through.
pub(super) fn default_k(points: usize) -> u32 {
    ((points as f64).sqrt().round() as u32).clamp(2, 40).min(points.max(1) as u32)
}

/// The neighbourhood size when none is asked for.
pub(super) fn default_min_points(points: usize) -> u32 {
    5.min(points.max(2) as u32)
}
