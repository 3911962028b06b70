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
//! - It takes damage in its metadata log for the end of the log, and silently drops what follows: every sync is
//!   counted outside, too. Of 100 trials with one bit flipped or one file cut short, 38 hit nothing in use, 61 ended in
//!   an error, and one made a scan go on for ever: whoever reads says so ([`Store::stalled`]).
//! - Its background flusher aborts the process when the disk is full: it is never due.
//! - It writes by the common rayon pool, behind whatever runs there: one thread of its own does the syncs.
//! - It writes and fsyncs in one step: there is nothing between "in this process" and "on the disk".
//! - When it opens it runs the system's `sync`, which also waits for what other programs wrote.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::flusher::{Flusher, Syncs};
use super::lock::DirectoryLock;
use super::mirror::mirror;
use super::poison::Poison;
use super::rebuild;
use super::stall::Stalls;
use super::{HexKey, Kind, Store, StoreError, Visit, Write, audit, check_limits};
use crate::failpoint;

/// The newest store format that this build reads, and the one it writes.
pub const FORMAT_VERSION: u32 = 1;

/// Records per leaf, the piece that sled reads, compresses and rewrites as a whole.
const LEAF_FANOUT: usize = 16;

/// The most handles that wait for their next use.
const SPARE_HANDLES_MAX: usize = 64;

/// sled's background flusher aborts the process when it fails, so it must never be due; without it, though, sled
/// flushes whenever a handle or an iterator is dropped. In ms: 24 days.
const FLUSH_EVERY_MS: usize = i32::MAX as usize;

/// A store that takes longer to open, in seconds, is taken for damaged. 500 MB open in 0.1 s after a crash.
const OPEN_MAX_S: u64 = 120;

pub(super) const FORMAT_FILE: &str = "format";
pub(super) const SLED_FOLDER: &str = "sled";
const COUNT_TREE: &str = "syncs";

/// How to open a [`SledStore`].
#[derive(Debug, Clone, Copy)]
pub struct SledOptions {
    /// The most bytes of records that sled keeps in memory.
    pub cache_bytes_max: usize,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_bytes_max: 256 << 20 }
    }
}

/// A [`Store`] in a folder.
pub struct SledStore {
    // Declared before the lock, hence closed before the folder is let go.
    handles: Handles,
    flusher: Flusher,
    folder: PathBuf,
    poison: Poison,
    stalls: Stalls,
    // Shared with whoever goes on with the folder once the store is closed.
    _lock: Arc<DirectoryLock>,
}

pub(super) type Tree = sled::Tree<LEAF_FANOUT>;

/// A sled handle serves one thread at a time, and costs more to make than to keep.
struct Handles {
    first: Mutex<Tree>,
    spare: Mutex<Vec<Tree>>,
}

impl Handles {
    fn with<T>(&self, act: impl FnOnce(&Tree) -> T) -> T {
        let spare = lock(&self.spare).pop();
        let handle = spare.unwrap_or_else(|| lock(&self.first).clone());
        let result = act(&handle);
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE_HANDLES_MAX {
            spare.push(handle);
        }
        result
    }
}

// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
        check_format(folder)?;
        let (first, syncs) = open_guarded(folder, &folder.join(SLED_FOLDER), false, options)?;
        Self::start(folder, first, syncs, lock)
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
        check_format(folder)?;
        let sled = folder.join(SLED_FOLDER);
        mirror(&sled, scratch).map_err(|source| StoreError::io("mirror", &sled, source))?;
        let (first, syncs) = open_guarded(folder, scratch, true, *options)?;
        Self::start(folder, first, syncs, lock)
    }

    fn start(folder: &Path, first: Tree, syncs: Syncs, lock: Arc<DirectoryLock>) -> Result<Self, StoreError> {
        let flusher =
            Flusher::start(syncs).map_err(|source| StoreError::io("start a thread for", folder, source))?;
        let handles = Handles { first: Mutex::new(first), spare: Mutex::default() };
        let poison = Poison::default();
        let (folder, stalls) = (folder.to_path_buf(), Stalls::default());
        Ok(Self { handles, flusher, folder, poison, stalls, _lock: lock })
    }

    /// Whether a folder looks as if it held a store.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(FORMAT_FILE).is_file() || folder.join(SLED_FOLDER).is_dir()
    }

    fn failed(&self, action: &'static str) -> impl Fn(io::Error) -> StoreError {
        move |source| StoreError::io(action, &self.folder.join(SLED_FOLDER), source)
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let _reading = self.stalls.begin(key);
        let value = self.handles.with(|tree| tree.get(key)).map_err(self.failed("read"))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let reading = self.stalls.begin(prefix);
        self.handles.with(|tree| {
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
    }

    fn apply(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        check_limits(&batch)?;
        let mut changes = sled::Batch::default();
        let mut deleted = Vec::new();
        for write in batch {
            match write {
                Write::Put { key, value } => changes.insert(key, value),
                Write::Delete { key } => {
                    deleted.push(key.clone());
                    changes.remove(key);
                }
            }
        }
        let write = |tree: &Tree| {
            tree.apply_batch(changes)?;
            deleted.iter().try_for_each(|key| merge_if_empty(tree, key))
        };
        self.poison.guard(|| self.handles.with(write).map_err(self.failed("write")))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.poison.guard(|| self.flusher.sync())
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        folder_bytes(&self.folder).map_err(|source| StoreError::io("measure", &self.folder, source))
    }

    fn stalled(&self, after: Duration) -> Option<StoreError> {
        let (lasts, key) = self.stalls.longest(after)?;
        let kind = key.first().and_then(|first| Kind::from_byte(*first)).map_or("unknown", Kind::name);
        let collection = audit::collection(&key).filter(|number| *number != 0);
        Some(StoreError::Stalled { lasts, kind, collection, key: HexKey(key) })
    }
}

/// sled leaves a leaf that a batch emptied where it is, for good: half a kilobyte of memory for each image that came and
/// went. Comparing a key that is not there with nothing, to set it to nothing, changes nothing and merges such a leaf
/// into its neighbour; where somebody has set the key since, nothing happens.
fn merge_if_empty(tree: &Tree, key: &[u8]) -> io::Result<()> {
    let compared = tree.compare_and_swap(key, None::<&[u8]>, None::<&[u8]>)?;
    // Set again since: its leaf is not empty.
    drop(compared);
    Ok(())
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if self.poison.check().is_err() {
            // Closing would flush, which aborts the process when it fails, and it would. What was answered is on
            // the disk; the handle stays open until the process ends.
            std::mem::forget(lock(&self.handles.first).clone());
        }
    }
}

/// Over damaged files sled panics, or looks for a leaf for ever; neither must reach the daemon.
fn open_guarded(
    folder: &Path,
    sled: &Path,
    is_mirror: bool,
    options: SledOptions,
) -> Result<(Tree, Syncs), StoreError> {
    let (sender, opened) = mpsc::sync_channel(1);
    let (owned, sled) = (folder.to_path_buf(), sled.to_path_buf());
    thread::Builder::new()
        .name("open store".into())
        .spawn(move || {
            // Nobody waits any more once this took too long.
            let _ = sender.send(open_sled(&owned, &sled, is_mirror, options));
        })
        .map_err(|source| StoreError::io("open", folder, source))?;
    match opened.recv_timeout(Duration::from_secs(OPEN_MAX_S)) {
        Ok(opened) => opened,
        Err(RecvTimeoutError::Timeout) => {
            Err(damaged(folder, &format!("it does not open within {OPEN_MAX_S} s")))
        }
        Err(RecvTimeoutError::Disconnected) => Err(damaged(folder, &"sled panicked while it opened it")),
    }
}

fn open_sled(
    folder: &Path,
    sled: &Path,
    is_mirror: bool,
    options: SledOptions,
) -> Result<(Tree, Syncs), StoreError> {
    let failed = |source| StoreError::io("open", sled, source);
    let db: sled::Db<LEAF_FANOUT> = sled::Config::new()
        .path(sled)
        .cache_capacity_bytes(options.cache_bytes_max)
        .flush_every_ms(Some(FLUSH_EVERY_MS))
        // Embeddings and JPEG don't compress; level 1 is enough for the rest.
        .zstd_compression_level(1)
        .open()
        .map_err(failed)?;
    if is_mirror {
        // sled flushes when its last handle goes, also where the store is refused below.
        std::mem::forget(db.clone());
    }
    let count = db.open_tree(COUNT_TREE).map_err(failed)?;
    Ok((Tree::clone(&db), Syncs::check(folder, count)?))
}

pub(super) fn damaged(folder: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    let problem = format!("the store is damaged: {problem}; restore a backup");
    StoreError::BadFile { path: folder.join(SLED_FOLDER), problem }
}

/// Reads the format file, writing it into a folder that has none.
fn check_format(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(FORMAT_FILE);
    let bad = |problem: &str| StoreError::BadFile { path: path.clone(), problem: problem.to_owned() };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let found: u32 = text.trim().parse().map_err(|_| bad("not a format number"))?;
            match found {
                FORMAT_VERSION => Ok(()),
                0 => Err(bad("format 0 never existed")),
                _ => Err(StoreError::NewerFormat {
                    folder: folder.to_path_buf(),
                    found,
                    supported: FORMAT_VERSION,
                }),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if folder.join(SLED_FOLDER).is_dir() {
                return Err(bad("missing, beside a store that is there"));
            }
            write_durably(&path, format!("{FORMAT_VERSION}\n").as_bytes())
                .map_err(|source| StoreError::io("write", &path, source))
        }
        Err(source) => Err(StoreError::io("read", &path, source)),
    }
}

/// Writes a small file so that after a crash it is there whole or not at all.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let scratch = path.with_extension("new");
    let mut file = fs::File::create(&scratch)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    fs::rename(&scratch, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
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
