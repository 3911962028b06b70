//! Decisions of the moment, with what they rest on.

use std::sync::Arc;

use crate::decide::event::{Act, Event};
use crate::decide::fold::undone;
use crate::decide::labels::Label;
use crate::decide::policy::Policy;
use crate::decide::{Decision, DecisionKind, Duplicate, Facts, Reason, Standing};
use crate::decode::Measures;
use crate::types::{ClusterId, Generation, ImageId, PointOffset, Side};

use super::collection::Collection;
use super::error::EngineError;
use super::evidence::Near;
use super::filter::Filter;
use super::judged::assemble;
use super::lock::{now_ms, read};
use super::requests::RequestKey;
use super::revisions::Revisions;
use super::state::{Snapshot, facts};
use super::verdict::{ACTOR_CHARACTERS_MAX, check_text};

/// Verdicts told in one explanation at most, the last ones.
pub(super) const EXPLAINED_EVENTS_MAX: usize = 100;

/// A decision with what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct FullDecision {
    /// Which image.
    pub image: ImageId,
    /// The decision.
    pub decision: Decision,
    /// Its revision.
    pub revision: u64,
    /// Its sources' keys.
    pub source_keys: Vec<String>,
    /// What it rests on.
    pub facts: Facts,
    /// The active clustering.
    pub clustering: Option<u64>,
    /// The policy it was decided by.
    pub policy_version: u64,
    /// The reason in words.
    pub detail: String,
}

/// Everything that led to one decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The decision.
    pub full: FullDecision,
    /// The medoid of its cluster and its distance.
    pub medoid: Option<(ImageId, f32)>,
    /// What its pixels measure; `None` for an image stored before that was measured.
    pub measures: Option<Measures>,
    /// The verdicts that named or implied it, oldest first.
    pub events: Vec<(u64, Event)>,
    /// The policy in force, its version and when it was set.
    pub policy: (Policy, u64, i64),
    /// The rules in order, each with what it found.
    pub rules: Vec<String>,
}

/// One generation, to be looked at again.
#[derive(Clone)]
pub struct Look(Snapshot);

impl Look {
    /// What readers are told of it.
    pub(super) fn revisions(&self) -> &Revisions {
        &self.0.revisions
    }
}

/// A consistent look at all decisions.
pub struct DecisionReader<'a> {
    pub(super) collection: &'a Collection,
    pub(super) snapshot: Snapshot,
}

impl Collection {
    /// Looks at the decisions of the moment.
    pub fn decisions(&self) -> DecisionReader<'_> {
        self.decisions_of(&self.look())
    }

    /// The generation of the moment, for one who looks several times.
    pub fn look(&self) -> Look {
        Look(self.snapshot())
    }

    /// Looks at the decisions of a generation of this collection.
    pub fn decisions_of(&self, look: &Look) -> DecisionReader<'_> {
        DecisionReader { collection: self, snapshot: look.0.clone() }
    }

    /// The policy in force, its version and when it was set.
    pub fn policy(&self) -> (Policy, u64, i64) {
        let state = read(&self.state);
        (state.policy, state.policy_version, state.policy_ms)
    }

    /// Sets the policy that `change` makes of the one in force; every decision feels it when this returns.
    ///
    /// # Errors
    /// A knob out of range, or a store that fails.
    pub fn set_policy(
        &self,
        change: impl FnOnce(Policy) -> Policy,
        actor: &str,
        request: Option<&RequestKey>,
    ) -> Result<(Policy, u64, i64), EngineError> {
        check_text("actor", actor, ACTOR_CHARACTERS_MAX)?;
        let writer = self.writer()?;
        if let Some(first) = writer.replay(request)? {
            return Ok(first);
        }
        let (before, version, _) = self.policy();
        let policy = change(before).check()?;
        let answer = (policy, version + 1, now_ms());
        let mut batch = writer.batch();
        let act = Act::SetPolicy { version: answer.1, policy };
        let (event, hash, _) = writer.append(&mut batch, actor, "", act)?;
        batch.remember(request, &answer)?;
        self.store.commit("policy", batch)?;
        let derived = {
            let state = read(&self.state);
            let (places, near) = (state.derived.places.clone(), state.derived.near.clone());
            assemble(&state, &state.labels, &policy, places, near)
        };
        writer.publish(|state| {
            (state.events, state.last_hash) = (event, hash);
            (state.policy, state.policy_version, state.policy_ms) = answer;
            state.derived = Arc::new(derived);
        });
        Ok(answer)
    }
}

impl DecisionReader<'_> {
    /// The generation looked at.
    pub fn generation(&self) -> Generation {
        self.snapshot.generation
    }

    /// The decision of a stored image.
    pub fn get(&self, image: &ImageId) -> Option<Decision> {
        let offset = self.snapshot.rows.offset(image)?;
        Some(self.snapshot.derived.decisions[offset as usize])
    }

    /// Whether a stored image is noise in the active clustering.
    pub fn is_noise(&self, image: &ImageId) -> bool {
        let offset = self.snapshot.rows.offset(image);
        offset.is_some_and(|at| self.snapshot.derived.places[at as usize] == super::clusterings::Place::Noise)
    }

    /// Images selected, in the order they were added, with their decisions.
    ///
    /// # Errors
    /// The store fails.
    pub fn select(&self, filter: &Filter) -> Result<Vec<(ImageId, Decision)>, EngineError> {
        let selected = self.collection.select(&self.snapshot, filter)?.into_iter();
        let decisions = &self.snapshot.derived.decisions;
        Ok(selected.map(|(offset, image)| (image, decisions[offset as usize])).collect())
    }

    /// Decisions with what they rest on; images that are not stored are left out.
    ///
    /// # Errors
    /// The store fails.
    pub fn full(&self, images: &[ImageId]) -> Result<Vec<FullDecision>, EngineError> {
        let known: Vec<(PointOffset, ImageId)> =
            images.iter().filter_map(|image| Some((self.snapshot.rows.offset(image)?, *image))).collect();
        let near = self.near(&known);
        let mut found = Vec::with_capacity(known.len());
        for ((offset, image), near) in known.into_iter().zip(near) {
            let snapshot = &self.snapshot;
            let facts = facts(&snapshot.rows, &snapshot.labels, &snapshot.derived, offset, near);
            let decision = snapshot.derived.decisions[offset as usize];
            let header = self.collection.store.header(&image)?;
            let sources = header.map_or_else(Vec::new, |header| header.sources);
            found.push(FullDecision {
                image,
                decision,
                revision: self.revision(&image),
                source_keys: sources.into_iter().map(|source| source.key).collect(),
                detail: detail(decision, &facts, &snapshot.policy),
                facts,
                clustering: snapshot.active.as_ref().map(|head| head.id),
                policy_version: snapshot.policy_version,
            });
        }
        Ok(found)
    }

    /// The nearest labelled images of rows, found afresh: what is kept by row is kept for rows without a label only.
    fn near(&self, known: &[(PointOffset, ImageId)]) -> Vec<[Option<Near>; 2]> {
        let dim = self.collection.record.space.dim;
        let mut queries = crate::types::Vectors::new(dim);
        let zeros = vec![0.0; dim];
        for (_, image) in known {
            // Deleted since the snapshot: nothing is near it any more.
            let row = self.collection.embedding(image).unwrap_or_else(|| zeros.clone());
            if queries.push(&row).is_err() {
                return vec![[None, None]; known.len()];
            }
        }
        let ids: Vec<ImageId> = known.iter().map(|(_, image)| *image).collect();
        self.snapshot.evidence.nearest(&queries, &ids)
    }

    /// Everything that led to one decision.
    ///
    /// # Errors
    /// The image is not stored, or the store fails.
    pub fn explain(&self, image: &ImageId) -> Result<Explanation, EngineError> {
        let full = self.full(&[*image])?.pop().ok_or_else(|| EngineError::not_found("image", image))?;
        let medoid = match full.facts.standing {
            Standing::Member { cluster, distance_to_medoid, .. } => {
                let head = self.snapshot.active.as_ref().and_then(|head| head.cluster(cluster));
                head.map(|head| (head.medoid, distance_to_medoid))
            }
            Standing::Noise | Standing::Unclustered => None,
        };
        let undone = undone(&self.snapshot.undos);
        let mut events = Vec::new();
        self.collection.store.scan_log(|sequence, event| {
            // What was taken back does not bear on the image any more.
            if event.names(image) && !undone.contains_key(&sequence) {
                events.push((sequence, event));
            }
        })?;
        let first = events.len().saturating_sub(EXPLAINED_EVENTS_MAX);
        let snapshot = &self.snapshot;
        Ok(Explanation {
            measures: self.collection.store.measures(image)?,
            rules: rules(full.decision, &full.facts, &snapshot.policy),
            medoid,
            events: events.split_off(first),
            policy: (snapshot.policy, snapshot.policy_version, snapshot.policy_ms),
            full,
        })
    }
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Keep => "keep",
        Side::Discard => "discard",
    }
}

fn label_words(label: &Label) -> String {
    let how = if label.seen { "seen" } else { "implied" };
    format!("{how} {} by event {}", side_name(label.side), label.event)
}

fn standing_words(standing: &Standing) -> String {
    match standing {
        Standing::Unclustered => "not in the active clustering".to_owned(),
        Standing::Noise => "noise in the active clustering".to_owned(),
        Standing::Member { cluster: ClusterId(id), votes, .. } => format!(
            "in cluster {id}: {} of {} members labelled, {} keep and {} discard",
            votes.labelled(),
            votes.members,
            votes.of(Side::Keep),
            votes.of(Side::Discard)
        ),
    }
}

fn near_words(facts: &Facts) -> String {
    let words = |name: &str, near: Option<crate::decide::Evidence>| match near {
        Some(near) => format!("nearest {name} at {:.4}", near.distance),
        None => format!("no {name}"),
    };
    format!("{}, {}", words("keep", facts.nearest_keep), words("discard", facts.nearest_discard))
}

fn score_words(facts: &Facts) -> String {
    match facts.score {
        None => "nothing was looked at".to_owned(),
        Some(score) => {
            format!("keep with probability {:.3}, best taken as {}", score.keep, side_name(score.side))
        }
    }
}

/// What speaks against what the image would be.
fn doubt_words(facts: &Facts, policy: &Policy) -> String {
    let of = match (&facts.label, facts.standing) {
        (Some(label), _) => label_words(label),
        (None, Standing::Member { .. }) => standing_words(&facts.standing),
        (None, Standing::Noise | Standing::Unclustered) => near_words(facts),
    };
    match facts.contradiction {
        Some(seen) => format!(
            "{of}, but {} was seen to be of the other side, {:.4} away (margin {})",
            seen.image, seen.distance, policy.standing_margin
        ),
        None => {
            format!(
                "{of}, but the classifier says {} (threshold {})",
                score_words(facts),
                policy.doubt_threshold
            )
        }
    }
}

/// What rule 2 found: the near-duplicates, and how far they are.
fn duplicate_words(facts: &Facts) -> String {
    let words = |duplicate: &Duplicate| {
        let Duplicate { image, distance, hash_distance, .. } = duplicate;
        format!("{image} at distance {distance:.4} and hash distance {hash_distance:.4}")
    };
    let Some(discarded) = &facts.duplicate_discard else {
        return "of no image that was seen and discarded".to_owned();
    };
    let kept = match (&facts.duplicate_keep, facts.nearest_keep) {
        (Some(kept), _) => format!("of kept ones of {}", words(kept)),
        (None, Some(near)) => format!("nearest keep at {:.4}", near.distance),
        (None, None) => "no keep".to_owned(),
    };
    format!("of discarded {}, {kept}", words(discarded))
}

/// The reason in words, with the numbers used.
fn detail(decision: Decision, facts: &Facts, policy: &Policy) -> String {
    let label = facts.label.as_ref().map(label_words).unwrap_or_default();
    let bounds = format!("margin {}, radius {}", policy.standing_margin, policy.standing_radius);
    match decision.reason {
        Reason::SeenLabel | Reason::ImpliedLabel => label,
        Reason::Doubtful => doubt_words(facts, policy),
        Reason::NearDuplicate => format!("near-duplicate {}", duplicate_words(facts)),
        Reason::Inherited | Reason::ClusterChanged => standing_words(&facts.standing),
        Reason::NothingJudged => "nothing is judged yet".to_owned(),
        Reason::OneSideJudged => format!("only one side judged: {}", near_words(facts)),
        Reason::StandingVerdict | Reason::NeighboursDisagree | Reason::TooFar | Reason::Noise => {
            format!("{} ({bounds})", near_words(facts))
        }
    }
}

/// The rules in order, each with what it found, up to the one that decided.
fn rules(decision: Decision, facts: &Facts, policy: &Policy) -> Vec<String> {
    let (seen, implied) = match &facts.label {
        Some(label) if label.seen => (label_words(label), String::new()),
        Some(label) => ("none".to_owned(), label_words(label)),
        None => ("none".to_owned(), "none".to_owned()),
    };
    let mut rules = vec![format!("seen label: {seen}")];
    if decision.reason == Reason::SeenLabel {
        return rules;
    }
    let found = match facts.label {
        Some(_) => "not asked, it has a label".to_owned(),
        None => duplicate_words(facts),
    };
    rules.push(format!(
        "near-duplicate (distance {}, hash distance {}): {found}",
        policy.duplicate_distance, policy.duplicate_hash_distance
    ));
    if decision.reason == Reason::NearDuplicate {
        return rules;
    }
    rules.push(format!("implied label: {implied}"));
    rules.push(format!("classifier: {}", score_words(facts)));
    if decision.reason == Reason::ImpliedLabel {
        return rules;
    }
    if decision.reason == Reason::Doubtful {
        rules.push(format!("review: {}", detail(decision, facts, policy)));
        return rules;
    }
    rules.push(format!(
        "inheritance (quorum {}, agreement {}): {}",
        policy.inheritance_quorum,
        policy.inheritance_agreement,
        standing_words(&facts.standing)
    ));
    if decision.reason == Reason::Inherited {
        return rules;
    }
    rules.push(format!(
        "standing verdict (margin {}, radius {}): {}",
        policy.standing_margin,
        policy.standing_radius,
        near_words(facts)
    ));
    if decision.kind == DecisionKind::Review {
        rules.push(format!("review: {}", detail(decision, facts, policy)));
    }
    rules
}
