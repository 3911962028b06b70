//! What opening a store again needs, looked for before it is closed: a daemon that serves well must not end because it
//! gave its store up at a bad moment.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use super::metadata;

/// Files that sled opens, 82 of them, and some more for who comes between.
const FILES: usize = 128;

/// Disk that must be free beside what sled writes when it opens, in bytes.
const FREE_BYTES_MIN: u64 = 16 << 20;

/// How long the system's `sync` may take.
const QUICK: Duration = Duration::from_secs(2);

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
/// wait for, and where a disk of the machine is slow or hangs, whatever it is used for, nobody waits for long.
#[derive(Default)]
pub(super) struct Disks(Option<Receiver<()>>);

impl Disks {
    /// Whether all disks are synced now, and soon are again.
    pub(super) fn are_quick(&mut self) -> bool {
        let runs_still = self.0.as_ref().is_some_and(|done| done.try_recv() == Err(TryRecvError::Empty));
        if runs_still {
            return false;
        }
        let (sender, done) = mpsc::sync_channel(1);
        let sync = move || {
            #[cfg(unix)]
            rustix::fs::sync();
            // Nobody waits any more once this took too long.
            let _ = sender.send(());
        };
        if thread::Builder::new().name("sync disks".into()).spawn(sync).is_err() {
            return false;
        }
        let is_quick = done.recv_timeout(QUICK).is_ok();
        self.0 = Some(done);
        is_quick
    }
}
