//! A stream of decisions: all of one generation, chunk by chunk, with bounded cost whoever is slow.
//!
//! Each chunk is read on a thread where that may block, and sent from a task: a reader that takes its time holds a look
//! at one generation, and no thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::decide::Decision;
use crate::engine::{Collection, EngineError, Filter, Look};
use crate::proto;
use crate::types::ImageId;

use super::Shared;
use super::decisions::in_view;
use super::status::{blocking, on_collection, status, timed_out};

/// Streams at a time at most, over all callers.
pub(super) const STREAMS_MAX: usize = 32;
/// Decisions of one message at most.
const DECISIONS_MAX: usize = 500;
/// Messages that wait for a slow reader at most.
const MESSAGES_WAITING_MAX: usize = 4;
/// What a caller who met too many streams waits before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The stream as the caller reads it.
pub(super) type Messages = ReceiverStream<Message>;
type Message = Result<proto::FetchDecisionsResponse, Status>;

/// A stream under way.
struct Fetch {
    collection: Arc<Collection>,
    look: Look,
    selected: Vec<(ImageId, Decision)>,
    view: proto::DecisionView,
    /// The longest wait for the reader to take a message.
    unread_time_max: Duration,
    _turn: OwnedSemaphorePermit,
}

/// Starts a stream of the decisions that the filter selects.
pub(super) async fn start(
    shared: &Arc<Shared>,
    collection: String,
    filter: Filter,
    view: proto::DecisionView,
) -> Result<Messages, Status> {
    let turn = Arc::clone(&shared.fetches).try_acquire_owned().map_err(|_| {
        let message = format!("{STREAMS_MAX} streams of decisions are open, which is the limit");
        status(EngineError::Exhausted { message, retry_after: Some(RETRY_AFTER) })
    })?;
    let unread_time_max = shared.config.request_time_max;
    let select = move |collection: Arc<Collection>| {
        let look = collection.look();
        let selected = collection.decisions_of(&look).select(&filter)?;
        Ok(Fetch { collection, look, selected, view, unread_time_max, _turn: turn })
    };
    let fetch = on_collection(&shared.engine, collection, select).await?;
    let (sender, receiver) = mpsc::channel(MESSAGES_WAITING_MAX);
    tokio::spawn(async move {
        if let Err(error) = Arc::new(fetch).send(&sender).await {
            // What the stream held is free already. The caller may be gone, and then nobody wants to know.
            drop(sender.send(Err(error)).await);
        }
    });
    Ok(ReceiverStream::new(receiver))
}

impl Fetch {
    /// Sends everything, or what there was until the caller left.
    async fn send(self: Arc<Self>, sender: &mpsc::Sender<Message>) -> Result<(), Status> {
        for first in (0..self.selected.len()).step_by(DECISIONS_MAX) {
            let this = Arc::clone(&self);
            let message = blocking(move || this.message(first)).await?;
            match tokio::time::timeout(self.unread_time_max, sender.send(Ok(message))).await {
                Ok(Ok(())) => {}
                // The caller is gone.
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(timed_out("no decisions were read", self.unread_time_max)),
            }
        }
        Ok(())
    }

    fn message(&self, first: usize) -> Result<proto::FetchDecisionsResponse, EngineError> {
        let reader = self.collection.decisions_of(&self.look);
        let last = self.selected.len().min(first + DECISIONS_MAX);
        let decisions = in_view(&reader, self.view, &self.selected[first..last])?;
        Ok(proto::FetchDecisionsResponse { decisions, generation: reader.generation().0 })
    }
}
