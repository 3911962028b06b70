//! Errors as status codes with details; the one place that knows both.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::engine::{Collection, Engine, EngineError};

use super::caller::reach;

/// The domain of error reasons.
pub(super) const DOMAIN: &str = "culld.dev";
/// When to try again at a daemon that is starting.
const STARTING_RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error of the engine as a status with details.
pub(super) fn status(error: EngineError) -> Status {
    let message = error.to_string();
    let mut details = ErrorDetails::new();
    let code = match error {
        EngineError::NotFound { what, name } => {
            details.set_resource_info(what, name, "", message.clone());
            info(&mut details, "NOT_FOUND");
            Code::NotFound
        }
        EngineError::AlreadyExists { what, name } => {
            details.set_resource_info(what, name, "", message.clone());
            info(&mut details, "ALREADY_EXISTS");
            Code::AlreadyExists
        }
        EngineError::Invalid { field, description } => {
            details.add_bad_request_violation(field, description);
            info(&mut details, "INVALID_FIELD");
            Code::InvalidArgument
        }
        EngineError::Precondition { reason, .. } => {
            info(&mut details, reason);
            Code::FailedPrecondition
        }
        EngineError::Aborted { reason, .. } => {
            info(&mut details, reason);
            Code::Aborted
        }
        EngineError::NotAllowed { reason, .. } => {
            info(&mut details, reason);
            Code::PermissionDenied
        }
        EngineError::Exhausted { retry_after, .. } => {
            if retry_after.is_some() {
                details.set_retry_info(retry_after);
            }
            info(&mut details, "LIMIT_REACHED");
            Code::ResourceExhausted
        }
        EngineError::OutOfRange { reason, .. } => {
            info(&mut details, reason);
            Code::OutOfRange
        }
        EngineError::Cancelled => {
            info(&mut details, "CANCELLED");
            Code::Cancelled
        }
        EngineError::Starting => {
            details.set_retry_info(Some(STARTING_RETRY_AFTER));
            info(&mut details, "STARTING");
            Code::Unavailable
        }
        EngineError::Stopping => {
            info(&mut details, "STOPPING");
            Code::Unavailable
        }
        EngineError::Store(error) => {
            tracing::error!(%error, "the store failed");
            let full = error.is_full();
            info(&mut details, if full { "STORAGE_FULL" } else { "STORE" });
            if full { Code::ResourceExhausted } else { Code::Internal }
        }
        EngineError::Internal(error) => {
            tracing::error!(%error, "internal error");
            info(&mut details, "INTERNAL");
            Code::Internal
        }
    };
    Status::with_error_details(code, message, details)
}

/// A field of the request that is unusable.
pub(super) fn invalid(field: &str, description: impl Into<String>) -> Status {
    status(EngineError::invalid(field, description))
}

/// A call, or a wait within one, that took longer than it may.
pub(super) fn timed_out(what: &str, limit: Duration) -> Status {
    let mut details = ErrorDetails::new();
    info(&mut details, "DEADLINE_EXCEEDED");
    let message = format!("{what} within {} s", limit.as_secs_f64());
    Status::with_error_details(Code::DeadlineExceeded, message, details)
}

fn info(details: &mut ErrorDetails, reason: &str) {
    details.set_error_info(reason, DOMAIN, std::collections::HashMap::new());
}

/// Runs work on a collection of the caller's where it may block: even to look one up may mean to wait for a writer.
pub(super) async fn on_collection<T: Send + 'static>(
    engine: &Arc<Engine>,
    name: String,
    work: impl FnOnce(Arc<Collection>) -> Result<T, EngineError> + Send + 'static,
) -> Result<T, Status> {
    reach(&name)?;
    let engine = Arc::clone(engine);
    blocking(move || work(engine.collection(&name)?)).await
}

/// Runs blocking work where it may block, and translates its error.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(status),
        Err(error) => Err(status(EngineError::Internal(format!("the call's thread failed: {error}")))),
    }
}
