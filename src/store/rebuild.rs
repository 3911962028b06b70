//! Building a store anew beside the one in use, and putting it in its place: what `compact` and `restore` do.
//!
//! The new store is built in the folder `incoming`, closed, and every file of it fsynced. Then the old one moves to
//! `incoming/old`, the new one takes its place, and `incoming` is removed. Whenever that breaks off, the next who opens
//! the folder finds a whole store, the old one or the new one, and removes the rest ([`recover`]).

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::failpoint;

use super::backup::BackupReader;
use super::format::FORMAT_FILE;
use super::high_water::SYNCED_FILE;
use super::lock::DirectoryLock;
use super::sled_store::{SLED_FOLDER, folder_bytes};
use super::watched::copy_all;
use super::{SledOptions, SledStore, Store, StoreError, Write};

const INCOMING_FOLDER: &str = "incoming";
const OLD_FOLDER: &str = "old";

/// Pieces applied between two syncs of the new store: what is not synced is in memory.
const PIECES_PER_SYNC: u64 = 8;

/// What compacting brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Records there are.
    pub records: u64,
    /// Bytes of the files before.
    pub bytes_before: u64,
    /// Bytes of the files now.
    pub bytes_after: u64,
}

/// Writes a store anew, without the holes that deleted and rewritten records left in its files. Needs as much free space
/// as the records take; nobody may have the store open.
///
/// # Errors
/// The folder holds no store, somebody has it open, it is damaged, or the disk is full; the store is then as it was.
pub fn compact(
    folder: &Path,
    options: &SledOptions,
    tell: &mut dyn FnMut(u64),
) -> Result<Compacted, StoreError> {
    let lock = Arc::new(DirectoryLock::acquire(folder)?);
    recover(folder)?;
    if !SledStore::is_at(folder) {
        return Err(bad(folder, "it holds no store"));
    }
    let bytes = || {
        folder_bytes(&folder.join(SLED_FOLDER)).map_err(|source| StoreError::io("measure", folder, source))
    };
    let bytes_before = bytes()?;
    let store = SledStore::open_locked(folder, *options, Arc::clone(&lock))?;
    let records = build(folder, *options, tell, &mut |take| copy_all(&store, take), &mut |built| {
        if digest(&store)? == digest(built)? {
            Ok(())
        } else {
            Err(bad(folder, "the copy differs from the store"))
        }
    })?;
    drop(store);
    swap(folder)?;
    Ok(Compacted { records, bytes_before, bytes_after: bytes()? })
}

/// Makes a store of a backup. `check` looks at it before it is put in its place.
///
/// # Errors
/// The folder holds a store and `replace` is not set, holds anything else, or is in use; the backup is damaged; `check`
/// refuses; or writing fails. What was in the folder is then as it was.
pub fn restore(
    backup: &Path,
    folder: &Path,
    replace: bool,
    tell: &mut dyn FnMut(u64),
    check: &mut dyn FnMut(&dyn Store) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let mut reader = BackupReader::open(backup)?;
    fs::create_dir_all(folder).map_err(|source| StoreError::io("create", folder, source))?;
    let lock = DirectoryLock::acquire(folder)?;
    let interrupted = is_unfinished(folder);
    if !interrupted {
        recover(folder)?;
    }
    let empty = interrupted || is_empty(folder)?;
    if !empty && !replace {
        return Err(bad(
            folder,
            "it is not empty; name another folder, or say --replace to give up what it holds",
        ));
    }
    if !empty && !SledStore::is_at(folder) {
        return Err(bad(folder, "it holds something that is no store of culld"));
    }
    let mut pieces = |take: &mut Take<'_>| {
        while let Some(piece) = reader.next_piece()? {
            take(piece)?;
        }
        Ok(())
    };
    let records = build(folder, SledOptions::default(), tell, &mut pieces, check)?;
    swap(folder)?;
    drop(lock);
    Ok(records)
}

type Take<'a> = dyn FnMut(Vec<Write>) -> Result<(), StoreError> + 'a;

/// Builds a store in `incoming` of what `fill` hands over, has it checked, and closes it; answers its records.
fn build(
    folder: &Path,
    options: SledOptions,
    tell: &mut dyn FnMut(u64),
    fill: &mut dyn FnMut(&mut Take<'_>) -> Result<(), StoreError>,
    check: &mut dyn FnMut(&dyn Store) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let incoming = folder.join(INCOMING_FOLDER);
    remove(&incoming)?;
    let unfinished = Unfinished(&incoming);
    let store = SledStore::open(&incoming, &options)?;
    let (mut records, mut pieces) = (0, 0u64);
    fill(&mut |piece| {
        records += piece.len() as u64;
        store.apply(piece)?;
        pieces += 1;
        if pieces.is_multiple_of(PIECES_PER_SYNC) {
            store.sync()?;
        }
        tell(records);
        Ok(())
    })?;
    store.sync()?;
    failpoint::pass("swap", "filled");
    check(&store)?;
    drop(store);
    sync_all(&incoming).map_err(|source| StoreError::io("sync", &incoming, source))?;
    failpoint::pass("swap", "closed");
    std::mem::forget(unfinished);
    Ok(records)
}

/// Removes what was built when building fails.
struct Unfinished<'a>(&'a Path);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // What is left is removed by who opens the folder next.
        let _ = fs::remove_dir_all(self.0);
    }
}

/// Puts what was built in the place of the store.
fn swap(folder: &Path) -> Result<(), StoreError> {
    let (incoming, sled) = (folder.join(INCOMING_FOLDER), folder.join(SLED_FOLDER));
    // It counts the syncs of the old one, of which the new one knows nothing.
    remove_file(&folder.join(SYNCED_FILE))?;
    sync_folder(folder)?;
    if sled.is_dir() {
        rename(&sled, &incoming.join(OLD_FOLDER))?;
        sync_folder(&incoming)?;
        sync_folder(folder)?;
    }
    failpoint::pass("swap", "moved-out");
    rename(&incoming.join(SLED_FOLDER), &sled)?;
    sync_folder(folder)?;
    failpoint::pass("swap", "moved-in");
    rename(&incoming.join(SYNCED_FILE), &folder.join(SYNCED_FILE))?;
    check_format_exists(folder)?;
    remove(&incoming)
}

/// Whether a restore into a folder without a store broke off.
fn is_unfinished(folder: &Path) -> bool {
    let incoming = folder.join(INCOMING_FOLDER);
    incoming.is_dir() && !folder.join(SLED_FOLDER).is_dir() && !incoming.join(OLD_FOLDER).is_dir()
}

/// Finishes or undoes what broke off in a folder that is held.
///
/// # Errors
/// A restore broke off before there was a store, or the folder can't be changed.
pub(super) fn recover(folder: &Path) -> Result<(), StoreError> {
    let (incoming, sled) = (folder.join(INCOMING_FOLDER), folder.join(SLED_FOLDER));
    if !incoming.is_dir() {
        return Ok(());
    }
    if is_unfinished(folder) {
        return Err(bad(
            folder,
            "a restore into it broke off before it was whole; run `culld restore` again",
        ));
    }
    if !sled.is_dir() {
        rename(&incoming.join(OLD_FOLDER), &sled)?;
        sync_folder(folder)?;
    }
    check_format_exists(folder)?;
    remove(&incoming)
}

/// A restored store may have come into its place without the file that names its format.
fn check_format_exists(folder: &Path) -> Result<(), StoreError> {
    let format = folder.join(FORMAT_FILE);
    let incoming = folder.join(INCOMING_FOLDER).join(FORMAT_FILE);
    if !format.is_file() && incoming.is_file() { rename(&incoming, &format) } else { Ok(()) }
}

/// A hash over all records.
fn digest(store: &dyn Store) -> Result<[u8; 32], StoreError> {
    let mut hasher = blake3::Hasher::new();
    store.scan(&[], &mut |key, value| {
        hasher.update(&(key.len() as u64).to_le_bytes()).update(key);
        hasher.update(&(value.len() as u64).to_le_bytes()).update(value);
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(*hasher.finalize().as_bytes())
}

fn is_empty(folder: &Path) -> Result<bool, StoreError> {
    let entries = fs::read_dir(folder).map_err(|source| StoreError::io("read", folder, source))?;
    let names: io::Result<Vec<_>> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let names = names.map_err(|source| StoreError::io("read", folder, source))?;
    Ok(names.iter().all(|name| name == DirectoryLock::FILE_NAME))
}

fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync_all(&path)? } else { File::open(&path)?.sync_all()? }
    }
    File::open(folder)?.sync_all()
}

/// Makes renames in a folder last.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let synced = File::open(folder).and_then(|file| file.sync_all());
    synced.map_err(|source| StoreError::io("sync", folder, source))
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|source| StoreError::io("rename", from, source))
}

fn remove(folder: &PathBuf) -> Result<(), StoreError> {
    missing_is_fine(fs::remove_dir_all(folder)).map_err(|source| StoreError::io("remove", folder, source))
}

fn remove_file(file: &Path) -> Result<(), StoreError> {
    missing_is_fine(fs::remove_file(file)).map_err(|source| StoreError::io("remove", file, source))
}

fn missing_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn bad(folder: &Path, problem: &str) -> StoreError {
    StoreError::BadFile { path: folder.to_path_buf(), problem: problem.to_owned() }
}
