//! Collections, spaces and policies.

use tonic::Status;

use crate::decide::policy::{AnswerInReview, Policy};
use crate::embed::EmbeddingSpace;
use crate::engine::{Collection, NewCollection};
use crate::grpc::status::invalid;
use crate::proto;

use super::timestamp;

pub(in crate::grpc) fn space(space: &EmbeddingSpace) -> proto::EmbeddingSpace {
    proto::EmbeddingSpace {
        id: space.id(),
        model_digest: space.model_digest.clone(),
        preprocessing: space.preprocessing.clone(),
        dimension: space.dim as u32,
        numeric_mode: space.numeric_mode.clone(),
    }
}

pub(in crate::grpc) fn collection(collection: &Collection) -> proto::Collection {
    let (_, active) = collection.clusterings();
    proto::Collection {
        name: collection.name().to_owned(),
        create_time: Some(timestamp(collection.created_ms())),
        embedding_space: Some(space(collection.space())),
        images: collection.count(),
        generation: collection.generation().0,
        active_clustering_id: active.unwrap_or(0),
    }
}

/// A collection as it was when it was made.
pub(in crate::grpc) fn new_collection(made: NewCollection) -> proto::Collection {
    proto::Collection {
        name: made.name,
        create_time: Some(timestamp(made.created_ms)),
        embedding_space: Some(space(&made.space)),
        ..Default::default()
    }
}

pub(in crate::grpc) fn policy((policy, version, update_ms): (Policy, u64, i64)) -> proto::Policy {
    let answer = match policy.answer_in_review {
        AnswerInReview::Review => proto::DecisionKind::Review,
        AnswerInReview::Keep => proto::DecisionKind::Keep,
    };
    proto::Policy {
        version,
        standing_margin: Some(policy.standing_margin),
        standing_radius: Some(policy.standing_radius),
        inheritance_quorum: Some(policy.inheritance_quorum),
        inheritance_agreement: Some(policy.inheritance_agreement),
        doubt_threshold: Some(policy.doubt_threshold),
        answer_in_review: answer.into(),
        precision_weight: Some(policy.precision_weight),
        recluster_growth: Some(policy.recluster_growth),
        recluster_noise: Some(policy.recluster_noise),
        recluster_hours: Some(policy.recluster_hours),
        duplicate_distance: Some(policy.duplicate_distance),
        duplicate_hash_distance: Some(policy.duplicate_hash_distance),
        update_time: Some(timestamp(update_ms)),
    }
}

/// What a request changes of a policy; fields left out keep their value.
pub(in crate::grpc) fn policy_from(
    new: &proto::Policy,
) -> Result<impl FnOnce(Policy) -> Policy + Send + 'static, Status> {
    let answer = match new.answer_in_review() {
        proto::DecisionKind::Unspecified => None,
        proto::DecisionKind::Review => Some(AnswerInReview::Review),
        proto::DecisionKind::Keep => Some(AnswerInReview::Keep),
        proto::DecisionKind::Discard => {
            let description = "DISCARD is not allowed: a picture in doubt is never silently discarded";
            return Err(invalid("policy.answer_in_review", description));
        }
    };
    let proto::Policy {
        version: _,
        standing_margin,
        standing_radius,
        inheritance_quorum,
        inheritance_agreement,
        doubt_threshold,
        answer_in_review: _,
        precision_weight,
        update_time: _,
        recluster_growth,
        recluster_noise,
        recluster_hours,
        duplicate_distance,
        duplicate_hash_distance,
    } = *new;
    Ok(move |old: Policy| Policy {
        standing_margin: standing_margin.unwrap_or(old.standing_margin),
        standing_radius: standing_radius.unwrap_or(old.standing_radius),
        inheritance_quorum: inheritance_quorum.unwrap_or(old.inheritance_quorum),
        inheritance_agreement: inheritance_agreement.unwrap_or(old.inheritance_agreement),
        doubt_threshold: doubt_threshold.unwrap_or(old.doubt_threshold),
        answer_in_review: answer.unwrap_or(old.answer_in_review),
        precision_weight: precision_weight.unwrap_or(old.precision_weight),
        recluster_growth: recluster_growth.unwrap_or(old.recluster_growth),
        recluster_noise: recluster_noise.unwrap_or(old.recluster_noise),
        recluster_hours: recluster_hours.unwrap_or(old.recluster_hours),
        duplicate_distance: duplicate_distance.unwrap_or(old.duplicate_distance),
        duplicate_hash_distance: duplicate_hash_distance.unwrap_or(old.duplicate_hash_distance),
    })
}
