//! The disk store, by `sled` 1.0.0-alpha.124 with small leaves.
//!
//! # Why this version
//!
//! `cargo bench --bench store` prints the right column; for the left one 0.34.7 was put behind the same trait. Two
//! cores, an fsync of 0.2 ms; images of 15.5 kB: a header of 300 B, an embedding of 5,120 B, a
//! thumbnail of 10 kB, a log entry; groups of 64, each synced.
//!
//! | | 0.34.7 | 1.0.0-alpha.124 |
//! |---|---|---|
//! | `crash`: `kill -9` rounds, groups acknowledged, of these missing or torn | 30, 313, 0 | 90, 512, 0 |
//! | slowest open after a kill | 25 ms | 71 ms |
//! | `churn`: disk for 310 MB of records, and after two overwrites | 666, 1,282 MB | 352, 355 MB |
//! | 90 % of the images deleted (31 MB stay), then filled up again | 1,223, 1,349 MB | 56, 355 MB |
//! | `throughput`: images/s; beside five busy processes | 5,700; 3,500 | 8,000; 1,300 |
//! | one small record, synced: median, 99th percentile | 0.2, 6.7 ms | 0.6, 1.2 ms |
//! | the same beside five busy processes | 0.1, 8 ms | 16, 32 ms |
//! | `Db` can be shared by threads | yes | no, hence the pool of handles here |
//!
//! 0.34.7 gives nothing back after deletes. This one fills holes first and cuts its files after the last slot in use;
//! what it does not give back is the tail behind a slot that stays, hence the 56 MB. Where processors are scarce
//! each of the four waits of a sync costs a time slice, but embedding is slower still by an order of magnitude.
//! With keys as good as random it wrote 8 times the bytes: see [`super::Keys`] for their order.
//!
//! # What is made up for here
//!
//! - A crash while it opens lets it remove its last snapshot at the next opening, and lose everything at the one after:
//!   before it opens its metadata is put in order (`metadata.rs`).
//! - It takes damage in its metadata log for the end of the log, and silently drops what follows: every sync is
//!   counted outside, too. Of 100 trials with one bit flipped or one file cut short, 38 hit nothing in use, 61 ended in
//!   an error, and one made a scan go on for ever: whoever reads says so ([`Store::stalled`]).
//! - Its background flusher aborts the process when the disk is full: it is never due.
//! - It writes by the common rayon pool, behind whatever runs there: one thread of its own does the syncs.
//! - A batch leaves a leaf that it emptied where it is, for good: half a kilobyte of memory for each image that came and
//!   went. Each such leaf is merged into its neighbour behind the batch, and writers wait for each other, since sled's
//!   batches and merges lock leaves in opposite orders.
//! - What was written never leaves its cache, whatever the cache's limit, until it is closed (a leaf's
//!   `max_unflushed_epoch`, once set, keeps it there): 15 GB for a million images. So it is closed and opened again
//!   whenever enough was written, in a moment when nobody reads; `cargo bench --bench store -- memory 100000` times that.
//! - It writes and fsyncs in one step: there is nothing between "in this process" and "on the disk".
//! - When it opens it runs the system's `sync`, which also waits for what other programs wrote.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parking_lot::RwLock;

use super::flusher::Flusher;
use super::format::{self, FORMAT_FILE};
use super::lock::DirectoryLock;
use super::mirror::mirror;
use super::opened::{Opened, Place};
use super::poison::Poison;
use super::rebuild;
use super::reopen::Writing;
use super::stall::Stalls;
use super::{HexKey, Kind, Store, StoreError, Visit, Write, audit, check_limits};
use crate::failpoint;

/// sled refuses a cache of less than 256 bytes.
const CACHE_BYTES_MIN: usize = 1 << 20;

/// What a record in memory takes beside its key and value, in bytes.
const RECORD_EXTRA_BYTES: usize = 128;

pub(super) const SLED_FOLDER: &str = "sled";

/// How to open a [`SledStore`].
#[derive(Debug, Clone, Copy)]
pub struct SledOptions {
    /// The most bytes of records that sled keeps in memory, of those that were read.
    pub cache_bytes_max: usize,
    /// The most bytes of records that it keeps in memory, of those that were written: beyond it, sled is opened again at
    /// the next sync at which nobody reads.
    pub written_bytes_max: usize,
}

impl SledOptions {
    /// Half of the memory for what was read, half for what was written.
    pub fn within(memory_bytes: u64) -> Self {
        let half = usize::try_from(memory_bytes / 2).unwrap_or(usize::MAX);
        Self { cache_bytes_max: half.max(CACHE_BYTES_MIN), written_bytes_max: half }
    }
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_bytes_max: 256 << 20, written_bytes_max: 256 << 20 }
    }
}

/// A [`Store`] in a folder.
pub struct SledStore {
    // These two are declared before the lock, hence closed before the folder is let go. `None` once it could not be
    // opened again.
    pub(super) opened: RwLock<Option<Opened>>,
    pub(super) flusher: Flusher,
    // sled's batches lock leaves from left to right, its merges from right to left: never both at a time.
    pub(super) writing: Mutex<Writing>,
    pub(super) options: SledOptions,
    pub(super) place: Place,
    pub(super) poison: Poison,
    stalls: Stalls,
    // Shared with whoever goes on with the folder once the store is closed.
    _lock: Arc<DirectoryLock>,
}

// Nothing panics while it holds one of these locks, but sled, after which all writes are refused.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SledStore {
    /// Opens the store in `folder`, creating either where needed.
    ///
    /// # Errors
    /// Another process holds the folder, a newer culld wrote it, it is damaged, or it can't be read or written.
    pub fn open(folder: &Path, options: &SledOptions) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|source| StoreError::io("create", folder, source))?;
        Self::open_locked(folder, *options, Arc::new(DirectoryLock::acquire(folder)?))
    }

    /// As [`SledStore::open`], for a folder that is held already.
    pub(super) fn open_locked(
        folder: &Path,
        options: SledOptions,
        lock: Arc<DirectoryLock>,
    ) -> Result<Self, StoreError> {
        rebuild::recover(folder)?;
        format::check(folder)?;
        Self::open_at(Place::of(folder), options, lock)
    }

    /// Opens the store in `folder` to look at it: none of its records' files and none of sled's logs is written. What
    /// needs a copy for that goes into `scratch`, an empty folder, a few bytes for each record. Must not be written to;
    /// what sled holds is let go when the process ends.
    ///
    /// # Errors
    /// As [`SledStore::open`]; or `scratch` can't be written.
    pub fn open_to_look(folder: &Path, scratch: &Path, options: &SledOptions) -> Result<Self, StoreError> {
        let lock = Arc::new(DirectoryLock::acquire(folder)?);
        rebuild::recover(folder)?;
        format::check(folder)?;
        let sled = folder.join(SLED_FOLDER);
        mirror(&sled, scratch).map_err(|source| StoreError::io("mirror", &sled, source))?;
        Self::open_at(Place::mirrored(folder, scratch), *options, lock)
    }

    fn open_at(place: Place, options: SledOptions, lock: Arc<DirectoryLock>) -> Result<Self, StoreError> {
        let (opened, syncs) = Opened::open(&place, options.cache_bytes_max, None)?;
        let failed = |source| StoreError::io("start a thread for", place.folder(), source);
        let flusher = Flusher::start().map_err(failed)?;
        flusher.open(syncs)?;
        let writing = Mutex::new(Writing::until(options.written_bytes_max as u64));
        let (poison, stalls) = (Poison::default(), Stalls::default());
        let opened = RwLock::new(Some(opened));
        Ok(Self { opened, flusher, writing, options, place, poison, stalls, _lock: lock })
    }

    /// Whether a folder looks as if it held a store.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(FORMAT_FILE).is_file() || folder.join(SLED_FOLDER).is_dir()
    }

    /// How often it was opened again, to give back the memory of what was written.
    pub fn reopened(&self) -> u64 {
        lock(&self.writing).reopened
    }

    fn failed(&self, action: &'static str) -> impl Fn(io::Error) -> StoreError {
        move |source| StoreError::io(action, self.place.sled(), source)
    }

    fn with<T>(&self, act: impl FnOnce(&Opened) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.opened.read() {
            Some(opened) => act(opened),
            None => Err(self.poison.check().err().unwrap_or(StoreError::Closed)),
        }
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|opened| {
            let _reading = self.stalls.begin(key);
            let value = opened.handle(|tree| tree.get(key)).map_err(self.failed("read"))?;
            Ok(value.map(|value| value.to_vec()))
        })
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.with(|opened| {
            let reading = self.stalls.begin(prefix);
            opened.handle(|tree| {
                // Not `scan_prefix`: past the last match it reads on to the end of the tree.
                for entry in tree.range(prefix..) {
                    let (key, value) = entry.map_err(self.failed("read"))?;
                    reading.rest();
                    if !key.starts_with(prefix) || visit(&key, &value).is_break() {
                        break;
                    }
                    reading.step(&key);
                    failpoint::hang("read/next");
                }
                Ok(())
            })
        })
    }

    fn apply(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        check_limits(&batch)?;
        self.poison.check()?;
        let bytes: usize = batch.iter().map(|write| write.bytes() + RECORD_EXTRA_BYTES).sum();
        let mut writing = lock(&self.writing);
        self.poison.guard(|| self.with(|opened| opened.apply(batch).map_err(self.failed("write"))))?;
        writing.applied += bytes as u64;
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        let bytes = self.poison.guard(|| self.with(|_| self.flusher.sync()))?;
        lock(&self.writing).flushed += bytes;
        // What was written is on the disk, whatever comes of this; if it fails, the next one is told.
        if let Err(error) = self.poison.guard(|| self.make_room()) {
            tracing::error!(%error, "the store can't be opened again");
        }
        Ok(())
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        let folder = self.place.folder();
        folder_bytes(folder).map_err(|source| StoreError::io("measure", folder, source))
    }

    fn stalled(&self, after: Duration) -> Option<StoreError> {
        if self.opened.try_read().is_some_and(|opened| opened.is_none()) {
            return self.poison.check().err();
        }
        let (lasts, key) = self.stalls.longest(after)?;
        let kind = key.first().and_then(|first| Kind::from_byte(*first)).map_or("unknown", Kind::name);
        let collection = audit::collection(&key).filter(|number| *number != 0);
        Some(StoreError::Stalled { lasts, kind, collection, key: HexKey(key) })
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if self.poison.check().is_err()
            && let Some(opened) = self.opened.get_mut()
        {
            // Closing would flush, which aborts the process when it fails, and it would. What was answered is on
            // the disk; the handle stays open until the process ends.
            opened.forget();
        }
    }
}

pub(super) fn damaged(folder: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    let problem = format!("the store is damaged: {problem}; restore a backup");
    StoreError::BadFile { path: folder.join(SLED_FOLDER), problem }
}

pub(super) fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Files come and go while the store is written.
        bytes += match entry.metadata() {
            Ok(data) if data.is_dir() => folder_bytes(&entry.path())?,
            Ok(data) => data.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}
