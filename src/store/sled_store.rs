//! The disk store: `sled` 1.0.0-alpha.124, its only user.
//!
//! # Why this version
//!
//! `cargo bench --bench store` prints what follows (4-year-old 0.34.7 was put behind the same trait for it); 2 cores,
//! fsync 0.2 ms, images of 15.5 kB: a header of 300 B, an embedding of 5,120 B, a thumbnail of 10 kB, a log entry.
//!
//! | | 0.34.7 | this one |
//! |---|---|---|
//! | `crash`: groups of 64 acknowledged before `kill -9` (30 and CRASH_ROUNDS rounds), of these missing or torn | 313, 0 | CRASH_ACKED, 0 |
//! | slowest open after a kill | 25 ms (0.7 GB) | CRASH_OPEN |
//! | `churn`: disk for 310 MB, after two overwrites | 1,282 MB | CHURN_OVER |
//! | 90 % deleted (31 MB live), then filled up again | 1,223, 1,349 MB | CHURN_DELETED |
//! | `throughput`: images/s in groups of 64, each synced | 6,500 | THROUGHPUT |
//! | one small record, synced: median, 99th percentile | 0.2, 0.7 ms | SINGLE |
//!
//! So 0.34.7 gives nothing back after deletes; this one cuts its files at the last slot in use and fills the holes
//! before it first. That it needs keys in order of arrival to be fast is [`super::keys::Keys`]' business.
//!
//! # What it does not do by itself
//!
//! - Its handles are not `Sync`: here is a pool of them.
//! - It takes damage in its metadata log for the end of the log: [`super::high_water`] notices. Of 100 trials with one
//!   flipped bit or one file cut short, 42 hit something unused, 57 were errors here or on reading, and one made a scan
//!   go on for ever.
//! - It calls the system's `sync` when it opens, which waits for other programs' writes too.
//! - It writes and fsyncs in one step, so nothing is between "in this process" and "on the disk".

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::high_water::HighWater;
use super::lock::DirectoryLock;
use super::poison::Poison;
use super::{Store, StoreError, Visit, Write, check_limits};

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

const FORMAT_FILE: &str = "format";
const SLED_FOLDER: &str = "sled";
const COUNT_TREE: &str = "syncs";
const COUNT_KEY: &[u8] = b"count";

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
    syncs: Mutex<Syncs>,
    folder: PathBuf,
    poison: Poison,
    _lock: DirectoryLock,
}

type Tree = sled::Tree<LEAF_FANOUT>;

/// Counts the syncs, in a tree of sled's and in a file.
struct Syncs {
    count: u64,
    tree: Tree,
    file: HighWater,
}

impl Syncs {
    /// Refuses a store that has counted fewer syncs than it answered.
    fn check(folder: &Path, tree: Tree) -> Result<Self, StoreError> {
        let (file, answered) = HighWater::open(folder)?;
        let read = |source| StoreError::io("read", &folder.join(SLED_FOLDER), source);
        let count = tree.get(COUNT_KEY).map_err(read)?;
        let count = count.and_then(|bytes| (*bytes).try_into().ok()).map_or(0, u64::from_le_bytes);
        if count < answered {
            let lost = answered - count;
            return Err(damaged(folder, &format!("the last {lost} of {answered} syncs are lost")));
        }
        Ok(Self { count, tree, file })
    }

    fn sync(&mut self) -> io::Result<Result<(), StoreError>> {
        self.count += 1;
        self.tree.insert(COUNT_KEY, self.count.to_le_bytes())?;
        self.tree.flush()?;
        Ok(self.file.write(self.count))
    }
}

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
        let lock = DirectoryLock::acquire(folder)?;
        check_format(folder)?;
        let (first, syncs) = open_guarded(folder, *options)?;
        let handles = Handles { first: Mutex::new(first), spare: Mutex::default() };
        let (syncs, poison) = (Mutex::new(syncs), Poison::default());
        Ok(Self { handles, syncs, folder: folder.to_path_buf(), poison, _lock: lock })
    }

    fn failed(&self, action: &'static str) -> impl Fn(io::Error) -> StoreError {
        move |source| StoreError::io(action, &self.folder.join(SLED_FOLDER), source)
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.handles.with(|tree| tree.get(key)).map_err(self.failed("read"))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.handles.with(|tree| {
            // Not `scan_prefix`: past the last match it reads on to the end of the tree.
            for entry in tree.range(prefix..) {
                let (key, value) = entry.map_err(self.failed("read"))?;
                if !key.starts_with(prefix) || visit(&key, &value).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn apply(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        check_limits(&batch)?;
        let mut changes = sled::Batch::default();
        for write in batch {
            match write {
                Write::Put { key, value } => changes.insert(key, value),
                Write::Delete { key } => changes.remove(key),
            }
        }
        let write = |tree: &Tree| tree.apply_batch(changes).map_err(self.failed("write"));
        self.poison.guard(|| self.handles.with(write))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.poison.guard(|| lock(&self.syncs).sync().map_err(self.failed("flush"))?)
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        folder_bytes(&self.folder).map_err(|source| StoreError::io("measure", &self.folder, source))
    }
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
fn open_guarded(folder: &Path, options: SledOptions) -> Result<(Tree, Syncs), StoreError> {
    let (sender, opened) = mpsc::sync_channel(1);
    let owned = folder.to_path_buf();
    thread::Builder::new()
        .name("open store".into())
        .spawn(move || {
            // Nobody waits any more once this took too long.
            let _ = sender.send(open_sled(&owned, options));
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

fn open_sled(folder: &Path, options: SledOptions) -> Result<(Tree, Syncs), StoreError> {
    let path = folder.join(SLED_FOLDER);
    let failed = |source| StoreError::io("open", &path, source);
    let db: sled::Db<LEAF_FANOUT> = sled::Config::new()
        .path(&path)
        .cache_capacity_bytes(options.cache_bytes_max)
        .flush_every_ms(Some(FLUSH_EVERY_MS))
        // Embeddings and JPEG don't compress; level 1 is enough for the rest.
        .zstd_compression_level(1)
        .open()
        .map_err(failed)?;
    let count = db.open_tree(COUNT_TREE).map_err(failed)?;
    Ok((Tree::clone(&db), Syncs::check(folder, count)?))
}

fn damaged(folder: &Path, problem: &dyn std::fmt::Display) -> StoreError {
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

fn folder_bytes(folder: &Path) -> io::Result<u64> {
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
