//! The active clustering by DBSCAN, followed through every add and delete: at any generation what a batch run on the
//! images of that generation would find.
//!
//! The clustering itself stays as it was made, with its members and what was judged of them; decisions rest on it. What
//! is followed is derived state, beside it, never the only copy of anything: after a start it is taken up from what was
//! kept of it (`kept.rs`), or built from the vectors.

mod check;
mod kept;
mod start;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use crate::cluster::{Changes, Live, RowRanges, Sketches};
use crate::types::{ClusterId, Generation, ImageId, PointOffset};

use super::collection::{Collection, Writer};
use super::error::EngineError;
use super::lock::{lock, read};
use super::state::State;

pub(super) use kept::Keeper;
pub(super) use start::BackOff;
pub use view::{LineageChange, LineageEvent, LiveView};

/// The clustering that is followed; only the writer changes it.
pub(super) struct Followed {
    clustering: u64,
    live: Live,
    sketches: Sketches,
    /// The stable id of each component.
    names: HashMap<u32, ClusterId>,
}

impl Followed {
    fn label(&self, row: PointOffset) -> Option<ClusterId> {
        self.live.label(row).and_then(|component| self.names.get(&component)).copied()
    }

    /// Names the components that came and forgets those that went; answers what happened, and the next free id.
    fn rename(&mut self, changes: &Changes, mut next: u64) -> (Vec<(ClusterId, LineageChange)>, u64) {
        for component in changes.created.iter().copied().chain(changes.split.iter().map(|split| split.new)) {
            self.names.entry(component).or_insert_with(|| {
                next += 1;
                ClusterId(next - 1)
            });
        }
        let name = |component: &u32| self.names.get(component).copied();
        let mut events = Vec::new();
        let appeared = changes.created.iter().filter_map(name);
        events.extend(appeared.map(|cluster| (cluster, LineageChange::Appeared)));
        for split in &changes.split {
            if let (Some(new), Some(from)) = (name(&split.new), name(&split.from)) {
                events.push((new, LineageChange::SplitFrom(from)));
            }
        }
        for merge in &changes.merged {
            if let (Some(absorbed), Some(survivor)) = (name(&merge.absorbed), name(&merge.survivor)) {
                events.push((absorbed, LineageChange::MergedInto(survivor)));
            }
        }
        let vanished = changes.vanished.iter().filter_map(name);
        events.extend(vanished.map(|cluster| (cluster, LineageChange::Vanished)));
        let gone = changes.merged.iter().map(|merge| merge.absorbed).chain(changes.vanished.iter().copied());
        gone.for_each(|component| {
            self.names.remove(&component);
        });
        (events, next)
    }
}

impl State {
    /// Makes a clustering the active one; another that was followed is followed no more, since it misses what comes.
    pub(super) fn follow_only(&mut self, active: Option<u64>) {
        self.active = active;
        self.live = self.live.take().filter(|live| Some(live.clustering) == active);
    }

    /// The clustering that is followed, where it is the active one.
    pub(super) fn live(&self) -> Option<&Arc<LiveView>> {
        self.live.as_ref().filter(|live| Some(live.clustering) == self.active)
    }
}

impl Collection {
    /// The active clustering as adds and deletes since have left it.
    ///
    /// # Errors
    /// There is none, it is not by DBSCAN, or it is still being built.
    pub fn live(&self) -> Result<Arc<LiveView>, EngineError> {
        let state = read(&self.state);
        state.live().map(Arc::clone).ok_or_else(|| EngineError::Precondition {
            reason: "NOT_LIVE",
            message:
                "only an active clustering by DBSCAN is followed, and after a start once it is built again"
                    .into(),
        })
    }

    /// The images of a cluster that is followed, or of the noise, in the order they were added.
    ///
    /// # Errors
    /// As [`Collection::live`], or an unknown cluster.
    pub fn live_members(
        &self,
        cluster: Option<ClusterId>,
    ) -> Result<(Arc<LiveView>, Vec<ImageId>), EngineError> {
        // With the writer's turn rows and labels are of one moment.
        let writer = self.writer()?;
        let (view, rows) = (self.live()?, self.snapshot().rows);
        drop(writer);
        if let Some(id) = cluster.filter(|id| !view.sizes.contains_key(id)) {
            return Err(EngineError::not_found("cluster", id.0));
        }
        let members = rows.alive().filter(|&(row, _)| {
            let known = (row as usize) < view.labels.len();
            known && view.label(row) == cluster
        });
        Ok((Arc::clone(&view), members.map(|(_, row)| row.image).collect()))
    }

    /// Labels rows that were just published.
    pub(super) fn follow_added(&self, writer: &Writer<'_>, rows: &[PointOffset]) {
        self.follow(writer, rows, |live, ranges| live.insert(rows, ranges));
    }

    /// Forgets rows that were just deleted.
    pub(super) fn follow_removed(&self, writer: &Writer<'_>, rows: &[PointOffset]) {
        self.follow(writer, rows, |live, ranges| live.remove(rows, ranges));
        self.keep_soon();
    }

    fn follow(
        &self,
        writer: &Writer<'_>,
        rows: &[PointOffset],
        change: impl FnOnce(&mut Live, &RowRanges<'_>) -> Changes,
    ) {
        let shown = read(&self.state).live().map(|view| view.clustering);
        // Taken out, so that nothing half changed is left where a panic ends this.
        let followed = lock(&self.followed).take();
        let Some(mut followed) = followed.filter(|followed| Some(followed.clustering) == shown) else {
            if shown.is_some() {
                writer.publish_aside(|state| state.live = None);
            }
            return;
        };
        let (changes, generation) = {
            let state = read(&self.state);
            followed.sketches.extend(&state.vectors);
            let id = |row: PointOffset| state.rows.get(row).image;
            let Followed { live, sketches, .. } = &mut followed;
            let ranges = RowRanges::new(&state.vectors, sketches, &id);
            (change(live, &ranges), state.generation)
        };
        match self.publish_changes(writer, &mut followed, rows, &changes, generation) {
            Ok(()) => *lock(&self.followed) = Some(followed),
            Err(error) => {
                // It is derived: what can't be kept up is built anew.
                tracing::warn!(%error, collection = self.name(), "the clustering will be followed afresh");
                writer.publish_aside(|state| state.live = None);
            }
        }
    }

    /// Publishes what a change did to clusters, with ids that are never given out again.
    fn publish_changes(
        &self,
        writer: &Writer<'_>,
        followed: &mut Followed,
        rows: &[PointOffset],
        changes: &Changes,
        generation: Generation,
    ) -> Result<(), EngineError> {
        let mut saved = writer.saved_state();
        let (events, next) = followed.rename(changes, saved.next_cluster);
        if next != saved.next_cluster {
            saved.next_cluster = next;
            let mut batch = writer.batch();
            batch.put_state(&saved)?;
            self.store.commit("live", batch)?;
        }
        let noise = followed.live.counts().noise() as u64;
        writer.publish_aside(|state| {
            state.next_cluster = next;
            let Some(view) = state.live.as_mut().map(Arc::make_mut) else { return };
            for &row in changes.rows.iter().chain(rows) {
                view.relabel(row, followed.label(row));
            }
            view.tell(events, generation);
            (view.generation, view.noise) = (generation, noise);
        });
        Ok(())
    }

    /// Gives the rows that are left their new numbers.
    pub(super) fn follow_compacted(&self, kept: &[PointOffset]) {
        if let Some(followed) = lock(&self.followed).as_mut() {
            let new: HashMap<PointOffset, PointOffset> = kept.iter().copied().zip(0..).collect();
            followed.live.compact(|old| new.get(&old).copied().unwrap_or_default());
            followed.sketches.keep(kept);
        }
    }

    /// The cluster of each image as it is now, where the active clustering is followed.
    pub(super) fn live_labels(&self) -> Option<HashMap<ImageId, ClusterId>> {
        let state = read(&self.state);
        let view = state.live()?;
        let labelled = state.rows.alive().filter_map(|(row, record)| Some((record.image, view.label(row)?)));
        Some(labelled.collect())
    }
}
