//! Group commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use culld::store::{
    CommitOptions, CommitQueue, Durability, MemoryStore, Poison, Store, StoreError, Visit, Write,
};

use super::put;

/// Counts, holds back and fails what reaches the store below.
#[derive(Default)]
struct Watched {
    below: MemoryStore,
    log: Mutex<Vec<Vec<Write>>>,
    syncs: AtomicU64,
    gate: Option<Arc<Barrier>>,
    failing: Mutex<bool>,
    poison: Poison,
}

impl Store for Watched {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.below.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.below.scan(prefix, visit)
    }

    fn apply(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        self.poison.check()?;
        self.below.apply(batch.clone())?;
        self.log.lock().unwrap().push(batch);
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        if let Some(gate) = &self.gate
            && self.syncs.load(Ordering::SeqCst) == 0
        {
            gate.wait();
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.poison.guard(|| if *self.failing.lock().unwrap() { Err(StoreError::Closed) } else { Ok(()) })
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// So many callers commit while the first commit hangs in its sync; answers how many syncs there were.
fn syncs_of(commits: u8) -> u64 {
    let gate = Arc::new(Barrier::new(2));
    let store = Arc::new(Watched { gate: Some(Arc::clone(&gate)), ..Watched::default() });
    let queue = CommitQueue::start(Arc::clone(&store) as Arc<dyn Store>, CommitOptions::default()).unwrap();
    let begun = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| queue.commit(vec![put(b"first", b"")]).unwrap());
        while store.log.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        // The first commit now hangs in its sync, and everyone else queues up behind it.
        for number in 0..commits {
            let (queue, begun) = (&queue, &begun);
            scope.spawn(move || {
                begun.fetch_add(1, Ordering::SeqCst);
                queue.commit(vec![put(&[number], b"")]).unwrap();
            });
        }
        while begun.load(Ordering::SeqCst) < u64::from(commits) {
            std::thread::yield_now();
        }
        gate.wait();
    });
    assert_eq!(store.log.lock().unwrap().len(), usize::from(commits) + 1);
    store.syncs.load(Ordering::SeqCst)
}

#[test]
fn commits_that_wait_share_syncs() {
    const COMMITS: u8 = 40;
    // Whoever has begun may not be in the queue yet when the first one goes on, and a machine with much to do may be slow
    // several times; without sharing, each commit has a sync of its own every time.
    let shared = (0..20).any(|_| syncs_of(COMMITS) <= u64::from(COMMITS / 4));
    assert!(shared, "{COMMITS} commits that wait never share a sync");
}

#[test]
fn commits_of_one_caller_keep_their_order() {
    for durability in [Durability::Fsync, Durability::Process] {
        let store = Arc::new(Watched::default());
        let options = CommitOptions { batches_max: 4, durability };
        let queue = CommitQueue::start(Arc::clone(&store) as Arc<dyn Store>, options).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..6u8 {
                let queue = &queue;
                scope.spawn(move || {
                    (0..10u8).for_each(|number| queue.commit(vec![put(&[thread], &[number])]).unwrap());
                });
            }
        });
        for thread in 0..6u8 {
            let log = store.log.lock().unwrap();
            let values: Vec<u8> = log
                .iter()
                .flatten()
                .filter_map(|write| match write {
                    Write::Put { key, value } if key[..] == [thread] => Some(value[0]),
                    Write::Put { .. } | Write::Delete { .. } => None,
                })
                .collect();
            assert_eq!(values, (0..10).collect::<Vec<u8>>());
        }
        assert!(store.syncs.load(Ordering::SeqCst) <= 60);
    }
}

#[test]
fn a_failed_sync_fails_its_commits_and_all_later_ones() {
    let store = Arc::new(Watched::default());
    let queue = CommitQueue::start(Arc::clone(&store) as Arc<dyn Store>, CommitOptions::default()).unwrap();
    queue.commit(vec![put(b"a", b"1")]).unwrap();
    *store.failing.lock().unwrap() = true;
    assert!(matches!(queue.commit(vec![put(b"b", b"1")]), Err(StoreError::Closed)));
    *store.failing.lock().unwrap() = false;
    assert!(matches!(queue.commit(vec![put(b"c", b"1")]), Err(StoreError::Poisoned { .. })));
    assert_eq!(store.get(b"c").unwrap(), None);
}

#[test]
fn a_refused_batch_takes_no_other_with_it() {
    let store = Arc::new(Watched::default());
    let queue = CommitQueue::start(Arc::clone(&store) as Arc<dyn Store>, CommitOptions::default()).unwrap();
    assert!(matches!(queue.commit(vec![put(&[0; 999], b"")]), Err(StoreError::TooLarge { .. })));
    assert_eq!(store.syncs.load(Ordering::SeqCst), 0);
    queue.commit(vec![put(b"a", b"1")]).unwrap();
    drop(queue);
    assert_eq!(store.get(b"a").unwrap(), Some(b"1".to_vec()));
}
