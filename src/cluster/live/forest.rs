//! The moves that everything else is made of: each keeps the spanning trees, the owners and the lists of the components
//! consistent with one another.

use super::changes::{Journal, Merge};
use super::{Component, Core, Live, Ranges, Row};
use crate::types::PointOffset;

impl Live {
    /// Gives out a number.
    pub(super) fn create(&mut self) -> u32 {
        let number = self.next;
        self.next += 1;
        self.components.insert(number, Component::default());
        number
    }

    /// Adds a link to a spanning tree; the two ends were not connected before.
    pub(super) fn link(&mut self, a: PointOffset, b: PointOffset) {
        for (from, to) in [(a, b), (b, a)] {
            if let Some(core) = self.core_mut(from) {
                core.links.push(to);
            }
        }
    }

    /// Puts a core, with the borders it has, into a component.
    pub(super) fn enrol(&mut self, row: PointOffset, number: u32) {
        let borders = self.borders(row).count() as u32;
        let component = self.components.entry(number).or_default();
        component.borders += borders;
        let place = component.cores.len() as u32;
        component.cores.push(row);
        if let Some(core) = self.core_mut(row) {
            (core.component, core.place) = (number, place);
        }
    }

    /// Takes a core, with the borders it has, off the list of its component.
    pub(super) fn discharge(&mut self, row: PointOffset) {
        let borders = self.borders(row).count() as u32;
        let Some(&Core { component, place, .. }) = self.core(row) else {
            return;
        };
        let Some(component) = self.components.get_mut(&component) else {
            return;
        };
        component.borders -= borders;
        component.cores.swap_remove(place as usize);
        if let Some(&moved) = component.cores.get(place as usize)
            && let Some(core) = self.core_mut(moved)
        {
            core.place = place;
        }
    }

    /// Moves all of one component into another.
    pub(super) fn absorb(&mut self, merge: Merge, journal: &mut Journal) {
        let Some(absorbed) = self.components.remove(&merge.absorbed) else {
            return;
        };
        for &core in &absorbed.cores {
            journal.note_core(self, core);
            self.enrol(core, merge.survivor);
        }
        journal.merged.push(merge);
    }

    /// Gives a row that is no core to a core.
    pub(super) fn own(&mut self, border: PointOffset, owner: PointOffset) {
        if let Some(loose) = self.loose_mut(border) {
            loose.owner = Some(owner);
        }
        let Some(core) = self.core_mut(owner) else {
            return;
        };
        core.links.push(border);
        let number = core.component;
        self.components.entry(number).or_default().borders += 1;
    }

    /// Takes a border from its owner.
    pub(super) fn disown(&mut self, border: PointOffset) {
        let owner = self.loose_mut(border).and_then(|loose| loose.owner.take());
        let Some(core) = owner.and_then(|owner| self.core_mut(owner)) else {
            return;
        };
        drop_one(&mut core.links, border);
        let number = core.component;
        self.components.entry(number).or_default().borders -= 1;
    }

    /// Gives those of the rows that are no cores to their nearest cores.
    pub(super) fn settle(&mut self, mut rows: Vec<PointOffset>, ranges: &dyn Ranges, journal: &mut Journal) {
        rows.sort_unstable();
        rows.dedup();
        for row in rows {
            let Row::Loose(loose) = self.row(row) else {
                continue;
            };
            let (old, new) = (loose.owner, self.nearest_core(row, ranges));
            if old == new {
                continue;
            }
            journal.note(self, row);
            self.disown(row);
            if let Some(owner) = new {
                self.own(row, owner);
            }
        }
    }
}

/// Takes one value out of an unordered list.
pub(super) fn drop_one(list: &mut Vec<PointOffset>, value: PointOffset) {
    if let Some(place) = list.iter().position(|&other| other == value) {
        list.swap_remove(place);
    }
}
