//! A stream of decisions: all of one generation, chunk by chunk, with bounded cost whoever is slow.
//!
//! Each chunk is read on a thread where that may block, and sent from a task: a reader that takes its time holds a look
//! at one generation, and no thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::decide::Decision;
use crate::engine::{ChangePoint, Collection, EngineError, Filter, Look};
use crate::proto;
use crate::types::ImageId;

use super::caller::reach;
use super::decisions::in_view;
use super::status::{blocking, on_collection, status, timed_out};
use super::token::{point, token};
use super::watch::{Told, tell};
use super::{Shared, convert};

/// Streams at a time at most, over all callers.
pub(super) const STREAMS_MAX: usize = 32;
/// Decisions of one message at most.
pub(super) const DECISIONS_MAX: usize = 500;
/// Messages that wait for a slow reader at most.
const MESSAGES_WAITING_MAX: usize = 4;
/// What a message may take the reader, over the whole of a stream.
const MESSAGE_TIME: Duration = Duration::from_secs(1);
/// What a caller who met too many streams waits before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The stream as the caller reads it.
pub(super) type Messages = ReceiverStream<Message>;
type Message = Result<proto::FetchDecisionsResponse, Status>;

/// A stream under way.
struct Fetch {
    collection: Arc<Collection>,
    look: Look,
    what: What,
    view: proto::DecisionView,
    /// The longest wait for the reader in all, beside what every message allows.
    unread_time_max: Duration,
    _turn: OwnedSemaphorePermit,
}

/// What is fetched.
enum What {
    /// All that was selected.
    All(Vec<(ImageId, Decision)>),
    /// What changed after this point.
    Since(ChangePoint, Box<Filter>),
}

/// How far a stream is.
#[derive(Clone, Copy)]
enum At {
    /// So many are told.
    Count(usize),
    /// Everything up to here is told.
    Point(ChangePoint),
}

/// Starts a stream of what the request selects.
pub(super) async fn start(
    shared: &Arc<Shared>,
    request: proto::FetchDecisionsRequest,
) -> Result<Messages, Status> {
    reach(&request.collection)?;
    let turn = Arc::clone(&shared.fetches).try_acquire_owned().map_err(|_| {
        let message = format!("{STREAMS_MAX} streams of decisions are open, which is the limit");
        status(EngineError::Exhausted { message, retry_after: Some(RETRY_AFTER) })
    })?;
    let view = request.view();
    let filter = convert::filter_from(request.filter)?;
    let unread_time_max = shared.config.request_time_max;
    let since = request.since;
    let select = move |collection: Arc<Collection>| {
        let look = collection.look();
        let what = match point(&collection, &since)? {
            None => What::All(collection.decisions_of(&look).select(&filter)?),
            Some(point) => {
                filter.check_followed()?;
                What::Since(point, Box::new(filter))
            }
        };
        Ok(Fetch { collection, look, what, view, unread_time_max, _turn: turn })
    };
    let fetch = on_collection(&shared.engine, request.collection, select).await?;
    let (sender, receiver) = mpsc::channel(MESSAGES_WAITING_MAX);
    tokio::spawn(async move {
        if let Err(error) = Arc::new(fetch).send(&sender).await {
            // What the stream held is free already. The caller may be gone, and then nobody wants to know.
            drop(sender.send(Err(error)).await);
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// What is left of a stream's patience when its reader took so long for a message.
fn patience_after(patience: Duration, waited: Duration, max: Duration) -> Duration {
    (patience.saturating_sub(waited) + MESSAGE_TIME).min(max)
}

impl Fetch {
    /// Sends everything, or what there was until the caller left.
    async fn send(self: Arc<Self>, sender: &mpsc::Sender<Message>) -> Result<(), Status> {
        let mut next = Some(match self.what {
            What::All(_) => At::Count(0),
            What::Since(point, _) => At::Point(point),
        });
        // A look holds a generation in memory while newer ones come: one who reads slower than this gives it up.
        let mut patience = self.unread_time_max;
        while let Some(at) = next {
            let this = Arc::clone(&self);
            let message;
            (message, next) = blocking(move || this.message(at)).await?;
            let waited = Instant::now();
            match tokio::time::timeout(patience, sender.send(Ok(message))).await {
                Ok(Ok(())) => patience = patience_after(patience, waited.elapsed(), self.unread_time_max),
                // The caller is gone.
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(timed_out("decisions were read too slowly", self.unread_time_max)),
            }
        }
        Ok(())
    }

    /// The message from here on, and where the one after it begins.
    fn message(&self, at: At) -> Result<(proto::FetchDecisionsResponse, Option<At>), EngineError> {
        let reader = self.collection.decisions_of(&self.look);
        let mut message =
            proto::FetchDecisionsResponse { generation: reader.generation().0, ..Default::default() };
        let (known, next) = match (&self.what, at) {
            (What::Since(from, filter), at) => {
                let after = if let At::Point(point) = at { point } else { *from };
                let Told { decisions, removals, until, more } =
                    tell(&self.collection, &self.look, after, filter, self.view)?;
                (message.decisions, message.removals) = (decisions, removals);
                (Some(until), more.then_some(At::Point(until)))
            }
            (What::All(selected), at) => {
                let first = if let At::Count(told) = at { told } else { 0 };
                let last = selected.len().min(first + DECISIONS_MAX);
                message.decisions = in_view(&reader, self.view, &selected[first..last])?;
                // Who leaves before the end knows nothing for sure.
                let done = last == selected.len();
                (done.then(|| self.look.now()), (!done).then_some(At::Count(last)))
            }
        };
        message.token = known.map(|point| token(&self.collection, &self.look, point)).unwrap_or_default();
        Ok((message, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages until the reader has no time left, if that is ever.
    fn messages_read(each: Duration) -> Option<usize> {
        let max = Duration::from_secs(310);
        let mut patience = max;
        (0..100_000).find(|_| {
            let is_over = each > patience;
            patience = patience_after(patience, each, max);
            is_over
        })
    }

    #[test]
    fn a_reader_that_is_slow_for_long_gives_its_look_up() {
        for (milliseconds, expected) in
            [(0, None), (1_000, None), (1_100, Some(3_090)), (300_000, Some(1)), (311_000, Some(0))]
        {
            assert_eq!(messages_read(Duration::from_millis(milliseconds)), expected, "{milliseconds}");
        }
    }
}
