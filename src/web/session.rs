//! Coming in by the page: a form that takes a token once, and a cookie that only the browser sees.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;

use crate::access::{Access, SESSION_COOKIE, SESSION_LASTS, new_token};

/// Where the form is sent.
const LOG_IN: &str = "/login";
/// Where a session is ended.
const LOG_OUT: &str = "/logout";
/// Where browsers send what is no call.
pub const SESSION_PATHS: [&str; 2] = [LOG_IN, LOG_OUT];

/// Bytes of the form at most.
const FORM_BYTES_MAX: usize = 4096;
const FORM: &str = include_str!("login.html");
const NONCE: &str = "NONCE";
const SAID: &str = "SAID";

/// A route to come in, and one to leave.
pub(super) fn routes(access: Arc<Access>) -> Router {
    Router::new()
        .route(LOG_IN, post(log_in))
        .route(LOG_OUT, post(log_out))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(access)
}

/// The form, in place of a page that is not for everybody.
pub(super) fn form(said: &str) -> Response {
    // Without randomness the form is plain: a style that the policy does not name is not used.
    let nonce = new_token().unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let policy =
        HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (StatusCode::UNAUTHORIZED, headers, FORM.replace(NONCE, &nonce).replace(SAID, said)).into_response()
}

async fn log_in(State(access): State<Arc<Access>>, body: Bytes) -> Response {
    // A token has no character that a form would write otherwise.
    let sent = std::str::from_utf8(&body).unwrap_or_default();
    let token = sent.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
    match access.log_in(token.trim_matches('+')) {
        Ok(secret) => come_back(&access, &secret, SESSION_LASTS.as_secs()),
        Err(_) => form("This token is not known here."),
    }
}

async fn log_out(State(access): State<Arc<Access>>, headers: HeaderMap) -> Response {
    for cookie in headers.get_all(header::COOKIE) {
        access.log_out(cookie.to_str().unwrap_or_default());
    }
    come_back(&access, "", 0)
}

/// Sends the browser to the page, with its cookie set anew.
fn come_back(access: &Access, secret: &str, seconds: u64) -> Response {
    let secure = if access.is_secure() { "; Secure" } else { "" };
    let cookie =
        format!("{SESSION_COOKIE}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let headers =
        [(header::LOCATION, "/"), (header::CACHE_CONTROL, "no-store"), (header::SET_COOKIE, &cookie)];
    (StatusCode::SEE_OTHER, headers).into_response()
}
