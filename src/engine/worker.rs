//! A thread that looks after collections, at intervals and when it is woken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::error::EngineError;
use super::lock::lock;

/// Looks after all of these, one by one: what goes wrong with one must not end the care for the others.
pub(super) fn each_alone<T>(all: &[T], name: impl Fn(&T) -> &str, look: impl Fn(&T)) {
    for one in all {
        if catch_unwind(AssertUnwindSafe(|| look(one))).is_err() {
            tracing::error!(collection = name(one), "looking after it panicked");
        }
    }
}

/// The thread; it ends with its owner.
pub(super) struct Worker {
    stopping: Arc<AtomicBool>,
    wake: SyncSender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts the thread, which calls `look` again and again: at an interval though nobody woke it. `look` returns soon
    /// once the flag it is given is set.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(
        name: &str,
        interval: Duration,
        look: impl Fn(&AtomicBool) + Send + 'static,
    ) -> Result<Self, EngineError> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (wake, woken) = sync_channel(1);
        let stop = Arc::clone(&stopping);
        let run = move || {
            while woken.recv_timeout(interval) != Err(RecvTimeoutError::Disconnected)
                && !stop.load(Ordering::Relaxed)
            {
                // Nor must what goes wrong beside them.
                if catch_unwind(AssertUnwindSafe(|| look(&stop))).is_err() {
                    tracing::error!("looking after collections panicked");
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|error| EngineError::Internal(format!("can't start a thread: {error}")))?;
        Ok(Self { stopping, wake, thread: Mutex::new(Some(thread)) })
    }

    /// What wakes it. A full channel means that it is about to look anyway.
    pub(super) fn waker(&self) -> SyncSender<()> {
        self.wake.clone()
    }

    /// Ends the thread, within a step of its work.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        // It is gone, or about to look anyway.
        let _ = self.wake.try_send(());
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a thread that looks after collections panicked");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_panics_leaves_the_others_their_turn() {
        let seen = Mutex::new(Vec::new());
        each_alone(
            &["a", "b", "c"],
            |name| name,
            |name| {
                assert!(*name != "b", "this one is broken");
                lock(&seen).push(*name);
            },
        );
        assert_eq!(*lock(&seen), ["a", "c"]);
    }
}
