//! Importing what lies under directories of this machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::UNIX_EPOCH;

use super::add::{Added, NewSource};
use super::error::EngineError;
use super::ingest::{AddError, Ingest, IngestTask};
use super::operations::{IMPORT_PROBLEMS_MAX, ImportSummary, Operation, OperationResult};

/// Paths of one import at most.
pub(super) const IMPORT_PATHS_MAX: usize = 100;
/// Files of one import at most; beyond them it stops with an error rather than with memory.
pub(super) const IMPORT_FILES_MAX: usize = 10_000_000;
/// Directories below a path at most, one in another.
const DEPTH_MAX: usize = 64;

/// Checks that paths lie under the allowed roots; answers them without links.
///
/// # Errors
/// A relative path, one that is not there, or one outside the roots.
pub(super) fn allowed_paths(paths: &[String], roots: &[PathBuf]) -> Result<Vec<PathBuf>, EngineError> {
    if paths.is_empty() || paths.len() > IMPORT_PATHS_MAX {
        let description = format!("has {} entries, 1 to {IMPORT_PATHS_MAX} are allowed", paths.len());
        return Err(EngineError::invalid("paths", description));
    }
    paths.iter().map(|path| allowed_path(Path::new(path), roots)).collect()
}

fn allowed_path(path: &Path, roots: &[PathBuf]) -> Result<PathBuf, EngineError> {
    if !path.is_absolute() {
        return Err(EngineError::invalid("paths", format!("{} is not absolute", path.display())));
    }
    // A path that isn't there answers as one that isn't allowed: whether a file exists outside is nobody's business.
    let real = fs::canonicalize(path).ok().filter(|real| roots.iter().any(|root| real.starts_with(root)));
    real.ok_or_else(|| EngineError::NotAllowed {
        reason: "PATH_NOT_ALLOWED",
        message: format!("{} is not under an allowed root of the daemon", path.display()),
    })
}

/// Files under the paths in order of name, without following links out of a directory, hidden ones left out.
fn files_under(paths: &[PathBuf], operation: &Operation) -> Result<BTreeSet<PathBuf>, EngineError> {
    let mut files = BTreeSet::new();
    let mut open: Vec<(PathBuf, usize)> = paths.iter().map(|path| (path.clone(), 0)).collect();
    while let Some((path, depth)) = open.pop() {
        if operation.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let Ok(kind) = fs::symlink_metadata(&path) else {
            continue;
        };
        if kind.is_file() {
            files.insert(path);
        } else if kind.is_dir() && depth < DEPTH_MAX {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            let visible = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
            open.extend(visible.map(|entry| (entry.path(), depth + 1)));
        }
        if files.len() > IMPORT_FILES_MAX {
            return Err(EngineError::Exhausted {
                message: format!("more than {IMPORT_FILES_MAX} files: import parts of them"),
                retry_after: None,
            });
        }
        operation.progress("listing", files.len() as u64, 0);
    }
    Ok(files)
}

/// What became of one file.
type Answer = (PathBuf, Result<Added, AddError>);

/// Adds every file under the paths; what is there with the same size and time is not read again.
pub(super) fn import(
    ingest: &Ingest,
    paths: &[PathBuf],
    tags: &[String],
    operation: &Operation,
) -> Result<OperationResult, EngineError> {
    let files = files_under(paths, operation)?;
    let total = files.len() as u64;
    let mut summary = ImportSummary::default();
    let (sender, receiver) = channel();
    for path in files {
        if operation.is_cancelled() {
            break;
        }
        receiver.try_iter().for_each(|answer| count(&mut summary, answer));
        operation.progress("adding", summary.files, total);
        add_file(ingest, path, tags, &sender, &mut summary)?;
    }
    drop(sender);
    wait_for_rest(&receiver, &mut summary, operation, total);
    if operation.is_cancelled() {
        return Err(EngineError::Cancelled);
    }
    Ok(OperationResult::Import(summary))
}

fn wait_for_rest(
    receiver: &Receiver<Answer>,
    summary: &mut ImportSummary,
    operation: &Operation,
    total: u64,
) {
    for answer in receiver {
        count(summary, answer);
        operation.progress("adding", summary.files, total);
    }
}

fn add_file(
    ingest: &Ingest,
    path: PathBuf,
    tags: &[String],
    sender: &Sender<Answer>,
    summary: &mut ImportSummary,
) -> Result<(), EngineError> {
    let key = path.to_string_lossy().into_owned();
    let metadata = fs::metadata(&path);
    let size = metadata.as_ref().map_or(0, fs::Metadata::len);
    let modified = metadata.ok().and_then(|metadata| metadata.modified().ok());
    let modified_ms =
        modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_millis() as i64);
    if ingest.collection().is_unchanged(&key, size, modified_ms)? {
        summary.files += 1;
        summary.already_present += 1;
        return Ok(());
    }
    let bytes = if size > ingest.image_bytes_max() {
        Err(AddError::TooLarge { bytes: size, bytes_max: ingest.image_bytes_max() })
    } else {
        fs::read(&path).map_err(|error| AddError::Unreadable(error.to_string()))
    };
    match bytes {
        Err(error) => count(summary, (path, Err(error))),
        Ok(bytes) => {
            let sender = sender.clone();
            let uri = format!("file://{key}");
            let source = NewSource { key, uri, modified_ms, tags: tags.to_vec() };
            // A closed channel means that the import is over, and nobody counts any more.
            let reply = Box::new(move |answer| drop(sender.send((path, answer))));
            ingest.add(IngestTask { bytes: bytes.into(), source, request: None, cancelled: None, reply });
        }
    }
    Ok(())
}

fn count(summary: &mut ImportSummary, (path, answer): Answer) {
    summary.files += 1;
    let error = match answer {
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
