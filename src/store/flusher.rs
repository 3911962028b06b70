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

/// Flushes that must find nothing to write, one after the other, before none will: what a flush freed the one after the
/// next gives away, by moving records.
const SETTLED: usize = 3;

/// The most flushes to get there.
const SETTLE_MAX: usize = 32;

/// Syncs, and counts the syncs: in a tree of sled's, and in a file.
pub(super) struct Syncs {
    count: u64,
    tree: Tree,
    file: HighWater,
    // After a flush that failed sled's next one waits for ever.
    failed: Option<StoreError>,
}

impl Syncs {
    /// Refuses a store that has counted fewer syncs than it answered; or, where it was closed just now, another number
    /// than `closed_at`.
    pub(super) fn check(folder: &Path, tree: Tree, closed_at: Option<u64>) -> Result<Self, StoreError> {
        let (file, answered) = HighWater::open(folder)?;
        let read = |source| StoreError::io("read", &folder.join(SLED_FOLDER), source);
        let count = tree.get(COUNT_KEY).map_err(read)?;
        let count = count.and_then(|bytes| (*bytes).try_into().ok()).map_or(0, u64::from_le_bytes);
        let answered = closed_at.unwrap_or(answered);
        if count < answered {
            let lost = answered - count;
            return Err(damaged(folder, &format!("the last {lost} of {answered} syncs are lost")));
        }
        if closed_at.is_some() && count > answered {
            return Err(damaged(folder, &"somebody put another store in its place"));
        }
        Ok(Self { count, tree, file, failed: None })
    }

    /// Runs what flushes, unless an earlier one failed.
    fn guard<T>(&mut self, act: impl FnOnce(&mut Self) -> io::Result<T>) -> Result<T, StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let done = act(self).map_err(|source| StoreError::io("flush", self.file.folder(), source));
        self.failed = done.as_ref().err().cloned();
        done
    }

    /// Answers the bytes of records that it wrote.
    fn sync(&mut self) -> Result<u64, StoreError> {
        let bytes = self.guard(|syncs| {
            syncs.count += 1;
            syncs.tree.insert(COUNT_KEY, syncs.count.to_le_bytes())?;
            failpoint::pass("flush", "counted");
            let flushed = syncs.tree.flush()?;
            failpoint::pass("flush", "flushed");
            Ok(flushed.write_batch.heap_bytes_written)
        })?;
        self.file.write(self.count)?;
        Ok(bytes)
    }

    fn settle(&mut self) -> Result<bool, StoreError> {
        self.guard(|syncs| {
            let mut empty = 0;
            for _ in 0..SETTLE_MAX {
                let flushed = syncs.tree.flush()?;
                empty = if flushed.objects_flushed == 0 { empty + 1 } else { 0 };
                if empty == SETTLED {
                    // An empty flush does not ask whether an earlier write behind the scenes failed.
                    syncs.tree.check_error()?;
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}

type Act = Box<dyn FnOnce(&mut Option<Syncs>) + Send>;

/// A handle to the thread, which ends with it.
pub(super) struct Flusher {
    // Taken by `drop`, which ends the thread.
    requests: Option<SyncSender<Act>>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts a thread with nothing to sync yet.
    pub(super) fn start() -> io::Result<Self> {
        let (sender, requests) = sync_channel::<Act>(WAITING_MAX);
        let run = move || {
            // Without the pool syncs may be slow, but are right.
            let _pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
            let mut syncs = None;
            while let Ok(act) = requests.recv() {
                act(&mut syncs);
            }
        };
        let thread = thread::Builder::new().name("flush".into()).spawn(run)?;
        Ok(Self { requests: Some(sender), thread: Some(thread) })
    }

    /// Hands over what is to be synced.
    ///
    /// # Errors
    /// [`StoreError::Closed`] when the thread has ended, by a panic of sled's.
    pub(super) fn open(&self, opened: Syncs) -> Result<(), StoreError> {
        self.ask(move |syncs| {
            *syncs = Some(opened);
            Ok(())
        })
    }

    /// Returns when everything written before is on the disk; answers the bytes of records that were written.
    ///
    /// # Errors
    /// The flush failed; [`StoreError::Closed`] where nothing is open, or the thread has ended.
    pub(super) fn sync(&self) -> Result<u64, StoreError> {
        self.ask(|syncs| syncs.as_mut().ok_or(StoreError::Closed)?.sync())
    }

    /// Has sled do what is left to be done, so that closing writes nothing: what it writes then it writes by the common
    /// rayon pool, behind whatever runs there, and aborts the process where it fails. Answers whether nothing is left.
    ///
    /// # Errors
    /// As [`Flusher::sync`].
    pub(super) fn settle(&self) -> Result<bool, StoreError> {
        self.ask(|syncs| syncs.as_mut().ok_or(StoreError::Closed)?.settle())
    }

    /// Lets go of what was to be synced; answers the number of syncs.
    ///
    /// # Errors
    /// [`StoreError::Closed`] where nothing is open, or the thread has ended.
    pub(super) fn close(&self) -> Result<u64, StoreError> {
        self.ask(|syncs| syncs.take().map(|syncs| syncs.count).ok_or(StoreError::Closed))
    }

    fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Option<Syncs>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = sync_channel(1);
        let act: Act = Box::new(move |syncs| {
            // A caller that is gone needs no answer.
            let _ = answer.send(act(syncs));
        });
        let requests = self.requests.as_ref().ok_or(StoreError::Closed)?;
        requests.send(act).map_err(|_| StoreError::Closed)?;
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
