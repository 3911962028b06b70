//! Importing what lies under directories of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::UNIX_EPOCH;

use cap_std::fs::Metadata;

use crate::file_uri;

use super::add::{Added, NewSource};
use super::error::EngineError;
use super::ingest::{AddError, Ingest, IngestTask};
use super::operations::{IMPORT_PROBLEMS_MAX, ImportSummary, Operation, OperationResult};
use super::roots::{Located, Roots};

/// Paths of one import at most.
pub(super) const IMPORT_PATHS_MAX: usize = 100;
/// Files of one import at most; beyond them it stops with an error rather than with memory.
pub(super) const IMPORT_FILES_MAX: usize = 10_000_000;
/// Directories below a path at most, one in another.
const DEPTH_MAX: usize = 64;
/// Bytes of one import that are read and not answered at most, unless one file alone has more.
const INFLIGHT_BYTES_MAX: u64 = 64 << 20;

/// Checks that paths lie under the allowed roots; answers them without links.
///
/// # Errors
/// A relative path, one that is not there, or one outside the roots.
pub(super) fn allowed_paths(paths: &[String], roots: &Roots) -> Result<Vec<Located>, EngineError> {
    if paths.is_empty() || paths.len() > IMPORT_PATHS_MAX {
        let description = format!("has {} entries, 1 to {IMPORT_PATHS_MAX} are allowed", paths.len());
        return Err(EngineError::invalid("paths", description));
    }
    paths.iter().map(|path| allowed_path(Path::new(path), roots)).collect()
}

fn allowed_path(path: &Path, roots: &Roots) -> Result<Located, EngineError> {
    if !path.is_absolute() {
        return Err(EngineError::invalid("paths", format!("{} is not absolute", path.display())));
    }
    // A path that isn't there answers as one that isn't allowed: whether a file exists outside is nobody's business.
    roots.locate(path).ok_or_else(|| EngineError::NotAllowed {
        reason: "PATH_NOT_ALLOWED",
        message: format!("{} is not under an allowed root of the daemon", path.display()),
    })
}

/// What lies under the paths of an import.
#[derive(Default)]
struct Found {
    /// Files in order of name.
    files: BTreeMap<PathBuf, Located>,
    /// Directories that can't be read, and why.
    unreadable: Vec<(PathBuf, String)>,
}

/// Looks under the paths without following links out of a directory; hidden entries are left out.
fn look_under(paths: &[Located], operation: &Operation) -> Result<Found, EngineError> {
    let mut found = Found::default();
    let mut open: Vec<(Located, usize)> = paths.iter().map(|place| (place.clone(), 0)).collect();
    while let Some((place, depth)) = open.pop() {
        if operation.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let (path, Ok(kind)) = (place.path(), place.look()) else {
            continue;
        };
        if kind.is_file() {
            found.files.insert(path, place);
        } else if kind.is_dir() && depth == DEPTH_MAX {
            found.unreadable.push((path, format!("deeper than {DEPTH_MAX} directories")));
        } else if kind.is_dir() {
            match place.visible_entries() {
                Ok(entries) => open.extend(entries.into_iter().map(|entry| (entry, depth + 1))),
                Err(error) => found.unreadable.push((path, error.to_string())),
            }
        }
        if found.files.len() > IMPORT_FILES_MAX {
            return Err(EngineError::Exhausted {
                message: format!("more than {IMPORT_FILES_MAX} files: import parts of them"),
                retry_after: None,
            });
        }
        operation.progress("listing", found.files.len() as u64, 0);
    }
    Ok(found)
}

/// What became of one file, and how many bytes of it were in memory until then.
struct Answer {
    path: PathBuf,
    bytes: u64,
    result: Result<Added, AddError>,
}

/// An import under way.
struct Import<'a> {
    ingest: &'a Ingest,
    tags: &'a [String],
    answers: Receiver<Answer>,
    inflight_bytes: u64,
    summary: ImportSummary,
}

/// Adds every file under the paths; what is there with the same size, time and tags is not read again.
pub(super) fn import(
    ingest: &Ingest,
    paths: &[Located],
    tags: &[String],
    operation: &Operation,
) -> Result<OperationResult, EngineError> {
    let found = look_under(paths, operation)?;
    let total = (found.files.len() + found.unreadable.len()) as u64;
    let (sender, answers) = channel();
    let mut import = Import { ingest, tags, answers, inflight_bytes: 0, summary: ImportSummary::default() };
    for (path, detail) in found.unreadable {
        import.count(Answer { path, bytes: 0, result: Err(AddError::Unreadable(detail)) });
    }
    for (path, place) in found.files {
        if operation.is_cancelled() {
            break;
        }
        import.add(path, &place, &sender)?;
        operation.progress("adding", import.summary.files, total);
    }
    drop(sender);
    while let Ok(answer) = import.answers.recv() {
        import.count(answer);
        operation.progress("adding", import.summary.files, total);
    }
    if operation.is_cancelled() {
        return Err(EngineError::Cancelled);
    }
    Ok(OperationResult::Import(import.summary))
}

impl Import<'_> {
    fn add(&mut self, path: PathBuf, place: &Located, sender: &Sender<Answer>) -> Result<(), EngineError> {
        let metadata = place.look();
        let size = metadata.as_ref().map_or(0, Metadata::len);
        let modified = metadata.ok().and_then(|metadata| metadata.modified().ok());
        let modified = modified.and_then(|at| at.into_std().duration_since(UNIX_EPOCH).ok());
        let modified_ms = modified.map(|since| since.as_millis() as i64);
        let (key, uri) = (file_uri::key(&path), file_uri::encode(&path));
        let source = NewSource { key, uri, modified_ms, tags: self.tags.to_vec() };
        if self.ingest.collection().is_unchanged(&source, size)? {
            self.summary.files += 1;
            self.summary.already_present += 1;
            return Ok(());
        }
        self.make_room(size);
        let bytes_max = self.ingest.image_bytes_max();
        let read = if size > bytes_max {
            Err(AddError::TooLarge { bytes: size, bytes_max })
        } else {
            place.read(bytes_max).map_err(|error| AddError::Unreadable(error.to_string()))
        };
        match read {
            Err(error) => self.count(Answer { path, bytes: 0, result: Err(error) }),
            Ok(read) => {
                let (sender, bytes) = (sender.clone(), read.len() as u64);
                self.inflight_bytes += bytes;
                // A closed channel means that the import is over, and nobody counts any more.
                let reply = Box::new(move |result| drop(sender.send(Answer { path, bytes, result })));
                self.ingest.add(IngestTask {
                    bytes: read.into(),
                    source,
                    request: None,
                    cancelled: None,
                    reply,
                });
            }
        }
        Ok(())
    }

    /// Counts the answers that are there, and waits for more until so many bytes may be read.
    fn make_room(&mut self, bytes: u64) {
        while let Ok(answer) = self.answers.try_recv() {
            self.count(answer);
        }
        while self.inflight_bytes > 0
            && self.inflight_bytes + bytes > INFLIGHT_BYTES_MAX
            && let Ok(answer) = self.answers.recv()
        {
            self.count(answer);
        }
    }

    fn count(&mut self, Answer { path, bytes, result }: Answer) {
        self.inflight_bytes -= bytes;
        let summary = &mut self.summary;
        summary.files += 1;
        let error = match result {
            Ok(Added { new: true, .. }) => {
                summary.added += 1;
                return;
            }
            Ok(_) => {
                summary.already_present += 1;
                return;
            }
            Err(error) => error,
        };
        if error.is_rejection() {
            summary.rejected += 1;
        } else {
            summary.failed += 1;
        }
        if summary.problems.len() < IMPORT_PROBLEMS_MAX {
            summary.problems.push((path.to_string_lossy().into_owned(), error.to_string()));
        }
    }
}
