//! What can go wrong in a use case, as a short closed list with facts; `grpc` alone turns it into status codes.

use std::time::Duration;

use crate::decide::policy::PolicyError;
use crate::index::IndexError;
use crate::store::StoreError;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such thing.
    #[error("there is no {what} {name:?}")]
    NotFound {
        /// The kind of thing, such as "collection".
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// The name is taken.
    #[error("there is a {what} {name:?} already")]
    AlreadyExists {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A field of the request is unusable.
    #[error("{field}: {description}")]
    Invalid {
        /// The field, as in the proto.
        field: String,
        /// What is wrong with it, with the facts.
        description: String,
    },
    /// The request is fine, but not in this state of things.
    #[error("{message}")]
    Precondition {
        /// A constant for programs, such as `CLUSTERING_PRUNED`.
        reason: &'static str,
        /// In words.
        message: String,
    },
    /// What the request is about changed meanwhile.
    #[error("{message}")]
    Aborted {
        /// A constant for programs, such as `ITEM_STALE`.
        reason: &'static str,
        /// In words.
        message: String,
    },
    /// The caller may not.
    #[error("{message}")]
    NotAllowed {
        /// A constant for programs, such as `PATH_NOT_ALLOWED`.
        reason: &'static str,
        /// In words.
        message: String,
    },
    /// A limit is reached.
    #[error("{message}")]
    Exhausted {
        /// In words.
        message: String,
        /// When to try again; `None` where waiting won't help.
        retry_after: Option<Duration>,
    },
    /// What the request goes on from is there no more; it has to start anew.
    #[error("{message}")]
    OutOfRange {
        /// A constant for programs, such as `TOKEN_EXPIRED`.
        reason: &'static str,
        /// In words, with what to do.
        message: String,
    },
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The daemon is starting.
    #[error("the daemon is starting")]
    Starting,
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

impl EngineError {
    /// A field that is unusable.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), description: description.into() }
    }

    /// A thing that is not there.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers have ids, numbers and texts, most of them temporary"
    )]
    pub fn not_found(what: &'static str, name: impl ToString) -> Self {
        Self::NotFound { what, name: name.to_string() }
    }
}

impl From<IndexError> for EngineError {
    /// An index refuses only rows that the store should never have taken.
    fn from(error: IndexError) -> Self {
        Self::Internal(format!("index: {error}"))
    }
}

impl From<PolicyError> for EngineError {
    fn from(error: PolicyError) -> Self {
        Self::invalid(
            format!("policy.{}", error.field),
            format!("is {}, but must be in {}", error.received, error.range),
        )
    }
}
