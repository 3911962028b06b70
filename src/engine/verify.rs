//! Whether everything is as it has to be: every record of the store by itself and together with those it belongs to,
//! and what is held in memory against what it was derived from.
//!
//! Nothing is changed, and nobody waits for long: the store is read beside whatever goes on, and only where something
//! looks wrong, as it may while images come and go, it is looked at again with the writer's turn.

mod derived;
mod records;
mod structure;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::portable::damaged;
use crate::store::audit::{Auditor, Fault, audit, collection};
use crate::store::{Damage, Keys, Kind, Store};

use super::Engine;
use super::collection::Collection;
use super::error::EngineError;
use super::operations::{Operation, OperationResult};
use super::persist::{CollectionRecord, CollectionStore};

/// Problems told one by one at most; all are counted.
pub const PROBLEMS_LISTED_MAX: usize = 100;

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Records of each kind.
    pub records: Vec<(String, u64)>,
    /// Collections whose memory was compared with the store; 0 where only a store was looked at.
    pub collections: u64,
    /// What is not as it has to be.
    pub problems: u64,
    /// The first of them, at most [`PROBLEMS_LISTED_MAX`].
    pub listed: Vec<VerifyProblem>,
    /// What was not looked at, and why.
    pub skipped: Vec<String>,
}

/// Something that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyProblem {
    /// The collection, by name where that is known; empty for what belongs to the daemon as a whole.
    pub collection: String,
    /// The kind of record, or what is derived, such as "embedding" or "index".
    pub kind: String,
    /// The record's key in hexadecimal, or which image or cluster.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

/// How far a verification is, and whether it is to go on.
pub struct Progress<'a> {
    /// Takes the phase, and the units done and in all (0 where that is not known).
    pub tell: &'a dyn Fn(&str, u64, u64),
    /// Whether to stop.
    pub cancelled: &'a dyn Fn() -> bool,
}

impl Progress<'_> {
    fn check(&self) -> Result<(), EngineError> {
        if (self.cancelled)() { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

/// Problems as they are found.
#[derive(Debug, Default)]
struct Findings {
    count: u64,
    listed: Vec<VerifyProblem>,
}

impl Findings {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers have ids, numbers and texts, most of them temporary"
    )]
    fn add(&mut self, collection: &str, kind: &str, key: impl ToString, what: impl Into<String>) {
        self.count += 1;
        if self.listed.len() < PROBLEMS_LISTED_MAX {
            let (collection, kind) = (collection.to_owned(), kind.to_owned());
            self.listed.push(VerifyProblem { collection, kind, key: key.to_string(), what: what.into() });
        }
    }

    fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = PROBLEMS_LISTED_MAX - self.listed.len().min(PROBLEMS_LISTED_MAX);
        self.listed.extend(other.listed.into_iter().take(room));
    }
}

impl Engine {
    /// Starts looking at everything; one of these runs at a time.
    ///
    /// # Errors
    /// One runs already, or the store fails.
    pub fn verify(&self) -> Result<Arc<Operation>, EngineError> {
        let operation = self.operations.start("", "Verify")?;
        let (store, open) = (self.persist.daemon(), self.collections());
        let work = move |operation: &Operation| {
            let progress = Progress {
                tell: &|phase, done, total| operation.progress(phase, done, total),
                cancelled: &|| operation.is_cancelled(),
            };
            verify_open(store.raw().0, &open, &progress).map(OperationResult::Verified)
        };
        self.run(&operation, work);
        Ok(operation)
    }
}

/// Looks at a store that nobody else writes meanwhile.
///
/// # Errors
/// Reading failed, or it was cancelled.
pub fn verify_store(store: &dyn Store, progress: &Progress<'_>) -> Result<VerifyReport, EngineError> {
    let (mut report, mut findings, known) = verify_records(store, progress)?;
    for (&number, record) in known.iter().filter(|(_, record)| !record.deleted) {
        match structure::verify(store, number, record, progress) {
            Ok(found) => findings.append(found),
            // That it can't be read was found already.
            Err(EngineError::Store(error)) if findings.count > 0 => {
                report.skipped.push(format!("{}: what belongs together: {error}", record.name));
            }
            Err(error) => return Err(error),
        }
    }
    report.problems = findings.count;
    report.listed = findings.listed;
    Ok(report)
}

/// Looks at a store with its open collections.
fn verify_open(
    store: &dyn Store,
    open: &[Arc<Collection>],
    progress: &Progress<'_>,
) -> Result<VerifyReport, EngineError> {
    let (mut report, mut findings, _) = verify_records(store, progress)?;
    for collection in open {
        match verify_collection(store, collection, progress, &mut report.skipped) {
            Ok(found) => findings.append(found),
            Err(_) if collection.is_closed() => continue,
            Err(EngineError::Store(error)) if findings.count > 0 => {
                report.skipped.push(format!("{}: what belongs together: {error}", collection.name()));
            }
            Err(error) => return Err(error),
        }
        report.collections += 1;
    }
    report.problems = findings.count;
    report.listed = findings.listed;
    Ok(report)
}

fn verify_collection(
    store: &dyn Store,
    collection: &Collection,
    progress: &Progress<'_>,
    skipped: &mut Vec<String>,
) -> Result<Findings, EngineError> {
    let (_, number) = collection.store.raw();
    let mut found = structure::verify(store, number, &collection.record, progress)?;
    if found.count > 0 {
        // Records that came or went between two looks look as if they were missing.
        let _turn = collection.writer()?;
        found = structure::verify(store, number, &collection.record, progress)?;
    }
    derived::verify(collection, progress, &mut found, skipped)?;
    Ok(found)
}

/// Collections by number.
type Known = BTreeMap<u32, CollectionRecord>;

/// Looks at what was imported, before anybody sees it.
///
/// # Errors
/// Something is not as it has to be, or reading failed.
pub(super) fn verify_import(store: &CollectionStore, record: &CollectionRecord) -> Result<(), EngineError> {
    let (raw, number) = store.raw();
    let progress = Progress { tell: &|_, _, _| {}, cancelled: &|| false };
    let found = structure::verify(raw, number, record, &progress)?;
    match found.listed.into_iter().next() {
        None => Ok(()),
        Some(VerifyProblem { kind, key, what, .. }) => {
            Err(damaged(format!("what it holds does not fit together: {kind} {key}: {what}")).into())
        }
    }
}

/// The collections that the store can tell of, the damaged ones, and whether these are all; why not is told elsewhere.
fn known_collections(store: &dyn Store) -> (Known, BTreeSet<u32>, bool) {
    let (mut known, mut damaged) = (Known::new(), BTreeSet::new());
    let read = records::each(store, &Keys::collections(), |suffix, record: Option<CollectionRecord>| {
        if let Some(number) = Keys::collection_number(suffix) {
            match record {
                Some(record) => drop(known.insert(number, record)),
                None => drop(damaged.insert(number)),
            }
        }
        true
    });
    (known, damaged, read.is_ok())
}

/// Looks at every record by itself.
fn verify_records(
    store: &dyn Store,
    progress: &Progress<'_>,
) -> Result<(VerifyReport, Findings, Known), EngineError> {
    let (before, _, _) = known_collections(store);
    let mut looking = Looking { progress, faults: Vec::new(), count: 0, seen: BTreeMap::new() };
    let counts = audit(store, &mut looking);
    progress.check()?;
    let Looking { faults, count, seen, .. } = looking;
    // Those that were made or deleted meanwhile are known before or after.
    let (mut known, damaged, whole) = known_collections(store);
    for (number, record) in before {
        known.entry(number).or_insert(CollectionRecord { deleted: true, ..record });
    }
    let name = |number: Option<u32>| match number {
        None | Some(0) => String::new(),
        Some(number) => known.get(&number).map_or_else(|| format!("#{number}"), |record| record.name.clone()),
    };
    let mut findings = Findings::default();
    for fault in faults {
        let kind = fault.kind.map_or("unknown", Kind::name);
        findings.add(&name(fault.collection()), kind, &fault.key, fault.what);
    }
    findings.count = count;
    for (number, key) in seen {
        let lost = whole && number != 0 && !known.contains_key(&number) && !damaged.contains(&number);
        // One that was made and deleted meanwhile leaves nothing.
        if lost && store.get(&key.0)?.is_some() {
            findings.add(&name(Some(number)), "collection", key, "records of a collection that is not there");
        }
    }
    let records = counts.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
    Ok((VerifyReport { records, ..VerifyReport::default() }, findings, known))
}

/// Takes what the audit finds.
struct Looking<'a> {
    progress: &'a Progress<'a>,
    faults: Vec<Fault>,
    count: u64,
    /// Collections that have records, with the key of the first.
    seen: BTreeMap<u32, crate::store::HexKey>,
}

impl Auditor for Looking<'_> {
    fn decode(&mut self, kind: Kind, key: &[u8], bytes: &[u8]) -> Result<(), Damage> {
        if let Some(number) = collection(key) {
            self.seen.entry(number).or_insert_with(|| crate::store::HexKey(key.to_vec()));
        }
        records::decode(kind, key, bytes)
    }

    fn fault(&mut self, fault: Fault) {
        self.count += 1;
        if self.faults.len() < PROBLEMS_LISTED_MAX {
            self.faults.push(fault);
        }
    }

    fn goes_on(&mut self, records: u64) -> bool {
        const STEP: u64 = 256;
        if records.is_multiple_of(STEP) {
            (self.progress.tell)("records", records, 0);
        }
        !(self.progress.cancelled)()
    }
}
