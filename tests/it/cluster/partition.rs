//! K-Means, K-Medoids and BIRCH on data whose answer is known.

use culld::cluster::Parameters;
use culld::cluster::metrics::{adjusted_rand_index, classes, normalized_mutual_information};

use super::generate::Mixture;
use super::{cluster, ids};

#[test]
fn separate_clusters_are_found() {
    for seed in 0..3 {
        let data = Mixture { clusters: 8, points: 640, ..Default::default() }.generate(seed);
        for parameters in [
            Parameters::KMeans { k: Some(8), max_iterations: None, restarts: None, start: None },
            Parameters::KMedoids { k: Some(8) },
            Parameters::Birch { threshold: Some(0.5), branching: None, k: Some(8) },
        ] {
            let outcome = cluster(&data.vectors, &ids(640), parameters, seed).unwrap();
            let found = classes(&outcome.labels);
            assert!(adjusted_rand_index(&found, &data.classes) > 0.99, "{parameters:?} with seed {seed}");
            assert!(normalized_mutual_information(&found, &data.classes) > 0.99);
        }
    }
}

#[test]
fn beyond_the_full_matrix_medoids_come_from_samples() {
    let data = Mixture { dim: 16, clusters: 6, points: 4800, ..Default::default() }.generate(2);
    let outcome = cluster(&data.vectors, &ids(4800), Parameters::KMedoids { k: Some(6) }, 1).unwrap();
    assert!(adjusted_rand_index(&classes(&outcome.labels), &data.classes) > 0.99);
}

#[test]
fn as_many_clusters_as_points_leave_each_alone() {
    let data = Mixture { dim: 16, clusters: 1, points: 40, ..Default::default() }.generate(2);
    for parameters in [
        Parameters::KMeans { k: Some(40), max_iterations: None, restarts: Some(1), start: None },
        Parameters::KMedoids { k: Some(40) },
        Parameters::Birch { threshold: Some(1e-3), branching: Some(3), k: None },
    ] {
        assert_eq!(cluster(&data.vectors, &ids(40), parameters, 1).unwrap().clusters(), 40, "{parameters:?}");
    }
    let equal = data.vectors.gather(&[7; 30]);
    for parameters in [
        Parameters::KMeans { k: Some(4), max_iterations: None, restarts: None, start: None },
        Parameters::KMedoids { k: Some(4) },
        Parameters::Birch { threshold: None, branching: None, k: Some(4) },
    ] {
        assert_eq!(cluster(&equal, &ids(30), parameters, 1).unwrap().clusters(), 1, "{parameters:?}");
    }
}

#[test]
fn birch_keeps_within_its_subclusters() {
    let data = Mixture { dim: 16, clusters: 0, points: 5000, noise: 1.0, ..Default::default() }.generate(2);
    let parameters = Parameters::Birch { threshold: Some(1e-3), branching: None, k: Some(10) };
    let outcome = cluster(&data.vectors, &ids(5000), parameters, 1).unwrap();
    assert_eq!(outcome.clusters(), 10);
    assert!(matches!(outcome.parameters, Parameters::Birch { threshold: Some(grown), .. } if grown > 1e-3));
}
