//! The traps of the 1998 paper, and what else has gone wrong once, by name.

use culld::cluster::Changes;
use culld::types::{PointOffset, cosine_distance};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::bench::{Bench, Space};
use super::directions::{directions, some_distance, unit};

/// Points of a small patch of the sphere that is almost plane, in units that adjacent points of a grid are apart.
fn plane(points: &[(f32, f32)], min_points: u32) -> Bench {
    const UNIT: f32 = 0.01;
    let rows: Vec<Vec<f32>> = points.iter().map(|&(x, y)| unit(&[UNIT * x, UNIT * y, 1.0])).collect();
    let eps = cosine_distance(&unit(&[0.0, 0.0, 1.0]), &unit(&[1.1 * UNIT, 0.0, 1.0]));
    Bench::new(Space::of_rows(&rows, eps, true), min_points)
}

fn range(from: usize, to: usize) -> Vec<PointOffset> {
    (from as PointOffset..to as PointOffset).collect()
}

#[test]
fn several_clusters_are_merged_at_once_by_one_insert() {
    let arms = [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)];
    let arm = |&(x, y): &(f32, f32)| (1..5).map(move |step| (step as f32 * x, step as f32 * y));
    let mut points: Vec<(f32, f32)> = arms.iter().flat_map(arm).collect();
    points.push((0.0, 0.0));
    for min_points in [2, 3] {
        let mut bench = plane(&points, min_points);
        bench.insert(&range(0, 16));
        assert_eq!(bench.live.components().count(), 4);
        let changes = bench.insert(&[16]);
        assert_eq!(changes.merged.len(), 3);
        assert!(changes.created.is_empty());
        assert!(changes.merged.iter().all(|merge| merge.survivor == 0), "of one size the oldest survives");
        assert_eq!(bench.live.components().collect::<Vec<_>>(), [0]);
        let changes = bench.remove(&[16]);
        assert_eq!(changes.split.len(), 3);
    }
}

#[test]
fn one_insert_creates_and_merges_and_names_no_number_in_between() {
    // A long line that arrives in one step, out of order: its parts have no numbers of their own.
    let points: Vec<(f32, f32)> = (0..40).map(|x| (x as f32, 0.0)).collect();
    let mut bench = plane(&points, 3);
    let changes = bench.insert(&range(0, 40));
    assert_eq!((changes.created, changes.merged.len()), (vec![0], 0));
}

#[test]
fn seed_sets_may_be_empty() {
    // Two apart, one in between them, with three wanted: the newcomer is a core with no core near it.
    let mut bench = plane(&[(0.0, 0.0), (2.0, 0.0), (1.0, 0.0), (9.0, 0.0)], 3);
    assert_eq!(bench.insert(&[0]), Changes::default());
    assert_eq!(bench.insert(&[1, 3]), Changes::default());
    assert_eq!(bench.insert(&[2]).created, [0]);
    // Noise goes, and nothing with it.
    assert_eq!(bench.remove(&[3]), Changes::default());
    // A border goes and takes the only core with it: no core is left to start from.
    let changes = bench.remove(&[0]);
    assert_eq!((changes.rows, changes.vanished), (vec![0, 1, 2], vec![0]));
    // The only core goes itself.
    bench.insert(&[0]);
    let changes = bench.remove(&[2]);
    assert_eq!((changes.rows, changes.vanished), (vec![0, 1, 2], vec![1]));
    assert_eq!(bench.remove(&[2, 3]), Changes::default());
    assert_eq!(bench.insert(&[]), Changes::default());
}

#[test]
fn a_core_two_steps_away_joins_what_the_newcomer_does_not_touch() {
    // Two triples on the left and right of a point that lacks one neighbour to be a core; the newcomer above it touches
    // neither and is no core itself.
    let mut points = vec![(0.0, 0.0), (0.0, 1.0)];
    points.extend([(-1.0, 0.0), (-2.0, 0.0), (-1.9, 0.3), (-1.7, -0.2)]);
    points.extend([(1.0, 0.0), (2.0, 0.0), (1.9, 0.3), (1.7, -0.2)]);
    let mut bench = plane(&points, 4);
    bench.insert(&range(2, 10));
    assert_eq!(bench.live.components().count(), 2);
    bench.insert(&[0]);
    assert_eq!(bench.live.components().count(), 2);
    assert!(!bench.live.is_core(0));
    let changes = bench.insert(&[1]);
    assert!(bench.live.is_core(0) && !bench.live.is_core(1));
    assert_eq!(changes.merged.len(), 1);
    assert_eq!(bench.live.owner(1), Some(0));
    let changes = bench.remove(&[1]);
    assert_eq!(changes.split.len(), 1);
}

#[test]
fn borders_are_given_away_when_their_owner_goes() {
    // The border at the origin is nearer to the left cluster.
    let mut points = vec![(0.0, 0.0)];
    points.extend([(-0.9, 0.0), (-1.8, 0.0), (-1.7, 0.4), (-1.7, -0.4)]);
    points.extend([(1.0, 0.0), (2.0, 0.0), (1.9, 0.4), (1.9, -0.4)]);
    points.push((9.0, 9.0));
    let mut bench = plane(&points, 5);
    bench.insert(&range(0, points.len()));
    let (left, right) = (bench.live.label(1), bench.live.label(5));
    assert!(left.is_some() && right.is_some() && left != right);
    assert_eq!((bench.live.owner(0), bench.live.label(0)), (Some(1), left));
    // The owner ceases to be a core without leaving.
    bench.remove(&[2]);
    assert_eq!((bench.live.owner(0), bench.live.label(0)), (Some(5), right));
    // It is a core again.
    bench.insert(&[2]);
    assert_eq!(bench.live.owner(0), Some(1));
    // It leaves.
    bench.remove(&[1]);
    assert_eq!((bench.live.owner(0), bench.live.label(0)), (Some(5), right));
    bench.remove(&[5]);
    assert_eq!((bench.live.owner(0), bench.live.label(0)), (None, None));
}

#[test]
fn a_long_chain_splits_and_the_largest_piece_is_never_asked() {
    const LENGTH: usize = 1000;
    let rows: Vec<Vec<f32>> = (0..LENGTH)
        .map(|place| {
            let angle = place as f32 * 0.003;
            vec![angle.cos(), angle.sin()]
        })
        .collect();
    // One step is 4.5e-6 apart, two are 1.8e-5.
    let mut bench = Bench::new(Space::of_rows(&rows, 9e-6, true), 2);
    bench.insert(&range(0, LENGTH));
    assert_eq!(bench.live.components().collect::<Vec<_>>(), [0]);
    // The chain, cut ten from its end: one query for the row that goes, ten for the short end.
    let asked = |bench: &mut Bench, rows: &[PointOffset]| {
        let before = bench.space.queries.get();
        let changes = bench.live.remove(rows, &bench.space);
        bench.space.hide(rows, true);
        rows.iter().for_each(|&row| bench.held[row as usize] = false);
        let queries = bench.space.queries.get() - before;
        bench.check();
        (changes, queries)
    };
    let (changes, queries) = asked(&mut bench, &[989]);
    assert_eq!(changes.split.len(), 1);
    assert_eq!(changes.rows, range(989, LENGTH));
    assert_eq!(queries, 1 + 10);
    // In the middle.
    let (changes, queries) = asked(&mut bench, &[400]);
    assert_eq!(changes.split.len(), 1);
    assert_eq!(changes.rows, range(0, 401));
    assert_eq!(queries, 1 + 400);
    // In several places at once, next to each other as well: pieces of 588 are 98, 199, 0, 9 and 276.
    let (changes, queries) = asked(&mut bench, &[500, 700, 701, 711]);
    assert_eq!(changes.split.len(), 3);
    assert_eq!(queries, 4 + 99 + 199 + 9);
    let changes = bench.insert(&[400, 500, 700, 701, 711, 989]);
    assert_eq!(changes.merged.len(), 5);
    assert_eq!(bench.live.components().count(), 1);
}

#[test]
fn a_dense_cluster_is_repaired_with_few_queries() {
    // Equal vectors: the tree is a star, and its hub goes.
    let rows = vec![vec![0.6, 0.8]; 500];
    let mut bench = Bench::new(Space::of_rows(&rows, 0.0, true), 3);
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    bench.insert(&range(0, 500));
    for _ in 0..100 {
        let row = bench.rows(true)[rng.random_range(0..bench.rows(true).len())];
        let before = bench.space.queries.get();
        let changes = bench.live.remove(&[row], &bench.space);
        bench.space.hide(&[row], true);
        bench.held[row as usize] = false;
        assert!(bench.space.queries.get() - before <= 2);
        assert!(changes.split.is_empty());
    }
    bench.check();
}

#[test]
fn everything_goes() {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    for (kind, one_by_one) in [(0, true), (1, true), (2, true), (3, true), (4, true), (2, false), (3, false)]
    {
        let rows = directions(kind, 120, rng);
        let eps = some_distance(&rows, 0.08, rng);
        let mut bench = Bench::new(Space::of_rows(&rows, eps, true), 4);
        let mut order = range(0, 120);
        for _ in 0..2 {
            order.shuffle(rng);
            bench.insert(&order);
            order.shuffle(rng);
            order.chunks(if one_by_one { 1 } else { 120 }).for_each(|rows| drop(bench.remove(rows)));
            assert_eq!(bench.live.counts().rows, 0);
            assert_eq!(bench.live.components().count(), 0);
        }
    }
}

#[test]
fn a_batch_run_is_the_same_clustering() {
    for seed in 0..60 {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let rows = directions((seed % 5) as u8, 100, rng);
        let eps = some_distance(&rows, 0.1, rng);
        let mut bench = Bench::new(Space::of_rows(&rows, eps, true), 2 + (seed % 4) as u32);
        let mut order = range(0, 100);
        order.shuffle(rng);
        bench.insert(&order[..80]);
        bench.rebuild(rng);
        bench.remove(&order[..30]);
        bench.insert(&order[80..]);
    }
}

/// A chain, numbered at random: each call of several steps merges or splits hundreds of components, many of which come
/// and go within the call.
#[test]
fn changes_of_several_steps_are_told_as_one() {
    const LENGTH: usize = 1500;
    let rng = &mut ChaCha8Rng::seed_from_u64(8);
    let mut places = range(0, LENGTH);
    places.shuffle(rng);
    let angles = places.iter().map(|&place| place as f32 * 0.003);
    let rows: Vec<Vec<f32>> = angles.map(|angle| vec![angle.cos(), angle.sin()]).collect();
    let (mut outgrown, mut moved_on) = (0, 0);
    for (eps, min_points) in [(9e-6, 2), (9e-6, 3), (2.5e-5, 3)] {
        let mut bench = Bench::new(Space::of_rows(&rows, eps, true), min_points);
        for _ in 0..12 {
            let mut arriving = bench.rows(false);
            arriving.shuffle(rng);
            arriving.truncate(rng.random_range(1..LENGTH));
            let changes = bench.insert(&arriving);
            outgrown +=
                changes.merged.iter().filter(|merge| changes.created.contains(&merge.survivor)).count();
            let mut leaving = bench.rows(true);
            leaving.shuffle(rng);
            leaving.truncate(rng.random_range(1..LENGTH));
            let changes = bench.remove(&leaving);
            moved_on += changes.split.iter().filter(|split| changes.vanished.contains(&split.from)).count();
        }
    }
    assert!(outgrown > 0 && moved_on > 0, "the cases that the test is for have come up");
}

/// A few thousand points in clusters of uneven density, with noise and duplicates, in batches larger than a step.
#[test]
fn a_large_clustering_stays_exact() {
    const POINTS: usize = 3000;
    const DIM: usize = 16;
    let rng = &mut ChaCha8Rng::seed_from_u64(11);
    let random = |rng: &mut ChaCha8Rng| (0..DIM).map(|_| rng.random_range(-1.0..1.0f32)).collect::<Vec<_>>();
    let centres: Vec<Vec<f32>> = (0..200).map(|_| unit(&random(rng))).collect();
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for _ in 0..POINTS {
        let row = match rng.random_range(0..20) {
            0..2 => unit(&random(rng)),
            2 if !rows.is_empty() => rows[rng.random_range(0..rows.len())].clone(),
            // Bridges between clusters.
            3 => {
                let (a, b) = (rng.random_range(0..200), rng.random_range(0..200));
                let share = rng.random_range(0.0..1.0f32);
                let mixed: Vec<f32> =
                    centres[a].iter().zip(&centres[b]).map(|(a, b)| share * a + (1.0 - share) * b).collect();
                unit(&mixed)
            }
            _ => {
                let centre = rng.random_range(0..200);
                let spread = 0.08 + 0.001 * centre as f32;
                let row: Vec<f32> = centres[centre]
                    .iter()
                    .map(|value| value + spread * rng.random_range(-1.0..1.0f32))
                    .collect();
                unit(&row)
            }
        };
        rows.push(row);
    }
    for (eps, min_points) in [(0.03, 3), (0.1, 5), (0.2, 8)] {
        let mut bench = Bench::new(Space::of_rows(&rows, eps, false), min_points);
        for step in 0..300 {
            let arrives = rng.random_range(0..2000) >= bench.live.counts().rows.min(1800);
            let mut from = bench.rows(!arrives);
            from.shuffle(rng);
            from.truncate(match rng.random_range(0..10) {
                0..6 => 1,
                6..9 => rng.random_range(2..40),
                _ => rng.random_range(40..600),
            });
            if step % 10 == 0 {
                if arrives {
                    bench.insert(&from)
                } else {
                    bench.remove(&from)
                };
            } else if arrives {
                bench.live.insert(&from, &bench.space);
                from.iter().for_each(|&row| bench.held[row as usize] = true);
            } else {
                bench.live.remove(&from, &bench.space);
                from.iter().for_each(|&row| bench.held[row as usize] = false);
            }
            bench.fresh = bench.fresh.max(bench.live.components().max().map_or(0, |last| last + 1));
        }
        bench.check();
        bench.rebuild(rng);
    }
}
