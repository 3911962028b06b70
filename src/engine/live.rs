//! The active clustering by DBSCAN, followed through every add and delete: at any generation what a batch run on the
//! images of that generation would find.
//!
//! The clustering itself stays as it was made, with its members and what was judged of them; decisions rest on it. What
//! is followed is derived state, beside it: built from the vectors after a start, never the only copy of anything.

mod check;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use crate::cluster::lineage::match_clusters;
use crate::cluster::{
    self, Changes, ClusterError, ClusterInput, Density, Live, Parameters, RowRanges, RunContext, Sketches,
};
use crate::types::{ClusterId, Generation, ImageId, PointOffset};

use super::clusterings::ClusteringHead;
use super::collection::{Collection, Writer};
use super::error::EngineError;
use super::lock::{lock, read};
use super::points::Data;
use super::state::State;

pub use view::{LineageChange, LineageEvent, LiveView};

/// Rows that come or go in one step while a clustering that is about to be followed catches up.
const CATCH_UP_ROWS: usize = 256;

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

    fn active_id(&self) -> Option<u64> {
        read(&self.state).active
    }

    /// The active clustering where it is to be followed and is not yet, with its density.
    fn to_follow(&self) -> Option<(Arc<ClusteringHead>, Density)> {
        let state = read(&self.state);
        let head = state.active_head()?;
        let Parameters::Dbscan { eps: Some(eps), min_points: Some(min_points) } = head.parameters else {
            return None;
        };
        state.live().is_none().then(|| (Arc::clone(head), Density { eps, min_points }))
    }

    /// Begins to follow the active clustering, if it is by DBSCAN: all its images of now are clustered, beside whatever
    /// else goes on, and what came and went meanwhile is caught up with in steps, the last with the writer's turn.
    ///
    /// # Errors
    /// A store that fails. Being stopped is none.
    pub(super) fn begin_to_follow(&self, stopped: &(dyn Fn() -> bool + Sync)) -> Result<(), EngineError> {
        // One at a time: whoever waits finds it done.
        let _turn = lock(&self.beginning);
        let Some((head, density)) = self.to_follow() else { return Ok(()) };
        let data = self.data();
        let input = ClusterInput { vectors: &data.vectors, ids: &data.ids, candidates: None };
        let cancelled = || stopped() || self.is_closed() || self.active_id() != Some(head.id);
        let context = RunContext { seed: 0, progress: &|_| {}, cancelled: &cancelled };
        match self.pool.install(|| cluster::follow(&input, density, &context)) {
            Ok(made) => self.follow_from(&head, &data, made, stopped),
            Err(ClusterError::Cancelled) => Ok(()),
            Err(error) => Err(EngineError::Internal(error.to_string())),
        }
    }

    /// Begins to follow a clustering that has just been made of these images, if it is the active one.
    ///
    /// # Errors
    /// As [`Collection::begin_to_follow`].
    pub(super) fn follow_made(
        &self,
        head: &ClusteringHead,
        data: &Data,
        made: (Live, Sketches),
        stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), EngineError> {
        let _turn = lock(&self.beginning);
        if self.to_follow().is_none_or(|(active, _)| active.id != head.id) {
            return Ok(());
        }
        self.follow_from(head, data, made, stopped)
    }

    fn follow_from(
        &self,
        head: &ClusteringHead,
        data: &Data,
        (mut live, sketches): (Live, Sketches),
        stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), EngineError> {
        live.compact(|row| data.offsets[row as usize]);
        let rows = data.offsets.iter().max().map_or(0, |&last| last as usize + 1);
        let sketches = sketches.placed(&data.offsets, rows);
        let mut followed = Followed { clustering: head.id, live, sketches, names: HashMap::new() };
        // What came meanwhile is taken in a step at a time, so that nobody waits long; the last step has the turn.
        while self.catch_up(&mut followed, data.compactions) == CATCH_UP_ROWS {
            if stopped() || self.is_closed() {
                return Ok(());
            }
        }
        let writer = self.writer()?;
        if self.active_id() != Some(head.id) || read(&self.state).compactions != data.compactions {
            return Ok(());
        }
        while self.catch_up(&mut followed, data.compactions) > 0 {}
        self.publish_followed(&writer, head, followed)
    }

    /// Takes in a step of what came and went since; answers how many rows that was.
    fn catch_up(&self, followed: &mut Followed, compactions: u64) -> usize {
        let state = read(&self.state);
        if state.compactions != compactions {
            return 0;
        }
        let Followed { live, sketches, .. } = followed;
        sketches.extend(&state.vectors);
        let id = |row: PointOffset| state.rows.get(row).image;
        let ranges = RowRanges::new(&state.vectors, sketches, &id);
        let all =
            || state.rows.all().iter().enumerate().map(|(row, record)| (row as PointOffset, record.alive));
        let step = |alive: bool, live: &Live| -> Vec<PointOffset> {
            let changed = all().filter(|&(row, is_alive)| is_alive == alive && live.holds(row) != alive);
            changed.map(|(row, _)| row).take(CATCH_UP_ROWS).collect()
        };
        let gone = step(false, live);
        live.remove(&gone, &ranges);
        let come = step(true, live);
        live.insert(&come, &ranges);
        gone.len().max(come.len())
    }

    /// Names the components after the clustering's clusters, and shows them.
    fn publish_followed(
        &self,
        writer: &Writer<'_>,
        head: &ClusteringHead,
        mut followed: Followed,
    ) -> Result<(), EngineError> {
        let mut members = HashMap::new();
        for member in self.store.members(head.id)? {
            members.extend(member.cluster.map(|cluster| (member.image, cluster)));
        }
        let components: Vec<u32> = followed.live.components().collect();
        let number: HashMap<u32, u32> = components.iter().copied().zip(0..).collect();
        let (rows, images): (Vec<PointOffset>, Vec<ImageId>) = {
            let state = read(&self.state);
            state.rows.alive().map(|(row, record)| (row, record.image)).unzip()
        };
        let labels: Vec<Option<u32>> =
            rows.iter().map(|&row| followed.live.label(row).map(|component| number[&component])).collect();
        let mut saved = writer.saved_state();
        let matched = match_clusters(&members, &images, &labels, ClusterId(saved.next_cluster));
        followed.names = components.into_iter().zip(matched.ids).collect();
        if matched.next.0 != saved.next_cluster {
            saved.next_cluster = matched.next.0;
            let mut batch = writer.batch();
            batch.put_state(&saved)?;
            self.store.commit("live", batch)?;
        }
        let mut view = LiveView { clustering: head.id, generation: saved.generation, ..LiveView::default() };
        rows.iter().for_each(|&row| view.relabel(row, followed.label(row)));
        view.noise = followed.live.counts().noise() as u64;
        *lock(&self.followed) = Some(followed);
        writer.publish_aside(|state| {
            state.next_cluster = saved.next_cluster;
            state.live = Some(Arc::new(view));
        });
        Ok(())
    }
}
