//! The live DBSCAN against its definition, after every step.

mod bench;
mod directions;
mod full;
mod traps;

use std::collections::BTreeSet;

use culld::types::PointOffset;
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use bench::{Bench, Space};
use directions::{directions, some_distance};

#[derive(Debug, Clone)]
enum Step {
    /// Rows are picked among those not held.
    Insert(Vec<usize>),
    /// Rows are picked among those held.
    Remove(Vec<usize>),
    Compact,
    Rebuild,
}

fn step() -> impl Strategy<Value = Step> {
    let rows = |most: usize| prop::collection::vec(any::<usize>(), 1..=most);
    prop_oneof![
        8 => rows(1).prop_map(Step::Insert),
        3 => rows(12).prop_map(Step::Insert),
        7 => rows(1).prop_map(Step::Remove),
        3 => rows(8).prop_map(Step::Remove),
        1 => Just(Step::Compact),
        1 => Just(Step::Rebuild),
    ]
}

/// Nothing inserted yet.
fn bench(seed: u64, kind: u8, points: usize, min_points: u32, strict: bool) -> (Bench, ChaCha8Rng) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = directions(kind, points, &mut rng);
    let share = [0.05, 0.1, 0.2, 0.4][rng.random_range(0..4)];
    let eps = some_distance(&rows, share, &mut rng);
    (Bench::new(Space::of_rows(&rows, eps, strict), min_points), rng)
}

/// Takes steps, each of which is checked against the definition, and shows what each that changed something led to.
fn follow(bench: &mut Bench, rng: &mut ChaCha8Rng, steps: &[Step], mut show: impl FnMut(&Bench)) {
    for step in steps {
        let before = bench.components();
        let picked = |picks: &[usize], from: &[PointOffset]| {
            picks.iter().filter(|_| !from.is_empty()).map(|pick| from[pick % from.len()]).collect::<Vec<_>>()
        };
        let changes = match step {
            Step::Insert(picks) => bench.insert(&picked(picks, &bench.rows(false))),
            Step::Remove(picks) => bench.remove(&picked(picks, &bench.rows(true))),
            Step::Compact => {
                bench.compact(rng);
                continue;
            }
            Step::Rebuild => {
                bench.rebuild(rng);
                continue;
            }
        };
        bench.check_survivors(&changes, &before);
        show(bench);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_step_equals_the_definition(
        seed in any::<u64>(),
        kind in 0u8..5,
        points in 4usize..64,
        min_points in 1u32..7,
        strict in any::<bool>(),
        steps in prop::collection::vec(step(), 40..80),
    ) {
        let (mut bench, mut rng) = bench(seed, kind, points, min_points, strict);
        follow(&mut bench, &mut rng, &steps, |_| {});
    }

    #[test]
    fn insertion_order_does_not_matter(
        seed in any::<u64>(),
        kind in 0u8..5,
        min_points in 1u32..7,
        sizes in prop::collection::vec(1usize..20, 1..60),
    ) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let rows = directions(kind, 60, rng);
        let eps = some_distance(&rows, 0.15, rng);
        let mut order: Vec<PointOffset> = (0..60).collect();
        let mut found = BTreeSet::new();
        for _ in 0..3 {
            order.shuffle(rng);
            let mut bench = Bench::new(Space::of_rows(&rows, eps, true), min_points);
            let mut rest = &order[..];
            let mut sizes = sizes.iter().cycle();
            while !rest.is_empty() {
                let size = sizes.next().map_or(1, |&size| size.min(rest.len()));
                let (next, others) = rest.split_at(size);
                bench.insert(next);
                rest = others;
            }
            // Sets of rows have no names.
            let clusters: BTreeSet<BTreeSet<PointOffset>> =
                bench.components().into_values().map(|(members, _)| members).collect();
            found.insert(clusters);
        }
        prop_assert_eq!(found.len(), 1);
    }
}
