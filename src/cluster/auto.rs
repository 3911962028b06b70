//! Picks the algorithm and its parameters without being told anything, and says why.
//!
//! HDBSCAN first: where images form dense groups in sparse surroundings, it finds them and their number by itself. Its
//! answer stands when it is well-founded: a strong silhouette, and noise that is clearly sparser than the clusters.
//! Pictures of everyday things rarely are like that: their groups shade into each other, density calls a third of them
//! noise, and a partition serves a reviewer better. Then it is K-Means, with a number of clusters that one can look
//! through.

use super::curve::thin;
use super::hdbscan::default_min_cluster_size;
use super::kmeans::KMeans;
use super::outcome::{Algorithm, Outcome, RedFlag};
use super::params::default_k;
use super::progress::Stage;
use super::survey::{Survey, TENDENCY_MIN};
use super::tree::CondensedTree;
use super::validity::{Separation, density_flags, median_distance, separation, trim};
use super::{ClusterError, ClusterInput, KMeansStart, Parameters};
use crate::types::{PointOffset, Vectors};

/// Up to this many images are one cluster: they fit on one contact sheet.
const ONE_LOOK_POINTS: usize = 9;
/// The silhouette from which Kaufman and Rousseeuw (1990) speak of a strong structure.
const STRONG_SILHOUETTE: f32 = 0.7;
/// How much sparser noise must be than the sparsest tenth of the cluster next to it.
const SPARSER_NOISE: f32 = 1.8;
/// Up to this share of noise nothing is asked of it.
const LITTLE_NOISE: f32 = 0.1;
/// More noise than this leaves most of the work to the reviewer.
const NOISE_MAX: f32 = 0.4;
/// Images whose median distance is below this are all alike.
const ALIKE_DISTANCE: f32 = 1e-5;

/// Chooses by itself.
pub(super) struct Auto;

impl Algorithm for Auto {
    fn run(&self, input: &ClusterInput<'_>, stage: &Stage<'_>) -> Result<Outcome, ClusterError> {
        let n = input.vectors.len();
        if n <= ONE_LOOK_POINTS {
            return Ok(one_cluster(n, format!("{n} images fit on one contact sheet: one cluster")));
        }
        if all_alike(input.vectors) {
            return Ok(one_cluster(n, format!("all {n} images are alike: one cluster")));
        }
        let size = default_min_cluster_size(n) as usize;
        let survey = Survey::new(input, size, &stage.part(0.0, 0.7, "finding neighbours"))?;
        let dense = dense_groups(input, &survey);
        let mut outcome = if dense.objection().is_none() {
            dense.outcome(input)
        } else {
            KMeans { k: None, max_iterations: None, restarts: None, start: None }
                .run(input, &stage.part(0.7, 1.0, "moving centres"))?
        };
        if dense.objection().is_some() && survey.tendency < TENDENCY_MIN {
            outcome.flags.push(RedFlag::NoStructure { clustering_tendency: survey.tendency });
        }
        outcome.explanation = explanation(n, &survey, &dense);
        outcome.knee = survey.knee;
        outcome.k_distance = thin(survey.curve);
        outcome.neighbour_recall = Some(survey.graph.recall);
        outcome.approximate = survey.graph.approximate;
        Ok(outcome)
    }
}

/// The parameters that would be chosen, and why, without clustering.
pub(super) fn choice(input: &ClusterInput<'_>, survey: &Survey) -> (Parameters, Vec<String>) {
    let n = input.vectors.len();
    if n <= ONE_LOOK_POINTS || all_alike(input.vectors) {
        let reason = format!("{n} images that fit on one contact sheet or are all alike: one cluster");
        return (one_cluster(n, String::new()).parameters, vec![reason]);
    }
    let dense = dense_groups(input, survey);
    let parameters = match dense.objection() {
        None => dense.parameters(),
        Some(_) => Parameters::KMeans {
            k: Some(default_k(n)),
            max_iterations: None,
            restarts: None,
            start: Some(KMeansStart::Ward),
        },
    };
    (parameters, explanation(n, survey, &dense))
}

/// Why dense groups are taken or not, with the numbers used.
fn explanation(points: usize, survey: &Survey, dense: &DenseGroups) -> Vec<String> {
    let mut sentences = dense.found();
    match dense.objection() {
        None => sentences
            .push("well-founded, so these are the clusters, less members that lie far out".to_owned()),
        Some(objection) => {
            sentences.push(format!("{objection}; so the images are partitioned"));
            let k = default_k(points);
            sentences.push(format!("K-Means with √{points} clusters, within 2 and 40, from Ward's: {k}"));
        }
    }
    sentences.push(format!(
        "clustering tendency {:.2}: 0.5 is what a cloud without groups has, 1 what tight groups have",
        survey.tendency
    ));
    if let Some(knee) = survey.knee {
        let min_points = dense.min_cluster_size;
        sentences.push(format!("the distances to the {min_points}th nearest image bend at {knee:.3}"));
    }
    sentences
}

fn one_cluster(points: usize, reason: String) -> Outcome {
    let parameters = Parameters::KMeans {
        k: Some(points.min(1) as u32),
        max_iterations: Some(1),
        restarts: Some(1),
        start: Some(KMeansStart::PlusPlus),
    };
    let mut outcome = Outcome::new("k-means", parameters, vec![Some(0); points]);
    outcome.explanation.push(reason);
    outcome
}

fn all_alike(vectors: &Vectors) -> bool {
    let rows: Vec<PointOffset> = (0..vectors.len() as PointOffset).collect();
    median_distance(vectors, &rows) < ALIKE_DISTANCE
        && rows.iter().all(|&row| median_distance(vectors, &[0, row]) < ALIKE_DISTANCE)
}

/// What HDBSCAN found, cleaned, and how well-founded it is.
struct DenseGroups {
    labels: Vec<Option<u32>>,
    clusters: usize,
    noise_share: f32,
    min_cluster_size: u32,
    separation: Separation,
}

fn dense_groups(input: &ClusterInput<'_>, survey: &Survey) -> DenseGroups {
    let n = input.vectors.len();
    let min_cluster_size = survey.min_points as u32;
    let size = min_cluster_size as usize;
    let tree = CondensedTree::new(n, &survey.tree, size);
    let mut labels = tree.labels(&tree.excess_of_mass());
    let core = &survey.core;
    let mut clusters = trim(input.vectors, &mut labels, core, size);
    if clusters == 0 {
        // HDBSCAN never takes everything for one cluster, but one cluster amid noise is an answer too.
        labels.fill(Some(0));
        clusters = trim(input.vectors, &mut labels, core, size);
    }
    let noise = labels.iter().filter(|label| label.is_none()).count();
    DenseGroups {
        clusters,
        noise_share: noise as f32 / n as f32,
        min_cluster_size,
        separation: separation(input.vectors, &labels, core),
        labels,
    }
}

impl DenseGroups {
    /// Why the clusters should not be taken; `None` when they are well-founded.
    fn objection(&self) -> Option<String> {
        let Separation { silhouette, noise_sparseness } = self.separation;
        if self.clusters == 0 {
            return Some("there are no dense groups".into());
        }
        if self.noise_share > NOISE_MAX {
            return Some(format!("more than {:.0} % would be noise", 100.0 * NOISE_MAX));
        }
        if silhouette < STRONG_SILHOUETTE {
            return Some(format!("a silhouette below {STRONG_SILHOUETTE} is no strong structure"));
        }
        if self.clusters == 1 && self.noise_share < LITTLE_NOISE {
            return Some("a single cluster of nearly everything tells nothing apart".into());
        }
        if self.noise_share > LITTLE_NOISE && noise_sparseness < SPARSER_NOISE {
            return Some(format!(
                "the noise is less than {SPARSER_NOISE} times as sparse as the clusters' rims"
            ));
        }
        None
    }

    fn found(&self) -> Vec<String> {
        let Separation { silhouette, noise_sparseness } = self.separation;
        vec![
            format!(
                "HDBSCAN with clusters of at least {} images finds {} clusters and {:.1} % noise",
                self.min_cluster_size,
                self.clusters,
                100.0 * self.noise_share
            ),
            format!(
                "their silhouette is {silhouette:.2}, the noise is {noise_sparseness:.1} times as sparse as the rims of the clusters"
            ),
        ]
    }

    fn parameters(&self) -> Parameters {
        let size = Some(self.min_cluster_size);
        Parameters::Hdbscan { min_cluster_size: size, min_samples: size }
    }

    fn outcome(&self, input: &ClusterInput<'_>) -> Outcome {
        let mut outcome = Outcome::new("hdbscan", self.parameters(), self.labels.clone());
        outcome.flags = density_flags(input.vectors, &outcome.labels, None);
        outcome
    }
}
