//! Looks at every record that a store holds, without changing any: for states of doubtful origin, and for copies.
//!
//! What a record says is for its owner to judge, who lends [`audit`] a decoder; here it is looked at whether it is what
//! was written under its key, whether that is a key at all, and whether the event logs are whole.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::codec::{self, Damage};
use super::event_log::{ChainVerifier, LogRecord};
use super::keys::Kind;
use super::{HexKey, Store};

/// Bytes of every key before the record's own: the kind, and the collection's number.
const PREFIX_BYTES: usize = 5;

/// Something that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind of record, where its key names one.
    pub kind: Option<Kind>,
    /// Its key.
    pub key: HexKey,
    /// What is wrong.
    pub what: String,
}

impl Fault {
    /// The number of the collection that the key names, where it is long enough.
    pub fn collection(&self) -> Option<u32> {
        collection(&self.key.0)
    }
}

/// The number of the collection that a key names, where it is long enough.
pub fn collection(key: &[u8]) -> Option<u32> {
    let (prefix, _) = key.split_first_chunk::<PREFIX_BYTES>()?;
    let [_, number @ ..] = *prefix;
    Some(u32::from_be_bytes(number))
}

/// Takes what an audit finds.
pub trait Auditor {
    /// Decodes a record as its owner would; the key is of the right shape.
    ///
    /// # Errors
    /// What is wrong with it.
    fn decode(&mut self, kind: Kind, key: &[u8], bytes: &[u8]) -> Result<(), Damage>;

    /// Takes a fault.
    fn fault(&mut self, fault: Fault);

    /// Whether to look at the next record, after so many.
    fn goes_on(&mut self, records: u64) -> bool;
}

/// Looks at every record, in the order of keys; answers how many of each kind there are. Where reading breaks off, that
/// is a fault, and it goes on with the next kind.
pub fn audit(store: &dyn Store, auditor: &mut dyn Auditor) -> BTreeMap<&'static str, u64> {
    let mut audit =
        Audit { auditor, counts: BTreeMap::new(), records: 0, last: None, chain: Chain::default() };
    if audit.scan(store, &[]) {
        return audit.counts;
    }
    let broken_off = audit.last.as_ref().and_then(|key| key.first().copied());
    for first in broken_off.map_or(0, |first| first.saturating_add(1))..=u8::MAX {
        audit.scan(store, &[first]);
    }
    audit.counts
}

/// An audit under way.
struct Audit<'a> {
    auditor: &'a mut dyn Auditor,
    counts: BTreeMap<&'static str, u64>,
    records: u64,
    /// The key looked at last.
    last: Option<Vec<u8>>,
    chain: Chain,
}

impl Audit<'_> {
    /// Looks at the records under a prefix; answers whether reading them came to an end, be it before the last.
    fn scan(&mut self, store: &dyn Store, prefix: &[u8]) -> bool {
        let before = self.records;
        let read = store.scan(prefix, &mut |key, bytes| {
            if self.record(key, bytes) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let Err(error) = read else { return true };
        // Whoever gets nowhere met what was told of before.
        if self.records > before || prefix.is_empty() {
            let key = self.last.clone().unwrap_or_default();
            let kind = key.first().and_then(|byte| Kind::from_byte(*byte));
            let what = format!("reading breaks off behind this key: {error}");
            self.auditor.fault(Fault { kind, key: HexKey(key), what });
        }
        false
    }

    /// Looks at a record; answers whether to go on.
    fn record(&mut self, key: &[u8], bytes: &[u8]) -> bool {
        let hex = || HexKey(key.to_vec());
        if self.last.as_deref().is_some_and(|last| last >= key) {
            // A damaged tree may lead back to where one was, and so for ever.
            let what = "the store visits its keys out of order".to_owned();
            self.auditor.fault(Fault { kind: None, key: hex(), what });
            return false;
        }
        self.last = Some(key.to_vec());
        self.records += 1;
        match kind_of(key) {
            Err(what) => {
                let kind = key.first().and_then(|byte| Kind::from_byte(*byte));
                self.auditor.fault(Fault { kind, key: hex(), what });
            }
            Ok(kind) => {
                *self.counts.entry(kind.name()).or_default() += 1;
                let decoded = self.auditor.decode(kind, key, bytes).map_err(|damage| damage.to_string());
                let checked = match (kind, decoded) {
                    (Kind::Event, Ok(())) => self.chain.check(key, bytes),
                    (Kind::Event, Err(what)) => {
                        self.chain.pass(key);
                        Err(what)
                    }
                    (_, decoded) => decoded,
                };
                if let Err(what) = checked {
                    self.auditor.fault(Fault { kind: Some(kind), key: hex(), what });
                }
            }
        }
        self.auditor.goes_on(self.records)
    }
}

/// The kind of a record whose key has the shape of such keys.
fn kind_of(key: &[u8]) -> Result<Kind, String> {
    let first = *key.first().ok_or("an empty key")?;
    let kind = Kind::from_byte(first).ok_or_else(|| format!("no kind of record has the number {first}"))?;
    let own = key.len().checked_sub(PREFIX_BYTES).ok_or("the key is cut off")?;
    let expected = kind.own_key_bytes().unwrap_or_else(|| own.max(1));
    if own == expected {
        Ok(kind)
    } else {
        Err(format!("the key has {own} bytes of its own, not {expected}"))
    }
}

/// The log of the collection that the audit is at.
#[derive(Default)]
struct Chain {
    collection: Option<u32>,
    /// The number of the entry due.
    next: u64,
    /// What the entries before lead to; `None` behind one that can't be read, which says nothing of the next.
    verifier: Option<ChainVerifier>,
}

impl Chain {
    /// Goes on to the log of the collection that the key is of.
    fn enter(&mut self, key: &[u8]) -> u64 {
        if self.collection != collection(key) {
            *self = Self { collection: collection(key), next: 0, verifier: Some(ChainVerifier::default()) };
        }
        key.last_chunk::<8>().map_or(0, |number| u64::from_be_bytes(*number))
    }

    /// Passes over an entry that can't be read.
    fn pass(&mut self, key: &[u8]) {
        let number = self.enter(key);
        *self = Self { next: number + 1, verifier: None, ..*self };
    }

    /// Checks the next entry. Behind a fault it goes on with what comes, so that one fault is told once.
    fn check(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), String> {
        let version = Kind::Event.version();
        let entry: LogRecord = codec::decode(version, key, bytes).map_err(|damage| damage.to_string())?;
        let number = self.enter(key);
        let due = std::mem::replace(&mut self.next, number + 1);
        let verifier = self.verifier.take().unwrap_or_else(|| ChainVerifier::before(&entry));
        self.verifier = Some(ChainVerifier::behind(&entry));
        if entry.seq != number {
            self.verifier = None;
            return Err(format!("log entry {} lies where {number} belongs", entry.seq));
        }
        if number != due {
            return Err(format!("log entries {due} to {} are missing before this one", number - 1));
        }
        verifier.clone().check(&entry).map_err(|error| error.to_string())
    }
}
