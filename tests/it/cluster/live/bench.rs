//! A live clustering beside its definition.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use culld::cluster::{Changes, Density, EdgeStream, Live, Ranges};
use culld::types::{ImageId, Neighbour, PointOffset, Vectors, cosine_distance};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// All rows that a test may ever insert, with their neighbours.
#[derive(Clone)]
pub(in crate::cluster::live) struct Space {
    pub(in crate::cluster::live) vectors: Vectors,
    pub(in crate::cluster::live) ids: Vec<ImageId>,
    pub(in crate::cluster::live) eps: f32,
    pub(in crate::cluster::live) near: Vec<Vec<Neighbour>>,
    /// Rows that no range query answers with; `None` answers with all rows, held or not.
    pub(in crate::cluster::live) hidden: Option<RefCell<Vec<bool>>>,
    /// Range queries asked for so far.
    pub(in crate::cluster::live) queries: Cell<usize>,
}

impl Space {
    /// `strict` hides the rows that are not held.
    pub(in crate::cluster::live) fn new(vectors: Vectors, ids: Vec<ImageId>, eps: f32, strict: bool) -> Self {
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

    pub(in crate::cluster::live) fn of_rows(rows: &[Vec<f32>], eps: f32, strict: bool) -> Self {
        let mut vectors = Vectors::new(rows[0].len());
        rows.iter().for_each(|row| vectors.push(row).unwrap());
        let ids = (0..rows.len() as u64).map(|row| ImageId::of(&row.to_le_bytes())).collect();
        Self::new(vectors, ids, eps, strict)
    }

    pub(in crate::cluster::live) fn hide(&self, rows: &[PointOffset], hide: bool) {
        if let Some(hidden) = &self.hidden {
            rows.iter().for_each(|&row| hidden.borrow_mut()[row as usize] = hide);
        }
    }

    pub(in crate::cluster::live) fn shows(&self, row: PointOffset) -> bool {
        self.hidden.as_ref().is_none_or(|hidden| !hidden.borrow()[row as usize])
    }

    pub(in crate::cluster::live) fn len(&self) -> usize {
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
pub(in crate::cluster::live) fn oracle(
    space: &Space,
    held: &[bool],
    min_points: u32,
) -> (Vec<bool>, Vec<Option<usize>>) {
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
pub(in crate::cluster::live) struct Bench {
    pub(in crate::cluster::live) space: Space,
    pub(in crate::cluster::live) live: Live,
    pub(in crate::cluster::live) held: Vec<bool>,
    /// The largest component number seen, plus one.
    pub(in crate::cluster::live) fresh: u32,
}

/// The members of each component, and its cores.
pub(in crate::cluster::live) type Components = BTreeMap<u32, (BTreeSet<PointOffset>, BTreeSet<PointOffset>)>;

impl Bench {
    pub(in crate::cluster::live) fn new(space: Space, min_points: u32) -> Self {
        let live = Live::new(Density { eps: space.eps, min_points });
        let held = vec![false; space.len()];
        Self { space, live, held, fresh: 0 }
    }

    pub(in crate::cluster::live) fn labels(&self) -> Vec<Option<u32>> {
        (0..self.space.len() as PointOffset).map(|row| self.live.label(row)).collect()
    }

    pub(in crate::cluster::live) fn components(&self) -> Components {
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
    pub(in crate::cluster::live) fn insert(&mut self, rows: &[PointOffset]) -> Changes {
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
    pub(in crate::cluster::live) fn remove(&mut self, rows: &[PointOffset]) -> Changes {
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
    pub(in crate::cluster::live) fn check(&self) {
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
    pub(in crate::cluster::live) fn check_changes(
        &mut self,
        changes: &Changes,
        labels: &[Option<u32>],
        before: &Components,
    ) {
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
    pub(in crate::cluster::live) fn check_survivors(&self, changes: &Changes, before: &Components) {
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

    pub(in crate::cluster::live) fn rows(&self, held: bool) -> Vec<PointOffset> {
        (0..self.held.len() as PointOffset).filter(|&row| self.held[row as usize] == held).collect()
    }

    /// Moves every row to another offset, and the state through its bytes.
    pub(in crate::cluster::live) fn compact(&mut self, rng: &mut ChaCha8Rng) {
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
    pub(in crate::cluster::live) fn rebuild(&mut self, rng: &mut ChaCha8Rng) {
        let old = self.live.clone();
        self.live = batch(&self.space, &self.held, old.parameters(), rng);
        self.fresh = self.live.components().max().map_or(0, |last| last + 1);
        self.check();
    }
}

/// The batch run on the rows held, with its pairs in any order and either way round.
pub(in crate::cluster::live) fn batch(
    space: &Space,
    held: &[bool],
    density: Density,
    rng: &mut ChaCha8Rng,
) -> Live {
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
