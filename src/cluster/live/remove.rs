//! Departures: lists and counts shrink, cores cease to be cores, components fall apart.

use std::collections::BTreeMap;

use super::changes::{Changes, Journal};
use super::forest::drop_one;
use super::{Live, Loose, Ranges, Row, STEP_ROWS};
use crate::types::PointOffset;

/// What the cores that went leave behind.
#[derive(Default)]
struct Torn {
    /// Of each component the tree neighbours of cores that went: every piece of the tree has one.
    seeds: BTreeMap<u32, Vec<PointOffset>>,
    /// Borders without an owner.
    orphans: Vec<PointOffset>,
}

impl Live {
    /// Lets rows go: a range query for each that is a core, for each core that ceases to be one, and for as many cores
    /// as it takes to see how the rest hangs together. Rows that are not held are passed over.
    pub fn remove(&mut self, rows: &[PointOffset], ranges: &dyn Ranges) -> Changes {
        let mut rows: Vec<PointOffset> = rows.iter().copied().filter(|&row| self.holds(row)).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut journal = Journal::new(self);
        for step in rows.chunks(STEP_ROWS) {
            let near = self.neighbours(step, ranges);
            let mut torn = Torn::default();
            for &row in step {
                self.detach(row, &mut torn, &mut journal);
            }
            self.held -= step.len();
            let lost = self.unlist(step, near);
            self.demote(&lost, &mut torn, ranges, &mut journal);
            for (component, mut seeds) in torn.seeds {
                seeds.retain(|&seed| self.is_core(seed));
                self.repair(component, seeds, ranges, &mut journal);
            }
            self.settle(torn.orphans, ranges, &mut journal);
        }
        journal.finish(self)
    }

    /// The neighbours of each row, with some that are not held.
    fn neighbours(&self, rows: &[PointOffset], ranges: &dyn Ranges) -> Vec<Vec<PointOffset>> {
        let cores: Vec<PointOffset> = rows.iter().copied().filter(|&row| self.is_core(row)).collect();
        let mut asked = self.within(&cores, None, ranges).into_iter();
        let near_of = |&row: &PointOffset| match self.row(row) {
            Row::Loose(loose) => loose.listed.clone(),
            _ => asked.next().unwrap_or_default().into_iter().map(|near| near.offset).collect(),
        };
        rows.iter().map(near_of).collect()
    }

    /// Takes a row out of its component and its tree; it is gone until it is put back as something else.
    fn detach(&mut self, row: PointOffset, torn: &mut Torn, journal: &mut Journal) {
        journal.note_core(self, row);
        self.disown(row);
        self.discharge(row);
        let Row::Core(core) = std::mem::replace(&mut self.rows[row as usize], Row::Gone) else {
            return;
        };
        let seeds = torn.seeds.entry(core.component).or_default();
        for link in core.links {
            match &mut self.rows[link as usize] {
                Row::Gone => {}
                Row::Loose(border) => {
                    border.owner = None;
                    torn.orphans.push(link);
                }
                Row::Core(other) => {
                    drop_one(&mut other.links, row);
                    seeds.push(link);
                }
            }
        }
    }

    /// Takes the rows that are gone off the lists and counts of their neighbours; returns the cores that now have too
    /// few.
    fn unlist(&mut self, gone: &[PointOffset], near: Vec<Vec<PointOffset>>) -> Vec<PointOffset> {
        let mut lost = Vec::new();
        for (&row, near) in gone.iter().zip(near) {
            for other in near {
                match self.rows.get_mut(other as usize) {
                    None | Some(Row::Gone) => {}
                    Some(Row::Loose(loose)) => drop_one(&mut loose.listed, row),
                    Some(Row::Core(core)) => {
                        // Once only: counts fall by one at a time.
                        if core.count == self.density.min_points {
                            lost.push(other);
                        }
                        core.count -= 1;
                    }
                }
            }
        }
        lost
    }

    /// Makes rows with listed neighbours of cores.
    fn demote(&mut self, lost: &[PointOffset], torn: &mut Torn, ranges: &dyn Ranges, journal: &mut Journal) {
        let near = self.within(lost, None, ranges);
        let lists: Vec<Vec<PointOffset>> = near
            .into_iter()
            .map(|near| near.iter().map(|near| near.offset).filter(|&other| self.holds(other)).collect())
            .collect();
        for (&row, listed) in lost.iter().zip(lists) {
            self.detach(row, torn, journal);
            self.rows[row as usize] = Row::Loose(Loose { listed, owner: None });
            torn.orphans.push(row);
        }
    }
}
