//! Ground state: a small ordered key–value store, its record formats, and group commit. Everything that culld can't
//! recompute goes through [`Store`]; everything else is derived and lives elsewhere.
//!
//! All records live in one key space, so that one [`Store::apply`] changes any of them together or not at all.

pub mod audit;
pub mod backup;
pub mod codec;
mod commit;
mod event_log;
mod flusher;
mod format;
mod high_water;
mod keys;
mod lock;
mod memory_store;
mod metadata;
mod mirror;
mod opened;
mod poison;
mod rebuild;
mod records;
mod reopen;
mod reserve;
mod sled_store;
mod stall;
mod watched;

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use codec::{CHECKSUM_BYTES, Damage};
pub use commit::{CommitOptions, CommitQueue};
pub use event_log::{ChainError, ChainVerifier, LogRecord, verify_chain};
pub use format::FORMAT_VERSION;
pub use keys::{Key, Keys, Kind};
pub use lock::DirectoryLock;
pub use memory_store::MemoryStore;
pub use poison::Poison;
pub use rebuild::{Compacted, compact, restore};
pub use records::{
    Batch, CollectionRecord, ImageRecord, RequestRecord, SourceRecord, read, read_bytes, read_embedding,
    scan, scan_embeddings,
};
pub use sled_store::{SledOptions, SledStore};
pub use watched::Watched;

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets the value of a key, new or not.
    Put {
        /// The key, at most [`KEY_BYTES_MAX`] bytes.
        key: Vec<u8>,
        /// The value, at most [`VALUE_BYTES_MAX`] bytes.
        value: Vec<u8>,
    },
    /// Removes a key; removing an absent one changes nothing.
    Delete {
        /// The key, at most [`KEY_BYTES_MAX`] bytes.
        key: Vec<u8>,
    },
}

impl Write {
    /// The key that this changes.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    /// Bytes of key and value together.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value } => key.len() + value.len(),
            Self::Delete { key } => key.len(),
        }
    }
}

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// The largest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

/// The most bytes of keys and values in one batch.
pub const BATCH_BYTES_MAX: usize = 256 << 20;

/// What a write that was answered survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Power loss: the answer waits for fsync.
    #[default]
    Fsync,
    /// The end of the process, also by `kill -9`, but not of the machine: the bytes are with the operating system.
    Process,
}

/// Takes a key and its value, and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// An ordered map of bytes to bytes that changes in atomic batches.
pub trait Store: Send + Sync {
    /// The value of `key`, as of the last batch applied.
    ///
    /// # Errors
    /// Reading failed.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits every key that starts with `prefix`, in ascending byte order, until `visit` breaks. Batches applied
    /// meanwhile may or may not be seen; `visit` itself must not apply any.
    ///
    /// # Errors
    /// Reading failed.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Applies all of `batch` or nothing, also across a crash. Of several writes to one key the last wins. The batch
    /// is visible when this returns; only [`Store::sync`] makes it last.
    ///
    /// # Errors
    /// A key, value or batch above its limit, which changes nothing; or writing failed, now or earlier
    /// ([`StoreError::Poisoned`]).
    fn apply(&self, batch: Vec<Write>) -> Result<(), StoreError>;

    /// Returns when every batch applied before is on the disk, and would survive power loss.
    ///
    /// # Errors
    /// Writing failed, now or earlier ([`StoreError::Poisoned`]).
    fn sync(&self) -> Result<(), StoreError>;

    /// Bytes of files that the store occupies (0 in memory).
    ///
    /// # Errors
    /// The folder can't be read.
    fn size_on_disk(&self) -> Result<u64, StoreError>;

    /// [`StoreError::Stalled`] where one step of a read goes on for longer than this: over some damage it never ends. Or
    /// why nothing can be read any more.
    fn stalled(&self, _after: Duration) -> Option<StoreError> {
        None
    }
}

/// Why the store could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the folder.
    #[error("{} is in use by another culld; stop it, or choose another folder", .folder.display())]
    Locked {
        /// The data folder.
        folder: PathBuf,
    },
    /// The folder was written by a newer culld.
    #[error("{} has store format {found}, this culld reads up to {supported}: use a newer culld", .folder.display())]
    NewerFormat {
        /// The data folder.
        folder: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format that this build reads.
        supported: u32,
    },
    /// A file does not say what it should.
    #[error("{}: {problem}", .path.display())]
    BadFile {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The operating system or the storage library refused.
    #[error("can't {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        source: Arc<io::Error>,
    },
    /// An earlier write failed, so what the disk holds is uncertain: nothing more is written until a restart.
    #[error("writes are refused since an earlier one failed ({cause}); restart culld once the cause is gone")]
    Poisoned {
        /// The first failure.
        cause: Arc<str>,
    },
    /// A record's bytes are not what was written under its key.
    #[error("record {kind} at key {key}: {damage}")]
    Corrupt {
        /// The kind of record.
        kind: &'static str,
        /// The key.
        key: HexKey,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A key, value or batch is above its limit.
    #[error("a {what} of {bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge {
        /// "key", "value" or "batch".
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A read does not end.
    #[error(
        "a read goes on for {} s at {kind} of {}, key {key}: the store is damaged there; `culld verify --data` may tell \
         more, and `culld restore` makes a store of a backup", .lasts.as_secs(),
        .collection.map_or_else(|| "no collection".to_owned(), |number| format!("collection number {number}"))
    )]
    Stalled {
        /// For how long it goes on.
        lasts: Duration,
        /// The kind of record that it began at.
        kind: &'static str,
        /// The collection that this belongs to.
        collection: Option<u32>,
        /// Its key.
        key: HexKey,
    },
    /// A copy of the store is being made already.
    #[error("a copy of the store is being made already")]
    Busy,
    /// More was written than a copy could follow.
    #[error("more was written meanwhile than the copy could follow; try again when less is added")]
    Overrun,
    /// The commit thread has ended.
    #[error("the commit queue is closed")]
    Closed,
}

impl StoreError {
    /// Whether the disk, or a quota on it or on its files, is full.
    pub fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
        matches!(self, Self::Io { source, .. } if full.contains(&source.kind()))
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source: Arc::new(source) }
    }
}

/// A key, shown in hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct HexKey(pub Vec<u8>);

impl fmt::Display for HexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for HexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Refuses what no implementation may accept, before anything is written.
fn check_limits(batch: &[Write]) -> Result<(), StoreError> {
    let within = |what, bytes, bytes_max| {
        if bytes > bytes_max { Err(StoreError::TooLarge { what, bytes, bytes_max }) } else { Ok(()) }
    };
    for write in batch {
        within("key", write.key().len(), KEY_BYTES_MAX)?;
        within("value", write.bytes() - write.key().len(), VALUE_BYTES_MAX)?;
    }
    within("batch", batch.iter().map(Write::bytes).sum(), BATCH_BYTES_MAX)
}
