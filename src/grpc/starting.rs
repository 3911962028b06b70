//! What is answered while the store is opened, which may take minutes: health checks with `NOT_SERVING`, and
//! everything else with UNAVAILABLE.

use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tower_layer::Layer;

use crate::engine::EngineError;

use super::incoming::connections;
use super::status::status;

const HEALTH: &str = "/grpc.health.v1.Health/";

/// Answers so until `over`; then callers are told to connect anew.
///
/// # Errors
/// The transport fails.
pub async fn serve_starting(
    listener: TcpListener,
    over: impl Future<Output = ()>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in ["", "Collection", "Image", "Clustering", "Decision", "Admin"] {
        let name = if service.is_empty() { String::new() } else { format!("culld.v1.{service}Service") };
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    let server = Server::builder().layer(StartingLayer).add_service(health);
    Ok(server.serve_with_incoming_shutdown(connections(listener), over).await?)
}

#[derive(Debug, Clone, Copy)]
struct StartingLayer;

impl<S> Layer<S> for StartingLayer {
    type Service = Starting<S>;

    fn layer(&self, health: S) -> Starting<S> {
        Starting { health }
    }
}

/// Lets nothing but health checks pass.
#[derive(Debug, Clone)]
struct Starting<S> {
    health: S,
}

impl<S, B> Service<Request<B>> for Starting<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Response<Body>, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.health.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.uri().path().starts_with(HEALTH) {
            return Box::pin(self.health.call(request));
        }
        Box::pin(async { Ok(status(EngineError::Starting).into_http()) })
    }
}
