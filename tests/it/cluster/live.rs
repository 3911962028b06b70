//! The live DBSCAN against its definition, after every step.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use culld::cluster::{Changes, Density, EdgeStream, Live, Ranges};
use culld::types::{ImageId, Neighbour, PointOffset, Vectors, cosine_distance};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// All rows that a test may ever insert, with their neighbours.
#[derive(Clone)]
struct Space {
    vectors: Vectors,
    ids: Vec<ImageId>,
    eps: f32,
    near: Vec<Vec<Neighbour>>,
    /// Rows that no range query answers with; `None` answers with all rows, held or not.
    hidden: Option<RefCell<Vec<bool>>>,
    /// Range queries asked for so far.
    queries: Cell<usize>,
}

impl Space {
    /// `strict` hides the rows that are not held.
    fn new(vectors: Vectors, ids: Vec<ImageId>, eps: f32, strict: bool) -> Self {
        let n = vectors.len();
        let mut near = vec![Vec::new(); n];
        for (a, near) in near.iter_mut().enumerate() {
            for b in (0..n).filter(|&b| b != a) {
                let distance = cosine_distance(vectors.row(a), vectors.row(b));
                if distance <= eps {
                    near.push(Neighbour { offset: b as PointOffset, distance });
                }
            }
        }
        let hidden = strict.then(|| RefCell::new(vec![true; n]));
        Self { vectors, ids, eps, near, hidden, queries: Cell::new(0) }
    }

    fn of_rows(rows: &[Vec<f32>], eps: f32, strict: bool) -> Self {
        let mut vectors = Vectors::new(rows[0].len());
        rows.iter().for_each(|row| vectors.push(row).unwrap());
        let ids = (0..rows.len() as u64).map(|row| ImageId::of(&row.to_le_bytes())).collect();
        Self::new(vectors, ids, eps, strict)
    }

    fn hide(&self, rows: &[PointOffset], hide: bool) {
        if let Some(hidden) = &self.hidden {
            rows.iter().for_each(|&row| hidden.borrow_mut()[row as usize] = hide);
        }
    }

    fn shows(&self, row: PointOffset) -> bool {
        self.hidden.as_ref().is_none_or(|hidden| !hidden.borrow()[row as usize])
    }

    fn len(&self) -> usize {
        self.vectors.len()
    }
}

impl Ranges for Space {
    fn within(
        &self,
        eps: f32,
        queries: &[PointOffset],
        among: Option<&[PointOffset]>,
    ) -> Vec<Vec<Neighbour>> {
        assert_eq!(eps, self.eps);
        self.queries.set(self.queries.get() + queries.len());
        let among = among.map(|among| among.iter().copied().collect::<BTreeSet<PointOffset>>());
        let answers = |&query: &PointOffset| {
            let near = self.near[query as usize].iter().copied();
            near.filter(|near| {
                self.shows(near.offset) && among.as_ref().is_none_or(|among| among.contains(&near.offset))
            })
            .collect()
        };
        queries.iter().map(answers).collect()
    }

    fn distance(&self, a: PointOffset, b: PointOffset) -> f32 {
        cosine_distance(self.vectors.row(a as usize), self.vectors.row(b as usize))
    }

    fn id(&self, row: PointOffset) -> ImageId {
        self.ids[row as usize]
    }
}

/// DBSCAN as it is defined, on the rows that are held: for each row its core flag and a row that names its cluster.
fn oracle(space: &Space, held: &[bool], min_points: u32) -> (Vec<bool>, Vec<Option<usize>>) {
    let near = |a: usize| space.near[a].iter().filter(|near| held[near.offset as usize]);
    let n = space.len();
    let core: Vec<bool> = (0..n).map(|a| held[a] && near(a).count() + 1 >= min_points as usize).collect();
    let mut cluster: Vec<Option<usize>> = vec![None; n];
    for start in (0..n).filter(|&a| core[a]) {
        let mut open = vec![start];
        while let Some(a) = open.pop() {
            if cluster[a].is_none() {
                cluster[a] = Some(start);
                open.extend(near(a).map(|near| near.offset as usize).filter(|&b| core[b]));
            }
        }
    }
    for border in (0..n).filter(|&a| held[a] && !core[a]) {
        let cores = near(border).filter(|near| core[near.offset as usize]);
        let nearest = cores.min_by(|a, b| {
            a.distance.total_cmp(&b.distance).then_with(|| space.id(a.offset).cmp(&space.id(b.offset)))
        });
        cluster[border] = nearest.and_then(|core| cluster[core.offset as usize]);
    }
    (core, cluster)
}

/// A live clustering, and what it should be.
struct Bench {
    space: Space,
    live: Live,
    held: Vec<bool>,
    /// The largest component number seen, plus one.
    fresh: u32,
}

/// The members of each component, and its cores.
type Components = BTreeMap<u32, (BTreeSet<PointOffset>, BTreeSet<PointOffset>)>;

impl Bench {
    fn new(space: Space, min_points: u32) -> Self {
        let live = Live::new(Density { eps: space.eps, min_points });
        let held = vec![false; space.len()];
        Self { space, live, held, fresh: 0 }
    }

    fn labels(&self) -> Vec<Option<u32>> {
        (0..self.space.len() as PointOffset).map(|row| self.live.label(row)).collect()
    }

    fn components(&self) -> Components {
        let members = |number| self.live.members(number).collect::<BTreeSet<PointOffset>>();
        let cores = |members: &BTreeSet<PointOffset>| {
            members.iter().copied().filter(|&row| self.live.is_core(row)).collect::<BTreeSet<PointOffset>>()
        };
        let entry = |number| {
            let members = members(number);
            assert_eq!(self.live.size(number), members.len());
            (number, (members.clone(), cores(&members)))
        };
        self.live.components().map(entry).collect()
    }

    #[track_caller]
    fn insert(&mut self, rows: &[PointOffset]) -> Changes {
        let (labels, before) = (self.labels(), self.components());
        self.space.hide(rows, false);
        let changes = self.live.insert(rows, &self.space);
        rows.iter().for_each(|&row| self.held[row as usize] = true);
        assert!(changes.split.is_empty() && changes.vanished.is_empty());
        self.check_changes(&changes, &labels, &before);
        self.check();
        changes
    }

    #[track_caller]
    fn remove(&mut self, rows: &[PointOffset]) -> Changes {
        let (labels, before) = (self.labels(), self.components());
        self.space.hide(rows, true);
        let changes = self.live.remove(rows, &self.space);
        rows.iter().for_each(|&row| self.held[row as usize] = false);
        assert!(changes.created.is_empty() && changes.merged.is_empty());
        self.check_changes(&changes, &labels, &before);
        self.check();
        changes
    }

    /// The labels are those of the definition, up to the names of the clusters.
    #[track_caller]
    fn check(&self) {
        let (core, cluster) = oracle(&self.space, &self.held, self.live.parameters().min_points);
        let (mut names, mut back) = (HashMap::new(), HashMap::new());
        for row in 0..self.space.len() {
            let label = self.live.label(row as PointOffset);
            assert_eq!(self.live.holds(row as PointOffset), self.held[row], "row {row}");
            assert_eq!(self.live.is_core(row as PointOffset), core[row], "row {row}");
            assert_eq!(label.is_some(), cluster[row].is_some(), "row {row}");
            if let (Some(label), Some(cluster)) = (label, cluster[row]) {
                assert_eq!(*names.entry(label).or_insert(cluster), cluster, "row {row}");
                assert_eq!(*back.entry(cluster).or_insert(label), label, "row {row}");
            }
        }
        assert_eq!(self.live.components().count(), names.len());
        let counts = self.live.counts();
        assert_eq!(counts.rows, self.held.iter().filter(|&&held| held).count());
        assert_eq!(counts.cores, core.iter().filter(|&&core| core).count());
        assert_eq!(counts.cores + counts.borders, cluster.iter().flatten().count());
        assert_eq!(counts.noise() + counts.cores + counts.borders, counts.rows);
        self.live.check(&self.space).unwrap();
    }

    /// What was told of a change is the difference of before and after.
    #[track_caller]
    fn check_changes(&mut self, changes: &Changes, labels: &[Option<u32>], before: &Components) {
        let (now, after) = (self.labels(), self.components());
        let changed = (0..labels.len()).filter(|&row| labels[row] != now[row]).map(|row| row as PointOffset);
        assert_eq!(changes.rows, changed.collect::<Vec<_>>());
        let sorted = |mut numbers: Vec<u32>| {
            numbers.sort_unstable();
            numbers
        };
        let came = after.keys().copied().filter(|number| !before.contains_key(number)).collect::<Vec<_>>();
        let went = before.keys().copied().filter(|number| !after.contains_key(number)).collect::<Vec<_>>();
        let new = changes.created.iter().copied().chain(changes.split.iter().map(|split| split.new));
        let gone = changes.vanished.iter().copied().chain(changes.merged.iter().map(|merge| merge.absorbed));
        assert_eq!(sorted(new.collect()), came);
        assert_eq!(sorted(gone.collect()), went);
        assert!(came.iter().all(|&number| number >= self.fresh), "a number was given out again");
        self.fresh = self.fresh.max(came.last().map_or(0, |&number| number + 1));
        for merge in &changes.merged {
            assert!(before[&merge.absorbed].1.is_subset(&after[&merge.survivor].1));
        }
        for split in &changes.split {
            assert!(after[&split.new].1.is_subset(&before[&split.from].1));
        }
        for vanished in &changes.vanished {
            let cores = &before[vanished].1;
            let heirs = changes.split.iter().filter(|split| split.from == *vanished);
            let inherited: BTreeSet<_> = heirs.flat_map(|heir| after[&heir.new].1.clone()).collect();
            assert!(cores.iter().all(|core| inherited.contains(core) || !self.live.is_core(*core)));
        }
    }

    /// The largest keeps its number; only for what happened in one step.
    #[track_caller]
    fn check_survivors(&self, changes: &Changes, before: &Components) {
        let after = self.components();
        for merge in &changes.merged {
            let rank = |number: u32| (before[&number].0.len(), std::cmp::Reverse(number));
            assert!(rank(merge.survivor) > rank(merge.absorbed));
        }
        for split in &changes.split {
            let smallest = |number: u32| after[&number].1.iter().map(|&core| self.space.id(core)).min();
            let rank = |number: u32| (after[&number].1.len(), std::cmp::Reverse(smallest(number)));
            assert!(rank(split.from) > rank(split.new));
        }
    }

    fn rows(&self, held: bool) -> Vec<PointOffset> {
        (0..self.held.len() as PointOffset).filter(|&row| self.held[row as usize] == held).collect()
    }

    /// Moves every row to another offset, and the state through its bytes.
    fn compact(&mut self, rng: &mut ChaCha8Rng) {
        let n = self.space.len();
        // Old row of each new offset, and the reverse.
        let mut old_of: Vec<PointOffset> = (0..n as PointOffset).collect();
        old_of.shuffle(rng);
        let mut new_of = vec![0; n];
        old_of.iter().zip(0..).for_each(|(&old, new)| new_of[old as usize] = new);
        let labels = self.labels();
        self.live.compact(|row| new_of[row as usize]);
        let ids = old_of.iter().map(|&old| self.space.ids[old as usize]).collect();
        let strict = self.space.hidden.is_some();
        self.space = Space::new(self.space.vectors.gather(&old_of), ids, self.space.eps, strict);
        self.held = old_of.iter().map(|&old| self.held[old as usize]).collect();
        self.space.hide(&self.rows(true), false);
        assert_eq!(self.labels(), old_of.iter().map(|&old| labels[old as usize]).collect::<Vec<_>>());
        let bytes = postcard::to_stdvec(&self.live).unwrap();
        let read: Live = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(read, self.live);
        self.live = read;
        self.check();
    }

    /// Starts again from a batch run.
    fn rebuild(&mut self, rng: &mut ChaCha8Rng) {
        let old = self.live.clone();
        self.live = batch(&self.space, &self.held, old.parameters(), rng);
        self.fresh = self.live.components().max().map_or(0, |last| last + 1);
        self.check();
    }
}

/// The batch run on the rows held, with its pairs in any order and either way round.
fn batch(space: &Space, held: &[bool], density: Density, rng: &mut ChaCha8Rng) -> Live {
    let mut pairs = Vec::new();
    for (a, near) in space.near.iter().enumerate().filter(|&(a, _)| held[a]) {
        for b in near.iter().map(|near| near.offset as usize).filter(|&b| b < a && held[b]) {
            let (a, b) = (a as PointOffset, b as PointOffset);
            pairs.push(if rng.random() { (a, b) } else { (b, a) });
        }
    }
    pairs.shuffle(rng);
    let mut stream = EdgeStream::new(density, space.len());
    (0..held.len()).filter(|&row| !held[row]).for_each(|row| stream.leave_out(row as PointOffset));
    pairs.into_iter().for_each(|(a, b)| stream.edge(a, b));
    stream.finish(space)
}

fn unit(values: &[f32]) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / length).collect()
}

/// Directions of which many are equal, equally far apart or in line.
fn directions(kind: u8, points: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    let dim = [2, 3, 8][rng.random_range(0..3)];
    let grid = |span: i32, rng: &mut ChaCha8Rng| loop {
        let row: Vec<f32> = (0..dim).map(|_| rng.random_range(-span..=span) as f32).collect();
        if row.iter().any(|&value| value != 0.0) {
            return unit(&row);
        }
    };
    let one = |rng: &mut ChaCha8Rng| match kind {
        0 => grid(1, rng),
        1 => grid(3, rng),
        2 => {
            let angle = rng.random_range(0..40) as f32 * 0.02;
            vec![angle.cos(), angle.sin()]
        }
        // A tangent plane's grid: dense, with chains and holes.
        3 => {
            let (x, y) = (rng.random_range(0..8) as f32, rng.random_range(0..8) as f32);
            unit(&[0.02 * x, 0.02 * y, 1.0])
        }
        // Blobs around a few axes.
        _ => {
            let axis = rng.random_range(0..dim.min(4));
            let value = |i: usize, rng: &mut ChaCha8Rng| {
                f32::from(u8::from(i == axis)) + rng.random_range(-0.15..0.15f32)
            };
            unit(&(0..dim).map(|i| value(i, rng)).collect::<Vec<_>>())
        }
    };
    (0..points).map(|_| one(rng)).collect()
}

/// An eps that is the distance of some pair, one of the smaller ones.
fn some_distance(rows: &[Vec<f32>], share: f64, rng: &mut ChaCha8Rng) -> f32 {
    let mut distances: Vec<f32> =
        (0..rows.len()).flat_map(|a| (0..a).map(move |b| cosine_distance(&rows[a], &rows[b]))).collect();
    distances.sort_by(f32::total_cmp);
    distances[rng.random_range(0..=(share * (distances.len() - 1) as f64) as usize)]
}

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

fn follow(seed: u64, kind: u8, points: usize, min_points: u32, strict: bool, steps: &[Step]) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let rows = directions(kind, points, rng);
    let share = [0.05, 0.1, 0.2, 0.4][rng.random_range(0..4)];
    let eps = some_distance(&rows, share, rng);
    let mut bench = Bench::new(Space::of_rows(&rows, eps, strict), min_points);
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
        follow(seed, kind, points, min_points, strict, &steps);
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
