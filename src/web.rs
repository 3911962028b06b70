//! What browsers get by plain HTTP at the daemon's address: the review page, which is in the binary, and pictures [only
//! user of axum]. The page's calls are gRPC-Web, and `grpc`'s.

mod files;
mod guard;
mod pictures;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::access::{Access, Caller, Refusal, Role};
use crate::config::Config;
use crate::decode::Limits;
use crate::engine::Engine;

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
pub fn page(engine: Arc<Engine>, access: Arc<Access>, config: &Config, guard: Guard) -> Page {
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
    let inside = files::routes().merge(pictures).fallback(nothing_here).layer(door);
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

async fn nothing_here() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// Who sends a request, as `grpc` found out.
pub type Known = Result<Arc<Caller>, Refusal>;
