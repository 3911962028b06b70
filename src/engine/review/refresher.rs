//! The thread that lets classifiers catch up with what was said and stored.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::engine::Open;
use crate::engine::error::EngineError;
use crate::engine::lock::{lock, read};

/// How often collections are looked at though nobody said anything.
const INTERVAL: Duration = Duration::from_secs(1);

/// The thread.
pub(in crate::engine) struct Refresher {
    stopping: Arc<AtomicBool>,
    wake: SyncSender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Refresher {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(in crate::engine) fn start(
        collections: Arc<RwLock<BTreeMap<String, Open>>>,
    ) -> Result<Self, EngineError> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (wake, woken) = sync_channel(1);
        let stop = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            .name("culld-review".into())
            .spawn(move || run(&collections, &woken, &stop))
            .map_err(|error| EngineError::Internal(format!("can't start a thread: {error}")))?;
        Ok(Self { stopping, wake, thread: Mutex::new(Some(thread)) })
    }

    /// What wakes it.
    pub(in crate::engine) fn waker(&self) -> SyncSender<()> {
        self.wake.clone()
    }

    /// Ends the thread after the collection that it is at.
    pub(in crate::engine) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        // It is gone, or about to look anyway.
        let _ = self.wake.try_send(());
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that lets classifiers catch up panicked");
        }
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(collections: &RwLock<BTreeMap<String, Open>>, woken: &Receiver<()>, stop: &AtomicBool) {
    while woken.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Disconnected) && !stop.load(Ordering::Relaxed)
    {
        let open: Vec<_> = read(collections).values().map(|open| Arc::clone(&open.collection)).collect();
        for collection in open {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = collection.catch_up_review()
                && !collection.is_closed()
            {
                tracing::error!(%error, collection = collection.name(), "the classifier did not catch up");
            }
        }
    }
}
