//! What a collection holds in memory: all of it derived from the store, published whole.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

use crate::decide::fold::{Answers, Fold};
use crate::decide::labels::Labels;
use crate::decide::policy::Policy;
use crate::decide::{Decision, DecisionKind, Evidence, Facts, Score, Votes, decide};
use crate::decode::{Defects, PerceptualHash};
use crate::index::VectorIndex;
use crate::types::{ClusterId, Generation, ImageId, PointOffset, Side, Vectors, cosine_distance};

use super::clusterings::{ClusteringHead, Place};
use super::error::EngineError;
use super::evidence::{EvidenceSets, Near, NearRows, QUERY_BLOCK_ROWS};
use super::live::LiveView;
use super::originals::{Departed, Twins};
use super::review::Scorer;
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
    /// Bytes of its file.
    pub(super) bytes: u64,
    /// Whether it is still stored; a row of a deleted image stays until the next compaction.
    pub(super) alive: bool,
    /// What it shares with its near-duplicates; `None` where it has no structure, or was stored before that was
    /// measured.
    pub(super) hash: Option<PerceptualHash>,
    /// What is wrong with it; `None` where it was stored before that was measured.
    pub(super) defects: Option<Defects>,
}

/// The rows of a collection in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    all: Vec<Row>,
    by_image: HashMap<ImageId, PointOffset>,
    /// Of the files of stored images.
    held_bytes: u64,
}

impl Rows {
    /// Appends a row.
    pub(super) fn push(&mut self, row: Row) {
        self.by_image.insert(row.image, self.all.len() as PointOffset);
        self.held_bytes += row.bytes;
        self.all.push(row);
    }

    /// Marks an image as deleted.
    pub(super) fn remove(&mut self, image: &ImageId) -> Option<PointOffset> {
        let offset = self.by_image.remove(image)?;
        let row = &mut self.all[offset as usize];
        row.alive = false;
        self.held_bytes -= row.bytes;
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
        &self.all[offset as usize]
    }

    /// All rows, the deleted ones included.
    pub(super) fn all(&self) -> &[Row] {
        &self.all
    }

    /// Offsets and rows of stored images.
    pub(super) fn alive(&self) -> impl DoubleEndedIterator<Item = (PointOffset, &Row)> {
        self.all.iter().enumerate().filter(|(_, row)| row.alive).map(|(at, row)| (at as PointOffset, row))
    }

    /// How many images are stored.
    pub(super) fn count(&self) -> usize {
        self.by_image.len()
    }

    /// How many bytes their files have in all.
    pub(super) fn bytes(&self) -> u64 {
        self.held_bytes
    }
}

/// What is worked out of rows, labels and the active clustering.
#[derive(Debug, Clone, Default)]
pub(super) struct Derived {
    /// Each row's place in the active clustering.
    pub(super) places: Vec<Place>,
    /// The nearest images of either side, keep and discard: to a row without a label among the labelled ones, to a row
    /// with an implied one among those that were seen; a row that was seen itself has none.
    pub(super) near: NearRows,
    /// Of rows with an implied label those that a seen image contradicts.
    pub(super) contradictions: HashMap<PointOffset, Near>,
    /// What the classifier says of each row; empty while nothing was looked at.
    pub(super) scores: Arc<Vec<Option<Score>>>,
    /// Each row's labelled near-duplicates.
    pub(super) twins: Twins,
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
    pub(super) answers: Arc<Answers>,
    /// Labelled images.
    pub(super) evidence: Arc<EvidenceSets>,
    /// Those of them that were seen.
    pub(super) seen: Arc<EvidenceSets>,
    /// Every image that a verdict or an answer of the log names, be it undone: labels may come back.
    pub(super) named: HashSet<ImageId>,
    /// Every undo of the log, in order: its own place, and the event it is of.
    pub(super) undos: Arc<Vec<(u64, u64)>>,
    /// Review items answered, the undone answers among them.
    pub(super) judgements: u64,
    /// The classifier that scored the rows, for those that come.
    pub(super) scorer: Option<Arc<Scorer>>,
    /// What labelled images left behind that were deleted.
    pub(super) departed: HashMap<ImageId, Departed>,
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
    pub(super) answers: Arc<Answers>,
    pub(super) evidence: Arc<EvidenceSets>,
    pub(super) seen: Arc<EvidenceSets>,
    pub(super) undos: Arc<Vec<(u64, u64)>>,
    pub(super) events: u64,
    pub(super) compactions: u64,
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
            answers: Arc::clone(&self.answers),
            evidence: Arc::clone(&self.evidence),
            seen: Arc::clone(&self.seen),
            undos: Arc::clone(&self.undos),
            events: self.events,
            compactions: self.compactions,
            derived: Arc::clone(&self.derived),
            policy: self.policy,
            policy_version: self.policy_version,
            policy_ms: self.policy_ms,
            active: self.active_head().map(Arc::clone),
            live: self.live().map(Arc::clone),
            revisions: Arc::clone(&self.revisions),
        }
    }

    /// The fold of the log.
    pub(super) fn fold(&self) -> Fold {
        Fold { labels: (*self.labels).clone(), answers: (*self.answers).clone() }
    }

    /// The active clustering.
    pub(super) fn active_head(&self) -> Option<&Arc<ClusteringHead>> {
        self.heads.get(&self.active?)
    }

    /// Offsets of rows without a label, and of those with an implied one, as these labels have it.
    pub(super) fn unseen(&self, labels: &Labels) -> [Vec<PointOffset>; 2] {
        let (mut unlabelled, mut implied) = (Vec::new(), Vec::new());
        for (offset, row) in self.rows.alive() {
            match labels.get(&row.image) {
                None => unlabelled.push(offset),
                Some(label) if !label.seen => implied.push(offset),
                Some(_) => {}
            }
        }
        [unlabelled, implied]
    }

    /// The nearest images of each side to these rows among `sets`, but for those left out.
    pub(super) fn find_near(
        &self,
        offsets: &[PointOffset],
        sets: &EvidenceSets,
        without: &HashSet<ImageId>,
    ) -> NearRows {
        // By blocks, so that no copy of all rows is made.
        let blocks = offsets.par_chunks(QUERY_BLOCK_ROWS);
        let found = blocks.flat_map_iter(|block| {
            let ids: Vec<ImageId> = block.iter().map(|&offset| self.rows.get(offset).image).collect();
            sets.nearest_without(&self.vectors.gather(block), &ids, without)
        });
        found.collect()
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

/// Of rows with an implied label those that a seen image contradicts.
pub(super) fn find_contradictions(
    state: &State,
    labels: &Labels,
    near: &NearRows,
    margin: f64,
) -> HashMap<PointOffset, Near> {
    let found = |(offset, _): (PointOffset, &Row)| {
        contradiction(state, labels, offset, near[offset as usize], margin).map(|near| (offset, near))
    };
    state.rows.alive().filter_map(found).collect()
}

/// What contradicts an implied label: a seen image of the other side, within the margin, and nearer than the medoid of
/// the cluster that was judged. A medoid that is gone is nearer to nothing.
pub(super) fn contradiction(
    state: &State,
    labels: &Labels,
    offset: PointOffset,
    near: [Option<Near>; 2],
    margin: f64,
) -> Option<Near> {
    let label = labels.get(&state.rows.get(offset).image).filter(|label| !label.seen)?;
    let other = near[usize::from(label.side == Side::Keep)]?;
    if f64::from(other.distance) > margin {
        return None;
    }
    let own = state.vectors.row(offset as usize);
    let medoid = label.medoid.and_then(|medoid| state.embedding_of(&medoid));
    let to_medoid = medoid.map_or(f32::INFINITY, |medoid| cosine_distance(own, medoid));
    (other.distance < to_medoid).then_some(other)
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
    let evidence = |near: Near| Evidence {
        image: near.image,
        distance: near.distance,
        reach: labels.get(&near.image).and_then(|label| label.reach),
        votes: place_of(&near.image).cluster().and_then(|cluster| derived.votes.get(&cluster).copied()),
    };
    let [duplicate_keep, duplicate_discard] = derived.twins.row(offset);
    Facts {
        duplicate_keep,
        duplicate_discard,
        label: labels.get(&rows.get(offset).image).copied(),
        standing: derived.places[offset as usize].standing(&derived.votes),
        nearest_keep: near[0].map(evidence),
        nearest_discard: near[1].map(evidence),
        contradiction: derived.contradictions.get(&offset).copied().map(evidence),
        score: derived.scores.get(offset as usize).copied().flatten(),
        both_sides_seen: labels.both_sides_seen(),
    }
}

/// Decides every row afresh from what is derived so far.
pub(super) fn decide_all(rows: &Rows, labels: &Labels, policy: &Policy, derived: &mut Derived) {
    let decisions = (0..rows.all().len() as PointOffset)
        .into_par_iter()
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
