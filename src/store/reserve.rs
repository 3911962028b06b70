//! What opening a store again needs, looked for before it is closed: a daemon that serves well must not end because it
//! gave its store up at a bad moment.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::metadata;

/// Files that sled opens, 82 of them, and some more for who comes between.
const FILES: usize = 128;

/// Disk that must be free beside what sled writes when it opens, in bytes.
const FREE_BYTES_MIN: u64 = 16 << 20;

/// How long the system's `sync` counts as just done.
const JUST_NOW: Duration = Duration::from_secs(5);

/// Files held so that nobody else takes the last ones.
pub(super) struct Reserve(Vec<File>);

impl Reserve {
    /// Takes files; `None` where files or disk are short.
    pub(super) fn take(sled: &Path) -> Option<Self> {
        let files: Result<Vec<File>, _> = (0..FILES).map(|_| File::open(sled)).collect();
        let needed = metadata::bytes_to_open(sled).ok()? * 2 + FREE_BYTES_MIN;
        (free_bytes(sled)? >= needed).then_some(Self(files.ok()?))
    }

    /// Lets them go, for sled.
    pub(super) fn let_go(&mut self) {
        self.0.clear();
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    Some(u64::MAX)
}

/// The system's `sync`, which sled runs when it opens: run beforehand by a thread of its own, so that sled has little to
/// wait for, and where one disk of the machine hangs nobody waits at all.
#[derive(Default)]
pub(super) struct Disks(Option<Receiver<Instant>>);

impl Disks {
    /// Whether all disks were synced just now; begins to, where not.
    pub(super) fn are_synced(&mut self) -> bool {
        match self.0.as_ref().map(Receiver::try_recv) {
            Some(Ok(at)) if at.elapsed() < JUST_NOW => {
                self.0 = None;
                return true;
            }
            Some(Err(TryRecvError::Empty)) => return false,
            None | Some(Ok(_) | Err(TryRecvError::Disconnected)) => {}
        }
        let (sender, done) = mpsc::sync_channel(1);
        let sync = move || {
            #[cfg(unix)]
            rustix::fs::sync();
            // Nobody waits once the store is closed.
            let _ = sender.send(Instant::now());
        };
        // Where there are no threads to be had it is tried again.
        let started = thread::Builder::new().name("sync disks".into()).spawn(sync);
        self.0 = started.is_ok().then_some(done);
        false
    }
}
