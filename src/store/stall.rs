//! Reads that go on for ever: over some damage sled looks for a leaf again and again, and no caller can take that back.
//! Whoever reads notes each step, so that somebody else can tell.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The reads of the moment.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    steps: Mutex<BTreeMap<u64, Step>>,
    next: AtomicU64,
}

/// A step of a read: when it began, and the key that it began at.
#[derive(Debug, Clone)]
struct Step {
    since: Instant,
    near: Vec<u8>,
}

/// A read under way.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    stalls: &'a Stalls,
    number: u64,
}

impl Stalls {
    // Nothing panics while it holds the lock.
    fn steps(&self) -> MutexGuard<'_, BTreeMap<u64, Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a read begins at a key.
    pub(super) fn begin(&self, near: &[u8]) -> Reading<'_> {
        let reading = Reading { stalls: self, number: self.next.fetch_add(1, Ordering::Relaxed) };
        reading.step(near);
        reading
    }

    /// The step that goes on longest, if one takes longer than this: for how long, and the key that it began at.
    pub(super) fn longest(&self, after: Duration) -> Option<(Duration, Vec<u8>)> {
        let steps = self.steps();
        let longest = steps.values().min_by_key(|step| step.since)?;
        let lasts = longest.since.elapsed();
        (lasts > after).then(|| (lasts, longest.near.clone()))
    }
}

impl Reading<'_> {
    /// Notes that the next step begins behind this key.
    pub(super) fn step(&self, near: &[u8]) {
        self.stalls.steps().insert(self.number, Step { since: Instant::now(), near: near.to_vec() });
    }

    /// Notes that nothing is read until the next step: what was read is looked at, however long.
    pub(super) fn rest(&self) {
        self.stalls.steps().remove(&self.number);
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_step_is_told_while_it_lasts() {
        let stalls = Stalls::default();
        let key = |stalls: &Stalls| stalls.longest(Duration::ZERO).map(|(_, key)| key);
        assert_eq!(key(&stalls), None);
        let first = stalls.begin(b"a");
        let second = stalls.begin(b"b");
        assert_eq!(key(&stalls), Some(b"a".to_vec()));
        first.step(b"c");
        assert_eq!(key(&stalls), Some(b"b".to_vec()));
        second.rest();
        assert_eq!(key(&stalls), Some(b"c".to_vec()));
        assert_eq!(stalls.longest(Duration::from_hours(1)), None);
        drop(first);
        assert_eq!(key(&stalls), None);
        second.step(b"d");
        assert_eq!(key(&stalls), Some(b"d".to_vec()));
        drop(second);
        assert_eq!(key(&stalls), None);
    }
}
