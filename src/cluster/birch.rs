//! BIRCH (Zhang, Ramakrishnan and Livny 1996) over Euclidean distance, with cluster features that stay exact: count,
//! mean and centred sum of squares, as in BETULA (Lang and Schubert 2020), merged by Chan's update. The classic sums
//! of values and squares cancel catastrophically for vectors that differ little.

use super::centroids::nearest_centre;
use super::kmeans::{squared_distance, variance};
use super::outcome::{Algorithm, Outcome};
use super::progress::Stage;
use super::{ClusterError, ClusterInput, Parameters, ward};
use crate::types::Vectors;

/// The most subclusters; beyond it the threshold grows and the tree is built again from its own subclusters.
const SUBCLUSTERS_MAX: usize = 4_000;
/// How much the threshold grows then.
const THRESHOLD_GROWTH: f32 = 1.25;
const BRANCHING: u32 = 50;
/// Points between two looks at cancellation.
const POINTS_PER_TICK: usize = 256;

/// BIRCH: subclusters by a CF tree, then Ward linkage down to `k`.
pub(super) struct Birch {
    pub(super) threshold: Option<f32>,
    pub(super) branching: Option<u32>,
    pub(super) k: Option<u32>,
}

impl Algorithm for Birch {
    fn run(&self, input: &ClusterInput<'_>, stage: &Stage<'_>) -> Result<Outcome, ClusterError> {
        let threshold = self.threshold.unwrap_or_else(|| default_threshold(input.vectors));
        let branching = self.branching.unwrap_or(BRANCHING);
        let growing = stage.part(0.0, 0.8, "growing the tree");
        let (features, grown) = subclusters(input.vectors, threshold, branching as usize, &growing)?;
        let mut centres = Vectors::new(input.vectors.dim());
        let pushed = features.iter().try_for_each(|feature| centres.push(&feature.mean));
        debug_assert!(pushed.is_ok(), "means have the dimension of the vectors");
        let group = match self.k {
            Some(k) => ward::merge(&centres, k as usize, &stage.part(0.8, 1.0, "merging subclusters"))?,
            None => (0..features.len() as u32).collect(),
        };
        let labels = nearest_centre(input.vectors, &centres)
            .into_iter()
            .map(|(nearest, _)| Some(group[nearest as usize]));
        let parameters = Parameters::Birch { threshold: Some(grown), branching: Some(branching), k: self.k };
        let mut outcome = Outcome::new("birch", parameters, labels.collect());
        outcome.explanation.push(format!("{} subclusters of radius up to {grown:.3}", features.len()));
        if grown > threshold {
            outcome.explanation.push(format!(
                "the threshold grew from {threshold:.3} to keep within {SUBCLUSTERS_MAX} subclusters"
            ));
        }
        Ok(outcome)
    }
}

/// A half, scikit-learn's default, which suits unit vectors; less where all the data lie closer than that.
fn default_threshold(vectors: &Vectors) -> f32 {
    (0.7 * variance(vectors).sqrt()).clamp(1e-3, 0.5)
}

/// A summary of points: shape of `mean` is (dim).
#[derive(Clone)]
struct Feature {
    /// How many points.
    count: f32,
    /// Their mean.
    mean: Vec<f32>,
    /// The sum of their squared distances to the mean.
    scatter: f32,
}

impl Feature {
    fn merged_scatter(&self, other: &Self, squared_distance: f32) -> f32 {
        let weight = self.count * other.count / (self.count + other.count);
        self.scatter + other.scatter + weight * squared_distance
    }

    fn merge(&mut self, other: &Self) {
        self.scatter = self.merged_scatter(other, squared_distance(&self.mean, &other.mean));
        self.count += other.count;
        let share = other.count / self.count;
        self.mean.iter_mut().zip(&other.mean).for_each(|(mean, &value)| *mean += share * (value - *mean));
    }
}

/// A feature with the node it summarises; leaves' entries have none.
struct Entry {
    feature: Feature,
    child: Option<usize>,
}

/// A height-balanced tree of features; nodes live in one vector and are never removed.
struct Tree {
    nodes: Vec<Vec<Entry>>,
    root: usize,
    squared_threshold: f32,
    branching: usize,
    subclusters: usize,
}

impl Tree {
    fn new(threshold: f32, branching: usize) -> Self {
        Self {
            nodes: vec![Vec::new()],
            root: 0,
            squared_threshold: threshold * threshold,
            branching,
            subclusters: 0,
        }
    }

    fn insert(&mut self, feature: &Feature) {
        if let Some(halves) = self.insert_below(self.root, feature) {
            self.root = self.nodes.len();
            self.nodes.push(halves.into());
        }
    }

    /// Inserts under `node`; when the node had to split, returns the two entries that replace it.
    fn insert_below(&mut self, node: usize, feature: &Feature) -> Option<[Entry; 2]> {
        let nearest = self.nodes[node]
            .iter()
            .enumerate()
            .map(|(place, entry)| (squared_distance(&entry.feature.mean, &feature.mean), place))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let fits = |entry: &Entry, distance: f32| {
            let merged = entry.feature.merged_scatter(feature, distance);
            merged <= self.squared_threshold * (entry.feature.count + feature.count)
        };
        match nearest.map(|(distance, place)| (distance, place, self.nodes[node][place].child)) {
            Some((_, place, Some(child))) => match self.insert_below(child, feature) {
                None => self.nodes[node][place].feature.merge(feature),
                Some([left, right]) => {
                    self.nodes[node][place] = left;
                    self.nodes[node].push(right);
                }
            },
            Some((distance, place, None)) if fits(&self.nodes[node][place], distance) => {
                self.nodes[node][place].feature.merge(feature);
            }
            _ => {
                self.subclusters += 1;
                self.nodes[node].push(Entry { feature: feature.clone(), child: None });
            }
        }
        (self.nodes[node].len() > self.branching).then(|| self.split(node))
    }

    /// Parts a node's entries by which of the two farthest of them is nearer.
    fn split(&mut self, node: usize) -> [Entry; 2] {
        let entries = std::mem::take(&mut self.nodes[node]);
        let distance =
            |a: usize, b: usize| squared_distance(&entries[a].feature.mean, &entries[b].feature.mean);
        let mut farthest = (f32::NEG_INFINITY, 0, 1);
        for a in 0..entries.len() {
            for b in a + 1..entries.len() {
                let apart = distance(a, b);
                if apart > farthest.0 {
                    farthest = (apart, a, b);
                }
            }
        }
        let (_, first, second) = farthest;
        let to_second: Vec<bool> = (0..entries.len())
            .map(|i| i == second || (i != first && distance(i, second) < distance(i, first)))
            .collect();
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (entry, to_second) in entries.into_iter().zip(to_second) {
            if to_second {
                right.push(entry);
            } else {
                left.push(entry);
            }
        }
        let new = self.nodes.len();
        let halves = [summary(&left, node), summary(&right, new)];
        self.nodes[node] = left;
        self.nodes.push(right);
        halves
    }

    /// The leaves' features, in the order of nodes.
    fn into_features(self) -> Vec<Feature> {
        self.nodes
            .into_iter()
            .flatten()
            .filter(|entry| entry.child.is_none())
            .map(|entry| entry.feature)
            .collect()
    }
}

fn summary(entries: &[Entry], child: usize) -> Entry {
    let mut feature = entries[0].feature.clone();
    entries[1..].iter().for_each(|entry| feature.merge(&entry.feature));
    Entry { feature, child: Some(child) }
}

/// The subclusters of all rows, and the threshold in the end.
fn subclusters(
    vectors: &Vectors,
    threshold: f32,
    branching: usize,
    stage: &Stage<'_>,
) -> Result<(Vec<Feature>, f32), ClusterError> {
    let mut threshold = threshold;
    let mut tree = Tree::new(threshold, branching);
    for row in 0..vectors.len() {
        if row % POINTS_PER_TICK == 0 {
            stage.tick(row, vectors.len())?;
        }
        tree.insert(&Feature { count: 1.0, mean: vectors.row(row).to_vec(), scatter: 0.0 });
        while tree.subclusters > SUBCLUSTERS_MAX {
            stage.tick(row, vectors.len())?;
            threshold *= THRESHOLD_GROWTH;
            let mut coarser = Tree::new(threshold, branching);
            tree.into_features().iter().for_each(|feature| coarser.insert(feature));
            tree = coarser;
        }
    }
    Ok((tree.into_features(), threshold))
}
