//! A bounded queue between callers and worker threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// First in, first out; at most `items_max` wait.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    not_empty: Condvar,
    not_full: Condvar,
    items_max: usize,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

/// The item comes back when it was not taken.
pub(super) enum Refused<T> {
    Full(T),
    Closed(T),
}

impl<T> Queue<T> {
    pub(super) fn new(items_max: usize) -> Self {
        Self {
            state: Mutex::new(State { items: VecDeque::new(), closed: false }),
            not_empty: Condvar::new(),
            not_full: Condvar::new(),
            items_max: items_max.max(1),
        }
    }

    /// Waits for room; refuses only once closed.
    pub(super) fn push(&self, item: T) -> Result<(), Refused<T>> {
        let full = |state: &mut State<T>| state.items.len() >= self.items_max && !state.closed;
        let waited = self.not_full.wait_while(self.lock(), full);
        self.put(waited.unwrap_or_else(PoisonError::into_inner), item)
    }

    /// Refuses rather than waits.
    pub(super) fn try_push(&self, item: T) -> Result<(), Refused<T>> {
        self.put(self.lock(), item)
    }

    fn put(&self, mut state: MutexGuard<'_, State<T>>, item: T) -> Result<(), Refused<T>> {
        if state.closed {
            return Err(Refused::Closed(item));
        }
        if state.items.len() >= self.items_max {
            return Err(Refused::Full(item));
        }
        state.items.push_back(item);
        self.not_empty.notify_one();
        Ok(())
    }

    /// Waits for an item; nothing once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        let empty = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let waited = self.not_empty.wait_while(self.lock(), empty);
        let item = waited.unwrap_or_else(PoisonError::into_inner).items.pop_front();
        self.not_full.notify_one();
        item
    }

    /// Items waiting.
    pub(super) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Takes no more items; those waiting are still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.not_empty.notify_all();
        self.not_full.notify_all();
    }

    // A queue holds no invariant that a panicking holder could break.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
