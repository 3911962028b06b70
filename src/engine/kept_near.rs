//! What is nearest to each row of the labelled images, on disk for the next start: to find it takes the distance of every
//! row to every labelled image. A cache, which any doubt throws away.
//!
//! It is of some moment. What came, and what was labelled or taken back since, is looked at when it is taken up.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::types::{Generation, ImageId, PointOffset, Side};

use super::collection::Collection;
use super::derived_file;
use super::error::EngineError;
use super::evidence::{EvidenceSets, Near, NearRows, nearer};
use super::lock::{lock, read};
use super::state::State;

/// Changes whenever the meaning of what is kept does.
const FORMAT: u32 = 1;
/// Its name in the collection's folder of derived state.
const FILE: &str = "nearest";
/// The largest file that is read, in bytes; some 110 an image, and 33 a label.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// How long a change may wait to be kept; a deletion waits for the next look of the upkeep only.
const KEPT_EVERY: Duration = Duration::from_secs(30);
/// Rows of each kind that are looked at again before what was kept is believed.
const PROBES: usize = 32;

/// What is nearest to rows, and of what.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    space: String,
    sets: [KeptSet; 2],
}

/// One kind of rows: those without a label, which look at labelled images, or those with an implied one, which look at
/// the seen ones among them.
#[derive(Serialize, Deserialize)]
struct KeptSet {
    /// What they look at; whether it is to be kept.
    evidence: Vec<(ImageId, bool)>,
    rows: Vec<(ImageId, [Option<Near>; 2])>,
}

impl Kept {
    fn of(state: &State, space: String) -> Self {
        let [unlabelled, implied] = state.unseen(&state.labels);
        let set = |offsets: Vec<PointOffset>, evidence: &EvidenceSets| KeptSet {
            evidence: evidence.each().map(|(side, image, _)| (image, side == Side::Keep)).collect(),
            rows: offsets
                .into_iter()
                .map(|offset| (state.rows.get(offset).image, state.derived.near[offset as usize]))
                .collect(),
        };
        let sets = [set(unlabelled, &state.evidence), set(implied, &state.seen)];
        Self { format: FORMAT, space, sets }
    }
}

/// What was last kept.
#[derive(Debug, Default)]
pub(super) struct NearKeeper {
    last: Mutex<Option<Last>>,
    /// Images were deleted since.
    deleted: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    /// The generation and the events of the log.
    moment: (Generation, u64),
    at: Instant,
}

impl NearKeeper {
    /// That images were deleted: their ids don't stay in the file for long.
    pub(super) fn keep_soon(&self) {
        self.deleted.store(true, Ordering::Relaxed);
    }
}

impl Collection {
    /// Keeps what is nearest to each row for the next start, where that may have changed; unless `now`, only what is due.
    ///
    /// # Errors
    /// The folder can't be written.
    pub(super) fn keep_near(&self, now: bool) -> Result<(), EngineError> {
        let Some(folder) = self.derived_folder() else { return Ok(()) };
        let mut last = lock(&self.near_keeper.last);
        let deleted = self.near_keeper.deleted.swap(false, Ordering::Relaxed);
        let (moment, kept) = {
            let state = read(&self.state);
            let moment = (state.generation, state.events);
            let waits = |last: Last| !now && !deleted && last.at.elapsed() < KEPT_EVERY;
            if last.is_some_and(|last| last.moment == moment || waits(last)) {
                return Ok(());
            }
            (moment, Kept::of(&state, self.space().id()))
        };
        if let Err(error) = derived_file::write(folder, FILE, &kept) {
            self.near_keeper.keep_soon();
            return Err(EngineError::Internal(format!("{}: {error}", folder.display())));
        }
        *last = Some(Last { moment, at: Instant::now() });
        if self.is_closed() {
            // It was deleted meanwhile, and its folder before that was written; what stays is swept at the next start.
            drop(fs::remove_dir_all(folder));
        }
        Ok(())
    }

    /// What is nearest to each row by what was kept, if that can be believed.
    pub(super) fn kept_near(&self) -> Option<NearRows> {
        let taken_up = |kept: Kept| {
            if (kept.format, kept.space.as_str()) != (FORMAT, self.space().id().as_str()) {
                return Err("of another version or embedding space".to_owned());
            }
            taken_up(&read(&self.state), kept.sets)
        };
        let kept = derived_file::read(self.derived_folder()?, FILE, FILE_BYTES_MAX);
        match kept.and_then(|kept| kept.map(taken_up).transpose()) {
            Ok(near) => near,
            Err(error) => {
                tracing::warn!(error, collection = self.name(), "what was kept as nearest is of no use");
                None
            }
        }
    }
}

/// Compares rows with what is new to them: those that lost what was nearest, or look at another set than before, with
/// all of it.
fn taken_up(state: &State, kept: [KeptSet; 2]) -> Result<NearRows, String> {
    let nobody = HashSet::new();
    let mut near = vec![[None, None]; state.rows.all().len()];
    let sets = [&*state.evidence, &*state.seen];
    for ((offsets, set), kept) in state.unseen(&state.labels).into_iter().zip(sets).zip(kept) {
        let (removed, added) = difference(state, &kept.evidence, set);
        let before: HashMap<ImageId, [Option<Near>; 2]> = kept.rows.into_iter().collect();
        let standing_of = |offset: PointOffset| {
            let found = before.get(&state.rows.get(offset).image)?;
            let stands = !found.iter().flatten().any(|near| removed.contains(&near.image));
            stands.then_some((offset, *found))
        };
        let standing: Vec<_> = offsets.iter().filter_map(|&offset| standing_of(offset)).collect();
        standing.iter().for_each(|&(offset, found)| near[offset as usize] = found);
        let standing: Vec<PointOffset> = standing.into_iter().map(|(offset, _)| offset).collect();
        if added.each().next().is_some() {
            for (&offset, new) in standing.iter().zip(state.find_near(&standing, &added, &nobody)) {
                let near = &mut near[offset as usize];
                *near = [nearer(near[0], new[0]), nearer(near[1], new[1])];
            }
        }
        let probes: Vec<PointOffset> =
            standing.iter().copied().step_by(standing.len().div_ceil(PROBES).max(1)).collect();
        let is_right = |(&offset, found)| near[offset as usize] == found;
        if !probes.iter().zip(state.find_near(&probes, set, &nobody)).all(is_right) {
            return Err("something else is nearest".to_owned());
        }
        let stands: HashSet<PointOffset> = standing.into_iter().collect();
        let anew: Vec<PointOffset> = offsets.into_iter().filter(|offset| !stands.contains(offset)).collect();
        for (&offset, found) in anew.iter().zip(state.find_near(&anew, set, &nobody)) {
            near[offset as usize] = found;
        }
    }
    Ok(near)
}

/// What left a set since, and what joined it; an image that changed sides did both.
fn difference(
    state: &State,
    before: &[(ImageId, bool)],
    now: &EvidenceSets,
) -> (HashSet<ImageId>, EvidenceSets) {
    let before: HashMap<ImageId, Side> =
        before.iter().map(|&(image, keep)| (image, if keep { Side::Keep } else { Side::Discard })).collect();
    let gone = before.iter().filter(|(image, side)| now.side_of(image) != Some(**side));
    let mut added = EvidenceSets::new(state.vectors.dim());
    for (side, image, embedding) in now.each().filter(|(side, image, _)| before.get(image) != Some(side)) {
        added.push(side, image, embedding);
    }
    (gone.map(|(&image, _)| image).collect(), added)
}
