//! What the data say of themselves before any parameter is chosen: neighbours, the k-distance curve with its knee, what
//! DBSCAN would give at every radius, and how clustered they are at all.
//!
//! One spanning tree answers for every radius: the clusters of DBSCAN at eps are what the links of mutual reachability
//! up to eps join among the points whose core distance is at most eps (Campello et al. 2013), and a point that is no
//! core has all its neighbours within eps in its short list.

use super::hdbscan::LISTED_NEIGHBOURS;
use super::knn::{KnnGraph, knn};
use super::mst::{Edge, UnionFind, minimum_spanning_tree};
use super::optics::{Optics, extract_eps};
use super::outcome::{Algorithm as _, CURVE_POINTS_MAX, RedFlag, members};
use super::params::default_min_points;
use super::progress::Stage;
use super::sketch::{Sketches, Space};
use super::validity::{clustering_tendency, density_flags};
use super::{ClusterError, ClusterInput, Extraction, Parameters, RunContext, auto};
use crate::types::PointOffset;

/// Radii looked at, evenly spread over the k-distance curve, the knee apart.
const RADII: usize = 16;
/// OPTICS compares all pairs; beyond so many points that takes longer than one waits for a suggestion.
const OPTICS_POINTS_MAX: usize = 10_000;
/// The steepness at which OPTICS's clusters are read off, scikit-learn's default.
const XI: f32 = 0.05;
/// A tendency to cluster below this is what data without groups show.
pub(super) const TENDENCY_MIN: f32 = 0.6;

/// What DBSCAN would give at one radius.
#[derive(Debug, Clone, PartialEq)]
pub struct EpsLook {
    /// The radius, a cosine distance.
    pub eps: f32,
    /// Clusters.
    pub clusters: usize,
    /// The share of noise, in [0, 1].
    pub noise_share: f32,
    /// The share of core points, in [0, 1].
    pub core_share: f32,
    /// The share of the largest cluster, in [0, 1].
    pub largest_share: f32,
    /// What speaks against it.
    pub flags: Vec<RedFlag>,
}

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
        Some(optics_look(input, min_points, survey.knee, &stage.part(0.7, 1.0, "ordering"))?)
    };
    let (choice, explanation) = auto::choice(input, &survey);
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

/// The neighbours of all points, and what follows from them.
pub(super) struct Survey {
    /// Points, the point itself included, that make a core point.
    pub(super) min_points: usize,
    pub(super) graph: KnnGraph,
    /// The distance of each row to its `min_points`-th nearest point, itself the first; 2 where there are fewer.
    pub(super) core: Vec<f32>,
    /// The minimum spanning tree of mutual reachability, by weight.
    pub(super) tree: Vec<Edge>,
    pub(super) knee: Option<f32>,
    /// The core distances that exist, ascending.
    pub(super) curve: Vec<f32>,
    /// See [`clustering_tendency`].
    pub(super) tendency: f32,
}

impl Survey {
    /// Looks at all points.
    pub(super) fn new(
        input: &ClusterInput<'_>,
        min_points: usize,
        stage: &Stage<'_>,
    ) -> Result<Self, ClusterError> {
        let sketches = Sketches::new(input.vectors);
        let space = Space::new(input.vectors, &sketches);
        let listed = LISTED_NEIGHBOURS.max(min_points);
        let graph = knn(input, &space, listed, &stage.part(0.0, 0.5, "finding neighbours"))?;
        let core = core_distances(&graph, min_points);
        let tree = minimum_spanning_tree(&space, &graph, &core, &stage.part(0.5, 1.0, "growing the tree"))?;
        let curve = k_distances(&graph, min_points);
        let tendency = clustering_tendency(input.vectors, stage.seed());
        Ok(Self { min_points, knee: knee(&curve), core, tree, curve, tendency, graph })
    }

    /// What DBSCAN would give at the knee and at radii spread over the k-distance curve, ascending.
    pub(super) fn looks(&self, input: &ClusterInput<'_>) -> Vec<EpsLook> {
        let last = self.curve.len().saturating_sub(1);
        let spread = (0..RADII).filter_map(|i| self.curve.get(i * last / (RADII - 1)));
        let mut radii: Vec<f32> = spread.copied().chain(self.knee).collect();
        radii.sort_unstable_by(f32::total_cmp);
        radii.dedup();
        radii.into_iter().map(|eps| self.look(input, eps)).collect()
    }

    fn look(&self, input: &ClusterInput<'_>, eps: f32) -> EpsLook {
        let n = self.core.len();
        let share = |count: usize| count as f32 / n.max(1) as f32;
        let labels = self.labels(eps);
        let is_core: Vec<bool> = self.core.iter().map(|&core| core <= eps).collect();
        let clusters = members(&labels);
        EpsLook {
            eps,
            clusters: clusters.len(),
            noise_share: share(labels.iter().filter(|label| label.is_none()).count()),
            core_share: share(is_core.iter().filter(|&&core| core).count()),
            largest_share: share(clusters.iter().map(Vec::len).max().unwrap_or(0)),
            flags: density_flags(input.vectors, &labels, Some(&is_core)),
        }
    }

    /// The labels of DBSCAN at this radius.
    fn labels(&self, eps: f32) -> Vec<Option<u32>> {
        let n = self.core.len();
        let mut sets = UnionFind::new(n);
        for edge in self.tree.iter().take_while(|edge| edge.weight <= eps) {
            sets.union(edge.a, edge.b);
        }
        let is_core = |row: usize| self.core[row] <= eps;
        let owner = |row: usize| {
            let listed = self.graph.row(row).iter().take_while(|near| near.distance <= eps);
            let nearest = || listed.map(|near| near.offset).find(|&near| is_core(near as usize));
            if is_core(row) { Some(row as PointOffset) } else { nearest() }
        };
        let mut number = std::collections::HashMap::new();
        (0..n)
            .map(|row| {
                let root = sets.find(owner(row)?);
                let next = number.len() as u32;
                Some(*number.entry(root).or_insert(next))
            })
            .collect()
    }
}

/// Core distances as densities want them: a point without enough neighbours is as sparse as can be.
pub(super) fn core_distances(graph: &KnnGraph, min_points: usize) -> Vec<f32> {
    (0..graph.len()).map(|row| graph.core_distance(row, min_points).min(2.0)).collect()
}

/// The distances to the `min_points`-th point, ascending; points without as many are left out.
pub(super) fn k_distances(graph: &KnnGraph, min_points: usize) -> Vec<f32> {
    let mut curve: Vec<f32> = (0..graph.len()).map(|row| graph.core_distance(row, min_points)).collect();
    curve.retain(|distance| distance.is_finite());
    curve.sort_unstable_by(f32::total_cmp);
    curve
}

/// Where an ascending curve bends: the point farthest below the chord between its ends (Satopää et al., "Finding a
/// Kneedle in a Haystack", 2011).
pub(super) fn knee(curve: &[f32]) -> Option<f32> {
    let (&first, &last) = (curve.first()?, curve.last()?);
    let end = (curve.len() - 1).max(1) as f32;
    let below = |(i, &value): (usize, &f32)| first + (last - first) * i as f32 / end - value;
    let best = curve.iter().enumerate().max_by(|a, b| below(*a).total_cmp(&below(*b)).then(b.0.cmp(&a.0)));
    best.map(|(_, &value)| value)
}

/// At most [`CURVE_POINTS_MAX`] points of a curve, both ends among them.
pub(super) fn thin(curve: Vec<f32>) -> Vec<f32> {
    if curve.len() <= CURVE_POINTS_MAX {
        return curve;
    }
    (0..CURVE_POINTS_MAX).map(|i| curve[i * (curve.len() - 1) / (CURVE_POINTS_MAX - 1)]).collect()
}
