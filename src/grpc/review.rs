//! Review items, their answers, previews and undos.

use std::sync::Arc;

use prost::Message as _;
use tonic::Status;

use crate::engine::{Collection, Engine, RequestKey};
use crate::proto;

use super::caller::reach;
use super::convert;
use super::status::{on_collection, status};

/// Leases the next item.
pub(super) async fn next(
    engine: &Arc<Engine>,
    request: proto::NextReviewRequest,
) -> Result<proto::NextReviewResponse, Status> {
    reach(&request.collection)?;
    let held = convert::item_ids(&request.held_item_ids)?;
    let preferred: Vec<_> = convert::image_ids("preferred_image_ids", &request.preferred_image_ids)?;
    let reviewer = request.reviewer;
    let next = move |collection: Arc<Collection>| collection.next_review(&reviewer, &held, &preferred);
    Ok(convert::next_review(&on_collection(engine, request.collection, next).await?))
}

/// Takes an answer.
pub(super) async fn answer(
    engine: &Arc<Engine>,
    request: proto::AnswerReviewRequest,
) -> Result<proto::AnswerReviewResponse, Status> {
    reach(&request.collection)?;
    let key =
        RequestKey::of("AnswerReview", &request.request_id, &request.encode_to_vec()).map_err(status)?;
    let name = request.collection.clone();
    let answer = convert::answer_from(request)?;
    let take = move |collection: Arc<Collection>| collection.answer_review(&answer, key.as_ref());
    let taken = on_collection(engine, name, take).await?;
    Ok(proto::AnswerReviewResponse {
        event_sequence: taken.event,
        seen: taken.seen,
        implied: taken.implied,
        changed: taken.changed,
    })
}

/// Says what would change.
pub(super) async fn preview(
    engine: &Arc<Engine>,
    request: proto::PreviewVerdictRequest,
) -> Result<proto::PreviewVerdictResponse, Status> {
    reach(&request.collection)?;
    let name = request.collection.clone();
    let proposal = convert::proposal_from(request)?;
    let preview = move |collection: Arc<Collection>| collection.preview(&proposal);
    Ok(convert::preview(&on_collection(engine, name, preview).await?))
}

/// Takes an event back.
pub(super) async fn undo(
    engine: &Arc<Engine>,
    request: proto::UndoEventRequest,
) -> Result<proto::UndoEventResponse, Status> {
    reach(&request.collection)?;
    let key = RequestKey::of("UndoEvent", &request.request_id, &request.encode_to_vec()).map_err(status)?;
    let name = request.collection.clone();
    let undo = convert::undo_from(request);
    let take = move |collection: Arc<Collection>| collection.undo(&undo, key.as_ref());
    let undone = on_collection(engine, name, take).await?;
    Ok(proto::UndoEventResponse { event_sequence: undone.event, changed: undone.changed })
}
