//! Properties of the review's core on made-up images.

use std::collections::HashSet;

use culld::review::{
    Asking, Beliefs, Evidence, Features, Images, Model, Outlook, PRECISION_WEIGHT, Projected, SHOWN_MAX,
    split,
};
use culld::types::{PointOffset, Side, Vectors};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// `n` unit vectors around `blobs` centres, and the centre of each.
fn blobs(n: usize, dim: usize, blobs: usize, seed: u64) -> (Vectors, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = |scale: f32| -> Vec<f32> {
        (0..dim)
            .map(|_| scale * <StandardNormal as Distribution<f32>>::sample(&StandardNormal, &mut rng))
            .collect()
    };
    let centres: Vec<Vec<f32>> = (0..blobs).map(|_| normal(1.0)).collect();
    let mut vectors = Vectors::new(dim);
    for row in 0..n {
        let mut values = normal(0.6);
        values.iter_mut().zip(&centres[row % blobs]).for_each(|(value, centre)| *value += centre);
        let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        vectors.push(&values.iter().map(|v| v / norm).collect::<Vec<_>>()).unwrap();
    }
    (vectors, (0..n).map(|row| row % blobs).collect())
}

struct Scene {
    projected: Projected,
    keys: Vec<u64>,
    seen: Vec<Option<Side>>,
    evidence: Vec<Evidence>,
    items: Vec<Vec<PointOffset>>,
    free: Vec<bool>,
}

/// A review under way: of every ninth image something is known.
fn scene(vectors: &Vectors, blob: &[usize], keys: Vec<u64>) -> Scene {
    let n = vectors.len();
    let mut order: Vec<PointOffset> = (0..n as PointOffset).collect();
    order.sort_by_key(|&row| keys[row as usize]);
    let projected = Features::fit(&vectors.gather(&order), n).project(vectors);
    let side = |row: usize| if blob[row].is_multiple_of(2) { Side::Keep } else { Side::Discard };
    let seen: Vec<Option<Side>> = (0..n).map(|row| keys[row].is_multiple_of(9).then(|| side(row))).collect();
    let evidence = (order.iter())
        .filter(|&&row| keys[row as usize] % 9 < 2)
        .map(|&row| match seen[row as usize] {
            Some(Side::Keep) => Evidence { row, target: 1.0, extra_noise: 0.0 },
            Some(Side::Discard) => Evidence { row, target: -1.0, extra_noise: 0.0 },
            None => Evidence { row, target: 0.0, extra_noise: 0.3 },
        })
        .collect();
    let mut items = vec![Vec::new(); 40];
    (0..n).for_each(|row| items[projected.centroids()[row] as usize].push(row as PointOffset));
    let free = keys.iter().map(|key| key % 5 != 1).collect();
    Scene { projected, keys, seen, evidence, items, free }
}

impl Scene {
    fn images(&self) -> Images<'_> {
        Images { projected: &self.projected, keys: &self.keys, seen: &self.seen }
    }

    fn judged(&self) -> (Beliefs, Outlook) {
        let model = Model::fit(&self.projected, &self.evidence, 12);
        let beliefs = Beliefs::new(&self.images(), model.predict(&self.projected), PRECISION_WEIGHT);
        let keep: Vec<bool> = (0..self.keys.len()).map(|row| beliefs.keeps(row as PointOffset)).collect();
        let outlook = Outlook::new(&Asking {
            images: self.images(),
            model: &model,
            beliefs: &beliefs,
            keep: &keep,
            items: &self.items,
            free: &self.free,
            judgements: 12,
        });
        (beliefs, outlook)
    }
}

fn keys(n: usize) -> Vec<u64> {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    (0..n).map(|_| rng.random()).collect()
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (vectors, blob) = blobs(700, 96, 6, 1);
    let result = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let scene = scene(&vectors, &blob, keys(700));
            (scene.projected.clone(), scene.judged())
        })
    };
    assert_eq!(result(1), result(2));
}

#[test]
fn the_result_does_not_depend_on_row_numbers() {
    let (vectors, blob) = blobs(600, 64, 5, 2);
    let first = scene(&vectors, &blob, keys(600));
    let order: Vec<PointOffset> = (0..600).map(|row| (row * 7 + 13) % 600).collect();
    let moved_keys = order.iter().map(|&row| first.keys[row as usize]).collect();
    let moved_blob: Vec<usize> = order.iter().map(|&row| blob[row as usize]).collect();
    let second = scene(&vectors.gather(&order), &moved_blob, moved_keys);
    assert_eq!(first.projected.gather(&order), second.projected);
    let ((beliefs, outlook), (moved, moved_outlook)) = (first.judged(), second.judged());
    assert_eq!(beliefs.threshold(), moved.threshold());
    for (at, &row) in order.iter().enumerate() {
        assert_eq!(beliefs.keep_probability()[row as usize], moved.keep_probability()[at]);
    }
    assert_eq!(outlook.estimate, moved_outlook.estimate);
    assert_eq!(outlook.questions.len(), moved_outlook.questions.len());
    let back = |rows: &[PointOffset]| rows.iter().map(|&row| order[row as usize]).collect::<Vec<_>>();
    for (a, b) in outlook.questions.iter().zip(&moved_outlook.questions) {
        assert_eq!((&a.members, &a.shown, a.gain), (&back(&b.members), &back(&b.shown), b.gain));
    }
}

#[test]
fn rows_are_projected_and_predicted_alike_alone_and_together() {
    let (vectors, blob) = blobs(300, 48, 4, 3);
    let features = Features::fit(&vectors, 300);
    let all = features.project(&vectors);
    let some: Vec<PointOffset> = vec![0, 17, 131, 299];
    assert_eq!(features.project(&vectors.gather(&some)), all.gather(&some));
    let mut grown = features.project(&vectors.gather(&[5]));
    grown.append(features.project(&vectors.gather(&[6, 7])));
    assert_eq!(grown, all.gather(&[5, 6, 7]));
    let scene = scene(&vectors, &blob, keys(300));
    let model = Model::fit(&scene.projected, &scene.evidence, 5);
    let keep = model.predict(&scene.projected);
    assert_eq!(
        model.predict(&scene.projected.gather(&some)),
        some.iter().map(|&r| keep[r as usize]).collect::<Vec<_>>()
    );
}

#[test]
fn what_was_judged_is_learned() {
    let (vectors, blob) = blobs(800, 96, 6, 4);
    let scene = scene(&vectors, &blob, keys(800));
    let (beliefs, outlook) = scene.judged();
    assert!(beliefs.keep_probability().iter().all(|p| (0.0..=1.0).contains(p)));
    let right = (0..800u32).filter(|&row| beliefs.keeps(row) == blob[row as usize].is_multiple_of(2)).count();
    assert!(right >= 790, "{right} of 800");
    let estimate = outlook.estimate;
    assert!(
        0.0 <= estimate.low
            && estimate.low <= estimate.mid
            && estimate.mid <= estimate.high
            && estimate.high <= 1.0
    );
    assert!(estimate.mid > 0.9);
}

#[test]
fn the_threshold_maximises_the_expected_metric() {
    let (vectors, blob) = blobs(200, 32, 7, 5);
    for seed in 0..20 {
        let scene = scene(&vectors, &blob, keys(200));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let predicted: Vec<f32> = (0..200).map(|_| rng.random::<f32>().powi(1 + seed as i32 % 4)).collect();
        let weight = [0.0, 0.3, 0.5, 1.0][seed as usize % 4];
        let beliefs = Beliefs::new(&scene.images(), predicted, weight);
        let p: Vec<f64> = beliefs.keep_probability().iter().map(|&p| f64::from(p)).collect();
        let metric = |threshold: f64| {
            let kept: Vec<f64> = p.iter().copied().filter(|&p| p >= threshold).collect();
            let sum: f64 = kept.iter().sum();
            weight * sum / kept.len().max(1) as f64 + (1.0 - weight) * sum / p.iter().sum::<f64>()
        };
        let best = p.iter().map(|&t| metric(t)).fold(0.0, f64::max);
        assert!((metric(beliefs.threshold()) - best).abs() < 1e-9, "{} {best}", metric(beliefs.threshold()));
        assert!((beliefs.expected_metric() - best).abs() < 1e-9);
    }
}

#[test]
fn questions_show_nine_members_and_boundary_groups_are_free() {
    let (vectors, blob) = blobs(900, 64, 5, 6);
    let scene = scene(&vectors, &blob, keys(900));
    let (_, outlook) = scene.judged();
    assert!(outlook.questions.is_sorted_by(|a, b| a.gain >= b.gain));
    assert!(outlook.questions.iter().any(|question| question.boundary));
    for question in &outlook.questions {
        let members: HashSet<_> = question.members.iter().collect();
        let shown: HashSet<_> = question.shown.iter().collect();
        assert_eq!(question.shown.len(), question.members.len().min(SHOWN_MAX));
        assert_eq!(shown.len(), question.shown.len());
        assert!(shown.is_subset(&members));
        assert!(question.gain >= 0.0);
        if question.boundary {
            let free = |row: &PointOffset| scene.free[*row as usize] && scene.seen[*row as usize].is_none();
            assert!(question.members.iter().all(free));
        }
    }
}

#[test]
fn parts_are_never_empty() {
    let (vectors, blob) = blobs(60, 32, 2, 8);
    let scene = scene(&vectors, &blob, keys(60));
    let same = Vectors::from_rows(32, vectors.row(0).repeat(60));
    let equal = Features::fit(&same, 60).project(&same);
    let equal = Images { projected: &equal, ..scene.images() };
    for images in [scene.images(), equal] {
        for count in 2..60 {
            let members: Vec<PointOffset> = (0..count).collect();
            let [a, b] = split(&images, &members);
            assert!(!a.is_empty() && !b.is_empty());
            let all: HashSet<_> = a.iter().chain(&b).copied().collect();
            assert_eq!((all.len(), a.len() + b.len()), (count as usize, count as usize));
        }
    }
    assert_eq!(split(&scene.images(), &[]), [Vec::<PointOffset>::new(), Vec::new()]);
    assert_eq!(split(&scene.images(), &[3, 3, 900]), [vec![3], Vec::new()]);
}

#[test]
fn a_wish_in_two_blobs_parts_along_them() {
    let (vectors, blob) = blobs(80, 64, 2, 9);
    let scene = scene(&vectors, &blob, keys(80));
    let parts = split(&scene.images(), &(0..80).collect::<Vec<_>>());
    for part in parts {
        assert!(part.iter().all(|&row| blob[row as usize] == blob[part[0] as usize]));
    }
}

#[test]
fn any_input_is_answered() {
    let line: Vec<f32> = (0..12).map(|i| if i % 4 == 0 { 1.0 } else { 0.0 }).collect();
    let sets = [
        Vectors::new(16),
        Vectors::from_rows(4, line[..4].to_vec()),
        Vectors::from_rows(4, line),
        Vectors::from_rows(1, vec![1.0; 30]),
        Vectors::from_rows(2, vec![1.0, 0.0, 0.0, 1.0]),
        Vectors::from_rows(1280, vec![0.0; 1280 * 20]),
        Vectors::from_rows(8, vec![f32::NAN; 8 * 20]),
        Vectors::from_rows(8, vec![f32::INFINITY; 8 * 20]),
        Vectors::from_rows(8, vec![1e38; 8 * 140]),
        blobs(3, 5, 3, 10).0,
        blobs(150, 5, 3, 11).0,
    ];
    for vectors in &sets {
        let n = vectors.len();
        let features = Features::fit(vectors, n);
        let projected = features.project(vectors);
        assert_eq!(projected.len(), n);
        assert_eq!(features.project(&Vectors::from_rows(3, vec![1.0; 6])).len(), 2);
        let evidence = [
            Evidence { row: 0, target: 1.0, extra_noise: 0.0 },
            Evidence { row: 0, target: -1.0, extra_noise: f32::NAN },
            Evidence { row: 1, target: f32::NAN, extra_noise: -1.0 },
            Evidence { row: 2, target: 1e30, extra_noise: f32::INFINITY },
            Evidence { row: 7_000, target: 1.0, extra_noise: 0.0 },
        ];
        for (evidence, judgements) in [(&evidence[..], 1), (&[], 0), (&evidence[..1], usize::MAX)] {
            let model = Model::fit(&projected, evidence, judgements);
            let images = Images { projected: &projected, keys: &[7, 7], seen: &[Some(Side::Keep)] };
            let beliefs = Beliefs::new(&images, model.predict(&projected), PRECISION_WEIGHT);
            assert_eq!(beliefs.keep_probability().len(), n);
            assert!(beliefs.keep_probability().iter().all(|p| (0.0..=1.0).contains(p)));
            let items = [vec![], vec![0, 0, 1, 5_000], (0..n as PointOffset).collect()];
            let outlook = Outlook::new(&Asking {
                images,
                model: &model,
                beliefs: &beliefs,
                keep: &[true],
                items: &items,
                free: &vec![true; n],
                judgements,
            });
            assert_eq!(outlook.questions.is_empty(), n == 0);
            for question in &outlook.questions {
                let shown: HashSet<_> = question.shown.iter().collect();
                assert_eq!(shown.len(), question.members.len().min(SHOWN_MAX));
            }
        }
    }
}
