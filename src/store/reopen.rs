//! Opening sled again, which alone gives back the memory of what was written.

use std::thread;
use std::time::{Duration, Instant};

use super::StoreError;
use super::flusher::Syncs;
use super::metadata;
use super::opened::Opened;
use super::reserve::{Disks, Reserve};
use super::sled_store::{SledStore, lock};
use crate::failpoint;

/// How long readers are waited for, and new ones wait, before sled is closed to be opened again. Where one reads longer,
/// that is tried again later.
const READERS_WAIT_MAX: Duration = Duration::from_millis(100);

/// How long opening again is tried.
const REOPEN_MAX: Duration = Duration::from_secs(10);
const REOPEN_EVERY: Duration = Duration::from_millis(100);

/// What whoever writes knows.
#[derive(Default)]
pub(super) struct Writing {
    /// Bytes written since sled was opened, each record alone.
    pub(super) applied: u64,
    /// Bytes of leaves that were flushed since, compressed: of all records of a leaf where one was written.
    pub(super) flushed: u64,
    /// At how many it is opened again.
    due_at: u64,
    disks: Disks,
    pub(super) reopened: u64,
}

impl Writing {
    /// Nothing, behind an opening.
    pub(super) fn until(due_at: u64) -> Self {
        Self { due_at, ..Self::default() }
    }

    /// Bytes that sled keeps in memory until it is closed, about. More where leaves were written more than once.
    fn kept(&self) -> u64 {
        self.applied.max(self.flushed)
    }
}

/// What comes of trying to open sled again.
enum Again {
    Opened,
    /// Not now, because of this.
    Later(&'static str),
}

impl SledStore {
    /// Closes sled and opens it again if that is due, or tries later.
    pub(super) fn make_room(&self) -> Result<(), StoreError> {
        let mut writing = lock(&self.writing);
        let (kept, max) = (writing.kept(), self.options.written_bytes_max as u64);
        if kept < writing.due_at || self.place.is_mirror() {
            return Ok(());
        }
        let began = Instant::now();
        match self.try_again(&mut writing.disks)? {
            Again::Opened => {
                tracing::debug!(kept, took = ?began.elapsed(), "opened the store again");
                let reopened = writing.reopened + 1;
                let disks = std::mem::take(&mut writing.disks);
                *writing = Writing { disks, reopened, ..Writing::until(max) };
            }
            Again::Later(why) => {
                writing.due_at = kept + max / 8;
                if kept > 2 * max.max(1 << 20) {
                    tracing::warn!(
                        kept,
                        max,
                        why,
                        "what was written stays in memory: the store can't be opened again"
                    );
                }
            }
        }
        Ok(())
    }

    /// Opens sled again if nobody reads and nothing is short that this needs. Nobody writes.
    fn try_again(&self, disks: &mut Disks) -> Result<Again, StoreError> {
        let Some(reserve) = Reserve::take(self.place.sled()) else {
            return Ok(Again::Later("files or disk are short"));
        };
        if !disks.are_quick() {
            return Ok(Again::Later("a disk of this machine is slow to sync"));
        }
        let busy = Ok(Again::Later("sled is moving records"));
        if !self.flusher.settle()? {
            return busy;
        }
        let Some(mut opened) = self.opened.try_write_for(READERS_WAIT_MAX) else {
            return Ok(Again::Later("somebody reads"));
        };
        // Readers were there until now, and kept sled from doing all.
        if !self.flusher.settle()? || !metadata::is_at_rest(self.place.sled()) {
            return busy;
        }
        drop(opened.take());
        let syncs = self.flusher.close()?;
        failpoint::pass("reopen", "closed");
        let (again, syncs) = self.reopen(syncs, reserve)?;
        self.flusher.open(syncs)?;
        *opened = Some(again);
        failpoint::pass("reopen", "opened");
        Ok(Again::Opened)
    }

    fn reopen(&self, closed_at: u64, mut reserve: Reserve) -> Result<(Opened, Syncs), StoreError> {
        let began = Instant::now();
        loop {
            reserve.let_go();
            match Opened::open(&self.place, self.options.cache_bytes_max, Some(closed_at)) {
                Ok(opened) => return Ok(opened),
                Err(error @ StoreError::BadFile { .. }) => return Err(error),
                Err(error) if began.elapsed() > REOPEN_MAX => return Err(error),
                Err(error) => tracing::warn!(%error, "the store does not open again yet"),
            }
            thread::sleep(REOPEN_EVERY);
        }
    }
}
