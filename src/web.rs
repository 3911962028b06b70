//! What browsers get by plain HTTP at the daemon's address: the review page, which is in the binary, and pictures [only
//! user of axum]. The page's calls are gRPC-Web, and `grpc`'s.

mod files;
mod guard;
mod pictures;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::decode::Limits;
use crate::engine::Engine;

pub use self::guard::Guard;

/// The service that answers everything that is no call.
pub type Page = Router;

/// What the handlers share.
struct Shared {
    engine: Arc<Engine>,
    /// What reading a picture's file again may cost.
    limits: Limits,
    /// A permit per picture that is made from its file.
    previews: Semaphore,
}

/// The page and the pictures of an engine.
pub fn page(engine: Arc<Engine>, config: &Config, guard: Guard) -> Page {
    let limits = Limits {
        bytes_max: config.image_bytes_max as usize,
        pixels_max: config.image_pixels_max,
        decode_time_max: config.decode_time_max,
    };
    let shared = Arc::new(Shared { engine, limits, previews: Semaphore::new(pictures::PREVIEWS_MAX) });
    let pictures = Router::new()
        .route("/v1/collections/{collection}/images/{image}/thumbnail", get(pictures::thumbnail))
        .with_state(shared);
    files::routes().merge(pictures).layer(from_fn_with_state(guard, guarded))
}

/// Refuses who has no business here, and tells the browser to be strict with the rest.
async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => (axum::http::StatusCode::FORBIDDEN, refusal.to_string()).into_response(),
    };
    guard::harden(response.headers_mut());
    response
}
