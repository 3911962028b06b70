//! The number of the last sync that was answered, kept beside the library's own files.
//!
//! sled takes a damaged entry of its metadata log for the torn end of the log, drops everything after it, and opens as
//! if nothing was missing. Each sync therefore counts up a number both in the store and, once it is durable, in a file
//! of its own; a store that opens with a lower number than the file's has lost what it had promised.
//!
//! The file is not fsynced: after power loss it may be behind the store, which is harmless, but never ahead.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{StoreError, codec};

pub(super) const SYNCED_FILE: &str = "synced";
const VERSION: u8 = 1;

#[derive(Debug)]
pub(super) struct HighWater {
    path: PathBuf,
    file: File,
}

impl HighWater {
    /// Opens the file in `folder` and reads its number: 0 in a new folder, or when the file itself is damaged, since
    /// that says nothing of the store.
    pub(super) fn open(folder: &Path) -> Result<(Self, u64), StoreError> {
        let path = folder.join(SYNCED_FILE);
        let synced = match std::fs::read(&path) {
            Ok(bytes) => decode(&bytes).unwrap_or_else(|| {
                tracing::warn!(file = %path.display(), "can't tell whether the store is complete, the file is damaged");
                0
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(source) => return Err(StoreError::io("read", &path, source)),
        };
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| StoreError::io("open", &path, source))?;
        Ok((Self { path, file }, synced))
    }

    /// The folder of the store.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    pub(super) fn write(&mut self, synced: u64) -> Result<(), StoreError> {
        let bytes = codec::encode_bytes(VERSION, SYNCED_FILE.as_bytes(), &synced.to_le_bytes());
        let write = |file: &mut File| -> io::Result<()> {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&bytes)
        };
        write(&mut self.file).map_err(|source| StoreError::io("write", &self.path, source))
    }
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let payload = codec::open(VERSION, SYNCED_FILE.as_bytes(), bytes).ok()?;
    payload.try_into().ok().map(u64::from_le_bytes)
}
