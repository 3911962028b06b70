//! What `auto` makes of data whose answer is known.

use culld::cluster::metrics::{adjusted_rand_index, classes};
use culld::cluster::{Outcome, Parameters, RedFlag};
use culld::types::Vectors;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::generate::{Mixture, normal, unit};
use super::{cluster, ids};

fn auto(vectors: &Vectors) -> Outcome {
    let outcome = cluster(vectors, &ids(vectors.len()), Parameters::Auto, 0).unwrap();
    assert!(!outcome.explanation.is_empty());
    assert_ne!(outcome.parameters, Parameters::Auto);
    outcome
}

#[track_caller]
fn check_found(mixture: &Mixture, seed: u64) {
    let data = mixture.generate(seed);
    let outcome = auto(&data.vectors);
    let ari = adjusted_rand_index(&classes(&outcome.labels), &data.classes);
    let Mixture { dim, clusters, points, noise, .. } = mixture;
    assert!(
        ari >= 0.95,
        "ARI {ari:.3} at dim {dim}, {clusters} clusters, {points} points, noise {noise}, seed {seed}: {:?}",
        outcome.explanation
    );
}

#[test]
fn clusters_of_mixed_density_are_found_in_noise() {
    for dim in [32, 128, 1280] {
        for (clusters, points) in [(3, 300), (12, 800), (80, 2000)] {
            for noise in [0.0, 0.3] {
                check_found(&Mixture { dim, clusters, points, noise, ..Default::default() }, 1);
                check_found(
                    &Mixture { dim, clusters, points, noise, spread: (0.15, 0.8), ..Default::default() },
                    2,
                );
            }
        }
    }
}

#[test]
fn uneven_and_flat_clusters_are_found_in_noise() {
    for dim in [64, 512] {
        for clusters in [3, 12, 80] {
            let points = 400 + 30 * clusters;
            check_found(&Mixture { dim, clusters, points, noise: 0.3, zipf: 1.0, ..Default::default() }, 3);
            check_found(
                &Mixture { dim, clusters, points, noise: 0.3, intrinsic: 12, ..Default::default() },
                4,
            );
        }
    }
}

fn is_unstructured(outcome: &Outcome) -> bool {
    outcome.flags.iter().any(|flag| matches!(flag, RedFlag::NoStructure { .. }))
}

#[test]
fn one_cluster_is_one_or_flagged() {
    for dim in [32, 256, 1280] {
        for spread in [(0.1, 0.1), (0.5, 0.5)] {
            let data = Mixture { dim, clusters: 1, points: 300, spread, ..Default::default() }.generate(1);
            let outcome = auto(&data.vectors);
            assert!(
                outcome.clusters() == 1 || is_unstructured(&outcome),
                "dim {dim}: {:?}",
                outcome.explanation
            );
        }
    }
    let data = Mixture { clusters: 1, points: 400, noise: 0.3, ..Default::default() }.generate(1);
    let outcome = auto(&data.vectors);
    assert!(
        adjusted_rand_index(&classes(&outcome.labels), &data.classes) > 0.95,
        "{:?}",
        outcome.explanation
    );
}

#[test]
fn noise_is_flagged() {
    for dim in [32, 256, 1280] {
        for points in [60, 500] {
            let data = Mixture { dim, clusters: 0, points, noise: 1.0, ..Default::default() }.generate(2);
            let outcome = auto(&data.vectors);
            assert!(is_unstructured(&outcome), "dim {dim}, {points} points: {:?}", outcome.explanation);
        }
    }
    // An elongated cloud has unequal axes, but no groups.
    let rng = &mut ChaCha8Rng::seed_from_u64(9);
    let centre = unit(normal(rng, 128));
    let axes: Vec<Vec<f32>> = (0..12).map(|_| unit(normal(rng, 128))).collect();
    let mut cloud = Vectors::new(128);
    for _ in 0..600 {
        let weights = normal(rng, 12);
        let along = |i: usize| {
            centre[i]
                + 0.3 * (0..12).map(|axis| weights[axis] * axes[axis][i] / (axis + 1) as f32).sum::<f32>()
        };
        cloud.push(&unit((0..128).map(along).collect())).unwrap();
    }
    let outcome = auto(&cloud);
    assert!(is_unstructured(&outcome), "{:?}", outcome.explanation);
}

#[test]
fn few_and_equal_images_are_one_cluster() {
    for points in [0, 1, 2, 5, 9] {
        let data = Mixture { clusters: 1, points, ..Default::default() }.generate(1);
        let vectors = data.vectors.gather(&(0..points as u32).collect::<Vec<_>>());
        assert_eq!(auto(&vectors).labels, vec![Some(0); points]);
    }
    let one = unit(normal(&mut ChaCha8Rng::seed_from_u64(1), 64));
    let mut equal = Vectors::new(64);
    (0..200).for_each(|_| equal.push(&one).unwrap());
    let outcome = auto(&equal);
    assert_eq!((outcome.clusters(), outcome.noise()), (1, 0), "{:?}", outcome.explanation);
    // One that differs must not disappear among them.
    let mut other = one.clone();
    other.reverse();
    equal.push(&other).unwrap();
    auto(&equal);
}
