//! The log.

use std::sync::Arc;

use tonic::Status;

use crate::engine::{Collection, Engine, EventKind, LogEntry, LogFilter};
use crate::proto;

use super::caller::reach;
use super::convert::{timestamp, timestamp_ms};
use super::page::{Page, Position};
use super::status::{invalid, on_collection};

/// Answers a page of the log.
pub(super) async fn list(
    engine: &Arc<Engine>,
    mut request: proto::ListEventsRequest,
) -> Result<proto::ListEventsResponse, Status> {
    reach(&request.collection)?;
    let (size, token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
    let page = Page::of("ListEvents", &request, size, &token)?;
    let kinds = request.kinds().map(kind_from).collect::<Result<_, _>>()?;
    let filter = LogFilter {
        kinds,
        actor: Some(request.actor).filter(|actor| !actor.is_empty()),
        after_ms: timestamp_ms("after", request.after)?,
        before_ms: timestamp_ms("before", request.before)?,
    };
    let below = page.position.map(|position| position.after);
    let size = page.size;
    let log = move |collection: Arc<Collection>| collection.log(&filter, below, size);
    let found = on_collection(engine, request.collection, log).await?;
    let next = found.next.map(|below| Position { generation: 0, after: below });
    Ok(proto::ListEventsResponse {
        events: found.entries.into_iter().map(entry).collect(),
        next_page_token: page.token(next),
    })
}

fn kind_from(kind: proto::EventKind) -> Result<EventKind, Status> {
    match kind {
        proto::EventKind::Unspecified => Err(invalid("kinds", "has an unspecified entry")),
        proto::EventKind::Verdict => Ok(EventKind::Verdict),
        proto::EventKind::Policy => Ok(EventKind::Policy),
        proto::EventKind::Deletion => Ok(EventKind::Deletion),
        proto::EventKind::Activation => Ok(EventKind::Activation),
        proto::EventKind::Answer => Ok(EventKind::Answer),
        proto::EventKind::Undo => Ok(EventKind::Undo),
    }
}

fn kind(kind: EventKind) -> proto::EventKind {
    match kind {
        EventKind::Verdict => proto::EventKind::Verdict,
        EventKind::Policy => proto::EventKind::Policy,
        EventKind::Deletion => proto::EventKind::Deletion,
        EventKind::Activation => proto::EventKind::Activation,
        EventKind::Answer => proto::EventKind::Answer,
        EventKind::Undo => proto::EventKind::Undo,
    }
}

fn entry(entry: LogEntry) -> proto::LogEntry {
    let hash = blake3::Hash::from_bytes(entry.hash).to_hex().to_string();
    proto::LogEntry {
        event: Some(proto::Event {
            sequence: entry.sequence,
            time: Some(timestamp(entry.at_ms)),
            actor: entry.actor,
            summary: entry.summary,
            note: entry.note,
        }),
        kind: kind(entry.kind).into(),
        hash,
        undone_by_sequence: entry.undone_by,
        seen_images: entry.named.seen,
        implied_images: entry.named.implied,
        exception_images: entry.named.exceptions,
        deleted_images: entry.named.deleted,
    }
}
