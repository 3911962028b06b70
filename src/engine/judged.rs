//! What follows from labels: evidence, what is nearest of it, and decisions; all of it before it is published.

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
use super::state::{Derived, State, changed, count_votes, decide_all, find_contradictions};

/// A collection's labels as one more act makes them, with all that follows; the scores are those of before.
pub(super) struct Judged {
    pub(super) fold: Fold,
    evidence: [Change; 2],
    pub(super) derived: Derived,
}

/// What becomes of a set of evidence.
enum Change {
    /// These images join it.
    Added(EvidenceSets),
    /// It becomes this one.
    Replaced(EvidenceSets),
}

impl Change {
    fn apply(self, evidence: &mut Arc<EvidenceSets>) {
        match self {
            Self::Added(added) => Arc::make_mut(evidence).extend(&added),
            Self::Replaced(all) => *evidence = Arc::new(all),
        }
    }
}

impl Judged {
    /// The seen images of before that were deleted among those that are evidence then.
    pub(super) fn seen<'a>(&'a self, before: &'a EvidenceSets) -> &'a EvidenceSets {
        match &self.evidence[1] {
            // What joins is stored.
            Change::Added(_) => before,
            Change::Replaced(all) => all,
        }
    }

    /// Puts it in the place of what was.
    pub(super) fn publish(self, state: &mut State) {
        state.labels = Arc::new(self.fold.labels);
        state.answers = Arc::new(self.fold.answers);
        let [evidence, seen] = self.evidence;
        evidence.apply(&mut state.evidence);
        seen.apply(&mut state.seen);
        state.derived = Arc::new(self.derived);
    }
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
        let touched: Vec<&ImageId> = act.images().collect();
        self.judged(fold, Some(&touched))
    }

    /// What follows from these labels. Only those of the images `touched` can differ from the ones in force; `None`
    /// where it is not known which.
    pub(super) fn judged(&self, fold: Fold, touched: Option<&[&ImageId]>) -> Judged {
        let added = touched.and_then(|touched| added(&read(&self.state), &fold.labels, touched));
        let (evidence, near) = if let Some(added) = added {
            let near = nearest_with(&read(&self.state), &fold.labels, &added);
            (added.map(Change::Added), near)
        } else {
            let state = read(&self.state);
            let all = evidence_of(&state, &fold.labels);
            let near = nearest(&state, &fold.labels, all.each_ref());
            (all.map(Change::Replaced), near)
        };
        let state = read(&self.state);
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
        for (offset, found) in offsets.iter().zip(state.find_near(&offsets, sets)) {
            near[*offset as usize] = found;
        }
    }
    near
}

/// What the touched images add to the labelled and to the seen ones; `None` where something is taken away or changes
/// sides, or an image that is not stored gets a label: then nothing less than all is to be looked at.
fn added(state: &State, labels: &Labels, touched: &[&ImageId]) -> Option<[EvidenceSets; 2]> {
    let mut touched = touched.to_vec();
    touched.sort_unstable();
    touched.dedup();
    let dim = state.vectors.dim();
    let mut added = [EvidenceSets::new(dim), EvidenceSets::new(dim)];
    for image in touched {
        let label = labels.get(image).filter(|label| label.speaks());
        let after: [Option<Side>; 2] =
            [label.map(|label| label.side), label.filter(|label| label.seen).map(|label| label.side)];
        let before = [state.evidence.side_of(image), state.seen.side_of(image)];
        for ((added, before), after) in added.iter_mut().zip(before).zip(after) {
            match (before, after) {
                (None, Some(side)) => {
                    let offset = state.rows.offset(image)?;
                    added.push(side, *image, state.vectors.row(offset as usize));
                }
                (before, after) if before == after => {}
                _ => return None,
            }
        }
    }
    Some(added)
}

/// What is nearest once these images are evidence too: only they are searched, but for rows whose label became an
/// implied one.
fn nearest_with(state: &State, labels: &Labels, [labelled, seen]: &[EvidenceSets; 2]) -> NearRows {
    let before = &state.derived.near;
    let mut near = vec![[None, None]; before.len()];
    let [unlabelled, implied] = state.unseen(labels);
    let was_implied = |&offset: &PointOffset| {
        state.labels.get(&state.rows.get(offset).image).is_some_and(|label| !label.seen)
    };
    let (still, newly): (Vec<_>, Vec<_>) = implied.into_iter().partition(was_implied);
    let mut put = |offsets: &[PointOffset], added: NearRows, before: NearRows| {
        for ((&offset, added), before) in offsets.iter().zip(added).zip(before) {
            near[offset as usize] = [nearer(added[0], before[0]), nearer(added[1], before[1])];
        }
    };
    for (offsets, added) in [(unlabelled, labelled), (still, seen)] {
        let was = offsets.iter().map(|&offset| before[offset as usize]).collect();
        put(&offsets, state.find_near(&offsets, added), was);
    }
    put(&newly, state.find_near(&newly, seen), state.find_near(&newly, &state.seen));
    near
}
