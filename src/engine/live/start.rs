//! How a clustering begins to be followed: taken up from what was kept of it, or from a batch run on the images of now.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cluster::lineage::match_clusters;
use crate::cluster::{
    self, Changes, ClusterError, ClusterInput, Density, Live, Parameters, RowRanges, RunContext, Sketches,
};
use crate::engine::clusterings::ClusteringHead;
use crate::engine::collection::{Collection, Writer};
use crate::engine::error::EngineError;
use crate::engine::lock::{lock, read};
use crate::engine::points::Data;
use crate::types::{ClusterId, ImageId, PointOffset};

use super::kept::Kept;
use super::{Followed, LineageEvent, LiveView};

/// Rows that come or go in one step while a clustering that is about to be followed catches up.
const CATCH_UP_ROWS: usize = 256;
/// The longest wait after a failure before the next try; the first is a second, and each is twice the last.
const BACK_OFF_MAX: Duration = Duration::from_mins(10);

/// When to try again to follow a clustering.
#[derive(Debug, Default)]
pub(in crate::engine) struct BackOff {
    failures: u32,
    until: Option<Instant>,
}

impl BackOff {
    fn waits(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    fn note<T>(&mut self, result: &Result<T, EngineError>) {
        if result.is_ok() {
            *self = Self::default();
            return;
        }
        let wait = Duration::from_secs(1 << self.failures.min(16)).min(BACK_OFF_MAX);
        *self = Self { failures: self.failures.saturating_add(1), until: Some(Instant::now() + wait) };
    }
}

/// What the components are called.
enum Names {
    /// As they were before.
    Kept(HashMap<u32, ClusterId>),
    /// After the clusters that these images were in.
    Matched(HashMap<ImageId, ClusterId>),
}

/// A clustering that is about to be followed; its rows are numbered as the data's.
struct Start {
    live: Live,
    sketches: Sketches,
    names: Names,
    lineage: VecDeque<LineageEvent>,
}

impl Collection {
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

    /// Begins to follow the active clustering, if it is by DBSCAN: from what was kept of it, or else all its images of
    /// now are clustered, beside whatever else goes on. What came and went meanwhile is caught up with in steps, the
    /// last with the writer's turn. After a failure it waits before it tries again.
    ///
    /// # Errors
    /// A store that fails. Being stopped is none.
    pub(in crate::engine) fn begin_to_follow(
        &self,
        stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), EngineError> {
        // One at a time: whoever waits finds it done.
        let mut back_off = lock(&self.beginning);
        if back_off.waits() {
            return Ok(());
        }
        let Some((head, density)) = self.to_follow() else { return Ok(()) };
        let begun = self.begin(&head, density, stopped);
        back_off.note(&begun);
        begun
    }

    fn begin(
        &self,
        head: &ClusteringHead,
        density: Density,
        stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), EngineError> {
        let data = self.data();
        let kept = self.kept(head.id, density);
        let (labels, lineage) = match kept.map(|kept| self.taken_up(kept, &data)) {
            Some(Ok(start)) => return self.follow_from(head, &data, start, stopped),
            Some(Err((labels, lineage))) => (labels, lineage),
            None => (self.labels_when_made(head)?, VecDeque::new()),
        };
        let input = ClusterInput { vectors: &data.vectors, ids: &data.ids, candidates: None };
        let cancelled = || stopped() || self.is_closed() || self.active_id() != Some(head.id);
        let context = RunContext { seed: 0, progress: &|_| {}, cancelled: &cancelled };
        match self.pool.install(|| cluster::follow(&input, density, &context)) {
            Ok((live, sketches)) => {
                let names = Names::Matched(labels);
                self.follow_from(head, &data, Start { live, sketches, names, lineage }, stopped)
            }
            Err(ClusterError::Cancelled) => Ok(()),
            Err(error) => Err(EngineError::Internal(error.to_string())),
        }
    }

    /// What was kept, numbered as the data is. Where an image is gone, whose neighbours nobody can ask any more, or a
    /// probe disagrees, only the clusters' names and their past are of use.
    fn taken_up(
        &self,
        kept: Kept,
        data: &Data,
    ) -> Result<Start, (HashMap<ImageId, ClusterId>, VecDeque<LineageEvent>)> {
        let row_of: HashMap<ImageId, u32> = data.ids.iter().copied().zip(0..).collect();
        let rows: Option<Vec<PointOffset>> =
            kept.images.iter().map(|image| row_of.get(image).copied()).collect();
        let Some(rows) = rows else { return Err(kept.labels()) };
        let mut live = kept.live.clone();
        live.compact(|row| rows[row as usize]);
        let sketches = Sketches::new(&data.vectors);
        let id = |row: PointOffset| data.ids[row as usize];
        let ranges = RowRanges::new(&data.vectors, &sketches, &id);
        let probes = Kept::probes(&rows);
        if let Err(error) = self.pool.install(|| live.probe(&probes, &ranges)) {
            tracing::warn!(error, collection = self.name(), "what was kept of the clustering is wrong");
            return Err(kept.labels());
        }
        Ok(Start { live, sketches, names: Names::Kept(kept.names), lineage: kept.lineage })
    }

    /// The cluster of each image when the clustering was made.
    fn labels_when_made(&self, head: &ClusteringHead) -> Result<HashMap<ImageId, ClusterId>, EngineError> {
        let mut labels = HashMap::new();
        for member in self.store.members(head.id)? {
            labels.extend(member.cluster.map(|cluster| (member.image, cluster)));
        }
        Ok(labels)
    }

    /// Begins to follow a clustering that has just been made of these images, if it is the active one.
    ///
    /// # Errors
    /// As [`Collection::begin_to_follow`].
    pub(in crate::engine) fn follow_made(
        &self,
        head: &ClusteringHead,
        data: &Data,
        (live, sketches): (Live, Sketches),
        stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), EngineError> {
        let _turn = lock(&self.beginning);
        if self.to_follow().is_none_or(|(active, _)| active.id != head.id) {
            return Ok(());
        }
        let names = Names::Matched(self.labels_when_made(head)?);
        self.follow_from(head, data, Start { live, sketches, names, lineage: VecDeque::new() }, stopped)
    }

    fn follow_from(
        &self,
        head: &ClusteringHead,
        data: &Data,
        Start { mut live, sketches, names, lineage }: Start,
        stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), EngineError> {
        live.compact(|row| data.offsets[row as usize]);
        let rows = data.offsets.iter().max().map_or(0, |&last| last as usize + 1);
        let sketches = sketches.placed(&data.offsets, rows);
        let mut followed = Followed { clustering: head.id, live, sketches, names: HashMap::new() };
        let mut changes = Vec::new();
        // What came meanwhile is taken in a step at a time, so that nobody waits long; the last step has the turn.
        while self.catch_up(&mut followed, data.compactions, &mut changes) == CATCH_UP_ROWS {
            if stopped() || self.is_closed() {
                return Ok(());
            }
        }
        let writer = self.writer()?;
        if self.active_id() != Some(head.id) || read(&self.state).compactions != data.compactions {
            return Ok(());
        }
        while self.catch_up(&mut followed, data.compactions, &mut changes) > 0 {}
        self.publish_followed(&writer, followed, names, lineage, &changes)
    }

    /// Takes in a step of what came and went since; answers how many rows that was.
    fn catch_up(&self, followed: &mut Followed, compactions: u64, changes: &mut Vec<Changes>) -> usize {
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
        changes.push(live.remove(&gone, &ranges));
        let come = step(true, live);
        changes.push(live.insert(&come, &ranges));
        gone.len().max(come.len())
    }

    /// Names the components and shows them.
    fn publish_followed(
        &self,
        writer: &Writer<'_>,
        mut followed: Followed,
        names: Names,
        lineage: VecDeque<LineageEvent>,
        changes: &[Changes],
    ) -> Result<(), EngineError> {
        let (rows, images): (Vec<PointOffset>, Vec<ImageId>) = {
            let state = read(&self.state);
            state.rows.alive().map(|(row, record)| (row, record.image)).unzip()
        };
        let mut saved = writer.saved_state();
        let mut events = Vec::new();
        let mut next = saved.next_cluster;
        match names {
            Names::Kept(names) => {
                followed.names = names;
                for changes in changes {
                    let (told, after) = followed.rename(changes, next);
                    events.extend(told);
                    next = after;
                }
            }
            Names::Matched(labels) => next = followed.name_after(&labels, &rows, &images, next),
        }
        if next != saved.next_cluster {
            saved.next_cluster = next;
            let mut batch = writer.batch();
            batch.put_state(&saved)?;
            self.store.commit("live", batch)?;
        }
        let (clustering, generation) = (followed.clustering, saved.generation);
        let mut view = LiveView { clustering, generation, lineage, ..LiveView::default() };
        rows.iter().for_each(|&row| view.relabel(row, followed.label(row)));
        view.noise = followed.live.counts().noise() as u64;
        view.tell(events, generation);
        *lock(&self.followed) = Some(followed);
        writer.publish_aside(|state| {
            state.next_cluster = next;
            state.live = Some(Arc::new(view));
        });
        Ok(())
    }
}

impl Followed {
    /// Names the components after the clusters that most of their images were in; answers the next free id.
    fn name_after(
        &mut self,
        before: &HashMap<ImageId, ClusterId>,
        rows: &[PointOffset],
        images: &[ImageId],
        next: u64,
    ) -> u64 {
        let components: Vec<u32> = self.live.components().collect();
        let number: HashMap<u32, u32> = components.iter().copied().zip(0..).collect();
        let labels: Vec<Option<u32>> =
            rows.iter().map(|&row| self.live.label(row).map(|component| number[&component])).collect();
        let matched = match_clusters(before, images, &labels, ClusterId(next));
        self.names = components.into_iter().zip(matched.ids).collect();
        matched.next.0
    }
}
