//! Clustering against oracles, known answers and generated data.

mod auto;
mod density;
mod generate;
mod large;
mod lineage;
mod linfa_oracle;
mod live;
mod partition;
mod summary;

use culld::cluster::{
    ClusterError, ClusterInput, Outcome, ParameterError, Parameters, Progress, RunContext, run,
};
use culld::types::{ImageId, Vectors};

/// Distinct ids, ascending.
fn ids(count: usize) -> Vec<ImageId> {
    let mut ids: Vec<ImageId> = (0..count as u64).map(|i| ImageId::of(&i.to_le_bytes())).collect();
    ids.sort_unstable();
    ids
}

fn cluster(
    vectors: &Vectors,
    ids: &[ImageId],
    parameters: Parameters,
    seed: u64,
) -> Result<Outcome, ClusterError> {
    let input = ClusterInput { vectors, ids, candidates: None };
    let context = RunContext { seed, progress: &|_| {}, cancelled: &|| false };
    run(&parameters.check(vectors.len()).unwrap(), &input, &context)
}

const EVERY_ALGORITHM: [Parameters; 7] = [
    Parameters::Auto,
    Parameters::KMeans { k: None, max_iterations: None, restarts: None, start: None },
    Parameters::KMedoids { k: None },
    Parameters::Dbscan { eps: None, min_points: None },
    Parameters::Optics { min_points: None, max_eps: None, extraction: culld::cluster::Extraction::Xi(0.05) },
    Parameters::Birch { threshold: None, branching: None, k: Some(5) },
    Parameters::Hdbscan { min_cluster_size: None, min_samples: None },
];

/// Parameters for 100 points, and what is wrong with them.
fn wrong_counts() -> Vec<(Parameters, &'static str)> {
    use Parameters as P;
    let kmeans = |k, max_iterations, restarts| P::KMeans { k, max_iterations, restarts, start: None };
    let birch = |branching, k| P::Birch { threshold: None, branching, k };
    let dbscan = |min_points| P::Dbscan { eps: None, min_points: Some(min_points) };
    let hdbscan = |min_cluster_size, min_samples| P::Hdbscan { min_cluster_size, min_samples };
    vec![
        (kmeans(Some(0), None, None), "k is 0, allowed is 1..=100"),
        (kmeans(Some(101), None, None), "k is 101, allowed is 1..=100"),
        (kmeans(None, Some(0), None), "max_iterations is 0, allowed is 1..=10000"),
        (kmeans(None, None, Some(101)), "restarts is 101, allowed is 1..=100"),
        (P::KMedoids { k: Some(0) }, "k is 0, allowed is 1..=100"),
        (dbscan(1), "min_points is 1, allowed is 2..=100"),
        (dbscan(101), "min_points is 101, allowed is 2..=100"),
        (birch(Some(1), None), "branching is 1, allowed is 2..=1000"),
        (birch(None, Some(101)), "k is 101, allowed is 1..=100"),
        (hdbscan(Some(1), None), "min_cluster_size is 1, allowed is 2..=100"),
        (hdbscan(None, Some(0)), "min_samples is 0, allowed is 1..=100"),
    ]
}

/// Parameters that are distances and shares, and what is wrong with them.
fn wrong_distances() -> Vec<(Parameters, &'static str)> {
    use Parameters as P;
    use culld::cluster::Extraction::{Eps, Xi};
    let dbscan = |eps| P::Dbscan { eps: Some(eps), min_points: None };
    let optics = |max_eps, extraction| P::Optics { min_points: None, max_eps, extraction };
    let birch = |threshold| P::Birch { threshold: Some(threshold), branching: None, k: None };
    let beyond = "extraction eps is 0.6, allowed is 0..=0.5, which is max_eps";
    vec![
        (dbscan(-0.1), "eps is -0.1, allowed is 0..=2"),
        (dbscan(f32::NAN), "eps is NaN, allowed is 0..=2"),
        (dbscan(2.1), "eps is 2.1, allowed is 0..=2"),
        (optics(Some(f32::INFINITY), Xi(0.05)), "max_eps is inf, allowed is 0..=2"),
        (optics(None, Xi(0.0)), "xi is 0, allowed is above 0 and below 1"),
        (optics(None, Xi(1.0)), "xi is 1, allowed is above 0 and below 1"),
        (optics(Some(0.5), Eps(0.6)), beyond),
        (birch(0.0), "threshold is 0, allowed is above 0 and up to 2"),
        (birch(f32::NAN), "threshold is NaN, allowed is above 0 and up to 2"),
    ]
}

#[test]
fn parameters_out_of_range_are_named() {
    for (parameters, message) in wrong_counts().into_iter().chain(wrong_distances()) {
        let error: ParameterError = parameters.check(100).unwrap_err();
        assert_eq!(error.to_string(), message);
        let field = error.field().rsplit('.').next().unwrap();
        assert!(message.contains(field), "{message} should name {field}");
    }
    for parameters in EVERY_ALGORITHM {
        assert!(parameters.check(100).is_ok());
    }
}

#[test]
fn the_result_does_not_depend_on_threads() {
    let data =
        generate::Mixture { dim: 48, clusters: 6, points: 500, noise: 0.2, ..Default::default() }.generate(3);
    let ids = ids(data.vectors.len());
    for parameters in EVERY_ALGORITHM {
        let outcome = cluster(&data.vectors, &ids, parameters, 7).unwrap();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| cluster(&data.vectors, &ids, parameters, 7).unwrap()), outcome);
        }
    }
}

#[test]
fn a_run_can_be_cancelled_and_tells_its_progress() {
    let data =
        generate::Mixture { dim: 48, clusters: 4, points: 600, noise: 0.1, ..Default::default() }.generate(5);
    let ids = ids(data.vectors.len());
    let input = ClusterInput { vectors: &data.vectors, ids: &ids, candidates: None };
    for parameters in EVERY_ALGORITHM {
        let parameters = parameters.check(ids.len()).unwrap();
        let context = RunContext { seed: 1, progress: &|_| {}, cancelled: &|| true };
        assert_eq!(run(&parameters, &input, &context), Err(ClusterError::Cancelled));
        let reports = std::sync::Mutex::new(Vec::new());
        let note = |progress: Progress| reports.lock().unwrap().push(progress);
        run(&parameters, &input, &RunContext { seed: 1, progress: &note, cancelled: &|| false }).unwrap();
        let reports = reports.into_inner().unwrap();
        assert!(reports.iter().all(|report| report.total == reports[0].total && report.done <= report.total));
        assert_eq!(reports.last().map(|last| last.done), Some(reports[0].total));
    }
}

#[test]
fn hostile_input_is_refused() {
    let mut vectors = Vectors::new(2);
    vectors.push(&[1.0, 0.0]).unwrap();
    vectors.push(&[f32::NAN, 1.0]).unwrap();
    let ids = ids(2);
    let refused = cluster(&vectors, &ids, Parameters::Auto, 0);
    assert!(matches!(refused, Err(ClusterError::NotUnit { row: 1, .. })), "{refused:?}");
    let refused = cluster(&vectors, &ids[..1], Parameters::Auto, 0);
    assert_eq!(refused, Err(ClusterError::IdCount { vectors: 2, ids: 1 }));
    let parameters = Parameters::Auto.check(3).unwrap();
    let input = ClusterInput { vectors: &vectors.gather(&[0, 0]), ids: &ids, candidates: None };
    let refused = run(&parameters, &input, &RunContext { seed: 0, progress: &|_| {}, cancelled: &|| false });
    assert_eq!(refused, Err(ClusterError::PointCount { checked: 3, received: 2 }));
    for unordered in [[ids[1], ids[0]], [ids[0], ids[0]]] {
        let refused = cluster(&vectors.gather(&[0, 0]), &unordered, Parameters::Auto, 0);
        assert_eq!(refused, Err(ClusterError::IdOrder { row: 1 }));
    }
}

#[test]
fn few_points_are_clustered_by_all() {
    for count in [1, 2, 3, 5, 10, 12] {
        let data = generate::Mixture { dim: 8, clusters: 1, points: count, ..Default::default() }.generate(1);
        for parameters in EVERY_ALGORITHM {
            // A single point has no second for some, and k may be beyond the points.
            if parameters.check(count).is_ok() {
                let outcome = cluster(&data.vectors, &ids(count), parameters, 1).unwrap();
                assert_eq!(outcome.labels.len(), count, "{parameters:?}");
            }
        }
    }
}
