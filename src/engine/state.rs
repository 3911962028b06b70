//! What a collection holds in memory: all of it derived from the store, published whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::decide::labels::Labels;
use crate::decide::policy::Policy;
use crate::decide::{Decision, DecisionKind, Evidence, Facts, Votes, decide};
use crate::index::VectorIndex;
use crate::types::{ClusterId, Generation, ImageId, PointOffset, Vectors};

use super::clusterings::{ClusteringHead, Place};
use super::error::EngineError;
use super::evidence::{EvidenceSets, Near, NearRows, nearer};
use super::live::LiveView;
use super::revisions::Revisions;

/// One stored image, by offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Which image.
    pub(super) image: ImageId,
    /// The generation that it came with; grows with the offset.
    pub(super) generation: Generation,
    /// When it was added, milliseconds since 1970 UTC.
    pub(super) added_ms: i64,
    /// Whether it is still stored; a row of a deleted image stays until the next compaction.
    pub(super) alive: bool,
}

/// The rows of a collection in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    rows: Vec<Row>,
    by_image: HashMap<ImageId, PointOffset>,
}

impl Rows {
    /// Appends a row.
    pub(super) fn push(&mut self, row: Row) {
        self.by_image.insert(row.image, self.rows.len() as PointOffset);
        self.rows.push(row);
    }

    /// Marks an image as deleted.
    pub(super) fn remove(&mut self, image: &ImageId) -> Option<PointOffset> {
        let offset = self.by_image.remove(image)?;
        self.rows[offset as usize].alive = false;
        Some(offset)
    }

    /// Where an image is that has to be stored.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn stored(&self, image: &ImageId) -> Result<PointOffset, EngineError> {
        self.offset(image).ok_or_else(|| EngineError::not_found("image", image))
    }

    /// Where a stored image is.
    pub(super) fn offset(&self, image: &ImageId) -> Option<PointOffset> {
        self.by_image.get(image).copied()
    }

    /// Whether an image is stored that was there at this generation already.
    pub(super) fn was_there(&self, image: &ImageId, generation: Generation) -> bool {
        self.offset(image).is_some_and(|offset| self.get(offset).generation <= generation)
    }

    /// The row at an offset.
    pub(super) fn get(&self, offset: PointOffset) -> &Row {
        &self.rows[offset as usize]
    }

    /// All rows, the deleted ones included.
    pub(super) fn all(&self) -> &[Row] {
        &self.rows
    }

    /// Offsets and rows of stored images.
    pub(super) fn alive(&self) -> impl DoubleEndedIterator<Item = (PointOffset, &Row)> {
        self.rows.iter().enumerate().filter(|(_, row)| row.alive).map(|(at, row)| (at as PointOffset, row))
    }

    /// How many images are stored.
    pub(super) fn count(&self) -> usize {
        self.by_image.len()
    }
}

/// What is worked out of rows, labels and the active clustering.
#[derive(Debug, Clone, Default)]
pub(super) struct Derived {
    /// Each row's place in the active clustering.
    pub(super) places: Vec<Place>,
    /// Each row's nearest labelled images, keep and discard; kept up for rows without a label.
    pub(super) near: NearRows,
    /// Labels by cluster of the active clustering.
    pub(super) votes: HashMap<ClusterId, Votes>,
    /// Each row's decision.
    pub(super) decisions: Vec<Decision>,
}

/// A collection in memory. Large parts are shared with readers and copied on write, so a reader sees one generation.
pub(super) struct State {
    pub(super) generation: Generation,
    pub(super) rows: Arc<Rows>,
    pub(super) vectors: Vectors,
    pub(super) index: Box<dyn VectorIndex>,
    pub(super) sources: u64,
    pub(super) labels: Arc<Labels>,
    pub(super) evidence: Arc<EvidenceSets>,
    pub(super) policy: Policy,
    pub(super) policy_version: u64,
    pub(super) policy_ms: i64,
    pub(super) events: u64,
    pub(super) last_hash: [u8; 32],
    pub(super) heads: BTreeMap<u64, Arc<ClusteringHead>>,
    pub(super) active: Option<u64>,
    pub(super) next_clustering: u64,
    pub(super) next_cluster: u64,
    pub(super) derived: Arc<Derived>,
    /// The active clustering followed through adds and deletes, where it is by DBSCAN.
    pub(super) live: Option<Arc<LiveView>>,
    /// What readers were told of each row's decision.
    pub(super) revisions: Arc<Revisions>,
    /// How often rows were renumbered since the start.
    pub(super) compactions: u64,
}

/// One generation, as a reader holds it.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) generation: Generation,
    pub(super) rows: Arc<Rows>,
    pub(super) labels: Arc<Labels>,
    pub(super) evidence: Arc<EvidenceSets>,
    pub(super) derived: Arc<Derived>,
    pub(super) policy: Policy,
    pub(super) policy_version: u64,
    pub(super) policy_ms: i64,
    pub(super) active: Option<Arc<ClusteringHead>>,
    pub(super) live: Option<Arc<LiveView>>,
    pub(super) revisions: Arc<Revisions>,
}

impl Snapshot {
    /// A row's cluster in the active clustering: where that is followed, as it is now.
    pub(super) fn cluster_of(&self, offset: PointOffset) -> Option<ClusterId> {
        match &self.live {
            Some(live) => live.label(offset),
            None => self.derived.places[offset as usize].cluster(),
        }
    }
}

impl State {
    /// This generation, for a reader.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            generation: self.generation,
            rows: Arc::clone(&self.rows),
            labels: Arc::clone(&self.labels),
            evidence: Arc::clone(&self.evidence),
            derived: Arc::clone(&self.derived),
            policy: self.policy,
            policy_version: self.policy_version,
            policy_ms: self.policy_ms,
            active: self.active_head().map(Arc::clone),
            live: self.live().map(Arc::clone),
            revisions: Arc::clone(&self.revisions),
        }
    }

    /// The active clustering.
    pub(super) fn active_head(&self) -> Option<&Arc<ClusteringHead>> {
        self.heads.get(&self.active?)
    }

    /// Offsets of rows without a label.
    pub(super) fn unlabelled(&self) -> Vec<PointOffset> {
        let labels = &self.labels;
        self.rows
            .alive()
            .filter(|(_, row)| labels.get(&row.image).is_none())
            .map(|(offset, _)| offset)
            .collect()
    }

    /// The nearest images of each side to these rows among `sets`.
    pub(super) fn find_near(&self, offsets: &[PointOffset], sets: &EvidenceSets) -> NearRows {
        let queries = self.vectors.gather(offsets);
        let ids: Vec<ImageId> = offsets.iter().map(|&offset| self.rows.get(offset).image).collect();
        sets.nearest(&queries, &ids)
    }

    /// What is nearest to these rows once `added` is evidence too.
    pub(super) fn find_nearer(&self, offsets: &[PointOffset], added: &EvidenceSets) -> NearRows {
        let before = offsets.iter().map(|&offset| self.derived.near[offset as usize]);
        let found = self.find_near(offsets, added).into_iter();
        found
            .zip(before)
            .map(|(found, before)| [nearer(found[0], before[0]), nearer(found[1], before[1])])
            .collect()
    }
}

/// Counts the labels within each cluster of the active clustering.
pub(super) fn count_votes(rows: &Rows, labels: &Labels, places: &[Place]) -> HashMap<ClusterId, Votes> {
    let mut votes: HashMap<ClusterId, Votes> = HashMap::new();
    for (offset, row) in rows.alive() {
        if let Place::Member(cluster, distance) = places[offset as usize] {
            votes.entry(cluster).or_default().count(labels.get(&row.image), distance);
        }
    }
    votes
}

/// The facts that bear on one row.
pub(super) fn facts(
    rows: &Rows,
    labels: &Labels,
    derived: &Derived,
    offset: PointOffset,
    near: [Option<Near>; 2],
) -> Facts {
    let place_of = |image: &ImageId| {
        rows.offset(image).map_or(Place::Unclustered, |offset| derived.places[offset as usize])
    };
    let evidence = |near: Option<Near>| {
        near.map(|near| Evidence {
            image: near.image,
            distance: near.distance,
            reach: labels.get(&near.image).and_then(|label| label.reach),
            votes: place_of(&near.image).cluster().and_then(|cluster| derived.votes.get(&cluster).copied()),
        })
    };
    Facts {
        label: labels.get(&rows.get(offset).image).copied(),
        standing: derived.places[offset as usize].standing(&derived.votes),
        nearest_keep: evidence(near[0]),
        nearest_discard: evidence(near[1]),
    }
}

/// Decides every row afresh from what is derived so far.
pub(super) fn decide_all(rows: &Rows, labels: &Labels, policy: &Policy, derived: &mut Derived) {
    let decisions = (0..rows.all().len() as PointOffset)
        .map(|offset| decide(&facts(rows, labels, derived, offset, derived.near[offset as usize]), policy))
        .collect();
    derived.decisions = decisions;
}

/// Stored images whose decision differs between two generations of one set of rows.
pub(super) fn changed(rows: &Rows, before: &[Decision], after: &[Decision]) -> u64 {
    let same = |a: &Decision, b: &Decision| a.kind == b.kind && a.side == b.side;
    let differs = |(offset, _): &(PointOffset, &Row)| {
        let at = *offset as usize;
        before.get(at).zip(after.get(at)).is_some_and(|(before, after)| !same(before, after))
    };
    rows.alive().filter(differs).count() as u64
}

/// Stored images by decision: keep, discard, review.
pub(super) fn count_kinds(rows: &Rows, derived: &Derived) -> [u64; 3] {
    let mut counts = [0; 3];
    for (offset, _) in rows.alive() {
        let slot = match derived.decisions[offset as usize].kind {
            DecisionKind::Keep => 0,
            DecisionKind::Discard => 1,
            DecisionKind::Review => 2,
        };
        counts[slot] += 1;
    }
    counts
}
