//! The way of an image from bytes to an answer: known bytes take the short way, others are decoded and embedded.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::decode::DecodeError;
use crate::embed::{Job, Pipeline, PrepareError, Prepared, SubmitError};
use crate::types::ImageId;

use super::add::{AddTask, Added, Adder, NewImage, NewSource};
use super::collection::Collection;
use super::error::EngineError;
use super::requests::RequestKey;

/// Bytes of a source's key, or of its URI, at most.
pub(super) const SOURCE_TEXT_BYTES_MAX: usize = 4096;
/// Tags of a source at most.
pub(super) const TAGS_MAX: usize = 32;
/// Bytes of a tag at most.
pub(super) const TAG_BYTES_MAX: usize = 128;

/// Why an image was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The bytes are no picture that culld takes.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// More bytes than the limit.
    #[error("{bytes} bytes, at most {bytes_max} are allowed")]
    TooLarge {
        /// What was given.
        bytes: u64,
        /// What is allowed.
        bytes_max: u64,
    },
    /// The file can't be read.
    #[error("can't be read: {0}")]
    Unreadable(String),
    /// Key, URI or tags beyond their limits.
    #[error("{0}")]
    InvalidSource(String),
    /// Too many images wait already; only where waiting was not asked for.
    #[error("{0}")]
    Overloaded(String),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
    /// Storing failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

impl AddError {
    /// Whether trying again is in vain.
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::Decode(_) | Self::TooLarge { .. } | Self::Unreadable(_) | Self::InvalidSource(_) => true,
            Self::Engine(error) => {
                matches!(error, EngineError::Invalid { .. } | EngineError::Precondition { .. })
            }
            Self::Overloaded(_) | Self::Cancelled | Self::Stopping | Self::Internal(_) => false,
        }
    }
}

/// Takes the answer of one add.
pub(super) type IngestReply = Box<dyn FnOnce(Result<Added, AddError>) + Send>;

/// One image to add.
pub struct IngestTask {
    /// The bytes of the file.
    pub bytes: Arc<[u8]>,
    /// From where.
    pub source: NewSource,
    /// The request, where a retry is to get the same answer.
    pub request: Option<RequestKey>,
    /// Set to give the image up before its turn; `None`: never.
    pub cancelled: Option<Arc<AtomicBool>>,
    /// Whom to tell; called once, on any thread.
    pub reply: IngestReply,
}

/// Adds images to one collection.
#[derive(Clone)]
pub struct Ingest {
    collection: Arc<Collection>,
    adder: Adder,
    pipeline: Arc<Pipeline>,
    image_bytes_max: u64,
}

impl Ingest {
    /// Puts the parts together.
    pub(super) fn new(
        collection: Arc<Collection>,
        adder: Adder,
        pipeline: Arc<Pipeline>,
        image_bytes_max: u64,
    ) -> Self {
        Self { collection, adder, pipeline, image_bytes_max }
    }

    /// The collection added to.
    pub fn collection(&self) -> &Arc<Collection> {
        &self.collection
    }

    /// Bytes of an image at most.
    pub fn image_bytes_max(&self) -> u64 {
        self.image_bytes_max
    }

    /// Adds one image; waits while the queue is full. The reply is called exactly once.
    pub fn add(&self, task: IngestTask) {
        if let Some((job, refused)) = self.admit(task)
            && self.pipeline.submit(job).is_err()
        {
            refused.answer(Err(AddError::Stopping));
        }
    }

    /// Adds one image, unless the queue is full: then the reply gets [`AddError::Overloaded`].
    pub fn try_add(&self, task: IngestTask) {
        let Some((job, refused)) = self.admit(task) else {
            return;
        };
        match self.pipeline.try_submit(job) {
            Ok(()) => {}
            Err(error @ SubmitError::Overloaded { .. }) => {
                refused.answer(Err(AddError::Overloaded(error.to_string())));
            }
            Err(SubmitError::Stopped) => refused.answer(Err(AddError::Stopping)),
        }
    }

    /// Answers what needs no embedding; everything else becomes a job. The reply is shared between the job and the
    /// caller, who answers if the job is refused.
    fn admit(&self, task: IngestTask) -> Option<(Job, SharedReply)> {
        let IngestTask { bytes, source, request, cancelled, reply } = task;
        if let Err(error) = self.check(&bytes, &source) {
            reply(Err(error));
            return None;
        }
        let image = ImageId::of(&bytes);
        if self.collection.contains(&image) {
            let image = NewImage::Known { image, bytes: bytes.len() as u64 };
            self.store(image, source, request, SharedReply::new(reply));
            return None;
        }
        let shared = SharedReply::new(reply);
        let (this, reply) = (self.clone(), shared.clone());
        let done = Box::new(move |result: Result<Prepared, PrepareError>| match result {
            Ok(prepared) => this.store(NewImage::Prepared(Box::new(prepared)), source, request, reply),
            Err(error) => reply.answer(Err(error.into())),
        });
        Some((Job { bytes, cancelled: cancelled.unwrap_or_default(), done }, shared))
    }

    fn store(&self, image: NewImage, source: NewSource, request: Option<RequestKey>, reply: SharedReply) {
        let reply =
            Box::new(move |answer: Result<Added, EngineError>| reply.answer(answer.map_err(AddError::from)));
        self.adder.add(AddTask { image, source, request, reply });
    }

    fn check(&self, bytes: &[u8], source: &NewSource) -> Result<(), AddError> {
        let size = bytes.len() as u64;
        if size > self.image_bytes_max {
            return Err(AddError::TooLarge { bytes: size, bytes_max: self.image_bytes_max });
        }
        check_source(source).map_err(AddError::InvalidSource)
    }
}

/// Checks key, URI and tags.
///
/// # Errors
/// What is beyond its limit, in words.
pub fn check_source(source: &NewSource) -> Result<(), String> {
    for (name, text) in [("key", &source.key), ("uri", &source.uri)] {
        if text.len() > SOURCE_TEXT_BYTES_MAX {
            return Err(format!(
                "{name} has {} bytes, at most {SOURCE_TEXT_BYTES_MAX} are allowed",
                text.len()
            ));
        }
    }
    if source.tags.len() > TAGS_MAX {
        return Err(format!("{} tags, at most {TAGS_MAX} are allowed", source.tags.len()));
    }
    match source.tags.iter().find(|tag| tag.is_empty() || tag.len() > TAG_BYTES_MAX) {
        Some(tag) => Err(format!("a tag of {} bytes, 1 to {TAG_BYTES_MAX} are allowed", tag.len())),
        None => Ok(()),
    }
}

/// A reply that one of two holders gives.
#[derive(Clone)]
struct SharedReply(Arc<std::sync::Mutex<Option<IngestReply>>>);

impl SharedReply {
    fn new(reply: IngestReply) -> Self {
        Self(Arc::new(std::sync::Mutex::new(Some(reply))))
    }

    fn answer(&self, answer: Result<Added, AddError>) {
        let reply = super::lock::lock(&self.0).take();
        if let Some(reply) = reply {
            reply(answer);
        }
    }
}

impl From<PrepareError> for AddError {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Decode(error) => Self::Decode(error),
            PrepareError::Cancelled => Self::Cancelled,
            PrepareError::Stopped => Self::Stopping,
            PrepareError::Embed(_) | PrepareError::Thumbnail(_) | PrepareError::Panicked => {
                Self::Internal(error.to_string())
            }
        }
    }
}
