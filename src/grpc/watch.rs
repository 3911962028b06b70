//! Changes of decisions as they happen. A watcher holds nothing but the point up to which it was told: whenever
//! something changed, or its reader took the message before, it looks at the decisions of the moment. So one who is
//! slow pins no memory, and gets the latest of each image.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::engine::{ChangePoint, Collection, EngineError, Filter, Look};
use crate::proto;

use super::caller::reach;
use super::decisions::in_view;
use super::fetch::DECISIONS_MAX;
use super::status::{blocking, on_collection, status, timed_out};
use super::token::{point, token};
use super::{Shared, convert};

/// Watchers at a time at most, over all callers.
pub(super) const WATCHERS_MAX: usize = 64;
/// Messages that wait for a slow reader at most: what they say may be out of date when they are read.
const MESSAGES_WAITING_MAX: usize = 1;
/// The longest silence: then a message comes that holds a newer token only. A quarter of what a call may take, where
/// that is less.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// What a caller who met too many watchers waits before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The stream as the caller reads it.
pub(super) type Messages = ReceiverStream<Message>;
type Message = Result<proto::WatchDecisionsResponse, Status>;

/// A watcher under way.
struct Watch {
    collection: Arc<Collection>,
    filter: Filter,
    view: proto::DecisionView,
    /// The longest wait for the reader to take a message.
    unread_time_max: Duration,
    _turn: OwnedSemaphorePermit,
}

/// Some changes as they are told, with the point up to which everything is known then.
pub(super) struct Told {
    pub(super) decisions: Vec<proto::Decision>,
    pub(super) removals: Vec<proto::Removal>,
    pub(super) until: ChangePoint,
    pub(super) more: bool,
}

/// The first changes of a look after a point, as many as fit a message.
pub(super) fn tell(
    collection: &Collection,
    look: &Look,
    after: ChangePoint,
    filter: &Filter,
    view: proto::DecisionView,
) -> Result<Told, EngineError> {
    let reader = collection.decisions_of(look);
    let changes = reader.changes(after, filter, DECISIONS_MAX)?;
    let removal = |at: &ChangePoint, reason: proto::RemovalReason| proto::Removal {
        image_id: at.image.to_string(),
        revision: at.revision,
        reason: reason.into(),
    };
    let deleted = changes.deleted.iter().map(|at| removal(at, proto::RemovalReason::Deleted));
    let unselected = changes.unselected.iter().map(|at| removal(at, proto::RemovalReason::NotSelected));
    Ok(Told {
        decisions: in_view(&reader, view, &changes.decided)?,
        removals: deleted.chain(unselected).collect(),
        until: changes.until,
        more: changes.more,
    })
}

/// Starts a watcher from where the request says.
pub(super) async fn start(
    shared: &Arc<Shared>,
    request: proto::WatchDecisionsRequest,
) -> Result<Messages, Status> {
    reach(&request.collection)?;
    let turn = Arc::clone(&shared.watchers).try_acquire_owned().map_err(|_| {
        let message = format!("{WATCHERS_MAX} watchers of decisions are open, which is the limit");
        status(EngineError::Exhausted { message, retry_after: Some(RETRY_AFTER) })
    })?;
    let view = request.view();
    let filter = convert::filter_from(request.filter)?;
    let unread_time_max = shared.config.request_time_max;
    let since = request.since;
    let begin = move |collection: Arc<Collection>| {
        filter.check_followed()?;
        let ticks = collection.ticks();
        let after = match point(&collection, &since)? {
            Some(point) => point,
            None => collection.look().now(),
        };
        Ok((Watch { collection, filter, view, unread_time_max, _turn: turn }, ticks, after))
    };
    let (watch, ticks, after) = on_collection(&shared.engine, request.collection, begin).await?;
    let (sender, receiver) = mpsc::channel(MESSAGES_WAITING_MAX);
    let stopping = shared.stopping.clone();
    tokio::spawn(async move {
        if let Err(error) = Arc::new(watch).run(after, ticks, stopping, &sender).await {
            // The caller may be gone, and then nobody wants to know.
            drop(sender.send(Err(error)).await);
        }
    });
    Ok(ReceiverStream::new(receiver))
}

impl Watch {
    /// Tells changes until the caller leaves; the first message comes at once, with a token whatever there is to tell.
    async fn run(
        self: Arc<Self>,
        mut after: ChangePoint,
        mut ticks: watch::Receiver<u64>,
        mut stopping: watch::Receiver<bool>,
        sender: &mpsc::Sender<Message>,
    ) -> Result<(), Status> {
        let silence_max = SILENCE_MAX.min(self.unread_time_max / 4);
        loop {
            ticks.mark_unchanged();
            let this = Arc::clone(&self);
            let (message, until, more) = blocking(move || this.message(after)).await?;
            after = until;
            match tokio::time::timeout(self.unread_time_max, sender.send(Ok(message))).await {
                Ok(Ok(())) => {}
                // The caller is gone.
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(timed_out("no changes were read", self.unread_time_max)),
            }
            if more {
                continue;
            }
            tokio::select! {
                _ = tokio::time::timeout(silence_max, ticks.changed()) => {}
                () = sender.closed() => return Ok(()),
                _ = super::stopped(&mut stopping) => return Err(status(EngineError::Stopping)),
            }
        }
    }

    fn message(
        &self,
        after: ChangePoint,
    ) -> Result<(proto::WatchDecisionsResponse, ChangePoint, bool), EngineError> {
        let collection = &self.collection;
        if collection.is_closed() {
            return Err(EngineError::not_found("collection", collection.name()));
        }
        let look = collection.look();
        let Told { decisions, removals, until, more } =
            tell(collection, &look, after, &self.filter, self.view)?;
        let message = proto::WatchDecisionsResponse {
            decisions,
            removals,
            token: token(collection, &look, until),
            generation: collection.decisions_of(&look).generation().0,
        };
        Ok((message, until, more))
    }
}
