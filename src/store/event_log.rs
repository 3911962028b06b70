//! The hash chain of the event log: whoever changes, drops or reorders an entry breaks every hash after it.

use serde::{Deserialize, Serialize};

/// One entry of an append-only log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// The position in the log, from 0.
    pub seq: u64,
    /// The hash of the entry before; zeros for the first.
    pub previous: [u8; 32],
    /// BLAKE3 of `previous ++ seq (u64 LE) ++ payload`.
    pub hash: [u8; 32],
    /// What happened, in the writer's own encoding.
    pub payload: Vec<u8>,
}

impl LogRecord {
    /// The entry that follows `last` (the first one follows `None`).
    pub fn after(last: Option<&Self>, payload: Vec<u8>) -> Self {
        let (seq, previous) = last.map_or((0, [0; 32]), |last| (last.seq + 1, last.hash));
        Self::new(seq, previous, payload)
    }

    /// The entry at `seq`, after one whose hash is `previous`.
    pub fn new(seq: u64, previous: [u8; 32], payload: Vec<u8>) -> Self {
        let hash = chain_hash(&previous, seq, &payload);
        Self { seq, previous, hash, payload }
    }
}

/// Where a log stops being what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// An entry is missing or out of order.
    #[error("log entry {expected} is missing: {found} comes in its place")]
    Gap {
        /// The sequence number due.
        expected: u64,
        /// The one found.
        found: u64,
    },
    /// An entry does not continue the one before.
    #[error("log entry {seq} does not continue the entry before it")]
    Broken {
        /// Its sequence number.
        seq: u64,
    },
    /// An entry is not what its hash was taken of.
    #[error("log entry {seq} was changed after it was written")]
    Changed {
        /// Its sequence number.
        seq: u64,
    },
}

/// Checks the entries of a log one after another, so that the log need not be in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainVerifier {
    next: u64,
    last: [u8; 32],
}

impl ChainVerifier {
    /// One to whom this entry is the next, whatever came before.
    pub fn before(entry: &LogRecord) -> Self {
        Self { next: entry.seq, last: entry.previous }
    }

    /// One to whom this entry was the last.
    pub fn behind(entry: &LogRecord) -> Self {
        Self { next: entry.seq + 1, last: entry.hash }
    }

    /// Checks the next entry against those before.
    ///
    /// # Errors
    /// It does not fit; the verifier stays where it was.
    pub fn check(&mut self, entry: &LogRecord) -> Result<(), ChainError> {
        let seq = entry.seq;
        if seq != self.next {
            return Err(ChainError::Gap { expected: self.next, found: seq });
        }
        if entry.previous != self.last {
            return Err(ChainError::Broken { seq });
        }
        if entry.hash != chain_hash(&entry.previous, seq, &entry.payload) {
            return Err(ChainError::Changed { seq });
        }
        *self = Self { next: seq + 1, last: entry.hash };
        Ok(())
    }

    /// The hash of the last entry checked; zeros before the first. A log cut off at its end still verifies: only
    /// someone who kept this hash can notice.
    pub fn last_hash(&self) -> [u8; 32] {
        self.last
    }
}

/// Checks a whole log and returns its last hash.
///
/// # Errors
/// The first entry that does not fit.
pub fn verify_chain<'a>(entries: impl IntoIterator<Item = &'a LogRecord>) -> Result<[u8; 32], ChainError> {
    let mut verifier = ChainVerifier::default();
    entries.into_iter().try_for_each(|entry| verifier.check(entry))?;
    Ok(verifier.last_hash())
}

fn chain_hash(previous: &[u8; 32], seq: u64, payload: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(previous).update(&seq.to_le_bytes()).update(payload).finalize().as_bytes()
}
