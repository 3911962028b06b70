//! One process per data folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::StoreError;

/// Holds a folder for this process; let go when dropped, or when the process ends however it ends.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
}

impl DirectoryLock {
    /// The name of the file that carries the lock; it stays behind, empty.
    pub const FILE_NAME: &str = "lock";

    /// Takes `folder`, which must exist, without waiting.
    ///
    /// # Errors
    /// Another process (or another handle of this one) holds it, or the lock file can't be opened.
    pub fn acquire(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(Self::FILE_NAME);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| StoreError::io("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { folder: folder.to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(StoreError::io("lock", &path, source)),
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is being started holds what is open here until its own program runs.
        // What can't be unlocked goes with the last one that has it open.
        let _ = self.file.unlock();
    }
}
