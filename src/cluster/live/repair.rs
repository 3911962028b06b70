//! What is left of a component whose tree has lost cores: which of the pieces still touch.
//!
//! The pieces are walked in lockstep, link by link, until one is left: it is the *rest*, never walked to its end, so
//! the walk costs no more than all the other pieces do. Then the others ask, smallest first, which cores outside of
//! them are near, until they have joined the rest or have asked for all their cores. One that has is a component of its
//! own: two pieces that touch do so from both sides, so the rest need not ask at all.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::super::mst::UnionFind;
use super::changes::{Journal, Split};
use super::{Live, Ranges, by_distance};
use crate::types::{Neighbour, PointOffset};

/// The most cores that one group asks for at once.
const BATCH_MAX: usize = 256;

/// From this many queries on it pays to leave the asking group out of what is looked at: in a dense group the answers
/// would be mostly itself.
const BATCH_WORTH_FILTER: usize = 16;

/// One piece, or several that were found to touch.
struct Group {
    /// Its cores, as far as they were walked; the walk begins at the hole, so the first are the nearest to it.
    cores: Vec<PointOffset>,
    /// Cores to walk on from, each with the number of its links that were followed.
    open: VecDeque<(PointOffset, usize)>,
    /// Cores that were not asked for.
    unasked: VecDeque<PointOffset>,
    /// How many cores it asks for next.
    batch: usize,
}

/// The groups by the number of the seed that stands for them.
struct Pieces {
    sets: UnionFind,
    groups: Vec<Group>,
    /// The seed whose walk came by a core.
    seed_of: HashMap<PointOffset, u32>,
}

impl Live {
    /// Finds out what has become of a component whose tree has fallen apart; every piece has one of the `seeds`.
    pub(super) fn repair(
        &mut self,
        component: u32,
        mut seeds: Vec<PointOffset>,
        ranges: &dyn Ranges,
        journal: &mut Journal,
    ) {
        seeds.sort_unstable();
        seeds.dedup();
        match seeds.len() {
            0 => {
                self.components.remove(&component);
                journal.vanished.push(component);
            }
            1 => {}
            _ => {
                let mut pieces = Pieces::new(&seeds);
                let rest = pieces.walk(self);
                pieces.reconnect(rest, self, component, ranges);
                for cores in pieces.split(rest, &self.components[&component].cores, ranges) {
                    let new = self.create();
                    for core in cores {
                        journal.note_core(self, core);
                        self.discharge(core);
                        self.enrol(core, new);
                    }
                    journal.split.push(Split { from: component, new });
                }
            }
        }
    }
}

impl Pieces {
    fn new(seeds: &[PointOffset]) -> Self {
        let group = |&seed: &PointOffset| Group {
            cores: vec![seed],
            open: VecDeque::from([(seed, 0)]),
            unasked: VecDeque::new(),
            batch: 1,
        };
        Self {
            sets: UnionFind::new(seeds.len()),
            groups: seeds.iter().map(group).collect(),
            seed_of: seeds.iter().copied().zip(0..).collect(),
        }
    }

    /// Whether the seed still stands for its group.
    fn stands(&mut self, seed: u32) -> bool {
        self.sets.find(seed) == seed
    }

    fn group(&mut self, seed: u32) -> &mut Group {
        let root = self.sets.find(seed) as usize;
        &mut self.groups[root]
    }

    /// The seed that stands for the group of a core. The rest has all the cores that no walk came by.
    fn group_of(&mut self, core: PointOffset, rest: u32) -> u32 {
        let seed = self.seed_of.get(&core).copied().unwrap_or(rest);
        self.sets.find(seed)
    }

    /// Unites two groups, moving the smaller lists.
    fn unite(&mut self, a: u32, b: u32) {
        let (a, b) = (self.sets.find(a), self.sets.find(b));
        let Some(root) = self.sets.union(a, b) else {
            return;
        };
        let (root, child) = (root as usize, if root == a { b } else { a } as usize);
        if self.groups[root].cores.len() < self.groups[child].cores.len() {
            self.groups.swap(root, child);
        }
        let Group { cores, open, unasked, batch } = &mut self.groups[child];
        let (cores, open, unasked) = (std::mem::take(cores), std::mem::take(open), std::mem::take(unasked));
        let batch = *batch;
        let into = &mut self.groups[root];
        into.cores.extend(cores);
        into.open.extend(open);
        into.unasked.extend(unasked);
        into.batch = into.batch.max(batch);
    }

    /// Walks all pieces until at most one is left unfinished, and returns that one; a piece that several seeds lie in
    /// becomes one group. When the last ones finish together, the largest is the rest.
    fn walk(&mut self, live: &Live) -> u32 {
        let mut walking: Vec<u32> = (0..self.groups.len() as u32).collect();
        while walking.len() > 1 {
            for &seed in &walking {
                self.follow_link(seed, live);
            }
            walking.retain(|&seed| self.stands(seed) && !self.group(seed).open.is_empty());
        }
        let roots = (0..self.groups.len() as u32).filter(|&seed| self.sets.find(seed) == seed);
        let largest = roots.max_by_key(|&seed| self.groups[seed as usize].cores.len());
        walking.first().copied().or(largest).unwrap_or_default()
    }

    /// Follows one link from a group.
    fn follow_link(&mut self, seed: u32, live: &Live) {
        let group = self.group(seed);
        let Some((core, followed)) = group.open.front_mut() else {
            return;
        };
        let links = live.core(*core).map_or(&[][..], |core| &core.links);
        let Some(&next) = links.get(*followed) else {
            group.open.pop_front();
            return;
        };
        *followed += 1;
        if !live.is_core(next) {
            return;
        }
        if let Some(other) = self.seed_of.get(&next).copied() {
            self.unite(seed, other);
        } else {
            self.seed_of.insert(next, seed);
            let group = self.group(seed);
            group.cores.push(next);
            group.open.push_back((next, 0));
        }
    }

    /// Asks from all groups but the rest, and links those that touch.
    fn reconnect(&mut self, rest: u32, live: &mut Live, component: u32, ranges: &dyn Ranges) {
        // The smallest first, by cores.
        let mut asking = BTreeSet::new();
        for seed in 0..self.groups.len() as u32 {
            if self.stands(seed) && self.sets.find(rest) != seed {
                let group = self.group(seed);
                group.unasked = group.cores.iter().copied().collect();
                asking.insert((group.cores.len(), seed));
            }
        }
        while let Some((_, seed)) = asking.pop_first() {
            let group = self.group(seed);
            let batch = group.batch.min(group.unasked.len());
            group.batch = (4 * group.batch).min(BATCH_MAX);
            let queries: Vec<PointOffset> = group.unasked.drain(..batch).collect();
            let cores = live.components.get(&component).map_or(&[][..], |component| &component.cores);
            let near = if batch < BATCH_WORTH_FILTER {
                live.within(&queries, Some(cores), ranges)
            } else {
                let outside = |core: &PointOffset| self.group_of(*core, rest) != self.sets.find(seed);
                let others: Vec<PointOffset> = cores.iter().copied().filter(outside).collect();
                live.within(&queries, Some(&others), ranges)
            };
            for (query, mut near) in queries.into_iter().zip(near) {
                near.retain(|near| self.group_of(near.offset, rest) != self.sets.find(seed));
                near.sort_by(|a, b| by_distance(*a, *b, ranges));
                for Neighbour { offset: other, .. } in near {
                    let touched = self.group_of(other, rest);
                    if touched != self.sets.find(seed) {
                        asking.remove(&(self.group(touched).cores.len(), touched));
                        self.unite(seed, touched);
                        live.link(query, other);
                    }
                }
            }
            let seed = self.sets.find(seed);
            if seed != self.sets.find(rest) && !self.group(seed).unasked.is_empty() {
                asking.insert((self.group(seed).cores.len(), seed));
            }
        }
    }

    /// The cores of each group that leaves the component, which has all these `cores`.
    fn split(mut self, rest: u32, cores: &[PointOffset], ranges: &dyn Ranges) -> Vec<Vec<PointOffset>> {
        let rest = self.sets.find(rest);
        let mut roots: Vec<u32> = (0..self.groups.len() as u32).filter(|&seed| self.stands(seed)).collect();
        if roots.len() == 1 {
            return Vec::new();
        }
        let walked: usize = roots.iter().filter(|&&seed| seed != rest).map(|&seed| self.size(seed)).sum();
        let size = |seed: u32, pieces: &Self| {
            if seed == rest { cores.len() - walked } else { pieces.size(seed) }
        };
        let most = roots.iter().map(|&seed| size(seed, &self)).max().unwrap_or_default();
        let largest: BTreeSet<u32> =
            roots.iter().copied().filter(|&seed| size(seed, &self) == most).collect();
        let keeper = if largest.len() == 1 {
            largest.first().copied()
        } else {
            // They are of one size, so looking at all cores costs no more than walking the small ones did.
            let ids = cores.iter().map(|&core| (ranges.id(core), self.group_of(core, rest)));
            ids.filter(|(_, seed)| largest.contains(seed)).min().map(|(_, seed)| seed)
        };
        roots.retain(|&seed| Some(seed) != keeper);
        let leaving = |seed: u32| {
            if seed == rest {
                cores.iter().copied().filter(|&core| self.group_of(core, rest) == rest).collect()
            } else {
                std::mem::take(&mut self.groups[seed as usize].cores)
            }
        };
        roots.into_iter().map(leaving).collect()
    }

    fn size(&self, seed: u32) -> usize {
        self.groups[seed as usize].cores.len()
    }
}
