//! Arrivals: lists and counts grow, rows become cores, cores join components.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::super::mst::UnionFind;
use super::changes::{Changes, Journal, Merge};
use super::{Core, Live, Loose, Ranges, Row, STEP_ROWS, by_distance};
use crate::types::{Neighbour, PointOffset};

/// A row that has just become a core.
struct Promoted {
    row: PointOffset,
    /// The component that it was a border of.
    was_in: Option<u32>,
    /// All its neighbours.
    near: Vec<PointOffset>,
}

/// The nearest core that a new core has in one component.
struct Touch {
    component: u32,
    core: Neighbour,
}

impl Live {
    /// Takes in rows: one range query for each. Rows that are held already are passed over.
    pub fn insert(&mut self, rows: &[PointOffset], ranges: &dyn Ranges) -> Changes {
        let mut rows: Vec<PointOffset> = rows.iter().copied().filter(|&row| !self.holds(row)).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut journal = Journal::new(self);
        for step in rows.chunks(STEP_ROWS) {
            let near = self.within(step, None, ranges);
            let mut touched = self.list(step, near, &mut journal);
            let promoted = self.promote(&touched, &mut journal);
            self.join(&promoted, ranges, &mut journal);
            touched.extend(promoted.into_iter().flat_map(|promoted| promoted.near));
            self.settle(touched, ranges, &mut journal);
        }
        journal.finish(self)
    }

    /// Lists the new rows as neighbours; returns all that are no cores yet and whose lists grew.
    fn list(
        &mut self,
        new: &[PointOffset],
        near: Vec<Vec<Neighbour>>,
        journal: &mut Journal,
    ) -> Vec<PointOffset> {
        let end = new.iter().max().map_or(0, |&row| row as usize + 1);
        if self.rows.len() < end {
            self.rows.resize(end, Row::Gone);
        }
        let mut touched = Vec::new();
        for (&row, near) in new.iter().zip(near) {
            journal.note(self, row);
            let mut listed = Vec::new();
            for Neighbour { offset: other, .. } in near {
                match self.rows.get_mut(other as usize) {
                    // A row that comes later in this step tells the pair itself.
                    None | Some(Row::Gone) => continue,
                    Some(Row::Loose(loose)) => {
                        loose.listed.push(row);
                        touched.push(other);
                    }
                    Some(Row::Core(core)) => core.count += 1,
                }
                listed.push(other);
            }
            self.rows[row as usize] = Row::Loose(Loose { listed, owner: None });
            touched.push(row);
        }
        self.held += new.len();
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// Makes cores of the rows whose lists are long enough. All of them become cores before any of them is joined, and
    /// each gets a number of its own that is not given out yet.
    fn promote(&mut self, touched: &[PointOffset], journal: &mut Journal) -> Vec<Promoted> {
        let mut promoted = Vec::new();
        for &row in touched {
            let Row::Loose(loose) = self.row(row) else {
                continue;
            };
            let count = loose.listed.len() as u32 + 1;
            if count < self.density.min_points {
                continue;
            }
            journal.note(self, row);
            let was_in = self.label(row);
            self.disown(row);
            let near = self.loose_mut(row).map(|loose| std::mem::take(&mut loose.listed)).unwrap_or_default();
            let component = self.next + promoted.len() as u32;
            self.rows[row as usize] = Row::Core(Core { count, component, place: 0, links: Vec::new() });
            promoted.push(Promoted { row, was_in, near });
        }
        promoted
    }

    /// The components that a new core touches, the nearest first. Other new cores count as components.
    fn touches(&self, promoted: &Promoted, ranges: &dyn Ranges) -> Vec<Touch> {
        let mut nearest: BTreeMap<u32, Neighbour> = BTreeMap::new();
        for &other in &promoted.near {
            let Some(core) = self.core(other) else {
                continue;
            };
            let found = Neighbour { offset: other, distance: ranges.distance(promoted.row, other) };
            let best = nearest.entry(core.component).or_insert(found);
            if by_distance(found, *best, ranges).is_lt() {
                *best = found;
            }
        }
        let mut touches: Vec<Touch> =
            nearest.into_iter().map(|(component, core)| Touch { component, core }).collect();
        touches.sort_by(|a, b| by_distance(a.core, b.core, ranges));
        touches
    }

    /// Unites the new cores with each other and with the components that they touch.
    fn join(&mut self, promoted: &[Promoted], ranges: &dyn Ranges, journal: &mut Journal) {
        let touches: Vec<Vec<Touch>> = promoted.iter().map(|one| self.touches(one, ranges)).collect();
        let first_new = self.next;
        let mut numbers: Vec<u32> = (first_new..).take(promoted.len()).collect();
        numbers.extend(touches.iter().flatten().map(|touch| touch.component));
        numbers.sort_unstable();
        numbers.dedup();
        // Every number is there.
        let place = |number: u32| numbers.partition_point(|&other| other < number) as u32;
        let mut sets = UnionFind::new(numbers.len());
        for ((own, one), touches) in (first_new..).zip(promoted).zip(&touches) {
            for touch in touches {
                if sets.union(place(own), place(touch.component)).is_some() {
                    self.link(one.row, touch.core.offset);
                }
            }
        }
        // Each set's old components and new cores.
        let mut groups: BTreeMap<u32, (Vec<u32>, Vec<PointOffset>)> = BTreeMap::new();
        for &number in &numbers {
            let (old, new) = groups.entry(sets.find(place(number))).or_default();
            match number.checked_sub(first_new) {
                None => old.push(number),
                Some(index) => new.push(promoted[index as usize].row),
            }
        }
        // The members before, of which some are new cores now.
        let mut promoted_of: BTreeMap<u32, usize> = BTreeMap::new();
        for number in promoted.iter().filter_map(|one| one.was_in) {
            *promoted_of.entry(number).or_default() += 1;
        }
        for (old, new) in groups.into_values() {
            let members = |number| self.size(number) + promoted_of.get(&number).copied().unwrap_or_default();
            let largest = old.iter().copied().max_by_key(|&number| (members(number), Reverse(number)));
            let survivor = largest.unwrap_or_else(|| {
                let number = self.create();
                journal.created.push(number);
                number
            });
            for absorbed in old.into_iter().filter(|&number| number != survivor) {
                self.absorb(Merge { survivor, absorbed }, journal);
            }
            new.into_iter().for_each(|row| self.enrol(row, survivor));
        }
    }
}
