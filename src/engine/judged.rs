//! What follows from labels: evidence, what is nearest of it, and decisions; all of it before it is published.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use crate::decide::event::Act;
use crate::decide::fold::Fold;
use crate::decide::labels::Labels;
use crate::decide::policy::Policy;
use crate::types::{ImageId, PointOffset, Side};

use super::clusterings::Place;
use super::collection::{Collection, Writer};
use super::error::EngineError;
use super::evidence::{EvidenceSets, NearRows, nearer};
use super::lock::read;
use super::requests::RequestKey;
use super::state::{Derived, Rows, State, changed, count_votes, decide_all, find_contradictions};

/// A collection's labels as one more act makes them, with all that follows; the scores are those of before.
pub(super) struct Judged {
    pub(super) fold: Fold,
    /// Of the labelled images, and of the seen ones among them.
    evidence: [Change; 2],
    pub(super) derived: Derived,
}

/// What becomes of a set of evidence: these images leave it, then those join it. One that changes sides does both.
struct Change {
    removed: HashSet<ImageId>,
    added: EvidenceSets,
}

impl Change {
    fn apply(&self, evidence: &mut Arc<EvidenceSets>) {
        let evidence = Arc::make_mut(evidence);
        evidence.remove(&self.removed);
        evidence.extend(&self.added);
    }
}

impl Judged {
    /// Seen images that are not stored, of the evidence that there is then.
    pub(super) fn deleted_seen(&self, rows: &Rows, before: &EvidenceSets) -> Vec<(Side, ImageId, Vec<f32>)> {
        let [_, Change { removed, added }] = &self.evidence;
        let mut deleted = deleted_seen(rows, before);
        deleted.retain(|(_, image, _)| !removed.contains(image));
        deleted.extend(deleted_seen(rows, added));
        deleted
    }

    /// Puts it in the place of what was.
    pub(super) fn publish(self, state: &mut State) {
        state.labels = Arc::new(self.fold.labels);
        state.answers = Arc::new(self.fold.answers);
        let [evidence, seen] = &self.evidence;
        evidence.apply(&mut state.evidence);
        seen.apply(&mut state.seen);
        state.derived = Arc::new(self.derived);
    }
}

/// Seen images that are not stored any more.
pub(super) fn deleted_seen(rows: &Rows, seen: &EvidenceSets) -> Vec<(Side, ImageId, Vec<f32>)> {
    let gone = seen.each().filter(|(_, image, _)| rows.offset(image).is_none());
    gone.map(|(side, image, embedding)| (side, image, embedding.to_vec())).collect()
}

impl Writer<'_> {
    /// Writes an act that changes labels to the log and publishes what follows from it. `answer` makes the answer of
    /// the act's place in the log and of how many decisions changed; a retry gets it again.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn judge<A: Serialize>(
        &self,
        actor: &str,
        note: &str,
        act: Act,
        judged: Judged,
        request: Option<&RequestKey>,
        answer: impl FnOnce(u64, u64) -> A,
    ) -> Result<A, EngineError> {
        let collection = self.collection;
        let undo = match act {
            Act::Undo { event } => Some(event),
            _ => None,
        };
        let is_answer = matches!(act, Act::Answer(_));
        let named: Vec<ImageId> = act.images().copied().collect();
        let changed = {
            let state = read(&collection.state);
            changed(&state.rows, &state.derived.decisions, &judged.derived.decisions)
        };
        let mut batch = self.batch();
        let (event, hash, _) = self.append(&mut batch, actor, note, act)?;
        let answer = answer(event, changed);
        batch.remember(request, &answer)?;
        collection.store.commit("judge", batch)?;
        self.publish(|state| {
            (state.events, state.last_hash) = (event, hash);
            state.judgements += u64::from(is_answer);
            state.named.extend(named);
            if let Some(of) = undo {
                Arc::make_mut(&mut state.undos).push((event, of));
            }
            judged.publish(state);
        });
        Ok(answer)
    }
}

impl Collection {
    /// What follows from one more verdict or answer.
    pub(super) fn judged_with(&self, act: &Act) -> Judged {
        let (mut fold, event) = {
            let state = read(&self.state);
            (state.fold(), state.events + 1)
        };
        fold.apply(event, act);
        let touched: HashSet<&ImageId> = act.images().collect();
        self.judged(fold, touched.into_iter())
    }

    /// What follows from labels of which any may differ from those in force.
    pub(super) fn judged_afresh(&self, fold: Fold) -> Judged {
        let before = Arc::clone(&read(&self.state).labels);
        let labelled: HashSet<ImageId> =
            before.iter().chain(fold.labels.iter()).map(|(image, _)| *image).collect();
        self.judged(fold, labelled.iter())
    }

    /// What follows from these labels; only those of the images touched, each named once, can differ.
    fn judged<'a>(&self, fold: Fold, touched: impl Iterator<Item = &'a ImageId>) -> Judged {
        let state = read(&self.state);
        let evidence = changes(&state, &fold.labels, touched);
        let near = nearest_after(&state, &fold.labels, &evidence);
        let derived = assemble(&state, &fold.labels, &state.policy, state.derived.places.clone(), near);
        Judged { fold, evidence, derived }
    }
}

/// Derives what is left to derive once it is known what is nearest to each row.
pub(super) fn assemble(
    state: &State,
    labels: &Labels,
    policy: &Policy,
    places: Vec<Place>,
    near: NearRows,
) -> Derived {
    let contradictions = find_contradictions(state, labels, &near, policy.standing_margin);
    let votes = count_votes(&state.rows, labels, &places);
    let scores = Arc::clone(&state.derived.scores);
    let twins = state.twins_with(labels, policy);
    let mut derived = Derived { places, near, contradictions, twins, scores, votes, decisions: Vec::new() };
    decide_all(&state.rows, labels, policy, &mut derived);
    derived
}

/// The labelled images, and those of them that were seen, whose embeddings are known, in the order of ids.
pub(super) fn evidence_of(state: &State, labels: &Labels) -> [EvidenceSets; 2] {
    let mut labelled: Vec<_> = labels.iter().filter(|(_, label)| label.speaks()).collect();
    labelled.sort_unstable_by_key(|(image, _)| **image);
    let mut sets = [EvidenceSets::new(state.vectors.dim()), EvidenceSets::new(state.vectors.dim())];
    for (image, label) in labelled {
        let Some(embedding) = state.embedding_of(image) else {
            continue;
        };
        sets[0].push(label.side, *image, embedding);
        if label.seen {
            sets[1].push(label.side, *image, embedding);
        }
    }
    sets
}

/// What is nearest to each row.
pub(super) fn nearest(state: &State, labels: &Labels, [evidence, seen]: [&EvidenceSets; 2]) -> NearRows {
    let mut near = vec![[None, None]; state.rows.all().len()];
    let [unlabelled, implied] = state.unseen(labels);
    for (offsets, sets) in [(unlabelled, evidence), (implied, seen)] {
        for (offset, found) in offsets.iter().zip(state.find_near(&offsets, sets, &HashSet::new())) {
            near[*offset as usize] = found;
        }
    }
    near
}

/// What the labels of the touched images change among the labelled images, and among the seen ones.
fn changes<'a>(state: &State, labels: &Labels, touched: impl Iterator<Item = &'a ImageId>) -> [Change; 2] {
    let none = || Change { removed: HashSet::new(), added: EvidenceSets::new(state.vectors.dim()) };
    let mut changes = [none(), none()];
    for image in touched {
        let label = labels.get(image).filter(|label| label.speaks());
        let after = [label, label.filter(|label| label.seen)].map(|label| label.map(|label| label.side));
        let before = [state.evidence.side_of(image), state.seen.side_of(image)];
        for ((change, before), after) in changes.iter_mut().zip(before).zip(after) {
            if before == after {
                continue;
            }
            if before.is_some() {
                change.removed.insert(*image);
            }
            if let Some((side, embedding)) = after.zip(state.embedding_of(image)) {
                change.added.push(side, *image, embedding);
            }
        }
    }
    changes
}

/// What is nearest to each row after these changes. Rows that lost what was nearest to them, or that look at another
/// set than before (as labels end, or become implied ones), are compared with all of it; the others with what is new.
fn nearest_after(state: &State, labels: &Labels, changes: &[Change; 2]) -> NearRows {
    let before = &state.derived.near;
    let mut near = vec![[None, None]; before.len()];
    let looked_at = state.unseen(&state.labels).map(|offsets| {
        let mut flags = vec![false; before.len()];
        offsets.iter().for_each(|&offset| flags[offset as usize] = true);
        flags
    });
    let sets = [&state.evidence, &state.seen];
    for (set, offsets) in state.unseen(labels).into_iter().enumerate() {
        let Change { removed, added } = &changes[set];
        let stands = |&offset: &PointOffset| {
            let mut nearest = before[offset as usize].iter().flatten();
            looked_at[set][offset as usize] && !nearest.any(|near| removed.contains(&near.image))
        };
        for (&offset, found) in offsets.iter().zip(state.find_near(&offsets, added, &HashSet::new())) {
            near[offset as usize] = found;
        }
        let (standing, anew): (Vec<_>, Vec<_>) = offsets.into_iter().partition(stands);
        let found = state.find_near(&anew, sets[set], removed);
        let standing = standing.into_iter().map(|offset| (offset, before[offset as usize]));
        for (offset, old) in anew.into_iter().zip(found).chain(standing) {
            let near = &mut near[offset as usize];
            *near = [nearer(near[0], old[0]), nearer(near[1], old[1])];
        }
    }
    near
}
