//! What one caller may take of the daemon at a time, so that the others get theirs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::lock;

/// A caller has as many calls under way as one may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} has {limit} {what} under way, which is the limit of one caller")]
pub struct OverShare {
    /// The caller.
    pub name: String,
    /// "calls" or "streams".
    pub what: &'static str,
    /// How many are allowed.
    pub limit: usize,
}

/// Calls and streams under way, by caller; who has none is not there.
type Counts = Arc<Mutex<HashMap<String, [usize; 2]>>>;

/// The shares of all callers.
#[derive(Debug)]
pub(super) struct Shares {
    counts: Counts,
    calls_max: usize,
    streams_max: usize,
}

/// A call under way, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    counts: Counts,
    name: String,
    is_stream: bool,
}

impl Shares {
    /// At most so many calls, and so many streams among them.
    pub(super) fn new(calls_max: usize, streams_max: usize) -> Self {
        Self { counts: Counts::default(), calls_max, streams_max }
    }

    /// Begins a call, if the caller has one left.
    pub(super) fn turn(&self, name: &str, is_stream: bool) -> Result<Turn, OverShare> {
        let mut counts = lock(&self.counts);
        let [calls, streams] = counts.get(name).copied().unwrap_or_default();
        let over = |what, limit| Err(OverShare { name: name.to_owned(), what, limit });
        if calls >= self.calls_max {
            return over("calls", self.calls_max);
        }
        if is_stream && streams >= self.streams_max {
            return over("streams", self.streams_max);
        }
        counts.insert(name.to_owned(), [calls + 1, streams + usize::from(is_stream)]);
        Ok(Turn { counts: Arc::clone(&self.counts), name: name.to_owned(), is_stream })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        let Some([calls, streams]) = counts.get_mut(&self.name) else { return };
        *calls -= 1;
        *streams -= usize::from(self.is_stream);
        if *calls == 0 {
            counts.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;

    #[test]
    fn each_caller_has_a_share_of_its_own() {
        let shares = Shares::new(2, 1);
        let stream = shares.turn("a", true).expect("a turn");
        assert_eq!(shares.turn("a", true).expect_err("no second stream").what, "streams");
        let call = shares.turn("a", false).expect("a turn");
        assert_eq!(shares.turn("a", false).expect_err("no third call").what, "calls");
        let other = shares.turn("b", true).expect("another's turn");
        drop(call);
        let call = shares.turn("a", false).expect("a turn again");
        drop((stream, call, other));
        assert!(shares.counts.lock().expect("no panic").is_empty());
    }
}
