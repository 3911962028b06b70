//! Parameters without guessing: what the data say of themselves, and what would be chosen.

use super::curve::thin;
use super::hdbscan::default_min_cluster_size;
use super::optics::{Optics, extract_eps};
use super::outcome::{Algorithm as _, members};
use super::params::default_min_points;
use super::progress::Stage;
use super::survey::{EpsLook, Survey};
use super::{ClusterError, ClusterInput, Extraction, Parameters, RunContext, auto};

/// OPTICS compares all pairs; beyond so many points that takes longer than one waits for a suggestion.
const OPTICS_POINTS_MAX: usize = 10_000;
/// The steepness at which OPTICS's clusters are read off, scikit-learn's default.
const XI: f32 = 0.05;

/// What OPTICS would give.
#[derive(Debug, Clone, PartialEq)]
pub struct OpticsLook {
    /// The steepness at which clusters are read off.
    pub xi: f32,
    /// Clusters read off by steepness.
    pub xi_clusters: usize,
    /// The share of noise then, in [0, 1].
    pub xi_noise_share: f32,
    /// Clusters read off by a cut at the knee.
    pub cut_clusters: usize,
    /// The share of noise then, in [0, 1].
    pub cut_noise_share: f32,
}

/// What the data say of themselves, and the parameters that follow.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterCard {
    /// Points, the point itself included, that make a core point.
    pub min_points: u32,
    /// The distances to the `min_points`-th point, ascending, at most 1,000 of them evenly picked.
    pub k_distances: Vec<f32>,
    /// Where that curve bends: the radius to try first.
    pub knee: Option<f32>,
    /// What DBSCAN would give at radii spread over the curve and at the knee, ascending.
    pub looks: Vec<EpsLook>,
    /// What OPTICS would give; absent beyond 10,000 points.
    pub optics: Option<OpticsLook>,
    /// How clustered the data are at all: 0.5 for a cloud without groups, 1 for tight groups.
    pub clustering_tendency: f32,
    /// What `auto` would choose.
    pub choice: Parameters,
    /// Why, with the numbers used, a sentence each.
    pub explanation: Vec<String>,
    /// The share of true nearest neighbours that were known, in [0, 1].
    pub neighbour_recall: f32,
    /// Whether candidates stood in for an exact search.
    pub approximate: bool,
}

/// Looks at the data for parameters, without clustering them. `min_points` is within 2..=n, by default 5.
///
/// # Errors
/// [`ClusterError`]: cancelled, inconsistent input, or a neighbourhood out of its range.
pub fn suggest(
    input: &ClusterInput<'_>,
    min_points: Option<u32>,
    context: &RunContext<'_>,
) -> Result<ParameterCard, ClusterError> {
    super::check_input(input)?;
    let n = input.vectors.len();
    let stage = Stage::whole(context);
    let min_points = min_points.unwrap_or_else(|| default_min_points(n));
    Parameters::Dbscan { eps: None, min_points: (n > 1).then_some(min_points) }.check(n)?;
    let survey = Survey::new(input, min_points as usize, &stage.part(0.0, 0.7, "finding neighbours"))?;
    let optics = if n > OPTICS_POINTS_MAX {
        None
    } else {
        Some(optics_look(input, min_points, survey.knee, &stage.part(0.7, 0.9, "ordering"))?)
    };
    // Auto looks with a neighbourhood of its own.
    let usual = default_min_cluster_size(n);
    let (choice, explanation) = if min_points == usual {
        auto::choice(input, &survey)
    } else {
        let stage = stage.part(0.9, 1.0, "finding neighbours");
        auto::choice(input, &Survey::new(input, usual as usize, &stage)?)
    };
    Ok(ParameterCard {
        min_points,
        looks: survey.looks(input),
        k_distances: thin(survey.curve),
        knee: survey.knee,
        optics,
        clustering_tendency: survey.tendency,
        choice,
        explanation,
        neighbour_recall: survey.graph.recall,
        approximate: survey.graph.approximate,
    })
}

fn optics_look(
    input: &ClusterInput<'_>,
    min_points: u32,
    knee: Option<f32>,
    stage: &Stage<'_>,
) -> Result<OpticsLook, ClusterError> {
    let optics = Optics { min_points: Some(min_points), max_eps: None, extraction: Extraction::Xi(XI) };
    let outcome = optics.run(input, stage)?;
    let cut = outcome.reachability.as_ref().map(|plot| extract_eps(plot, knee.unwrap_or(0.0)));
    let cut = cut.unwrap_or_default();
    let share = |labels: &[Option<u32>]| {
        labels.iter().filter(|label| label.is_none()).count() as f32 / labels.len().max(1) as f32
    };
    Ok(OpticsLook {
        xi: XI,
        xi_clusters: outcome.clusters(),
        xi_noise_share: share(&outcome.labels),
        cut_clusters: members(&cut).len(),
        cut_noise_share: share(&cut),
    })
}
