//! Sends files to the daemon and gathers what became of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::walk::{Found, Unreadable, Walk};
use super::{progress, words};
use crate::client::{Retry, add};
use crate::file_uri;
use crate::proto::{AddImagesHeader, AddOutcome, AddStatus, NewImage};

/// Images read and not yet sent, at most.
const WAITING_IMAGES_MAX: usize = 32;
/// KiB of images read and not yet sent, at most; the largest image fits.
const WAITING_KIB_MAX: u32 = 128 << 10;
/// Bytes of an image that any daemon takes, at most.
const IMAGE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a URI, at most.
const URI_BYTES_MAX: usize = 4096;
/// Problems kept word for word; the others are counted.
const PROBLEMS_MAX: usize = 100;
/// Problems shown to a person.
const PROBLEMS_SHOWN: usize = 10;

/// A file that was not added.
#[derive(Debug, Clone)]
struct Problem {
    key: String,
    cause: String,
    detail: String,
}

/// What became of the files.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Images that were new.
    pub(super) added: u64,
    /// Images whose bytes were there.
    pub(super) already_present: u64,
    /// Files that can't be added.
    pub(super) rejected: u64,
    /// Files that could not be added now.
    pub(super) failed: u64,
    causes: BTreeMap<String, u64>,
    problems: Vec<Problem>,
}

impl Summary {
    /// Files with a final outcome.
    pub(super) fn images(&self) -> u64 {
        self.added + self.already_present + self.rejected
    }

    fn note_problem(&mut self, key: String, cause: &str, detail: String) {
        *self.causes.entry(cause.to_string()).or_default() += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { key, cause: cause.to_string(), detail });
        }
    }

    fn note_local(&mut self, refusal: Refusal, bar: &ProgressBar) {
        match refusal {
            Refusal::Unreadable(Unreadable { key, source }) => {
                self.failed += 1;
                self.note_problem(key, "unreadable", source.to_string());
            }
            Refusal::TooLarge { key, bytes } => {
                self.rejected += 1;
                let (bytes, limit) = (words::bytes(bytes), words::bytes(IMAGE_BYTES_MAX));
                self.note_problem(key, "too-large", format!("{bytes} of at most {limit}"));
            }
        }
        bar.inc(1);
    }

    fn note(&mut self, outcome: AddOutcome) {
        let cause = words::cause(outcome.cause());
        match outcome.status() {
            AddStatus::Added => self.added += 1,
            AddStatus::AlreadyPresent => self.already_present += 1,
            AddStatus::Rejected => {
                self.rejected += 1;
                self.note_problem(outcome.key, &cause, outcome.detail);
            }
            AddStatus::Failed | AddStatus::Unspecified => {
                self.failed += 1;
                self.note_problem(outcome.key, &cause, outcome.detail);
            }
        }
    }

    /// The figures for machines.
    pub(super) fn json(&self) -> Value {
        let problem = |p: &Problem| json!({"key": p.key, "cause": p.cause, "detail": p.detail});
        json!({
            "images": self.images(),
            "added": self.added,
            "already_present": self.already_present,
            "rejected": self.rejected,
            "failed": self.failed,
            "causes": self.causes,
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
        })
    }

    /// Why files were not added, counted.
    pub(super) fn causes(&self) -> &BTreeMap<String, u64> {
        &self.causes
    }

    /// The figures for people.
    pub(super) fn print(&self, out: &mut Output) {
        out.line(format!(
            "{} images: {} added, {} already present, {} rejected, {} failed",
            self.images() + self.failed,
            self.added,
            self.already_present,
            self.rejected,
            self.failed
        ));
        for problem in self.problems.iter().take(PROBLEMS_SHOWN) {
            let (key, detail) = (words::printable(&problem.key), words::printable(&problem.detail));
            out.line(format!("  {key}: {}: {detail}", problem.cause));
        }
        let shown = self.problems.len().min(PROBLEMS_SHOWN) as u64;
        let left = self.rejected + self.failed - shown;
        if left > 0 {
            let causes: Vec<String> =
                self.causes.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
            out.line(format!("  and {left} more; in all {}", causes.join(", ")));
        }
    }
}

/// What was not sent.
enum Refusal {
    Unreadable(Unreadable),
    TooLarge { key: String, bytes: u64 },
}

/// What the reader hands on: an image with its share of the memory, or a file that is not sent.
enum Read {
    Image(Box<NewImage>, OwnedSemaphorePermit),
    Refused(Refusal),
}

/// Adds files as they are found, reading outcomes while sending; a daemon that restarts meanwhile is waited for. Memory
/// is bounded however many and large they are.
///
/// `bar` moves by one for each file that has its outcome.
///
/// # Errors
/// The daemon ends the stream, or stays away, before all outcomes are in.
pub(super) async fn add(
    client: &mut Client,
    files: impl Iterator<Item = Result<Found, Unreadable>> + Send + 'static,
    tags: Vec<String>,
    bar: &ProgressBar,
) -> Result<Summary, CliError> {
    let (images, waiting) = mpsc::channel::<(NewImage, OwnedSemaphorePermit)>(WAITING_IMAGES_MAX);
    let (refusals, mut refused) = mpsc::channel::<Refusal>(WAITING_IMAGES_MAX);
    let memory = Arc::new(Semaphore::new(WAITING_KIB_MAX as usize));
    tokio::task::spawn_blocking(move || read_all(files, &memory, &images, &refusals));

    let header = AddImagesHeader { collection: client.collection.clone(), tags };
    let images = ReceiverStream::new(waiting).map(|(image, _memory)| image);
    let summary = Mutex::new(Summary::default());
    let told = async |outcome: AddOutcome| {
        summary.lock().unwrap_or_else(PoisonError::into_inner).note(outcome);
        bar.inc(1);
        ControlFlow::Continue(())
    };
    let local = async {
        while let Some(refusal) = refused.recv().await {
            summary.lock().unwrap_or_else(PoisonError::into_inner).note_local(refusal, bar);
        }
    };
    let open = async |requests| client.images.add_images(requests).await;
    let adding = add::add(Retry::default(), header, images, open, told);
    // The reader ends with whoever takes its images.
    let (added, ()) = tokio::join!(adding, local);
    let summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    match added.map_err(CliError::Call) {
        Ok(()) => Ok(summary),
        // Nothing was begun, and trying again won't help.
        Err(cause) if cause.is_refusal() => Err(cause),
        Err(cause) => {
            let stored = summary.added + summary.already_present;
            Err(CliError::Interrupted { stored, cause: Box::new(cause) })
        }
    }
}

/// Reads files until there are no more or nobody takes them.
fn read_all(
    files: impl Iterator<Item = Result<Found, Unreadable>>,
    memory: &Arc<Semaphore>,
    images: &mpsc::Sender<(NewImage, OwnedSemaphorePermit)>,
    refusals: &mpsc::Sender<Refusal>,
) {
    for found in files {
        let read = match found {
            Ok(found) => read_file(found, memory),
            Err(unreadable) => Read::Refused(Refusal::Unreadable(unreadable)),
        };
        let taken = match read {
            Read::Image(image, permit) => images.blocking_send((*image, permit)).is_ok(),
            Read::Refused(refusal) => refusals.blocking_send(refusal).is_ok(),
        };
        if !taken {
            return;
        }
    }
}

fn read_file(found: Found, memory: &Arc<Semaphore>) -> Read {
    let refused = |key, source| Read::Refused(Refusal::Unreadable(Unreadable { key, source }));
    let (file, metadata) = match open_file(&found.path) {
        Ok(opened) => opened,
        Err(source) => return refused(found.key, source),
    };
    let bytes = metadata.len();
    if bytes > IMAGE_BYTES_MAX {
        return Read::Refused(Refusal::TooLarge { key: found.key, bytes });
    }
    let kib = (bytes / 1024) as u32 + 1;
    let room = tokio::runtime::Handle::current().block_on(Arc::clone(memory).acquire_many_owned(kib));
    let Ok(room) = room else {
        return refused(found.key, io::ErrorKind::Interrupted.into());
    };
    // The file may grow while it is read; what is beyond the limit is the daemon's to refuse.
    let mut data = Vec::with_capacity(bytes as usize);
    if let Err(source) = file.take(IMAGE_BYTES_MAX + 1).read_to_end(&mut data) {
        return refused(found.key, source);
    }
    let uri = fs::canonicalize(&found.path).map(|path| file_uri::encode(&path));
    let image = NewImage {
        key: found.key,
        data,
        uri: uri.ok().filter(|uri| uri.len() <= URI_BYTES_MAX).unwrap_or_default(),
        modify_time: metadata.modified().ok().map(Into::into),
        tags: Vec::new(),
    };
    Read::Image(Box::new(image), room)
}

fn open_file(path: &Path) -> io::Result<(File, fs::Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

/// How many files a walk will find; only asked where a progress bar would show it.
pub(super) async fn count(walk: Walk) -> u64 {
    if !progress::is_visible() {
        return 0;
    }
    tokio::task::spawn_blocking(move || walk.count() as u64).await.unwrap_or(0)
}
