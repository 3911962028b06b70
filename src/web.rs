//! What browsers get by plain HTTP at the daemon's address: the review page, which is in the binary, and pictures [only
//! user of axum]. The page's calls are gRPC-Web, and `grpc`'s.

mod files;
mod guard;
mod pictures;
mod session;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use tokio::sync::Semaphore;

use crate::access::{Access, Caller, Refusal, Role};
use crate::config::Config;
use crate::decode::Limits;
use crate::engine::Engine;
use crate::metrics::MEDIA_TYPE;

pub use self::guard::Guard;
pub use self::session::SESSION_PATHS;

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
pub fn page(
    engine: Arc<Engine>,
    access: Arc<Access>,
    config: &Config,
    guard: Guard,
    measure: Measure,
) -> Page {
    let limits = Limits {
        bytes_max: config.image_bytes_max as usize,
        pixels_max: config.image_pixels_max,
        decode_time_max: config.decode_time_max,
    };
    let shared = Arc::new(Shared { engine, limits, previews: Semaphore::new(pictures::PREVIEWS_MAX) });
    let pictures = Router::new()
        .route("/v1/collections/{collection}/images/{image}/thumbnail", get(pictures::thumbnail))
        .with_state(shared);
    let door = from_fn_with_state(Arc::clone(&access), known_only);
    let measured = Router::new().route("/metrics", get(metrics)).with_state(measure);
    let inside = files::routes().merge(pictures).merge(measured).fallback(nothing_here).layer(door);
    let all = if access.is_closed() { inside.merge(session::routes(access)) } else { inside };
    all.layer(from_fn_with_state(guard, guarded))
}

/// Refuses who has no business here, and tells the browser to be strict with the rest.
async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => (StatusCode::FORBIDDEN, refusal.to_string()).into_response(),
    };
    guard::harden(response.headers_mut());
    response
}

/// Lets in who is known, and asks a person at the page for a token. What a caller may see of a collection is looked at
/// where the collection is known.
async fn known_only(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let known = request.extensions().get::<Known>().cloned().unwrap_or(Err(Refusal::Missing));
    match known {
        Ok(caller) => {
            let is_own = request.uri().path() == "/";
            if is_own && access.is_closed() && !caller.may(Role::Read) {
                return session::form("This token may not see pictures.");
            }
            next.run(request).await
        }
        Err(_) if request.uri().path() == "/" => session::form(""),
        Err(refusal) => (StatusCode::UNAUTHORIZED, refusal.to_string()).into_response(),
    }
}

/// Answers what is measured, to who may see all collections: it names them.
async fn metrics(State(measure): State<Measure>, Extension(known): Extension<Known>) -> Response {
    if !known.is_ok_and(|caller| caller.may(Role::Read) && caller.reaches_all()) {
        let needed = "metrics are for callers with the role \"read\" for all collections";
        return (StatusCode::FORBIDDEN, needed).into_response();
    }
    match tokio::task::spawn_blocking(move || measure()).await {
        Ok(text) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn nothing_here() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// Makes the text of all metrics; blocks.
pub type Measure = Arc<dyn Fn() -> String + Send + Sync>;

/// Who sends a request, as `grpc` found out.
pub type Known = Result<Arc<Caller>, Refusal>;
