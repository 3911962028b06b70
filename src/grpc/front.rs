//! Parts what comes to the daemon's one address: calls are POSTs, and everything else is the page's.

use std::sync::Arc;

use tonic::body::Body;
use tonic::codegen::http::{Method, Request, Response, StatusCode, header};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tower_layer::Layer;

use crate::access::Access;
use crate::web::{self, Guard, Page};

use super::door::identify;
use super::meter::{REQUEST_ID, request_id};

/// Puts the page beside the calls, and keeps other pages from them.
#[derive(Clone)]
pub(super) struct FrontLayer {
    /// What answers everything that is no call.
    pub(super) page: Page,
    /// Which pages may call.
    pub(super) guard: Guard,
    /// Who is who.
    pub(super) access: Arc<Access>,
}

impl<S> Layer<S> for FrontLayer {
    type Service = Front<S>;

    fn layer(&self, calls: S) -> Front<S> {
        Front { calls, page: self.page.clone(), guard: self.guard, access: Arc::clone(&self.access) }
    }
}

/// Calls and page.
#[derive(Clone)]
pub(super) struct Front<S> {
    calls: S,
    page: Page,
    guard: Guard,
    access: Arc<Access>,
}

impl<S> Service<Request<Body>> for Front<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Response<Body>, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // The page is always ready.
        self.calls.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = request_id(request.headers());
        request.headers_mut().insert(REQUEST_ID, id.clone());
        let answer = self.answer(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            answer.headers_mut().insert(REQUEST_ID, id);
            Ok(answer)
        })
    }
}

impl<S> Front<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    fn answer(&mut self, mut request: Request<Body>) -> BoxFuture<Response<Body>, S::Error> {
        let is_session = web::SESSION_PATHS.contains(&request.uri().path());
        if request.method() != Method::POST || is_session {
            let caller = identify(&self.access, &request);
            request.extensions_mut().insert(caller);
            let answer = self.page.call(request);
            return Box::pin(async move {
                let answer = answer.await.unwrap_or_else(|never| match never {});
                Ok(answer.map(Body::new))
            });
        }
        // Browsers name the origin of every POST; what names none is a program, and as welcome as ever.
        if request.headers().contains_key(header::ORIGIN)
            && let Err(refusal) = self.guard.check(request.uri(), request.headers())
        {
            let mut answer = Response::new(Body::new(refusal.to_string()));
            *answer.status_mut() = StatusCode::FORBIDDEN;
            return Box::pin(async move { Ok(answer) });
        }
        Box::pin(self.calls.call(request))
    }
}
