//! What a change of the rows did to the clusters.

use std::collections::{BTreeMap, HashMap};

use super::Live;
use crate::types::PointOffset;

/// A component that went into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// The one with more members, ties to the smaller number.
    pub survivor: u32,
    /// The number that is no more.
    pub absorbed: u32,
}

/// A component that came off another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// The old number, which the part with most cores keeps, ties to the part with the smallest image id.
    pub from: u32,
    /// The new number.
    pub new: u32,
}

/// What one call changed, from the state before it to the state after: numbers that came and went in between are not
/// told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The rows that [`Live::label`] now says something else of, ascending: also members that left.
    pub rows: Vec<PointOffset>,
    /// New components. In a call of many rows they may have outgrown older ones and absorbed them.
    pub created: Vec<u32>,
    /// Components that went into others, which are still there.
    pub merged: Vec<Merge>,
    /// Components that came off others, which may be gone themselves.
    pub split: Vec<Split>,
    /// Components that lost their last core.
    pub vanished: Vec<u32>,
}

/// Collects the changes as they happen.
pub(super) struct Journal {
    /// Numbers from here on were given out by this call.
    first: u32,
    /// The labels that the rows touched so far had before.
    before: HashMap<PointOffset, Option<u32>>,
    pub(super) created: Vec<u32>,
    pub(super) merged: Vec<Merge>,
    pub(super) split: Vec<Split>,
    pub(super) vanished: Vec<u32>,
}

impl Journal {
    pub(super) fn new(live: &Live) -> Self {
        Self {
            first: live.next,
            before: HashMap::new(),
            created: Vec::new(),
            merged: Vec::new(),
            split: Vec::new(),
            vanished: Vec::new(),
        }
    }

    /// Keeps the label of a row that is about to change.
    pub(super) fn note(&mut self, live: &Live, row: PointOffset) {
        self.before.entry(row).or_insert_with(|| live.label(row));
    }

    /// Keeps the labels of a core and its borders.
    pub(super) fn note_core(&mut self, live: &Live, core: PointOffset) {
        self.note(live, core);
        live.borders(core).for_each(|border| self.note(live, border));
    }

    pub(super) fn finish(self, live: &Live) -> Changes {
        let Self { first, before, created, merged, split, vanished } = self;
        let changed = before.into_iter().filter(|&(row, label)| live.label(row) != label);
        let mut rows: Vec<PointOffset> = changed.map(|(row, _)| row).collect();
        rows.sort_unstable();
        let is_there = |number: u32| live.components.contains_key(&number);
        let survivors: BTreeMap<u32, u32> =
            merged.iter().map(|merge| (merge.absorbed, merge.survivor)).collect();
        let origins: BTreeMap<u32, u32> = split.iter().map(|split| (split.new, split.from)).collect();
        Changes {
            rows,
            created: created.into_iter().filter(|&number| is_there(number)).collect(),
            merged: merged
                .iter()
                .filter(|merge| merge.absorbed < first)
                .map(|merge| Merge { survivor: last_of(merge.survivor, &survivors), ..*merge })
                .collect(),
            split: split
                .iter()
                .filter(|split| is_there(split.new))
                .map(|split| Split { from: last_of(split.from, &origins), ..*split })
                .collect(),
            vanished: vanished.into_iter().filter(|&number| number < first).collect(),
        }
    }
}

/// Follows a number to where it leads in the end.
fn last_of(mut number: u32, next: &BTreeMap<u32, u32>) -> u32 {
    while let Some(&further) = next.get(&number) {
        number = further;
    }
    number
}
