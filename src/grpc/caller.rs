//! Who is calling, for as long as a call is answered: set by the door, asked by what names collections and actors.

use std::future::Future;
use std::sync::Arc;

use tonic::Status;

use crate::access::Caller;
use crate::engine::EngineError;

use super::status::status;

tokio::task_local! {
    /// The caller of the call that this task answers.
    static CALLER: Arc<Caller>;
}

/// Answers a call for a caller.
pub(super) async fn on_behalf_of<F: Future>(caller: Arc<Caller>, answer: F) -> F::Output {
    CALLER.scope(caller, answer).await
}

/// The caller of the call that is answered here. Where none is known (a task that left its call behind), one who may
/// nothing: what is forgotten shows as a refusal.
pub(super) fn current() -> Arc<Caller> {
    CALLER.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Caller::nobody()))
}

/// Checks that a collection is in the caller's scope; the empty name means "default".
pub(super) fn reach(collection: &str) -> Result<(), Status> {
    if current().reaches(collection) {
        return Ok(());
    }
    let name = if collection.is_empty() { "default" } else { collection };
    Err(status(EngineError::NotAllowed {
        reason: "COLLECTION_NOT_ALLOWED",
        message: format!("collection {name:?} is not among those of this caller"),
    }))
}

/// The actor of what is done: who is known by a token or a certificate acts by that name, whatever the request says.
pub(super) fn actor(said: String) -> String {
    let caller = current();
    if caller.name.is_empty() { said } else { caller.name.clone() }
}
