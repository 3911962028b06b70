//! Review items, answers and previews.

use tonic::Status;

use crate::decide::event::Answer;
use crate::engine::{NewAnswer, NewUndo, NextReview, Preview, Proposal, ReviewItem};
use crate::grpc::caller::actor;
use crate::grpc::status::invalid;
use crate::proto;

use super::decision::{kind, side};
use super::{image_ids, timestamp, verdict_from};

fn item_id(field: &str, id: &str) -> Result<u64, Status> {
    id.parse().map_err(|_| invalid(field, format!("{id:?} is no item id")))
}

pub(in crate::grpc) fn item_ids(ids: &[String]) -> Result<Vec<u64>, Status> {
    ids.iter().map(|id| item_id("held_item_ids", id)).collect()
}

pub(in crate::grpc) fn next_review(next: &NextReview) -> proto::NextReviewResponse {
    proto::NextReviewResponse {
        item: next.item.as_ref().map(item),
        estimate: Some(proto::QualityEstimate {
            quality_metric: next.estimate.mid,
            interval_low: next.estimate.low,
            interval_high: next.estimate.high,
            judgements: next.judgements,
        }),
        enough: next.enough,
        leased: next.leased,
    }
}

fn item(item: &ReviewItem) -> proto::ReviewItem {
    proto::ReviewItem {
        item_id: item.id.to_string(),
        shown_image_ids: item.shown.iter().map(ToString::to_string).collect(),
        images: item.images,
        generation: item.generation.0,
        expire_time: Some(timestamp(item.expires_ms)),
        expected_gain: item.gain,
        skipped_before: item.skipped_before,
    }
}

pub(in crate::grpc) fn answer_from(request: proto::AnswerReviewRequest) -> Result<NewAnswer, Status> {
    let answer = match request.answer() {
        proto::ReviewAnswer::Keep => Answer::Keep,
        proto::ReviewAnswer::Discard => Answer::Discard,
        proto::ReviewAnswer::Mixed => Answer::Mixed,
        proto::ReviewAnswer::Skip => Answer::Skip,
        proto::ReviewAnswer::Unspecified => {
            return Err(invalid("answer", "must be KEEP, DISCARD, MIXED or SKIP"));
        }
    };
    Ok(NewAnswer {
        item: item_id("item_id", &request.item_id)?,
        answer,
        exceptions: image_ids("exception_image_ids", &request.exception_image_ids)?,
        note: request.note,
        actor: actor(request.actor),
    })
}

pub(in crate::grpc) fn undo_from(request: proto::UndoEventRequest) -> NewUndo {
    NewUndo { event: request.event_sequence, note: request.note, actor: actor(request.actor) }
}

pub(in crate::grpc) fn proposal_from(request: proto::PreviewVerdictRequest) -> Result<Proposal, Status> {
    use proto::preview_verdict_request::What;
    match request.what {
        None => Err(invalid("what", "names neither a verdict nor an answer nor an event to undo")),
        Some(What::Verdict(verdict)) => Ok(Proposal::Verdict(verdict_from(verdict)?)),
        Some(What::Answer(answer)) => Ok(Proposal::Answer(answer_from(answer)?)),
        Some(What::UndoEventSequence(event)) => {
            Ok(Proposal::Undo(NewUndo { event, note: String::new(), actor: String::new() }))
        }
    }
}

pub(in crate::grpc) fn preview(preview: &Preview) -> proto::PreviewVerdictResponse {
    let changes = preview.changes.iter().map(|change| proto::DecisionChange {
        image_id: change.image.to_string(),
        before: kind(change.before.0).into(),
        after: kind(change.after.0).into(),
        side_before: side(change.before.1).into(),
        side_after: side(change.after.1).into(),
    });
    let [keep, discard, review] = preview.kinds;
    proto::PreviewVerdictResponse {
        changed: preview.changed,
        changed_bytes: preview.changed_bytes,
        changes: changes.collect(),
        doubtful_image_ids: preview.doubtful.iter().map(ToString::to_string).collect(),
        doubtful: preview.doubtful_count,
        keep,
        discard,
        review,
    }
}
