//! A stream of images to add: one outcome each, with bounded memory whoever is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::engine::{AddError, EngineError, Ingest, IngestTask};
use crate::proto;
use crate::proto::add_images_request::Message;

use super::images::id_of;
use super::status::{blocking, invalid, status};
use super::{Shared, caller, convert};

/// Outcomes that a caller may leave unread before the daemon stops reading its images.
pub(super) const UNREAD_OUTCOMES_MAX: usize = 256;

/// Images that streams hand to the queue at a time at most, each on a thread that waits while the queue is full: the
/// other threads are for everybody else.
pub(super) const HANDING_MAX: usize = 64;

type Outcome = Result<proto::AddImagesResponse, Status>;

/// Why reading ended.
enum End {
    /// The caller sent everything.
    Done,
    /// The caller is gone.
    Gone,
    /// The stream is broken, or the daemon stops.
    Error(Status),
}

/// Starts the stream; outcomes come in order of completion.
pub(super) fn run(
    shared: Arc<Shared>,
    messages: Streaming<proto::AddImagesRequest>,
) -> ReceiverStream<Outcome> {
    let (outcomes, receiver) = mpsc::channel(UNREAD_OUTCOMES_MAX);
    let caller = caller::current();
    let stream = async move {
        let cancelled = Arc::new(AtomicBool::new(false));
        // Every task holds a clone; the channel closes once all are answered.
        let (pending, mut answered) = mpsc::channel::<()>(1);
        let end = read_images(&shared, messages, &outcomes, &pending, &cancelled).await;
        drop(pending);
        match end {
            End::Done => {}
            End::Gone => cancelled.store(true, Ordering::Release),
            End::Error(error) => {
                answered.recv().await;
                // The caller may be gone, and then nobody wants to know.
                drop(outcomes.send(Err(error)).await);
            }
        }
    };
    tokio::spawn(caller::on_behalf_of(caller, stream));
    ReceiverStream::new(receiver)
}

async fn read_images(
    shared: &Arc<Shared>,
    mut messages: Streaming<proto::AddImagesRequest>,
    outcomes: &mpsc::Sender<Outcome>,
    pending: &mpsc::Sender<()>,
    cancelled: &Arc<AtomicBool>,
) -> End {
    let (ingest, tags) = match header(shared, &mut messages).await {
        Ok(opened) => opened,
        Err(error) => return End::Error(error),
    };
    let mut stopping = shared.stopping.clone();
    let name = caller::current().name.clone();
    loop {
        // A place for the outcome is taken before its image is read.
        let place = tokio::select! {
            place = outcomes.clone().reserve_owned() => place,
            () = outcomes.closed() => return End::Gone,
        };
        let Ok(place) = place else { return End::Gone };
        let message = tokio::select! {
            message = messages.next() => message,
            () = outcomes.closed() => return End::Gone,
            _ = super::stopped(&mut stopping) => return End::Error(status(EngineError::Stopping)),
        };
        let image = match message {
            None => return End::Done,
            Some(Err(error)) => return End::Error(broken(error)),
            Some(Ok(proto::AddImagesRequest { message: Some(Message::Image(image)) })) => image,
            Some(Ok(_)) => {
                return End::Error(invalid("message", "every message after the first must be an image"));
            }
        };
        let Some(room) = shared.inflight.acquire(&name, image.data.len()).await else {
            return End::Gone;
        };
        let key = image.key.clone();
        let (source, bytes) = match convert::source_from(image, &tags) {
            Ok(parts) => parts,
            Err(error) => {
                let refused = AddError::InvalidSource(error.message().to_owned());
                let outcome = Some(shared.counted(convert::outcome(key, String::new(), Err(refused))));
                place.send(Ok(proto::AddImagesResponse { outcome }));
                continue;
            }
        };
        let Ok(hand) = Arc::clone(&shared.handing).acquire_owned().await else {
            return End::Gone;
        };
        let (ingest, pending, cancelled) = (ingest.clone(), pending.clone(), Arc::clone(cancelled));
        let shared = Arc::clone(shared);
        let queued = tokio::task::spawn_blocking(move || {
            let id = id_of(&bytes);
            let reply = Box::new(move |answer| {
                let outcome = shared.counted(convert::outcome(key, id, answer));
                place.send(Ok(proto::AddImagesResponse { outcome: Some(outcome) }));
                drop((room, pending));
            });
            let cancelled = Some(cancelled);
            ingest.add(IngestTask { bytes: bytes.into(), source, request: None, cancelled, reply });
            drop(hand);
        });
        if queued.await.is_err() {
            return End::Error(status(EngineError::Internal("an image could not be queued".to_owned())));
        }
    }
}

/// Why a message could not be read. The transport knows no details.
fn broken(error: Status) -> Status {
    if error.code() == Code::OutOfRange {
        return invalid("message", format!("is larger than any image may be: {}", error.message()));
    }
    error
}

async fn header(
    shared: &Arc<Shared>,
    messages: &mut Streaming<proto::AddImagesRequest>,
) -> Result<(Ingest, Vec<String>), Status> {
    let first = messages.next().await.transpose()?;
    match first.and_then(|first| first.message) {
        Some(Message::Header(header)) => {
            caller::reach(&header.collection)?;
            let engine = Arc::clone(&shared.engine);
            let ingest = blocking(move || engine.ingest(&header.collection)).await?;
            Ok((ingest, header.tags))
        }
        Some(Message::Image(_)) | None => Err(invalid("message", "the first message must be a header")),
    }
}
