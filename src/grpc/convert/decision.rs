//! Decisions, verdicts and evaluations.

use tonic::Status;

use crate::decide::event::Event;
use crate::decide::{Decision, DecisionKind, Duplicate, Evidence, Reason, Standing};
use crate::embed::EmbeddingSpace;
use crate::engine::{Evaluation, Explanation, FullDecision, MapPoint, Named, NewVerdict, Target, TrueLabel};
use crate::grpc::status::invalid;
use crate::proto;
use crate::types::{ClusterId, Generation, ImageId, Side};

use super::{defects, image_id, image_ids, measures, policy, space, timestamp};

pub(super) fn kind(kind: DecisionKind) -> proto::DecisionKind {
    match kind {
        DecisionKind::Keep => proto::DecisionKind::Keep,
        DecisionKind::Discard => proto::DecisionKind::Discard,
        DecisionKind::Review => proto::DecisionKind::Review,
    }
}

pub(super) fn side(side: Side) -> proto::Side {
    match side {
        Side::Keep => proto::Side::Keep,
        Side::Discard => proto::Side::Discard,
    }
}

fn reason(reason: Reason) -> proto::DecisionReason {
    match reason {
        Reason::SeenLabel => proto::DecisionReason::SeenLabel,
        Reason::ImpliedLabel => proto::DecisionReason::ImpliedLabel,
        Reason::Inherited => proto::DecisionReason::Inherited,
        Reason::NearDuplicate => proto::DecisionReason::NearDuplicate,
        Reason::StandingVerdict => proto::DecisionReason::StandingVerdict,
        Reason::NothingJudged => proto::DecisionReason::NothingJudged,
        Reason::OneSideJudged => proto::DecisionReason::OneSideJudged,
        Reason::NeighboursDisagree => proto::DecisionReason::NeighboursDisagree,
        Reason::TooFar => proto::DecisionReason::TooFar,
        Reason::Noise => proto::DecisionReason::Noise,
        Reason::ClusterChanged => proto::DecisionReason::ClusterChanged,
        Reason::Doubtful => proto::DecisionReason::Doubtful,
    }
}

/// Which of the two a request says.
fn side_from(side: proto::Side) -> Result<Side, Status> {
    match side {
        proto::Side::Keep => Ok(Side::Keep),
        proto::Side::Discard => Ok(Side::Discard),
        proto::Side::Unspecified => Err(invalid("side", "must be KEEP or DISCARD")),
    }
}

pub(in crate::grpc) fn map_point(point: &MapPoint) -> proto::MapPoint {
    proto::MapPoint {
        image_id: point.image.to_string(),
        x: point.place[0],
        y: point.place[1],
        decision: kind(point.decision.kind).into(),
        provisional_side: side(point.decision.side).into(),
        cluster_id: point.cluster.map(|cluster| cluster.0),
    }
}

pub(in crate::grpc) fn basic_decision(image: &ImageId, decision: Decision, revision: u64) -> proto::Decision {
    proto::Decision {
        image_id: image.to_string(),
        decision: kind(decision.kind).into(),
        provisional_side: side(decision.side).into(),
        confidence: f64::from(decision.confidence),
        reason: reason(decision.reason).into(),
        revision,
        ..Default::default()
    }
}

pub(in crate::grpc) fn full_decision(full: FullDecision) -> proto::Decision {
    let cluster_id = match full.facts.standing {
        Standing::Member { cluster, .. } => Some(cluster.0),
        Standing::Noise | Standing::Unclustered => None,
    };
    let evidence = proto::DecisionEvidence {
        event_sequence: full.facts.label.map(|label| label.event),
        label_seen: full.facts.label.is_some_and(|label| label.seen),
        cluster_id,
        clustering_id: full.clustering.unwrap_or(0),
        nearest_keep: full.facts.nearest_keep.as_ref().map(neighbour),
        nearest_discard: full.facts.nearest_discard.as_ref().map(neighbour),
        policy_version: full.policy_version,
        keep_probability: full.facts.score.map(|score| f64::from(score.keep)),
        duplicate_discard: full.facts.duplicate_discard.as_ref().map(duplicate),
        duplicate_keep: full.facts.duplicate_keep.as_ref().map(duplicate),
    };
    proto::Decision {
        detail: full.detail,
        source_keys: full.source_keys,
        evidence: Some(evidence),
        ..basic_decision(&full.image, full.decision, full.revision)
    }
}

fn neighbour(evidence: &Evidence) -> proto::Neighbour {
    proto::Neighbour { image_id: evidence.image.to_string(), distance: f64::from(evidence.distance) }
}

fn duplicate(duplicate: &Duplicate) -> proto::DuplicateMatch {
    proto::DuplicateMatch {
        image_id: duplicate.image.to_string(),
        distance: f64::from(duplicate.distance),
        hash_distance: f64::from(duplicate.hash_distance),
    }
}

fn event((sequence, event): (u64, Event)) -> proto::Event {
    proto::Event {
        sequence,
        time: Some(timestamp(event.at_ms)),
        summary: event.summary(),
        actor: event.actor,
        note: event.note,
    }
}

pub(in crate::grpc) fn explanation(
    explanation: Explanation,
    embedding_space: &EmbeddingSpace,
) -> proto::ExplainDecisionResponse {
    proto::ExplainDecisionResponse {
        decision: Some(full_decision(explanation.full)),
        medoid: explanation.medoid.map(|(image, distance)| proto::Neighbour {
            image_id: image.to_string(),
            distance: f64::from(distance),
        }),
        events: explanation.events.into_iter().map(event).collect(),
        policy: Some(policy(explanation.policy)),
        embedding_space: Some(space(embedding_space)),
        rules: explanation.rules,
        defects: defects(explanation.measures.as_ref()),
        measures: explanation.measures.as_ref().map(measures),
    }
}

pub(in crate::grpc) fn verdict_from(request: proto::SetVerdictRequest) -> Result<NewVerdict, Status> {
    use proto::set_verdict_request::Target as ProtoTarget;
    let target = match &request.target {
        None => return Err(invalid("target", "names neither a cluster nor images")),
        Some(ProtoTarget::Images(images)) => {
            Target::Images(image_ids("images.image_ids", &images.image_ids)?)
        }
        Some(ProtoTarget::Cluster(target)) => Target::Cluster {
            clustering: target.clustering_id,
            cluster: target.cluster_id.map(ClusterId),
            generation: (target.generation != 0).then_some(Generation(target.generation)),
        },
    };
    let original = &request.duplicate_of_image_id;
    Ok(NewVerdict {
        side: side_from(request.side())?,
        target,
        exceptions: image_ids("exception_image_ids", &request.exception_image_ids)?,
        duplicate_of: if original.is_empty() {
            None
        } else {
            Some(image_id("duplicate_of_image_id", original)?)
        },
        note: request.note,
        actor: request.actor,
    })
}

pub(in crate::grpc) fn true_label_from(label: proto::TrueLabel) -> Result<TrueLabel, Status> {
    use proto::true_label::Image;
    let image = match label.image {
        None => return Err(invalid("labels.image", "names no image")),
        Some(Image::ImageId(id)) => Named::Id(image_id("labels.image_id", &id)?),
        Some(Image::SourceKey(key)) => Named::SourceKey(key),
    };
    Ok(TrueLabel { image, needed: label.needed })
}

pub(in crate::grpc) fn evaluation(found: &Evaluation) -> proto::EvaluateResponse {
    let confusion = &found.confusion;
    proto::EvaluateResponse {
        true_positive: confusion.true_positive,
        false_positive: confusion.false_positive,
        false_negative: confusion.false_negative,
        true_negative: confusion.true_negative,
        precision: confusion.precision(),
        recall: confusion.recall(),
        quality_metric: confusion.quality_metric(found.precision_weight),
        interval_low: found.interval.0,
        interval_high: found.interval.1,
        savings: found.rates.savings().map(|(images, saving)| proto::Saving { images, saving }).to_vec(),
        judgements: found.judgements,
        seconds: found.rates.seconds(found.judgements),
        cost: found.rates.cost(found.judgements),
        decided_share: found.decided_share,
        unknown: found.unknown,
    }
}
