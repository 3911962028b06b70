//! The disk store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

const FORMAT_FILE: &str = "format";
const SLED_FOLDER: &str = "sled";

/// How to open a [`SledStore`].
#[derive(Debug, Clone, Copy)]
pub struct SledOptions {
    /// The most bytes of records that sled keeps in memory.
    pub cache_bytes_max: usize,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache_bytes_max: 256 << 20,
        }
    }
}

/// A [`Store`] in a folder.
pub struct SledStore {
    // Declared before the lock, hence closed before the folder is let go.
    handles: Handles,
    folder: PathBuf,
    poison: Poison,
    _lock: DirectoryLock,
}

type Tree = sled::Tree<LEAF_FANOUT>;

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
    /// Another process holds the folder, a newer culld wrote it, or it can't be read or written.
    pub fn open(folder: &Path, options: &SledOptions) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|source| StoreError::io("create", folder, source))?;
        let lock = DirectoryLock::acquire(folder)?;
        check_format(folder)?;
        let path = folder.join(SLED_FOLDER);
        let db: sled::Db<LEAF_FANOUT> = sled::Config::new()
            .path(&path)
            .cache_capacity_bytes(options.cache_bytes_max)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            // Embeddings and JPEG don't compress; level 1 is enough for the rest.
            .zstd_compression_level(1)
            .open()
            .map_err(|source| StoreError::io("open", &path, source))?;
        let handles = Handles {
            first: Mutex::new(Tree::clone(&db)),
            spare: Mutex::default(),
        };
        Ok(Self {
            handles,
            folder: folder.to_path_buf(),
            poison: Poison::default(),
            _lock: lock,
        })
    }

    fn failed(&self, action: &'static str) -> impl Fn(io::Error) -> StoreError {
        move |source| StoreError::io(action, &self.folder.join(SLED_FOLDER), source)
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self
            .handles
            .with(|tree| tree.get(key))
            .map_err(self.failed("read"))?;
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
        let flush = |tree: &Tree| tree.flush().map(|_| ()).map_err(self.failed("flush"));
        self.poison.guard(|| self.handles.with(flush))
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

/// Reads the format file, writing it into a folder that has none.
fn check_format(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(FORMAT_FILE);
    let bad = |problem: &str| StoreError::BadFile {
        path: path.clone(),
        problem: problem.to_owned(),
    };
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
    path.parent()
        .map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
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
