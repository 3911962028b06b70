//! What a call leaves in metrics, logs and traces: its method, its caller, its request id, its code, how long it took.
//! Nothing of what it carries.

use std::time::Instant;

use tonic::Code;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request};
use tracing::Span;

use crate::access::CALLS;
use crate::metrics::Metrics;

/// What names a request, by its sender or by the daemon; answered with every answer.
pub(super) const REQUEST_ID: &str = "x-request-id";
/// Characters of a request id at most.
const ID_CHARACTERS_MAX: usize = 128;
/// Digits of an id that the daemon makes.
const ID_DIGITS: usize = 16;
/// The method of calls that are not of the API.
const OTHER: &str = "other";

/// The id that a request has, or gets.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_usable = |value: &&HeaderValue| {
        let text = value.as_bytes();
        !text.is_empty() && text.len() <= ID_CHARACTERS_MAX && text.iter().all(u8::is_ascii_graphic)
    };
    if let Some(given) = headers.get(REQUEST_ID).filter(is_usable) {
        return given.clone();
    }
    let id = format!("{:0width$x}", rand::random::<u64>(), width = ID_DIGITS);
    HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static(OTHER))
}

/// A call under way; one that is dropped before its end was given up.
pub(super) struct Meter {
    metrics: Metrics,
    method: &'static str,
    began: Instant,
    ended: bool,
    /// What is logged of the call is logged within.
    pub(super) span: Span,
}

impl Meter {
    /// A call begins.
    pub(super) fn begin<B>(metrics: &Metrics, request: &Request<B>) -> Self {
        let path = request.uri().path().trim_start_matches("/culld.v1.");
        // Only names of the API become labels: strangers can't fill the memory with theirs.
        let method = CALLS.iter().map(|(name, _)| *name).find(|name| *name == path).unwrap_or(OTHER);
        metrics.begin(method);
        let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
        let span = tracing::info_span!(
            "call",
            method,
            request_id = id,
            caller = tracing::field::Empty,
            code = tracing::field::Empty
        );
        Self { metrics: metrics.clone(), method, began: Instant::now(), ended: false, span }
    }

    /// The call ends; a second end is none.
    pub(super) fn end(&mut self, code: Code) {
        if self.ended {
            return;
        }
        self.ended = true;
        let (name, took) = (name_of(code), self.began.elapsed());
        self.metrics.end(self.method, name, took);
        self.span.record("code", name);
        let milliseconds = took.as_secs_f64() * 1000.0;
        self.span.in_scope(|| {
            if code == Code::Ok {
                tracing::debug!(milliseconds, "answered");
            } else {
                tracing::info!(code = name, milliseconds, "answered with an error");
            }
        });
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The code as gRPC writes it.
fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
