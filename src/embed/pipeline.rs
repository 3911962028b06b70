//! Worker threads that turn image files into what is stored of them.
//!
//! Each worker owns a model with one thread of its own and does all steps of one image; with several workers
//! decoding, resizing and inference of different images overlap. One bounded queue feeds them all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::queue::{Queue, Refused};
use super::{EmbedError, Embedder, EmbeddingSpace, Model, ModelSpec, preprocess};
use crate::decode::{self, DecodeError, Format, Limits, Look, Measures, ThumbnailError};
use crate::types::{Embedding, ImageId};

/// Most workers of one pipeline.
const WORKERS_MAX: usize = 256;

/// How a pipeline is set up.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// Worker threads, in [1, 256]; one per core suits.
    pub workers: usize,
    /// Jobs that may wait; at least one.
    pub queue_max: usize,
    /// What one image may cost.
    pub limits: Limits,
}

/// What is stored of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Digest of the file.
    pub id: ImageId,
    /// Its vector, in the pipeline's space.
    pub embedding: Embedding,
    /// JPEG of at most 320 pixels on the long side.
    pub thumbnail: Vec<u8>,
    /// What its pixels measure: perceptual hash and defects.
    pub measures: Measures,
    /// Columns of the picture, upright, at full scale.
    pub width: u32,
    /// Rows of the picture, upright, at full scale.
    pub height: u32,
    /// What the file was.
    pub format: Format,
    /// Length of the file, in bytes.
    pub bytes_len: u64,
}

/// Why an image could not be prepared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PrepareError {
    /// The file is no picture: for ever.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The model failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The thumbnail failed.
    #[error(transparent)]
    Thumbnail(#[from] ThumbnailError),
    /// The job was cancelled before its turn.
    #[error("cancelled")]
    Cancelled,
    /// The pipeline stopped before the job's turn.
    #[error("the pipeline is stopping")]
    Stopped,
    /// A worker panicked over this image; it goes on with the next.
    #[error("internal error: a worker panicked")]
    Panicked,
}

/// Why a job was not taken; its callback is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full: try again later.
    #[error("{queue_max} images are waiting already")]
    Overloaded {
        /// Most jobs that may wait.
        queue_max: usize,
    },
    /// The pipeline is stopping.
    #[error("the pipeline is stopping")]
    Stopped,
}

/// One image to prepare.
pub struct Job {
    /// The file.
    pub bytes: Arc<[u8]>,
    /// Set it to give the job up before its turn.
    pub cancelled: Arc<AtomicBool>,
    /// Called once, on a worker thread; it must not block.
    pub done: Box<dyn FnOnce(Result<Prepared, PrepareError>) + Send>,
}

/// Running workers. Dropping it stops them after the image each has in hand; waiting jobs end as
/// [`PrepareError::Stopped`].
pub struct Pipeline {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    space: EmbeddingSpace,
    queue_max: usize,
}

struct Shared {
    queue: Queue<Job>,
    stopping: AtomicBool,
    limits: Limits,
    spec: ModelSpec,
}

impl Pipeline {
    /// Starts the workers, each with a session of its own.
    ///
    /// # Errors
    /// A model that can't be run.
    pub fn start(model: &Model, options: &PipelineOptions) -> Result<Self, EmbedError> {
        let PipelineOptions { workers, queue_max, limits } = options;
        let shared = Arc::new(Shared {
            queue: Queue::new(*queue_max),
            stopping: AtomicBool::new(false),
            limits: limits.clone(),
            spec: model.spec().clone(),
        });
        let mut pipeline = Self {
            shared,
            workers: Vec::new(),
            space: model.space().clone(),
            queue_max: (*queue_max).max(1),
        };
        for index in 0..(*workers).clamp(1, WORKERS_MAX) {
            let mut embedder = model.embedder()?;
            let shared = Arc::clone(&pipeline.shared);
            let worker = thread::Builder::new()
                .name(format!("embed-{index}"))
                .spawn(move || work(&shared, embedder.as_mut()))
                .map_err(|error| EmbedError::Session(format!("cannot start a worker thread: {error}")))?;
            pipeline.workers.push(worker);
        }
        Ok(pipeline)
    }

    /// The space of all vectors made here.
    pub fn space(&self) -> &EmbeddingSpace {
        &self.space
    }

    /// Jobs waiting for a worker.
    pub fn waiting(&self) -> usize {
        self.shared.queue.len()
    }

    /// Hands a job over, waiting while the queue is full.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`].
    pub fn submit(&self, job: Job) -> Result<(), SubmitError> {
        self.shared.queue.push(job).map_err(|refused| self.refusal(&refused))
    }

    /// Hands a job over if there is room.
    ///
    /// # Errors
    /// [`SubmitError::Overloaded`] or [`SubmitError::Stopped`].
    pub fn try_submit(&self, job: Job) -> Result<(), SubmitError> {
        self.shared.queue.try_push(job).map_err(|refused| self.refusal(&refused))
    }

    fn refusal(&self, refused: &Refused<Job>) -> SubmitError {
        match refused {
            Refused::Full(_) => SubmitError::Overloaded { queue_max: self.queue_max },
            Refused::Closed(_) => SubmitError::Stopped,
        }
    }

    /// Takes no more jobs; those that wait end as [`PrepareError::Stopped`]. Does not wait for the workers.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.queue.close();
    }

    /// Takes no more jobs, finishes those that wait, and returns when the workers are gone.
    pub fn drain(mut self) {
        self.join();
    }

    fn join(&mut self) {
        self.shared.queue.close();
        for worker in self.workers.drain(..) {
            // The last who holds the pipeline may be one of its jobs: that thread ends by itself.
            if worker.thread().id() != thread::current().id() && worker.join().is_err() {
                tracing::error!("an embedding worker panicked");
            }
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
        self.join();
    }
}

fn work(shared: &Shared, embedder: &mut dyn Embedder) {
    while let Some(Job { bytes, cancelled, done }) = shared.queue.pop() {
        let result = if shared.stopping.load(Ordering::Acquire) {
            Err(PrepareError::Stopped)
        } else if cancelled.load(Ordering::Acquire) {
            Err(PrepareError::Cancelled)
        } else {
            let attempt = AssertUnwindSafe(|| prepare(&bytes, shared, embedder));
            catch_unwind(attempt).unwrap_or(Err(PrepareError::Panicked))
        };
        drop(bytes);
        if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
            tracing::error!("the receiver of a prepared image panicked");
        }
    }
}

fn prepare(bytes: &[u8], shared: &Shared, embedder: &mut dyn Embedder) -> Result<Prepared, PrepareError> {
    let image = decode::decode(bytes, &shared.limits, shared.spec.shortest_side_min())?;
    let Look { thumbnail, measures } = decode::look(&image)?;
    let input = preprocess(&image, &shared.spec)?;
    let embedding = embedder.embed(std::slice::from_ref(&input))?.pop();
    let embedding = embedding.ok_or_else(|| EmbedError::Session("no output".to_owned()))?;
    Ok(Prepared {
        id: ImageId::of(bytes),
        embedding,
        thumbnail,
        measures,
        width: image.original_width,
        height: image.original_height,
        format: image.format,
        bytes_len: bytes.len() as u64,
    })
}
