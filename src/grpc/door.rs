//! The door that every call comes through: who calls, whether that one may, whether it is that one's turn.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response, header};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower_layer::Layer;
use tracing::Instrument as _;

use crate::access::{Access, Caller, Credentials, Need, Refusal, Scope, Turn, need_of};
use crate::engine::EngineError;
use crate::metrics::Metrics;

use super::arriving::Arrivals;
use super::caller::on_behalf_of;
use super::meter::Meter;
use super::status::{DOMAIN, status};

/// What says whether the daemon serves, and nothing else, to anyone: what starts and balances services asks it.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// What a caller who has too many calls under way waits before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often an open stream is asked whether its caller would still be let in, at most.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Tells who sends a request, by its headers and the connection's certificate.
pub(super) fn identify<B>(access: &Access, request: &Request<B>) -> Result<Arc<Caller>, Refusal> {
    let connection = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
    let certificates = connection.and_then(TlsConnectInfo::peer_certs);
    let certificate = certificates.as_ref().and_then(|chain| chain.first());
    // HTTP/2 may send cookies in pieces.
    let pieces = request.headers().get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = pieces.collect::<Vec<_>>().join("; ");
    let credentials = Credentials {
        // One that is no text is somebody's all the same, and known to nobody.
        authorization: request
            .headers()
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().unwrap_or_default()),
        cookie: Some(cookies.as_str()).filter(|cookies| !cookies.is_empty()),
        certificate: certificate.map(AsRef::as_ref),
    };
    access.identify(&credentials).map(Arc::new)
}

/// Puts the door before the calls.
#[derive(Clone)]
pub(super) struct DoorLayer {
    /// Who is who.
    pub(super) access: Arc<Access>,
    /// What is counted.
    pub(super) metrics: Metrics,
    /// How requests come in.
    pub(super) arrivals: Arrivals,
}

impl<S> Layer<S> for DoorLayer {
    type Service = Door<S>;

    fn layer(&self, calls: S) -> Door<S> {
        Door {
            calls,
            access: Arc::clone(&self.access),
            metrics: self.metrics.clone(),
            arrivals: self.arrivals.clone(),
        }
    }
}

/// Calls behind the door.
#[derive(Clone)]
pub(super) struct Door<S> {
    calls: S,
    access: Arc<Access>,
    metrics: Metrics,
    arrivals: Arrivals,
}

/// One who was let in.
struct Admitted {
    caller: Arc<Caller>,
    turn: Option<Turn>,
}

/// Whether a request may become a call.
fn admit<B>(access: &Access, request: &Request<B>) -> Result<Admitted, Status> {
    let path = request.uri().path();
    if path.starts_with(HEALTH) {
        return Ok(Admitted { caller: Arc::new(Caller::nobody()), turn: None });
    }
    let caller = identify(access, request).map_err(unauthenticated)?;
    // What is not there is answered as such to who may everything.
    let need = need_of(path);
    check(&caller, need)?;
    let turn = access.turn(&caller, need.is_some_and(|need| need.is_stream));
    let turn = turn.map_err(|over| {
        status(EngineError::Exhausted { message: over.to_string(), retry_after: Some(RETRY_AFTER) })
    })?;
    Ok(Admitted { caller, turn })
}

fn check(caller: &Caller, need: Option<Need>) -> Result<(), Status> {
    use crate::access::Role;
    let everything = Need { role: Some(Role::Admin), scope: Scope::Everything, is_stream: false };
    let need = need.unwrap_or(everything);
    if let Some(role) = need.role.filter(|role| !caller.may(*role)) {
        let message = format!("this call needs the role {:?}, which {:?} has not", role.name(), caller.name);
        return Err(status(EngineError::NotAllowed { reason: "ROLE_NEEDED", message }));
    }
    if need.scope == Scope::Everything && !caller.reaches_all() {
        let message = format!("this call is about all collections, and {:?} may not all", caller.name);
        return Err(status(EngineError::NotAllowed { reason: "COLLECTION_NOT_ALLOWED", message }));
    }
    Ok(())
}

/// An error that says how to be let in.
fn unauthenticated(refusal: Refusal) -> Status {
    let reason = match refusal {
        Refusal::Missing => "CREDENTIALS_MISSING",
        Refusal::Unknown => "CREDENTIALS_UNKNOWN",
    };
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(Code::Unauthenticated, refusal.to_string(), details)
}

impl<S> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Response<Body>, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.calls.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut meter = Meter::begin(&self.metrics, &request);
        let Admitted { caller, turn } = match admit(&self.access, &request) {
            Ok(admitted) => admitted,
            Err(refused) => {
                meter.end(refused.code());
                return Box::pin(async move { Ok(refused.into_http()) });
            }
        };
        meter.span.record("caller", &*caller.name);
        let span = meter.span.clone();
        let held = turn.map(|turn| Held {
            access: Arc::clone(&self.access),
            caller: Arc::clone(&caller),
            looked: Instant::now(),
            _turn: turn,
        });
        let request = request.map(|body| self.arrivals.body(&caller.name, body));
        let answer = on_behalf_of(caller, self.calls.call(request)).instrument(span);
        Box::pin(async move {
            let answer = answer.await?;
            // An error without an answer has its code in the head.
            if let Some(status) = Status::from_header_map(answer.headers()) {
                meter.end(status.code());
            }
            Ok(answer.map(|body| Body::new(AnswerBody { body, held, meter })))
        })
    }
}

/// What an answer holds until it is read.
struct Held {
    access: Arc<Access>,
    caller: Arc<Caller>,
    looked: Instant,
    _turn: Turn,
}

/// An answer that is measured, and ends when its caller is not let in any more.
struct AnswerBody {
    body: Body,
    held: Option<Held>,
    meter: Meter,
}

impl AnswerBody {
    /// Whether the caller is not let in any more, looked at now and then.
    fn is_over(&mut self) -> bool {
        let Some(held) = self.held.as_mut().filter(|held| held.looked.elapsed() >= LOOK_INTERVAL) else {
            return false;
        };
        held.looked = Instant::now();
        !held.access.is_still_let_in(&held.caller)
    }
}

impl http_body::Body for AnswerBody {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let mut polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && frame.is_data()
            && self.is_over()
        {
            self.body = Body::empty();
            let mut trailers = HeaderMap::new();
            let written = unauthenticated(Refusal::Unknown).add_header(&mut trailers);
            polled = Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))));
        }
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    self.meter.end(status.code());
                    self.held = None;
                }
            }
            Poll::Ready(Some(Err(status))) => {
                self.meter.end(status.code());
                self.held = None;
            }
            Poll::Ready(None) => self.held = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
