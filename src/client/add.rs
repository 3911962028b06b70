//! Adds images over as many streams as it takes: an image has one outcome, also where the daemon restarts meanwhile.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Response, Status, Streaming};

use super::Retry;
use crate::proto::add_images_request::Message;
use crate::proto::{AddImagesHeader, AddImagesRequest, AddImagesResponse, AddOutcome, NewImage};

/// Images sent that have no outcome yet, at most.
const UNANSWERED_IMAGES_MAX: usize = 256;
/// Bytes of images sent that have no outcome yet, at most; one image may be larger.
const UNANSWERED_BYTES_MAX: usize = 64 << 20;
/// Images on their way from here to the wire, at most.
const OUTGOING_IMAGES_MAX: usize = 4;

/// Images that were sent and have no outcome, by key, oldest first.
#[derive(Default)]
struct Flight {
    images: HashMap<String, VecDeque<NewImage>>,
    count: usize,
    bytes: usize,
}

impl Flight {
    fn fits(&self, image: &NewImage) -> bool {
        let room =
            self.count < UNANSWERED_IMAGES_MAX && self.bytes + image.data.len() <= UNANSWERED_BYTES_MAX;
        self.count == 0 || room
    }

    fn add(&mut self, image: NewImage) {
        self.count += 1;
        self.bytes += image.data.len();
        self.images.entry(image.key.clone()).or_default().push_back(image);
    }

    /// Notes an outcome; `None` where no such image is in flight.
    fn land(&mut self, outcome: &AddOutcome) -> Option<()> {
        // Without a key an image is called by its id, which is known only now.
        let unnamed = outcome.key == outcome.image_id && !self.images.contains_key(&outcome.key);
        let key = if unnamed { "" } else { &outcome.key };
        let waiting = self.images.get_mut(key)?;
        let image = waiting.pop_front()?;
        if waiting.is_empty() {
            self.images.remove(key);
        }
        self.count -= 1;
        self.bytes -= image.data.len();
        Some(())
    }

    fn take(&mut self) -> impl Iterator<Item = NewImage> + use<> {
        std::mem::take(self).images.into_values().flatten()
    }
}

/// Images that wait: those to be sent again first.
struct Source<S> {
    again: VecDeque<NewImage>,
    images: S,
}

impl<S: Stream<Item = NewImage> + Unpin> Source<S> {
    async fn next(&mut self) -> Option<NewImage> {
        match self.again.pop_front() {
            Some(image) => Some(image),
            None => self.images.next().await,
        }
    }
}

/// How one stream ended.
enum End {
    /// All images have their outcome, or the caller left.
    Done,
    /// The daemon said so, or went away.
    Failed(Status),
}

/// Adds images, and tells each outcome as it comes, until there are no more or `told` breaks. Memory is bounded.
///
/// `open` begins a stream, such as `async |requests| images.add_images(requests).await`.
///
/// # Errors
/// The daemon refuses the stream, or stays away for longer than the retries last; or its outcomes are not those of the
/// images that were sent (`DATA_LOSS`).
pub async fn add(
    retry: Retry,
    header: AddImagesHeader,
    images: impl Stream<Item = NewImage> + Unpin,
    mut open: impl AsyncFnMut(
        ReceiverStream<AddImagesRequest>,
    ) -> Result<Response<Streaming<AddImagesResponse>>, Status>,
    mut told: impl AsyncFnMut(AddOutcome) -> ControlFlow<()>,
) -> Result<(), Box<Status>> {
    let mut source = Source { again: VecDeque::new(), images };
    let mut flight = Flight::default();
    let mut failures = 0;
    loop {
        let (sender, requests) = mpsc::channel(OUTGOING_IMAGES_MAX);
        let header = AddImagesRequest { message: Some(Message::Header(header.clone())) };
        // There is room: nothing was sent yet.
        let _ = sender.try_send(header);
        let opening = open(ReceiverStream::new(requests));
        let mut heard = async |outcome| {
            failures = 0;
            told(outcome).await
        };
        let end = one_stream(opening, sender, &mut source, &mut flight, &mut heard).await;
        let End::Failed(status) = end else { return Ok(()) };
        failures += 1;
        retry.pause(status, failures, None).await?;
        source.again.extend(flight.take());
    }
}

async fn one_stream<S: Stream<Item = NewImage> + Unpin>(
    opening: impl Future<Output = Result<Response<Streaming<AddImagesResponse>>, Status>>,
    sender: mpsc::Sender<AddImagesRequest>,
    source: &mut Source<S>,
    flight: &mut Flight,
    told: &mut impl AsyncFnMut(AddOutcome) -> ControlFlow<()>,
) -> End {
    // What lies between may say nothing at all before the first outcome: images are sent meanwhile.
    tokio::pin!(opening);
    let mut outcomes: Option<Streaming<AddImagesResponse>> = None;
    let mut sender = Some(sender);
    let mut next: Option<NewImage> = None;
    let lost = |words: String| End::Failed(Status::data_loss(words));
    let end = loop {
        let room = next.as_ref().is_some_and(|image| flight.fits(image));
        tokio::select! {
            opened = &mut opening, if outcomes.is_none() => match opened {
                Err(status) => break End::Failed(status),
                Ok(answer) => outcomes = Some(answer.into_inner()),
            },
            answer = message(outcomes.as_mut()) => match answer {
                Err(status) => break End::Failed(status),
                Ok(None) if flight.count == 0 && sender.is_none() => break End::Done,
                Ok(None) => break lost(format!("the stream ended without {} outcomes", flight.count)),
                Ok(Some(answer)) => {
                    let outcome = answer.outcome.unwrap_or_default();
                    if flight.land(&outcome).is_none() {
                        break lost(format!("an outcome for {:?}, which was not sent", outcome.key));
                    }
                    if told(outcome).await.is_break() {
                        break End::Done;
                    }
                }
            },
            image = source.next(), if next.is_none() && sender.is_some() => match image {
                Some(image) => next = Some(image),
                None => sender = None,
            },
            permit = reserve(sender.clone()), if room => match (permit, next.take()) {
                (Some(permit), Some(image)) => {
                    permit.send(AddImagesRequest { message: Some(Message::Image(image.clone())) });
                    flight.add(image);
                }
                // The stream has ended; what it ended with is the next message.
                (_, image) => {
                    source.again.extend(image);
                    sender = None;
                }
            },
        }
    };
    source.again.extend(next);
    end
}

async fn message(
    outcomes: Option<&mut Streaming<AddImagesResponse>>,
) -> Result<Option<AddImagesResponse>, Status> {
    match outcomes {
        Some(outcomes) => outcomes.message().await,
        None => std::future::pending().await,
    }
}

async fn reserve(
    sender: Option<mpsc::Sender<AddImagesRequest>>,
) -> Option<mpsc::OwnedPermit<AddImagesRequest>> {
    sender?.reserve_owned().await.ok()
}
