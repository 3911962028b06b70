//! Verdicts: said of a cluster or of images, logged, folded into labels, and felt by every decision.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::decide::event::{Act, JudgedCluster, Verdict};
use crate::types::{ClusterId, Generation, ImageId, Side};

use super::collection::Collection;
use super::error::EngineError;
use super::lock::read;
use super::requests::RequestKey;

/// Images named in one verdict at most.
pub(super) const NAMED_IMAGES_MAX: usize = 10_000;
/// Characters of a note at most.
pub(super) const NOTE_CHARACTERS_MAX: usize = 1000;
/// Characters of an actor at most.
pub(super) const ACTOR_CHARACTERS_MAX: usize = 128;

/// What a verdict is said of.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A cluster, or the noise, of a clustering.
    Cluster {
        /// The clustering; 0 means the active one.
        clustering: u64,
        /// Which cluster; `None` is the noise.
        cluster: Option<ClusterId>,
        /// The generation that the caller saw; `None` means whichever it is.
        generation: Option<Generation>,
    },
    /// Images named one by one.
    Images(Vec<ImageId>),
}

/// A verdict as a caller gives it.
#[derive(Debug, Clone)]
pub struct NewVerdict {
    /// Which of the two.
    pub side: Side,
    /// Of what.
    pub target: Target,
    /// Members of the cluster that are of the other side.
    pub exceptions: Vec<ImageId>,
    /// The kept image that the images are duplicates of.
    pub duplicate_of: Option<ImageId>,
    /// The caller's words.
    pub note: String,
    /// Who says so.
    pub actor: String,
}

/// What a verdict did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictAnswer {
    /// Its place in the log, from 1.
    pub event: u64,
    /// Images that got the side said.
    pub labelled: u64,
    /// Exceptions, which got the other.
    pub exceptions: u64,
    /// Images whose decision is another now.
    pub changed: u64,
}

/// Checks a text that goes into the log.
///
/// # Errors
/// More characters than `max`.
pub(super) fn check_text(field: &'static str, text: &str, max: usize) -> Result<(), EngineError> {
    let characters = text.chars().count();
    if characters > max {
        let description = format!("has {characters} characters, at most {max} are allowed");
        return Err(EngineError::invalid(field, description));
    }
    Ok(())
}

impl Collection {
    /// Takes a verdict; it is durable, and felt by every decision, when this returns.
    ///
    /// # Errors
    /// An unknown image, cluster or clustering, a clustering that is pruned or of another generation, exceptions that
    /// are no members, texts or lists beyond their limits, or a store that fails.
    pub fn set_verdict(
        &self,
        verdict: &NewVerdict,
        request: Option<&RequestKey>,
    ) -> Result<VerdictAnswer, EngineError> {
        check_text("note", &verdict.note, NOTE_CHARACTERS_MAX)?;
        check_text("actor", &verdict.actor, ACTOR_CHARACTERS_MAX)?;
        let writer = self.writer()?;
        if let Some(first) = writer.replay(request)? {
            return Ok(first);
        }
        let exact = self.exact_verdict(verdict)?;
        let (labelled, exceptions) = (exact.seen.len() + exact.implied.len(), exact.exceptions.len());
        let act = Act::Verdict(exact);
        let judged = self.judged_with(&act);
        let answer = |event, changed| VerdictAnswer {
            event,
            labelled: labelled as u64,
            exceptions: exceptions as u64,
            changed,
        };
        let answer = writer.judge(&verdict.actor, &verdict.note, act, judged, request, answer)?;
        self.review.wake();
        Ok(answer)
    }

    /// The verdict with the exact images it is said of.
    pub(super) fn exact_verdict(&self, verdict: &NewVerdict) -> Result<Verdict, EngineError> {
        let rows = self.snapshot().rows;
        let bounded = |field: &'static str, images: &[ImageId]| {
            if images.len() > NAMED_IMAGES_MAX {
                let description =
                    format!("names {} images, at most {NAMED_IMAGES_MAX} are allowed", images.len());
                return Err(EngineError::invalid(field, description));
            }
            images.iter().try_for_each(|image| rows.stored(image).map(|_| ()))
        };
        bounded("exception_image_ids", &verdict.exceptions)?;
        if let Some(original) = &verdict.duplicate_of {
            if verdict.side == Side::Keep || matches!(verdict.target, Target::Cluster { .. }) {
                return Err(EngineError::invalid(
                    "duplicate_of_image_id",
                    "goes with a discard of images only",
                ));
            }
            rows.stored(original)?;
            let label = read(&self.state).labels.get(original).copied();
            if label.is_some_and(|label| label.side == Side::Discard) {
                return Err(EngineError::Precondition {
                    reason: "ORIGINAL_DISCARDED",
                    message: format!(
                        "{original} was discarded itself: nothing can be a duplicate to be kept as it"
                    ),
                });
            }
        }
        let mut exact = Verdict {
            side: verdict.side,
            cluster: None,
            seen: Vec::new(),
            implied: Vec::new(),
            exceptions: unique(&verdict.exceptions),
            duplicate_of: verdict.duplicate_of,
        };
        match &verdict.target {
            Target::Images(images) => {
                if images.is_empty() {
                    return Err(EngineError::invalid("images.image_ids", "names no image"));
                }
                if !exact.exceptions.is_empty() {
                    return Err(EngineError::invalid("exception_image_ids", "goes with a cluster only"));
                }
                bounded("images.image_ids", images)?;
                exact.seen = unique(images);
                if verdict.duplicate_of.is_some_and(|original| exact.seen.contains(&original)) {
                    return Err(EngineError::invalid(
                        "duplicate_of_image_id",
                        "is among the images discarded",
                    ));
                }
            }
            Target::Cluster { clustering, cluster, generation } => {
                let (judged, members) = self.judged_cluster(*clustering, *cluster, *generation)?;
                exact.cluster = Some(judged);
                let exceptions: HashSet<&ImageId> = exact.exceptions.iter().collect();
                let known: HashSet<&ImageId> = members.iter().collect();
                if let Some(stranger) = exact.exceptions.iter().find(|image| !known.contains(image)) {
                    let description = format!("{stranger} is not a member of that cluster");
                    return Err(EngineError::invalid("exception_image_ids", description));
                }
                exact.implied = members.iter().filter(|image| !exceptions.contains(image)).copied().collect();
            }
        }
        Ok(exact)
    }

    /// The cluster as the caller saw it, and its members that are still stored.
    fn judged_cluster(
        &self,
        clustering: u64,
        cluster: Option<ClusterId>,
        generation: Option<Generation>,
    ) -> Result<(JudgedCluster, Vec<ImageId>), EngineError> {
        let head = self.clustering(clustering)?;
        if generation.is_some_and(|seen| seen != head.generation) {
            return Err(EngineError::Precondition {
                reason: "GENERATION_MISMATCH",
                message: format!("clustering {} is of generation {}", head.id, head.generation.0),
            });
        }
        let extent = match cluster {
            None => None,
            Some(id) => {
                let found = head.cluster(id).ok_or_else(|| EngineError::not_found("cluster", id.0))?;
                Some((found.radius, found.medoid))
            }
        };
        let rows = self.snapshot().rows;
        let members = self.store.members(head.id)?.into_iter();
        let members: Vec<ImageId> = members
            .filter(|member| member.cluster == cluster && rows.was_there(&member.image, head.generation))
            .map(|member| member.image)
            .collect();
        let judged = JudgedCluster {
            clustering: head.id,
            cluster,
            generation: head.generation,
            radius: extent.map(|(radius, _)| radius),
            medoid: extent.map(|(_, medoid)| medoid),
        };
        Ok((judged, members))
    }
}

fn unique(images: &[ImageId]) -> Vec<ImageId> {
    let mut seen = HashSet::new();
    images.iter().filter(|image| seen.insert(**image)).copied().collect()
}
