//! Summaries of clusters.

use culld::cluster::summary::{SAMPLES_MAX, summarise, summary};
use culld::types::{Vectors, cosine_distance};
use proptest::prelude::*;

use super::generate::{Mixture, unit};
use super::ids;

#[test]
fn samples_give_a_mixture_away() {
    // 97 of one kind and 3 of another in one cluster: nine samples by likeness would show none of the three.
    let data = Mixture { clusters: 2, points: 194, spread: (0.2, 0.2), ..Default::default() }.generate(1);
    let rows: Vec<u32> = (0..100).collect();
    let found = summary(&data.vectors, &ids(194), &rows).unwrap();
    assert!(found.medoid < 97 && found.samples[0] == found.medoid);
    assert!(found.samples.iter().any(|&row| row >= 97), "{:?}", found.samples);
    assert!(found.samples[1] >= 97, "the farthest comes second: {:?}", found.samples);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn summaries_hold_what_they_promise(
        corners in prop::collection::vec((-3i8..=3, -3i8..=3, 1i8..=3, prop::option::of(0u32..3)), 1..80),
    ) {
        let mut vectors = Vectors::new(3);
        let mut labels: Vec<Option<u32>> = Vec::new();
        for (x, y, z, label) in corners {
            vectors.push(&unit(vec![f32::from(x), f32::from(y), f32::from(z)])).unwrap();
            labels.push(label);
        }
        let ids = ids(vectors.len());
        let distance = |a: u32, b: u32| cosine_distance(vectors.row(a as usize), vectors.row(b as usize));
        for summary in summarise(&vectors, &ids, &labels) {
            let label = labels[summary.medoid as usize];
            let members: Vec<u32> = (0..labels.len() as u32).filter(|&row| labels[row as usize] == label).collect();
            let total = |a: u32| members.iter().map(|&b| distance(a, b)).sum::<f32>();
            let least = members.iter().map(|&a| total(a)).fold(f32::INFINITY, f32::min);
            prop_assert!(total(summary.medoid) <= least + 1e-4);
            let radius = members.iter().map(|&b| distance(summary.medoid, b)).fold(0.0, f32::max);
            prop_assert_eq!((summary.size, summary.radius), (members.len(), radius));
            prop_assert!(summary.samples.len() <= SAMPLES_MAX && summary.samples[0] == summary.medoid);
            prop_assert!(summary.samples.iter().all(|row| members.contains(row)));
            // What is not shown lies no farther from the shown than the shown from each other.
            let gap = |row: u32, shown: &[u32]| shown.iter().map(|&s| distance(row, s)).fold(f32::INFINITY, f32::min);
            let shown = &summary.samples;
            let apart = (1..shown.len()).map(|i| gap(shown[i], &shown[..i])).fold(f32::INFINITY, f32::min);
            if shown.len() == SAMPLES_MAX {
                prop_assert!(members.iter().all(|&row| gap(row, shown) <= apart + 1e-6));
            } else {
                prop_assert!(members.iter().all(|&row| gap(row, shown) <= 1e-5));
            }
        }
    }
}
