//! The thread that syncs the disk store.
//!
//! sled writes by rayon, on whatever pool its caller belongs to. From any other thread that is the common pool, where
//! a sync would wait behind a whole clustering; so one thread, which is a pool by itself, does all syncs.

use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::failpoint;

use super::StoreError;
use super::high_water::HighWater;
use super::opened::Tree;
use super::sled_store::{SLED_FOLDER, damaged};

const COUNT_KEY: &[u8] = b"count";

/// The most threads whose syncs wait.
const WAITING_MAX: usize = 64;

/// The most flushes at a time.
const SETTLE_MAX: usize = 16;

/// Syncs, and counts the syncs: in a tree of sled's, and in a file.
pub(super) struct Syncs {
    count: u64,
    tree: Tree,
    file: HighWater,
}

impl Syncs {
    /// Refuses a store that has counted fewer syncs than it answered.
    pub(super) fn check(folder: &Path, tree: Tree) -> Result<Self, StoreError> {
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

    fn sync(&mut self) -> Result<(), StoreError> {
        self.count += 1;
        let flush = || -> io::Result<()> {
            self.tree.insert(COUNT_KEY, self.count.to_le_bytes())?;
            failpoint::pass("flush", "counted");
            self.tree.flush()?;
            failpoint::pass("flush", "flushed");
            Ok(())
        };
        flush().map_err(|source| StoreError::io("flush", self.file.folder(), source))?;
        self.file.write(self.count)
    }

    /// Flushes until nothing is left to be written, which each flush may make more of: it moves records together.
    fn settle(&mut self) -> Result<(), StoreError> {
        for _ in 0..SETTLE_MAX {
            let flushed = self.tree.flush();
            let flushed = flushed.map_err(|source| StoreError::io("flush", self.file.folder(), source))?;
            if flushed.objects_flushed == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// What the thread does, and whom it answers.
struct Request {
    act: fn(&mut Syncs) -> Result<(), StoreError>,
    answer: SyncSender<Result<(), StoreError>>,
}

/// A handle to the thread, which ends with it.
pub(super) struct Flusher {
    // Taken by `drop`, which ends the thread.
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    pub(super) fn start(mut syncs: Syncs) -> io::Result<Self> {
        let (sender, requests) = sync_channel::<Request>(WAITING_MAX);
        let run = move || {
            // Without the pool syncs may be slow, but are right.
            let _pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
            while let Ok(Request { act, answer }) = requests.recv() {
                // A caller that is gone needs no answer.
                let _ = answer.send(act(&mut syncs));
            }
        };
        let thread = thread::Builder::new().name("flush".into()).spawn(run)?;
        Ok(Self { requests: Some(sender), thread: Some(thread) })
    }

    /// Returns when everything written before is on the disk.
    ///
    /// # Errors
    /// The flush failed; [`StoreError::Closed`] when the thread has ended, by a panic of sled's.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.ask(Syncs::sync)
    }

    /// Returns when a further flush would write nothing, if nothing is written meanwhile.
    ///
    /// # Errors
    /// As [`Flusher::sync`].
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        self.ask(Syncs::settle)
    }

    fn ask(&self, act: fn(&mut Syncs) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let (answer, answered) = sync_channel(1);
        let requests = self.requests.as_ref().ok_or(StoreError::Closed)?;
        requests.send(Request { act, answer }).map_err(|_| StoreError::Closed)?;
        answered.recv().map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic has been answered already.
            let _ = thread.join();
        }
    }
}
