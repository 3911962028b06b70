//! Clustering all images of the moment, and making a clustering the active one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::cluster::lineage::{self, Lineage};
use crate::cluster::summary::{ClusterSummary, summarise};
use crate::cluster::{self, CandidateSource, ClusterError, ClusterInput, Outcome, Parameters, RunContext};
use crate::decide::event::Act;
use crate::types::{ClusterId, Generation, ImageId, cosine_distance};

use super::clusterings::{ClusterHead, ClusteringHead, MemberRecord, ReachabilityRecord, places};
use super::collection::{Collection, derive};
use super::error::EngineError;
use super::lock::{now_ms, read};
use super::operations::{Operation, OperationResult};
use super::points::{Data, IndexCandidates};
use super::requests::RequestKey;
use super::state::Derived;
use super::verdict::{ACTOR_CHARACTERS_MAX, check_text};

/// What to cluster by.
#[derive(Debug, Clone, PartialEq)]
pub struct ReclusterRequest {
    /// Algorithm and parameters.
    pub parameters: Parameters,
    /// Seed of random choices.
    pub seed: u64,
    /// Whether to compare all pairs whatever the index is.
    pub exact: bool,
    /// Whether to make the result the active clustering.
    pub activate: bool,
    /// Who asks.
    pub actor: String,
}

impl Collection {
    /// Clusters all images of the moment. Durable, and active where asked, when this returns.
    ///
    /// # Errors
    /// Parameters that don't fit the data, cancellation, or a store that fails.
    pub(super) fn recluster(
        &self,
        request: &ReclusterRequest,
        operation: &Operation,
    ) -> Result<OperationResult, EngineError> {
        let started = Instant::now();
        let data = self.data();
        let valid = request.parameters.check(data.ids.len()).map_err(|error| parameter_error(&error))?;
        let progress = |at: cluster::Progress| operation.progress(at.phase, at.done.into(), at.total.into());
        let cancelled = || operation.is_cancelled();
        let context = RunContext { seed: request.seed, progress: &progress, cancelled: &cancelled };
        let candidates = (data.approximate && !request.exact).then(|| self.candidates(&data));
        let input = ClusterInput {
            vectors: &data.vectors,
            ids: &data.ids,
            candidates: candidates.as_ref().map(|source| source as &dyn CandidateSource),
        };
        let mut outcome =
            self.pool.install(|| cluster::run(&valid, &input, &context)).map_err(cluster_error)?;
        candidates.as_ref().map_or(Ok(()), IndexCandidates::check)?;
        operation.progress("summaries", 0, 0);
        let summaries = self.pool.install(|| summarise(&data.vectors, &data.ids, &outcome.labels));
        if operation.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        operation.progress("storing", 0, 0);
        let seconds = started.elapsed().as_secs_f64();
        let head = self.keep_clustering(request, &data, &outcome, &summaries, seconds)?;
        // The result stands; what is not followed now is in a moment, by whoever keeps the collection up.
        operation.progress("following", 0, 0);
        let begun = if let Some(made) = outcome.followed.take() {
            self.follow_made(&head, &data, *made, &cancelled)
        } else {
            drop(data);
            self.begin_to_follow(&cancelled)
        };
        if let Err(error) = begun {
            tracing::warn!(%error, collection = self.name(), "the clustering is not followed yet");
        }
        Ok(OperationResult::Clustering(Box::new(head), request.activate))
    }

    /// Gives the clusters their stable ids, stores the clustering, prunes old ones and activates it where asked.
    fn keep_clustering(
        &self,
        request: &ReclusterRequest,
        data: &Data,
        outcome: &Outcome,
        summaries: &[ClusterSummary],
        seconds: f64,
    ) -> Result<ClusteringHead, EngineError> {
        let writer = self.writer()?;
        let mut saved = writer.saved_state();
        let before = match self.live_labels() {
            Some(live) => live,
            None => self.previous_labels(saved.active.or(saved.next_clustering.checked_sub(1)))?,
        };
        let matched =
            lineage::match_clusters(&before, &data.ids, &outcome.labels, ClusterId(saved.next_cluster));
        saved.next_cluster = matched.next.0;
        let head = ClusteringHead {
            id: saved.next_clustering,
            algorithm: outcome.algorithm.to_owned(),
            requested: request.parameters,
            parameters: outcome.parameters,
            seed: request.seed,
            generation: data.generation,
            created_ms: now_ms(),
            seconds,
            images: data.ids.len() as u64,
            noise: outcome.labels.iter().filter(|label| label.is_none()).count() as u64,
            clusters: cluster_heads(data, summaries, &matched),
            flags: outcome.flags.clone(),
            explanation: outcome.explanation.clone(),
            neighbour_recall: outcome.neighbour_recall,
            approximate: outcome.approximate,
            k_distances: outcome.k_distance.clone(),
            knee: outcome.knee,
            has_reachability: outcome.reachability.is_some(),
        };
        let members = members(data, outcome, summaries, &matched.ids);
        let bars = bars(data, outcome, &matched.ids);
        saved.next_clustering += 1;
        let mut batch = writer.batch();
        batch.put_clustering(&head, &members, &bars)?;
        let pruned = self.prunable(if request.activate { Some(head.id) } else { saved.active });
        pruned.iter().for_each(|old| batch.delete_clustering(old));
        let activation = if request.activate {
            saved.active = Some(head.id);
            let act = Act::Activate { clustering: head.id };
            Some(writer.append(&mut batch, &request.actor, "", act)?)
        } else {
            None
        };
        batch.put_state(&saved)?;
        self.store.commit("recluster", batch)?;
        let derived = request.activate.then(|| self.derive_with(head.generation, &members));
        let kept = Arc::new(head.clone());
        writer.publish(|state| {
            (state.next_clustering, state.next_cluster) = (saved.next_clustering, saved.next_cluster);
            pruned.iter().for_each(|old| drop(state.heads.remove(&old.id)));
            state.heads.insert(kept.id, kept);
            if let Some((event, hash, _)) = activation {
                (state.events, state.last_hash) = (event, hash);
                state.follow_only(saved.active);
            }
            if let Some(derived) = derived {
                state.derived = Arc::new(derived);
            }
        });
        Ok(head)
    }

    /// What is derived once these members are active. Clusterings hold no evidence, so what was nearest before still is.
    fn derive_with(&self, generation: Generation, members: &[MemberRecord]) -> Derived {
        let state = read(&self.state);
        derive(&state, &places(generation, members), Some(state.derived.near.clone()))
    }

    /// The labels of the clustering that new clusters take their ids from.
    fn previous_labels(&self, clustering: Option<u64>) -> Result<HashMap<ImageId, ClusterId>, EngineError> {
        let Some(id) = clustering else {
            return Ok(HashMap::new());
        };
        let members = self.store.members(id)?.into_iter();
        Ok(members.filter_map(|member| Some((member.image, member.cluster?))).collect())
    }

    /// The oldest clusterings beyond the number kept once one more is there; never the one that is active then.
    fn prunable(&self, active: Option<u64>) -> Vec<Arc<ClusteringHead>> {
        let state = read(&self.state);
        let inactive: Vec<_> =
            state.heads.values().filter(|head| Some(head.id) != active).map(Arc::clone).collect();
        let excess = (inactive.len() + 1).saturating_sub(self.keeping.clusterings_max);
        inactive.into_iter().take(excess).collect()
    }

    /// Makes another clustering the active one; labels stay as they are.
    ///
    /// # Errors
    /// An unknown or pruned clustering, or a store that fails.
    pub fn activate(
        &self,
        clustering: u64,
        actor: &str,
        request: Option<&RequestKey>,
    ) -> Result<Arc<ClusteringHead>, EngineError> {
        check_text("actor", actor, ACTOR_CHARACTERS_MAX)?;
        let writer = self.writer()?;
        if let Some(Activated { id }) = writer.replay(request)? {
            return self.clustering(id);
        }
        let head = self.clustering(clustering)?;
        let derived = self.derive_with(head.generation, &self.store.members(head.id)?);
        let mut saved = writer.saved_state();
        saved.active = Some(head.id);
        let mut batch = writer.batch();
        let (event, hash, _) = writer.append(&mut batch, actor, "", Act::Activate { clustering: head.id })?;
        batch.put_state(&saved)?;
        batch.remember(request, &Activated { id: head.id })?;
        self.store.commit("activate", batch)?;
        writer.publish(|state| {
            (state.events, state.last_hash) = (event, hash);
            state.follow_only(Some(head.id));
            state.derived = Arc::new(derived);
        });
        Ok(head)
    }

    /// A clustering that is kept; 0 means the active one.
    ///
    /// # Errors
    /// There is none active, it was pruned, or it never was.
    pub fn clustering(&self, id: u64) -> Result<Arc<ClusteringHead>, EngineError> {
        let state = read(&self.state);
        if id == 0 {
            return state.active_head().map(Arc::clone).ok_or_else(|| EngineError::Precondition {
                reason: "NO_ACTIVE_CLUSTERING",
                message: "the collection has no active clustering yet: recluster first".into(),
            });
        }
        match state.heads.get(&id) {
            Some(head) => Ok(Arc::clone(head)),
            None if id < state.next_clustering => Err(EngineError::Precondition {
                reason: "CLUSTERING_PRUNED",
                message: format!("clustering {id} is not kept any more"),
            }),
            None => Err(EngineError::not_found("clustering", id)),
        }
    }

    /// All clusterings that are kept, newest first, with the id of the active one.
    pub fn clusterings(&self) -> (Vec<Arc<ClusteringHead>>, Option<u64>) {
        let state = read(&self.state);
        (state.heads.values().rev().map(Arc::clone).collect(), state.active)
    }
}

#[derive(Serialize, Deserialize)]
struct Activated {
    id: u64,
}

fn cluster_heads(data: &Data, summaries: &[ClusterSummary], matched: &Lineage) -> Vec<ClusterHead> {
    let mut heads: Vec<ClusterHead> = summaries
        .iter()
        .zip(&matched.ids)
        .zip(&matched.parents)
        .map(|((summary, id), parents)| ClusterHead {
            id: *id,
            size: summary.size as u64,
            medoid: data.ids[summary.medoid as usize],
            radius: summary.radius,
            samples: summary.samples.iter().map(|&row| data.ids[row as usize]).collect(),
            parents: parents.iter().map(|&(parent, images)| (parent, images as u64)).collect(),
        })
        .collect();
    heads.sort_by_key(|head| (std::cmp::Reverse(head.size), head.id));
    heads
}

fn members(
    data: &Data,
    outcome: &Outcome,
    summaries: &[ClusterSummary],
    ids: &[ClusterId],
) -> Vec<MemberRecord> {
    let member = |(row, label): (usize, &Option<u32>)| match label {
        None => MemberRecord { image: data.ids[row], cluster: None, distance: 0.0 },
        Some(label) => {
            let medoid = summaries[*label as usize].medoid as usize;
            // A vector's own distance may round to a little more than nothing.
            let distance = if row == medoid {
                0.0
            } else {
                cosine_distance(data.vectors.row(row), data.vectors.row(medoid))
            };
            MemberRecord { image: data.ids[row], cluster: Some(ids[*label as usize]), distance }
        }
    };
    outcome.labels.iter().enumerate().map(member).collect()
}

fn bars(data: &Data, outcome: &Outcome, ids: &[ClusterId]) -> Vec<ReachabilityRecord> {
    let Some(plot) = &outcome.reachability else {
        return Vec::new();
    };
    let bar = |&row: &u32| {
        let row = row as usize;
        ReachabilityRecord {
            image: data.ids[row],
            cluster: outcome.labels[row].map(|label| ids[label as usize]),
            reachability: plot.reachability[row],
            core_distance: plot.core_distance[row],
        }
    };
    plot.order.iter().map(bar).collect()
}

/// A parameter out of range, as a field of the request.
pub(super) fn parameter_error(error: &cluster::ParameterError) -> EngineError {
    EngineError::invalid(format!("parameters.{}", error.field()), error.to_string())
}

pub(super) fn cluster_error(error: ClusterError) -> EngineError {
    match error {
        ClusterError::Cancelled => EngineError::Cancelled,
        ClusterError::Parameter(error) => parameter_error(&error),
        other => EngineError::Precondition { reason: "CLUSTERING_FAILED", message: other.to_string() },
    }
}
