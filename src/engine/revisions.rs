//! What readers were told of each image, and since when: the revisions of decisions.
//!
//! A *change* of a decision is another kind, provisional side or reason; confidence and evidence alone are none. All
//! changes that are published together get one *tick* as their revision: the clock in microseconds, or one more than
//! the tick before where that is later. Whoever knows everything up to a point (revision, then image id) needs what
//! lies beyond it: nothing is queued for anybody, and one who is slow gets the latest of each image.
//!
//! Revisions are derived state, but what callers hold of them outlives the process. So they are saved, with the
//! generation and the number of events that they are of; decisions follow from these two, and nothing else.
//!
//! - A start that finds what it was saved of goes on with it: what was told is what is decided now. Where a decision
//!   came out otherwise all the same (another culld wrote it), that is a change.
//! - A start that finds more than was saved, after a kill, can't know what callers were told meanwhile: an image may
//!   have changed and changed back. It tells every image anew. So a change may be told twice, and none is lost.
//! - The first tick of a start, its *epoch*, lies above all that was saved and above the clock of the last event. A
//!   point of an earlier epoch that is not below it comes from a clock that has gone back since, and is refused.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::decide::{Decision, DecisionKind, Reason};
use crate::types::{ImageId, PointOffset, Side};

use super::state::{Rows, State};

/// Deleted images remembered, the last ones: 40 bytes each.
pub(super) const GONE_MAX: usize = 100_000;
/// Changes of rows remembered in their order, the last ones, so that those who keep up need not look at every row.
const RECENT_MAX: usize = 4_096;

/// A place in the order of changes: everything up to it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangePoint {
    /// The tick.
    pub revision: u64,
    /// The image, of those that changed with this tick.
    pub image: ImageId,
}

impl ChangePoint {
    /// Before everything.
    pub const START: Self = Self { revision: 0, image: ImageId([0; 32]) };

    /// After everything of this tick.
    pub fn end_of(revision: u64) -> Self {
        Self { revision, image: ImageId([0xff; 32]) }
    }
}

/// The part of a decision whose change is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    kind: DecisionKind,
    side: Side,
    reason: Reason,
}

impl Answer {
    /// That of a decision.
    pub(super) fn of(decision: Decision) -> Self {
        Self { kind: decision.kind, side: decision.side, reason: decision.reason }
    }
}

/// What is told of an image, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) revision: u64,
    pub(super) answer: Answer,
}

/// What is told of all images.
#[derive(Debug, Clone)]
pub(super) struct Revisions {
    /// The last tick.
    tick: u64,
    /// The first tick of this start.
    epoch: u64,
    /// By row; `None` where its image is deleted.
    told: Vec<Option<Told>>,
    /// Images that were deleted, in the order of changes.
    gone: VecDeque<ChangePoint>,
    /// Up to here deleted images are forgotten.
    forgotten: ChangePoint,
    /// Rows that changed after the tick `recent_from`, with their ticks; those that changed again since stay listed.
    recent: VecDeque<(u64, PointOffset)>,
    recent_from: u64,
}

impl Default for Revisions {
    fn default() -> Self {
        Self {
            tick: 0,
            epoch: 0,
            told: Vec::new(),
            gone: VecDeque::new(),
            forgotten: ChangePoint::START,
            recent: VecDeque::new(),
            recent_from: 0,
        }
    }
}

/// What a collection keeps of revisions from one start to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SavedRevisions {
    pub(super) head: SavedHead,
    /// What was told of each stored image, and which were deleted.
    pub(super) entries: Vec<SavedRevision>,
}

/// What revisions were saved of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedHead {
    /// The last tick.
    pub(super) tick: u64,
    /// Events in the log.
    pub(super) events: u64,
    /// The generation of the data.
    pub(super) generation: crate::types::Generation,
    /// Up to here deleted images are forgotten.
    pub(super) forgotten: ChangePoint,
}

/// What was told of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedRevision {
    pub(super) at: ChangePoint,
    /// `None`: it was deleted.
    pub(super) answer: Option<Answer>,
}

/// The images that the log says were deleted, the last ones.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    images: VecDeque<(u64, ImageId)>,
    /// The last event of which images were forgotten.
    forgotten: u64,
    /// The clock of the last event, milliseconds since 1970 UTC.
    at_ms: i64,
}

impl Deletions {
    /// Notes the images that an event deleted.
    pub(super) fn note(&mut self, event: u64, images: &[ImageId]) {
        self.images.extend(images.iter().map(|image| (event, *image)));
        let excess = self.images.len().saturating_sub(GONE_MAX);
        if let Some((event, _)) = self.images.drain(..excess).next_back() {
            self.forgotten = event;
        }
    }

    /// Notes when an event happened.
    pub(super) fn note_time(&mut self, at_ms: i64) {
        self.at_ms = self.at_ms.max(at_ms);
    }
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

impl Revisions {
    /// The last tick.
    pub(super) fn tick(&self) -> u64 {
        self.tick
    }

    /// The first tick of this start.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Up to here deleted images are forgotten: who knows less can't be told of them.
    pub(super) fn forgotten(&self) -> ChangePoint {
        self.forgotten
    }

    /// What is told of a row.
    pub(super) fn told(&self, row: PointOffset) -> Option<Told> {
        self.told.get(row as usize).copied().flatten()
    }

    /// What changed after a point, in the order of changes, at most so many; `None` stands for a deleted image.
    pub(super) fn after(
        &self,
        rows: &Rows,
        point: ChangePoint,
        max: usize,
    ) -> Vec<(ChangePoint, Option<PointOffset>)> {
        if point >= ChangePoint::end_of(self.tick) {
            return Vec::new();
        }
        let place = |row: PointOffset, told: Told| ChangePoint {
            revision: told.revision,
            image: rows.get(row).image,
        };
        let stored: Box<dyn Iterator<Item = (ChangePoint, Option<PointOffset>)>> = if point
            >= ChangePoint::end_of(self.recent_from)
        {
            let first = self.recent.partition_point(|(revision, _)| *revision < point.revision);
            Box::new(self.recent.range(first..).filter_map(move |&(revision, row)| {
                let told = self.told(row).filter(|told| told.revision == revision)?;
                Some((place(row, told), Some(row)))
            }))
        } else {
            Box::new(rows.alive().filter_map(move |(row, _)| Some((place(row, self.told(row)?), Some(row)))))
        };
        let first_gone = self.gone.partition_point(|at| *at <= point);
        let gone = self.gone.range(first_gone..).map(|at| (*at, None));
        // The first ones only are held, whatever there is beyond.
        let mut first = BinaryHeap::new();
        for change in stored.filter(|(at, _)| *at > point).chain(gone) {
            if first.len() < max {
                first.push(change);
            } else if let Some(mut last) = first.peek_mut()
                && change < *last
            {
                *last = change;
            }
        }
        first.into_sorted_vec()
    }

    /// The same once only these rows are left, in this order.
    pub(super) fn keep(&mut self, rows: &[PointOffset]) {
        self.told = rows.iter().map(|&row| self.told(row)).collect();
        self.recent.clear();
        self.recent_from = self.tick;
    }

    /// Notes what is told from now on of rows, and who is gone.
    fn note(&mut self, rows: &Rows, changed: &[(PointOffset, Option<Answer>)], tick: u64) {
        self.tick = tick;
        self.told.resize(rows.all().len(), None);
        let mut gone: Vec<ImageId> = Vec::new();
        for &(row, answer) in changed {
            self.told[row as usize] = answer.map(|answer| Told { revision: tick, answer });
            match answer {
                Some(_) => self.recent.push_back((tick, row)),
                None => gone.push(rows.get(row).image),
            }
        }
        let excess = self.recent.len().saturating_sub(RECENT_MAX);
        if let Some((revision, _)) = self.recent.drain(..excess).next_back() {
            self.recent_from = revision;
        }
        gone.sort_unstable();
        self.gone.extend(gone.into_iter().map(|image| ChangePoint { revision: tick, image }));
        let excess = self.gone.len().saturating_sub(GONE_MAX);
        if let Some(last) = self.gone.drain(..excess).next_back() {
            self.forgotten = last;
        }
    }
}

impl State {
    /// Compares what is decided with what was told; where that differs, tells it from now on. Answers the tick of what
    /// changed, `None` where nothing did.
    pub(super) fn tell(&mut self) -> Option<u64> {
        let decisions = &self.derived.decisions;
        let mut changed = Vec::new();
        for (row, record) in (0..).zip(self.rows.all()) {
            let answer = record.alive.then(|| Answer::of(decisions[row as usize]));
            if answer != self.revisions.told(row).map(|told| told.answer) {
                changed.push((row, answer));
            }
        }
        if changed.is_empty() {
            return None;
        }
        let tick = now_us().max(self.revisions.tick.saturating_add(1));
        std::sync::Arc::make_mut(&mut self.revisions).note(&self.rows, &changed, tick);
        Some(tick)
    }

    /// Takes up what was saved, and tells what differs from it, once decisions are derived after a start.
    pub(super) fn restore_revisions(&mut self, saved: Option<SavedRevisions>, deletions: &Deletions) {
        let last_event = u64::try_from(deletions.at_ms).unwrap_or(0).saturating_mul(1000);
        let saved_tick = saved.as_ref().map_or(0, |saved| saved.head.tick);
        let epoch = now_us().max(last_event.max(saved_tick).saturating_add(1));
        let known = saved.as_ref().map_or(0, |saved| saved.head.events);
        let mut revisions = Revisions { tick: epoch, epoch, recent_from: epoch, ..Revisions::default() };
        let mut told: HashMap<ImageId, Told> = HashMap::new();
        // Deleted since it was saved, or told of then and not stored now.
        let mut lost: Vec<ImageId> =
            deletions.images.iter().filter(|(event, _)| *event > known).map(|(_, image)| *image).collect();
        if let Some(SavedRevisions { head, entries }) = saved {
            revisions.forgotten = head.forgotten;
            let current = head.events == self.events && head.generation == self.generation;
            for SavedRevision { at, answer } in entries {
                match answer {
                    None => revisions.gone.push_back(at),
                    Some(_) if self.rows.offset(&at.image).is_none() => lost.push(at.image),
                    Some(answer) if current => {
                        told.insert(at.image, Told { revision: at.revision, answer });
                    }
                    Some(_) => {}
                }
            }
        }
        if deletions.forgotten > known {
            // Below the epoch nobody can be told of all that went.
            revisions.forgotten = ChangePoint::end_of(epoch - 1);
        }
        lost.retain(|image| self.rows.offset(image).is_none());
        lost.sort_unstable();
        lost.dedup();
        revisions.gone.extend(lost.into_iter().map(|image| ChangePoint { revision: epoch, image }));
        revisions.told = vec![None; self.rows.all().len()];
        for (row, record) in self.rows.alive() {
            let answer = Answer::of(self.derived.decisions[row as usize]);
            let before = told.get(&record.image).filter(|told| told.answer == answer);
            revisions.told[row as usize] = Some(before.copied().unwrap_or(Told { revision: epoch, answer }));
        }
        self.revisions = std::sync::Arc::new(revisions);
    }

    /// What is to be saved of this moment.
    pub(super) fn revisions_head(&self) -> SavedHead {
        SavedHead {
            tick: self.revisions.tick,
            events: self.events,
            generation: self.generation,
            forgotten: self.revisions.forgotten,
        }
    }

    /// All of what is to be saved.
    pub(super) fn saved_revisions(&self) -> SavedRevisions {
        let stored = self.rows.alive().filter_map(|(row, record)| {
            let told = self.revisions.told(row)?;
            let at = ChangePoint { revision: told.revision, image: record.image };
            Some(SavedRevision { at, answer: Some(told.answer) })
        });
        let gone = self.revisions.gone.iter().map(|at| SavedRevision { at: *at, answer: None });
        SavedRevisions { head: self.revisions_head(), entries: stored.chain(gone).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::Row;
    use crate::types::Generation;

    fn image(number: u32) -> ImageId {
        ImageId(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn rows(count: u32) -> Rows {
        let mut rows = Rows::default();
        for number in 0..count {
            let generation = Generation(u64::from(number) + 1);
            rows.push(Row {
                image: image(number),
                generation,
                added_ms: 0,
                bytes: 1,
                alive: true,
                hash: None,
                defects: None,
            });
        }
        rows
    }

    const KEEP: Option<Answer> =
        Some(Answer { kind: DecisionKind::Keep, side: Side::Keep, reason: Reason::SeenLabel });

    /// What is remembered in order and what is looked for in all rows is the same, however it is cut.
    #[test]
    fn changes_come_in_order_whoever_asks() {
        let mut rows = rows(6_000);
        let mut revisions = Revisions::default();
        let all: Vec<_> = (0..6_000).map(|row| (row, KEEP)).collect();
        revisions.note(&rows, &all, 1);
        for tick in 2..40u64 {
            let some: Vec<_> = (0..6_000u32)
                .filter(|row| u64::from(*row) % 37 == tick % 37)
                .map(|row| (row, KEEP))
                .collect();
            revisions.note(&rows, &some, tick);
        }
        for number in 0..50 {
            rows.remove(&image(number));
        }
        let gone: Vec<_> = (0..50).map(|row| (row, None)).collect();
        revisions.note(&rows, &gone, 40);
        assert!(revisions.recent_from > 1, "some are not remembered");
        let mut slow = revisions.clone();
        slow.recent_from = u64::MAX;
        let whole = slow.after(&rows, ChangePoint::START, usize::MAX);
        assert_eq!(whole.len(), 6_000);
        assert!(whole.is_sorted());
        let mut point = ChangePoint::START;
        let mut cut = Vec::new();
        loop {
            let some = revisions.after(&rows, point, 77);
            let Some((last, _)) = some.last().copied() else { break };
            cut.extend(some);
            point = last;
        }
        assert_eq!(cut, whole);
    }

    #[test]
    fn deleted_images_are_remembered_up_to_a_number() {
        let count = GONE_MAX as u32 + 10;
        let mut rows = rows(count);
        let mut revisions = Revisions::default();
        revisions.note(&rows, &(0..count).map(|row| (row, KEEP)).collect::<Vec<_>>(), 1);
        for number in 0..count {
            rows.remove(&image(number));
        }
        let (first, rest) = (0..5, 5..count);
        revisions.note(&rows, &first.map(|row| (row, None)).collect::<Vec<_>>(), 2);
        revisions.note(&rows, &rest.map(|row| (row, None)).collect::<Vec<_>>(), 3);
        assert_eq!(revisions.gone.len(), GONE_MAX);
        assert!(revisions.forgotten > ChangePoint::end_of(2) && revisions.forgotten < ChangePoint::end_of(3));
        assert_eq!(revisions.after(&rows, revisions.forgotten, usize::MAX).len(), GONE_MAX);
    }
}
