//! Enough points of enough dimensions that sketches settle most pairs: still exact.

use culld::cluster::{ClusterInput, Extraction, Parameters, RunContext, suggest};
use culld::types::{Vectors, cosine_distance};

use super::density::check_dbscan;
use super::generate::Mixture;
use super::{cluster, ids};

const POINTS: usize = 4_500;

fn clustered() -> Vectors {
    let mixture =
        Mixture { dim: 96, clusters: 40, points: POINTS, noise: 0.2, intrinsic: 12, ..Default::default() };
    mixture.generate(11).vectors
}

/// No directions that sketches could hold: every pair stays open.
fn shapeless() -> Vectors {
    Mixture { dim: 64, clusters: 0, points: POINTS, noise: 1.0, ..Default::default() }.generate(12).vectors
}

#[test]
fn dbscan_equals_its_definition() {
    check_dbscan(&clustered(), 0.2, 8);
    check_dbscan(&shapeless(), 0.55, 4);
}

#[test]
fn core_distances_are_those_of_all_pairs() {
    for vectors in [clustered(), shapeless()] {
        let parameters =
            Parameters::Optics { min_points: Some(6), max_eps: None, extraction: Extraction::Xi(0.05) };
        let plot = cluster(&vectors, &ids(vectors.len()), parameters, 0).unwrap().reachability.unwrap();
        for row in (0..vectors.len()).step_by(97) {
            let mut distances: Vec<f32> = (0..vectors.len())
                .filter(|&other| other != row)
                .map(|other| cosine_distance(vectors.row(row), vectors.row(other)))
                .collect();
            distances.sort_by(f32::total_cmp);
            assert_eq!(plot.core_distance[row], distances[4], "row {row}");
        }
    }
}

#[test]
fn one_tree_knows_what_dbscan_gives_at_every_radius() {
    for vectors in [clustered(), shapeless()] {
        let ids = ids(vectors.len());
        let input = ClusterInput { vectors: &vectors, ids: &ids, candidates: None };
        let context = RunContext { seed: 0, progress: &|_| {}, cancelled: &|| false };
        let card = suggest(&input, Some(6), &context).unwrap();
        for look in card.looks.iter().step_by(4) {
            let parameters = Parameters::Dbscan { eps: Some(look.eps), min_points: Some(6) };
            let outcome = cluster(&vectors, &ids, parameters, 0).unwrap();
            let noise = outcome.noise() as f32 / vectors.len() as f32;
            assert_eq!((look.clusters, look.noise_share), (outcome.clusters(), noise), "{look:?}");
        }
    }
}
