//! DBSCAN, OPTICS and HDBSCAN against oracles and known answers.

use culld::cluster::metrics::{adjusted_rand_index, classes};
use culld::cluster::{CandidateSource, ClusterInput, Extraction, Parameters, RunContext, run};
use culld::types::{ImageId, Vectors, cosine_distance};
use proptest::prelude::*;

use super::generate::{Mixture, unit};
use super::{cluster, ids};

/// DBSCAN as it is defined: cores linked within eps, border points with their nearest core, ties to the smaller id.
fn dbscan_oracle(vectors: &Vectors, ids: &[ImageId], eps: f32, min_points: usize) -> Vec<Option<usize>> {
    let n = vectors.len();
    let distance = |a: usize, b: usize| {
        if a == b { 0.0 } else { cosine_distance(vectors.row(a), vectors.row(b)) }
    };
    let near = |a: usize| (0..n).filter(move |&b| distance(a, b) <= eps);
    let core: Vec<bool> = (0..n).map(|a| near(a).count() >= min_points).collect();
    let mut group: Vec<Option<usize>> = vec![None; n];
    for start in (0..n).filter(|&a| core[a]) {
        let mut open = vec![start];
        while let Some(a) = open.pop().filter(|&a| group[a].is_none()).or_else(|| open.pop()) {
            if group[a].is_none() {
                group[a] = Some(start);
                open.extend(near(a).filter(|&b| core[b] && group[b].is_none()));
            }
        }
    }
    for border in (0..n).filter(|&a| !core[a]) {
        let nearest = near(border).filter(|&b| core[b]);
        let nearest = nearest
            .min_by(|&a, &b| distance(border, a).total_cmp(&distance(border, b)).then(ids[a].cmp(&ids[b])));
        group[border] = nearest.and_then(|core| group[core]);
    }
    group
}

pub(super) fn check_dbscan(vectors: &Vectors, eps: f32, min_points: u32) {
    let ids = ids(vectors.len());
    let expected = dbscan_oracle(vectors, &ids, eps, min_points as usize);
    let found =
        cluster(vectors, &ids, Parameters::Dbscan { eps: Some(eps), min_points: Some(min_points) }, 0);
    let found = found.unwrap().labels;
    let mut names = std::collections::HashMap::new();
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected.is_none(), found.is_none());
        if let (Some(expected), Some(found)) = (expected, found) {
            assert_eq!(names.entry(*expected).or_insert(*found), found);
        }
    }
    assert_eq!(names.values().collect::<std::collections::HashSet<_>>().len(), names.len());
}

#[test]
fn dbscan_equals_its_definition() {
    for seed in 0..3 {
        let mixture = Mixture { dim: 16, clusters: 5, points: 700, noise: 0.3, ..Default::default() };
        let data = mixture.generate(seed);
        for eps in [0.0, 0.05, 0.15, 0.3, 0.5, 2.0] {
            for min_points in [2, 5, 12] {
                check_dbscan(&data.vectors, eps, min_points);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Few directions, so that duplicates and equal distances abound.
    #[test]
    fn dbscan_equals_its_definition_with_ties(
        corners in prop::collection::vec((-2i8..=2, -2i8..=2, 1i8..=2), 2..60),
        eps in 0.0f32..1.0,
        min_points in 2u32..6,
    ) {
        let mut vectors = Vectors::new(3);
        for (x, y, z) in corners {
            vectors.push(&unit(vec![f32::from(x), f32::from(y), f32::from(z)])).unwrap();
        }
        check_dbscan(&vectors, eps, min_points.min(vectors.len() as u32));
    }
}

/// Points on a circle at these angles, in degrees.
fn circle(degrees: &[f32]) -> Vectors {
    let point = |degree: &f32| [degree.to_radians().cos(), degree.to_radians().sin()];
    Vectors::from_rows(2, degrees.iter().flat_map(point).collect())
}

#[test]
fn optics_orders_a_line_of_points() {
    let vectors = circle(&[0.0, 1.0, 2.0, 90.0, 91.0, 92.0, 180.0]);
    let parameters =
        Parameters::Optics { min_points: Some(2), max_eps: Some(0.5), extraction: Extraction::Eps(0.01) };
    let outcome = cluster(&vectors, &ids(7), parameters, 0).unwrap();
    let plot = outcome.reachability.unwrap();
    let degree = 1.0 - 1.0f32.to_radians().cos();
    assert_eq!(plot.order, [0, 1, 2, 3, 4, 5, 6]);
    let undefined: Vec<bool> = plot.reachability.iter().map(|reach| reach.is_infinite()).collect();
    assert_eq!(undefined, [true, false, false, true, false, false, true]);
    assert!(plot.reachability.iter().filter(|r| r.is_finite()).all(|reach| (reach - degree).abs() < 1e-6));
    assert!(plot.core_distance[..6].iter().all(|core| (core - degree).abs() < 1e-6));
    assert!(plot.core_distance[6].is_infinite());
    assert_eq!(outcome.labels, [Some(0), Some(0), Some(0), Some(1), Some(1), Some(1), None]);
}

#[test]
fn optics_cut_at_eps_has_the_clusters_of_dbscan() {
    let data = Mixture { dim: 24, clusters: 6, points: 600, noise: 0.2, ..Default::default() }.generate(8);
    let ids = ids(data.vectors.len());
    let of = |parameters| cluster(&data.vectors, &ids, parameters, 0).unwrap().labels;
    let eps = 0.2;
    let dbscan = of(Parameters::Dbscan { eps: Some(eps), min_points: Some(5) });
    let extraction = Extraction::Eps(eps);
    let optics = of(Parameters::Optics { min_points: Some(5), max_eps: None, extraction });
    // A border point may be visited before its core; the rest is the same.
    let agree = dbscan.iter().zip(&optics).filter(|(a, b)| a.is_none() == b.is_none()).count();
    assert!(agree as f32 >= 0.98 * dbscan.len() as f32, "{agree} of {}", dbscan.len());
    assert!(adjusted_rand_index(&classes(&dbscan), &classes(&optics)) > 0.97);
    let xi = of(Parameters::Optics { min_points: Some(5), max_eps: None, extraction: Extraction::Xi(0.1) });
    assert!(xi.iter().any(Option::is_some));
}

#[test]
fn hdbscan_finds_groups_of_different_density() {
    let degrees = [0.0, 0.1, 0.2, 0.3, 0.4, 60.0, 63.0, 66.0, 69.0, 72.0, 150.0];
    let parameters = Parameters::Hdbscan { min_cluster_size: Some(4), min_samples: Some(2) };
    let labels = cluster(&circle(&degrees), &ids(11), parameters, 0).unwrap().labels;
    assert_eq!(labels[..5], [Some(0); 5]);
    assert_eq!(labels[5..10], [Some(1); 5]);
    assert_eq!(labels[10], None);
    // One group alone is no cluster: the root is never chosen.
    let labels = cluster(&circle(&degrees[5..10]), &ids(5), parameters, 0).unwrap().labels;
    assert_eq!(labels, [None; 5]);
}

/// The minimum spanning tree is exact, however many components the neighbour graph leaves.
#[test]
fn hdbscan_joins_components_that_list_no_neighbours_of_each_other() {
    let mixture = Mixture { dim: 64, clusters: 12, points: 1500, spread: (0.1, 0.3), ..Default::default() };
    let data = mixture.generate(4);
    let parameters = Parameters::Hdbscan { min_cluster_size: Some(5), min_samples: Some(5) };
    let labels = cluster(&data.vectors, &ids(1500), parameters, 0).unwrap().labels;
    assert!(adjusted_rand_index(&classes(&labels), &data.classes) > 0.99);
}

/// All rows as candidates: exact again, but reached through the source.
struct Everyone(u32);

impl CandidateSource for Everyone {
    fn name(&self) -> &'static str {
        "everyone"
    }

    fn candidates(&self, _row: usize, _k: usize) -> Vec<u32> {
        (0..self.0).collect()
    }
}

/// Nobody but the row itself.
struct Nobody;

impl CandidateSource for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }

    fn candidates(&self, row: usize, _k: usize) -> Vec<u32> {
        vec![row as u32]
    }
}

#[test]
fn candidates_are_measured_again_and_their_recall_is_told() {
    let data = Mixture { dim: 24, clusters: 4, points: 400, noise: 0.2, ..Default::default() }.generate(6);
    let ids = ids(data.vectors.len());
    let context = RunContext { seed: 0, progress: &|_| {}, cancelled: &|| false };
    let parameters = Parameters::Hdbscan { min_cluster_size: Some(5), min_samples: Some(5) };
    let exact = cluster(&data.vectors, &ids, parameters, 0).unwrap();
    assert_eq!((exact.neighbour_recall, exact.approximate), (Some(1.0), false));
    let checked = parameters.check(ids.len()).unwrap();
    let everyone = Everyone(ids.len() as u32);
    let input = ClusterInput { vectors: &data.vectors, ids: &ids, candidates: Some(&everyone) };
    let full = run(&checked, &input, &context).unwrap();
    assert_eq!((full.labels, full.neighbour_recall, full.approximate), (exact.labels, Some(1.0), true));
    let input = ClusterInput { candidates: Some(&Nobody), ..input };
    assert_eq!(run(&checked, &input, &context).unwrap().neighbour_recall, Some(0.0));
}

#[test]
fn dbscan_is_exact_whatever_is_proposed() {
    let data = Mixture { dim: 24, clusters: 4, points: 400, noise: 0.2, ..Default::default() }.generate(6);
    let ids = ids(data.vectors.len());
    let context = RunContext { seed: 0, progress: &|_| {}, cancelled: &|| false };
    for eps in [Some(0.2), None] {
        let parameters = Parameters::Dbscan { eps, min_points: Some(5) };
        let exact = cluster(&data.vectors, &ids, parameters, 0).unwrap();
        let input = ClusterInput { vectors: &data.vectors, ids: &ids, candidates: Some(&Nobody) };
        let found = run(&parameters.check(ids.len()).unwrap(), &input, &context).unwrap();
        assert_eq!((found.labels, found.parameters), (exact.labels, exact.parameters));
        assert_eq!((found.neighbour_recall, found.approximate), (Some(1.0), false));
        assert!(found.followed.is_some());
    }
}
