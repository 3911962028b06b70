//! sled, from its opening to its close.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::flusher::Syncs;
use super::format::FORMAT_FILE;
use super::metadata;
use super::sled_store::{SLED_FOLDER, damaged, lock};
use super::{StoreError, Write};

/// Records per leaf, the piece that sled reads, compresses and rewrites as a whole.
const LEAF_FANOUT: usize = 16;

/// The most handles that wait for their next use.
const SPARE_HANDLES_MAX: usize = 64;

/// sled's background flusher aborts the process when it fails, so it must never be due; without it, though, sled
/// flushes whenever a handle or an iterator is dropped. In ms: 24 days.
const FLUSH_EVERY_MS: usize = i32::MAX as usize;

/// A store that takes longer to open, in seconds, is taken for damaged. 500 MB open in 0.1 s after a crash.
const OPEN_MAX_S: u64 = 120;

/// Threads that open, of which one waits for what another reads.
const OPENING_THREADS: usize = 2;

const COUNT_TREE: &str = "syncs";

pub(super) type Tree = sled::Tree<LEAF_FANOUT>;

/// Where sled's files are.
#[derive(Clone)]
pub(super) struct Place {
    folder: PathBuf,
    sled: PathBuf,
    is_mirror: bool,
}

impl Place {
    /// Those of the store in a folder.
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), sled: folder.join(SLED_FOLDER), is_mirror: false }
    }

    /// Those that mirror the store in a folder, never to be flushed.
    pub(super) fn mirrored(folder: &Path, sled: &Path) -> Self {
        Self { folder: folder.to_path_buf(), sled: sled.to_path_buf(), is_mirror: true }
    }

    /// The folder of the store.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// sled's own folder.
    pub(super) fn sled(&self) -> &Path {
        &self.sled
    }

    /// Whether this is but a mirror of a store.
    pub(super) fn is_mirror(&self) -> bool {
        self.is_mirror
    }

    /// Refuses where the store is not any more: sled would begin a new one.
    fn check(&self) -> Result<(), StoreError> {
        if metadata::is_there(&self.sled) && self.folder.join(FORMAT_FILE).is_file() {
            Ok(())
        } else {
            Err(damaged(&self.folder, &"somebody took it away"))
        }
    }
}

/// sled's handles while it is open. It is closed once these and its [`Syncs`] are dropped.
pub(super) struct Opened {
    // A handle serves one thread at a time, and costs more to make than to keep.
    first: Mutex<Tree>,
    spare: Mutex<Vec<Tree>>,
}

impl Opened {
    /// Opens it, again where it was closed after so many syncs. Over damaged files sled panics, or looks for a leaf for
    /// ever; neither must reach the daemon.
    ///
    /// # Errors
    /// It is damaged, or can't be read or written.
    pub(super) fn open(
        place: &Place,
        cache_bytes_max: usize,
        closed_at: Option<u64>,
    ) -> Result<(Self, Syncs), StoreError> {
        if closed_at.is_some() {
            place.check()?;
        }
        let folder = &place.folder;
        let (sender, opened) = mpsc::sync_channel(1);
        let owned = place.clone();
        thread::Builder::new()
            .name("open store".into())
            .spawn(move || {
                // Nobody waits any more once this took too long.
                let _ = sender.send(open_beside(&owned, cache_bytes_max, closed_at));
            })
            .map_err(|source| StoreError::io("open", folder, source))?;
        let (first, syncs) = match opened.recv_timeout(Duration::from_secs(OPEN_MAX_S)) {
            Ok(opened) => opened?,
            Err(RecvTimeoutError::Timeout) => {
                let problem = format!(
                    "it does not open within {OPEN_MAX_S} s: it is damaged, or a disk of this machine hangs"
                );
                return Err(StoreError::BadFile { path: place.sled.clone(), problem });
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(damaged(folder, &"sled panicked while it opened it"));
            }
        };
        Ok((Self { first: Mutex::new(first), spare: Mutex::default() }, syncs))
    }

    /// Acts by a handle.
    pub(super) fn handle<T>(&self, act: impl FnOnce(&Tree) -> T) -> T {
        let spare = lock(&self.spare).pop();
        let handle = spare.unwrap_or_else(|| lock(&self.first).clone());
        let result = act(&handle);
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE_HANDLES_MAX {
            spare.push(handle);
        }
        result
    }

    /// Applies a batch as a whole. Not to be called by two threads at a time.
    pub(super) fn apply(&self, batch: Vec<Write>) -> io::Result<()> {
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
        self.handle(|tree| {
            tree.apply_batch(changes)?;
            deleted.iter().try_for_each(|key| merge_if_empty(tree, key))
        })
    }

    /// Leaves it open until the process ends.
    pub(super) fn forget(&mut self) {
        std::mem::forget(lock(&self.first).clone());
    }
}

/// Merges the leaf of a key into its neighbour if a batch emptied it: comparing a key that is not there with nothing, to
/// set it to nothing, changes no record and does that. Where somebody has set the key since, nothing happens.
fn merge_if_empty(tree: &Tree, key: &[u8]) -> io::Result<()> {
    let compared = tree.compare_and_swap(key, None::<&[u8]>, None::<&[u8]>)?;
    // Not as compared: there is a record, hence a leaf that is not empty.
    drop(compared);
    Ok(())
}

/// Opens on threads of its own: sled reads its logs by rayon, and on the common pool would wait behind a clustering.
fn open_beside(
    place: &Place,
    cache_bytes_max: usize,
    closed_at: Option<u64>,
) -> Result<(Tree, Syncs), StoreError> {
    let open = || open_sled(place, cache_bytes_max, closed_at);
    match rayon::ThreadPoolBuilder::new().num_threads(OPENING_THREADS).build() {
        Ok(pool) => pool.install(open),
        Err(_) => open(),
    }
}

fn open_sled(
    place: &Place,
    cache_bytes_max: usize,
    closed_at: Option<u64>,
) -> Result<(Tree, Syncs), StoreError> {
    let failed = |source| StoreError::io("open", &place.sled, source);
    metadata::tidy(&place.sled).map_err(failed)?;
    let db: sled::Db<LEAF_FANOUT> = sled::Config::new()
        .path(&place.sled)
        .cache_capacity_bytes(cache_bytes_max)
        .flush_every_ms(Some(FLUSH_EVERY_MS))
        // Embeddings and JPEG don't compress; level 1 is enough for the rest.
        .zstd_compression_level(1)
        .open()
        .map_err(failed)?;
    if place.is_mirror {
        // sled flushes when its last handle goes, also where the store is refused below.
        std::mem::forget(db.clone());
    }
    let count = db.open_tree(COUNT_TREE).map_err(failed)?;
    Ok((Tree::clone(&db), Syncs::check(&place.folder, count, closed_at)?))
}
