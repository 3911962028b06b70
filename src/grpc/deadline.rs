//! Ends calls that take too long, and says so: the transport's own limit would answer CANCELLED, which means that the
//! caller gave up.

use std::time::Duration;

use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tower_layer::Layer;

use super::status::timed_out;

/// The caller's own limit, by gRPC over HTTP/2.
const TIMEOUT_HEADER: &str = "grpc-timeout";

/// Limits every call until its answer begins; a stream goes on as long as it likes.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeadlineLayer {
    /// The longest that a call may take.
    pub(super) limit: Duration,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, limit: self.limit }
    }
}

/// A service whose calls are limited.
#[derive(Debug, Clone)]
pub(super) struct Deadline<S> {
    inner: S,
    limit: Duration,
}

impl<S, B> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let limit = callers_limit(request.headers()).map_or(self.limit, |asked| asked.min(self.limit));
        // The clock starts here and not at the first poll: the transport minds the caller's limit as well, and must not
        // be first.
        let answer = tokio::time::timeout(limit, self.inner.call(request));
        Box::pin(async move {
            answer.await.unwrap_or_else(|_| Ok(timed_out("the call was not answered", limit).into_http()))
        })
    }
}

/// At most eight digits and a unit.
fn callers_limit(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT_HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(count * 60 * 60),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}
