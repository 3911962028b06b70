//! Group commit: callers that wait for durability at the same time share one fsync.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::failpoint;

use super::{BATCH_BYTES_MAX, Durability, Store, StoreError, Write};

/// No more batches join a group of this many bytes.
const GROUP_BYTES_MAX: usize = BATCH_BYTES_MAX / 8;

/// How long a commit may wait for company under [`Durability::Process`], in ms.
const LINGER_MS: u64 = 20;

/// How a [`CommitQueue`] commits.
#[derive(Debug, Clone, Copy)]
pub struct CommitOptions {
    /// The most callers' batches that wait, and the most that are joined; at least 1.
    pub batches_max: usize,
    /// What [`CommitQueue::commit`] promises when it returns.
    ///
    /// sled hands its bytes to the operating system and fsyncs them in one step, so both settings sync; under
    /// `Process` the queue waits 20 ms for more to join, which divides the number of fsyncs on slow disks.
    pub durability: Durability,
}

impl Default for CommitOptions {
    fn default() -> Self {
        Self { batches_max: 256, durability: Durability::Fsync }
    }
}

struct Request {
    writes: Vec<Write>,
    answer: SyncSender<Result<(), StoreError>>,
}

/// One thread that applies and syncs what any number of threads commit. Dropping the queue commits what waits.
pub struct CommitQueue {
    // Taken by `drop`, which ends the thread.
    requests: Option<SyncSender<Request>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl CommitQueue {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system has no thread left.
    pub fn start(store: Arc<dyn Store>, options: CommitOptions) -> Result<Self, StoreError> {
        let batches_max = options.batches_max.max(1);
        let (sender, requests) = sync_channel(batches_max);
        let thread = std::thread::Builder::new()
            .name("commit".into())
            .spawn(move || run(&*store, &requests, batches_max, options.durability))
            .map_err(|source| StoreError::io("start", "the commit thread".as_ref(), source))?;
        Ok(Self { requests: Some(sender), thread: Mutex::new(Some(thread)) })
    }

    /// Applies `writes` as one atomic batch and waits until they are durable. Commits of one caller, one after the
    /// other, keep their order. Blocks, also while the queue is full: not for the reactor's threads.
    ///
    /// # Errors
    /// As [`Store::apply`] and [`Store::sync`]; [`StoreError::Closed`] once the thread has ended.
    pub fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let (answer, answered) = sync_channel(1);
        let requests = self.requests.as_ref().ok_or(StoreError::Closed)?;
        requests.send(Request { writes, answer }).map_err(|_| StoreError::Closed)?;
        answered.recv().map_err(|_| StoreError::Closed)?
    }
}

impl Drop for CommitQueue {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic of the store has already answered `Closed` to everyone who waited.
            let _ = thread.join();
        }
    }
}

fn run(store: &dyn Store, requests: &Receiver<Request>, batches_max: usize, durability: Durability) {
    while let Ok(first) = requests.recv() {
        let group = gather(first, requests, batches_max, durability);
        failpoint::pass("commit", "gathered");
        // One by one: a batch that is refused must not take others with it, and atomic is each, not the group.
        let applied: Vec<_> =
            group.into_iter().map(|request| (request.answer, store.apply(request.writes))).collect();
        failpoint::pass("commit", "applied");
        let synced = if applied.iter().any(|(_, result)| result.is_ok()) { store.sync() } else { Ok(()) };
        failpoint::pass("commit", "synced");
        for (answer, result) in applied {
            // A caller that is gone needs no answer.
            let _ = answer.send(result.and_then(|()| synced.clone()));
        }
    }
}

/// What waits now, or, when the promise allows, comes soon.
fn gather(
    first: Request,
    requests: &Receiver<Request>,
    batches_max: usize,
    durability: Durability,
) -> Vec<Request> {
    let deadline = match durability {
        Durability::Fsync => None,
        Durability::Process => Some(Instant::now() + Duration::from_millis(LINGER_MS)),
    };
    let mut bytes: usize = first.writes.iter().map(Write::bytes).sum();
    let mut group = vec![first];
    while group.len() < batches_max && bytes < GROUP_BYTES_MAX {
        let next = match deadline {
            None => requests.try_recv().ok(),
            Some(deadline) => requests.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok(),
        };
        let Some(next) = next else { break };
        bytes += next.writes.iter().map(Write::bytes).sum::<usize>();
        group.push(next);
    }
    group
}
