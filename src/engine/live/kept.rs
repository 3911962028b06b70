//! A followed clustering on disk, so that a restart need not run DBSCAN again and clusters keep their ids: a cache, which
//! any doubt throws away.
//!
//! It is of some moment. What was added since is inserted when it is taken up. What was deleted since took its vector
//! along, so nobody can say which images lost a neighbour: then a batch run is due, and only the names of the clusters
//! are taken from here. Hence it is written again soon after a deletion.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cluster::{Density, Live};
use crate::engine::collection::Collection;
use crate::engine::derived_file;
use crate::engine::error::EngineError;
use crate::engine::lock::{lock, read};
use crate::types::{ClusterId, Generation, ImageId, PointOffset};

use super::{LineageEvent, LiveView};

/// Changes whenever the meaning of what is kept does.
const FORMAT: u32 = 1;
/// Its name in the collection's folder of derived state.
const FILE: &str = "followed";
/// The largest file that is read, in bytes; some 200 an image.
const FILE_BYTES_MAX: u64 = 2 << 30;
/// How long additions may wait to be kept; a deletion waits for the next look of the upkeep only.
const ADDED_KEPT_EVERY: Duration = Duration::from_secs(30);
/// Rows whose neighbours are looked up again before what was kept is believed.
const PROBES: usize = 64;

/// A followed clustering and what it is of.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    format: u32,
    space: String,
    clustering: u64,
    generation: Generation,
    /// The image of each row, as `live` numbers them.
    pub(super) images: Vec<ImageId>,
    pub(super) live: Live,
    pub(super) names: HashMap<u32, ClusterId>,
    pub(super) lineage: VecDeque<LineageEvent>,
}

impl Kept {
    /// The cluster of each image, and what happened to clusters.
    pub(super) fn labels(self) -> (HashMap<ImageId, ClusterId>, VecDeque<LineageEvent>) {
        let label = |row: PointOffset| self.live.label(row).and_then(|component| self.names.get(&component));
        let labelled = self.images.iter().zip(0..).filter_map(|(&image, row)| Some((image, *label(row)?)));
        (labelled.collect(), self.lineage)
    }

    /// Some rows, spread over all.
    pub(super) fn probes(rows: &[PointOffset]) -> Vec<PointOffset> {
        rows.iter().copied().step_by(rows.len().div_ceil(PROBES).max(1)).collect()
    }

    /// Whether it is what it has to be; the reason where it isn't.
    fn check(&self, space: &str, clustering: u64, density: Density) -> Result<(), &'static str> {
        let held = |row: usize| self.live.holds(row as PointOffset);
        let checks = [
            (self.format == FORMAT, "written by another version"),
            (self.space == space, "of another embedding space"),
            (self.clustering == clustering, "of another clustering"),
            (self.live.parameters() == density, "of other parameters"),
            (self.live.counts().rows == self.images.len(), "of another number of images than it says"),
            ((0..self.images.len()).all(held), "of other images than it says"),
            (self.live.components().all(|component| self.names.contains_key(&component)), "without names"),
        ];
        checks.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, reason)| Err(reason))
    }
}

/// What was last kept.
#[derive(Debug, Default)]
pub(in crate::engine) struct Keeper {
    last: Mutex<Option<Last>>,
    /// Images were deleted since.
    deleted: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    clustering: u64,
    generation: Generation,
    at: Instant,
}

impl Collection {
    /// That images were deleted, and what is kept is of use only for names until it is written again.
    pub(super) fn keep_soon(&self) {
        self.keeper.deleted.store(true, Ordering::Relaxed);
    }

    /// Keeps the followed clustering for the next start, where that changed; unless `now`, only what is due.
    ///
    /// # Errors
    /// The collection was deleted, or the folder can't be written.
    pub(in crate::engine) fn keep_followed(&self, now: bool) -> Result<(), EngineError> {
        let Some(folder) = self.derived_folder() else { return Ok(()) };
        let mut last = lock(&self.keeper.last);
        let deleted = self.keeper.deleted.swap(false, Ordering::Relaxed);
        let is_due = |last: Last| now || deleted || last.at.elapsed() >= ADDED_KEPT_EVERY;
        if last.is_some_and(|last| !is_due(last)) {
            return Ok(());
        }
        let kept = self.to_keep(*last)?;
        let Some(kept) = kept else { return Ok(()) };
        if let Err(error) = derived_file::write(folder, FILE, &kept) {
            self.keep_soon();
            return Err(EngineError::Internal(format!("{}: {error}", folder.display())));
        }
        *last = Some(Last { clustering: kept.clustering, generation: kept.generation, at: Instant::now() });
        if self.is_closed() {
            // It was deleted meanwhile, and its folder before that was written; what stays is swept at the next start.
            drop(fs::remove_dir_all(folder));
        }
        Ok(())
    }

    /// The followed clustering of this moment, unless it is kept already.
    fn to_keep(&self, last: Option<Last>) -> Result<Option<Kept>, EngineError> {
        let is_new = |view: &LiveView| {
            last.is_none_or(|last| (last.clustering, last.generation) != (view.clustering, view.generation))
        };
        if !read(&self.state).live().is_some_and(|view| is_new(view)) {
            return Ok(None);
        }
        let (mut kept, offsets) = {
            let _turn = self.writer()?;
            let followed = lock(&self.followed);
            let state = read(&self.state);
            let (Some(view), Some(followed)) = (state.live(), followed.as_ref()) else { return Ok(None) };
            if followed.clustering != view.clustering {
                return Ok(None);
            }
            let (offsets, images): (Vec<PointOffset>, Vec<ImageId>) =
                state.rows.alive().map(|(row, record)| (row, record.image)).unzip();
            let kept = Kept {
                format: FORMAT,
                space: self.space().id(),
                clustering: view.clustering,
                generation: view.generation,
                images,
                live: followed.live.clone(),
                names: followed.names.clone(),
                lineage: view.lineage.clone(),
            };
            (kept, offsets)
        };
        kept.live.compact(|row| offsets.binary_search(&row).unwrap_or_default() as PointOffset);
        Ok(Some(kept))
    }

    /// What was kept of a clustering, if all of it can be believed and none is of a later state than what is stored.
    pub(super) fn kept(&self, clustering: u64, density: Density) -> Option<Kept> {
        let kept: Kept = match derived_file::read(self.derived_folder()?, FILE, FILE_BYTES_MAX) {
            Ok(kept) => kept?,
            Err(error) => {
                tracing::warn!(
                    error,
                    collection = self.name(),
                    "what was kept of the clustering is of no use"
                );
                return None;
            }
        };
        let checked = kept.check(&self.space().id(), clustering, density).and_then(|()| {
            let state = read(&self.state);
            let named = kept.names.values().all(|cluster| cluster.0 < state.next_cluster);
            let stored = kept.generation <= state.generation && named;
            stored.then_some(()).ok_or("of a later state than what is stored")
        });
        if let Err(reason) = checked {
            tracing::info!(reason, collection = self.name(), "what was kept of the clustering is not used");
            return None;
        }
        Some(kept)
    }
}
