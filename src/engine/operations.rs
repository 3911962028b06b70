//! Long work that outlives the connection that asked for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::backup::BackupReport;
use super::clusterings::ClusteringHead;
use super::error::EngineError;
use super::lock::{lock, now_ms};
use super::persist::Persist;
use super::verify::VerifyReport;

/// Operations remembered, the oldest ended ones are forgotten first.
pub(super) const OPERATIONS_KEPT: usize = 1000;
/// Files of an import whose problems are told one by one.
pub(super) const IMPORT_PROBLEMS_MAX: usize = 100;

/// What an operation is doing, or how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationStatus {
    /// Grows by one with each operation.
    pub number: u64,
    /// The collection it works on.
    pub collection: String,
    /// The call that started it.
    pub method: String,
    /// When it started, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// What it is at, in a word.
    pub phase: String,
    /// Units of work done.
    pub done: u64,
    /// Units of work in all; 0 while it is not known.
    pub total: u64,
    /// How it ended.
    pub result: Option<Result<OperationResult, OperationFailure>>,
}

/// What an operation brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OperationResult {
    /// A clustering, and whether it was made the active one.
    Clustering(Box<ClusteringHead>, bool),
    /// An import.
    Import(ImportSummary),
    /// A verification.
    Verified(VerifyReport),
    /// A backup.
    BackedUp(BackupReport),
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationFailure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// In words.
    pub message: String,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// It was asked to stop.
    Cancelled,
    /// The daemon stopped meanwhile.
    Interrupted,
    /// The data doesn't allow it.
    Precondition,
    /// The store can't take more.
    StorageFull,
    /// Something that should not happen.
    Internal,
}

/// What became of the files of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSummary {
    /// Files looked at.
    pub files: u64,
    /// Images that were new.
    pub added: u64,
    /// Images that were there.
    pub already_present: u64,
    /// Files that can't be added.
    pub rejected: u64,
    /// Files that could not be added now.
    pub failed: u64,
    /// The first files not added, and why; at most `IMPORT_PROBLEMS_MAX`.
    pub problems: Vec<(String, String)>,
}

/// One operation, shared by those who do it and those who watch it.
#[derive(Debug)]
pub struct Operation {
    status: watch::Sender<OperationStatus>,
    cancel: AtomicBool,
}

impl Operation {
    /// What it is doing now.
    pub fn status(&self) -> OperationStatus {
        self.status.borrow().clone()
    }

    /// Follows it.
    pub fn watch(&self) -> watch::Receiver<OperationStatus> {
        self.status.subscribe()
    }

    /// Says how far it is.
    pub fn progress(&self, phase: &str, done: u64, total: u64) {
        self.status.send_modify(|status| {
            if status.phase != phase {
                phase.clone_into(&mut status.phase);
            }
            (status.done, status.total) = (done, total);
        });
    }

    /// Asks it to stop.
    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

/// All operations of the daemon.
#[derive(Debug)]
pub struct Operations {
    persist: Persist,
    all: Mutex<BTreeMap<u64, Arc<Operation>>>,
}

impl Operations {
    /// Loads what is remembered; what was not done when the daemon stopped is interrupted.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub(super) fn load(persist: Persist) -> Result<Self, EngineError> {
        let mut all = BTreeMap::new();
        for mut status in persist.operations()? {
            if status.result.is_none() {
                let message = "the daemon stopped while this was under way".to_owned();
                status.result = Some(Err(OperationFailure { kind: FailureKind::Interrupted, message }));
                status.ended_ms = Some(now_ms());
                persist.put_operation(&status)?;
            }
            all.insert(status.number, Arc::new(Operation::of(status)));
        }
        Ok(Self { persist, all: Mutex::new(all) })
    }

    /// Starts an operation, unless one of this method still runs in the collection; it is remembered durably before
    /// this returns.
    pub(super) fn start(&self, collection: &str, method: &str) -> Result<Arc<Operation>, EngineError> {
        let mut all = lock(&self.all);
        let running = all.values().map(|operation| operation.status()).find(|status| {
            status.result.is_none() && status.collection == collection && status.method == method
        });
        if let Some(running) = running {
            return Err(EngineError::Precondition {
                reason: "OPERATION_RUNNING",
                message: format!("operations/{} is still running in this collection", running.number),
            });
        }
        let number = all.keys().next_back().map_or(1, |last| last + 1);
        let status = OperationStatus {
            number,
            collection: collection.to_owned(),
            method: method.to_owned(),
            created_ms: now_ms(),
            ended_ms: None,
            phase: "waiting".to_owned(),
            done: 0,
            total: 0,
            result: None,
        };
        self.persist.put_operation(&status)?;
        let operation = Arc::new(Operation::of(status));
        all.insert(number, Arc::clone(&operation));
        let ended = |operation: &Arc<Operation>| operation.status.borrow().result.is_some();
        while all.len() > OPERATIONS_KEPT {
            let Some(oldest) = all.iter().find(|(_, operation)| ended(operation)).map(|(&n, _)| n) else {
                break;
            };
            all.remove(&oldest);
            self.persist.forget_operation(oldest)?;
        }
        Ok(operation)
    }

    /// Ends an operation; its result is remembered durably before anybody sees it.
    pub(super) fn finish(&self, operation: &Operation, result: Result<OperationResult, OperationFailure>) {
        let mut status = operation.status();
        status.ended_ms = Some(now_ms());
        if result.is_ok() {
            status.done = status.total;
        }
        status.result = Some(result);
        if let Err(error) = self.persist.put_operation(&status) {
            tracing::error!(operation = status.number, %error, "can't remember the result of an operation");
        }
        operation.status.send_replace(status);
    }

    /// One operation by number.
    ///
    /// # Errors
    /// There is none, or it was forgotten.
    pub fn get(&self, number: u64) -> Result<Arc<Operation>, EngineError> {
        let found = lock(&self.all).get(&number).map(Arc::clone);
        found.ok_or_else(|| EngineError::not_found("operation", format!("operations/{number}")))
    }

    /// Operations below `before`, newest first, of one collection or of all.
    pub fn list(&self, wanted: impl Fn(&str) -> bool, before: u64, limit: usize) -> Vec<OperationStatus> {
        let all = lock(&self.all);
        let below = all.range(..before).rev().map(|(_, operation)| operation.status());
        below.filter(|status| wanted(&status.collection)).take(limit).collect()
    }

    /// Asks every operation to stop: of one collection, or of all.
    pub(super) fn cancel_all(&self, collection: Option<&str>) {
        for operation in lock(&self.all).values() {
            let status = operation.status.borrow();
            if status.result.is_none() && collection.is_none_or(|name| name == status.collection) {
                operation.cancel();
            }
        }
    }
}

impl Operation {
    fn of(status: OperationStatus) -> Self {
        Self { status: watch::Sender::new(status), cancel: AtomicBool::new(false) }
    }
}

impl From<EngineError> for OperationFailure {
    fn from(error: EngineError) -> Self {
        let kind = match &error {
            EngineError::Cancelled => FailureKind::Cancelled,
            EngineError::Starting | EngineError::Stopping => FailureKind::Interrupted,
            EngineError::Store(store) if store.is_full() => FailureKind::StorageFull,
            EngineError::NotFound { .. }
            | EngineError::AlreadyExists { .. }
            | EngineError::Invalid { .. }
            | EngineError::Precondition { .. }
            | EngineError::Aborted { .. }
            | EngineError::NotAllowed { .. }
            | EngineError::Exhausted { .. }
            | EngineError::OutOfRange { .. } => FailureKind::Precondition,
            EngineError::Store(_) | EngineError::Internal(_) => FailureKind::Internal,
        };
        Self { kind, message: error.to_string() }
    }
}
