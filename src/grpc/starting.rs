//! What is answered while the store is opened, which may take minutes: health checks with `NOT_SERVING`, and
//! everything else with UNAVAILABLE.

use std::io;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tower_layer::Layer;

use crate::config::TlsFiles;
use crate::engine::EngineError;

use super::incoming::PAUSE;
use super::status::status;
use super::tls::{self, TlsError};

const HEALTH: &str = "/grpc.health.v1.Health/";

/// A listener on which that is answered.
pub struct Starting {
    over: oneshot::Sender<()>,
    accepting: JoinHandle<TcpListener>,
}

impl Starting {
    /// Begins to answer; by TLS where there are files for it, and by nothing else then.
    ///
    /// # Errors
    /// TLS can't be spoken with these files.
    pub async fn on(listener: TcpListener, tls: Option<&TlsFiles>) -> Result<Self, TlsError> {
        let mut server = Server::builder();
        if let Some(files) = tls {
            server = server.tls_config(tls::config(files)?)?;
        }
        let (reporter, health) = tonic_health::server::health_reporter();
        let health = health.max_decoding_message_size(super::HEALTH_BYTES_MAX);
        for service in ["", "Collection", "Image", "Clustering", "Decision", "Admin"] {
            let name = if service.is_empty() { String::new() } else { format!("culld.v1.{service}Service") };
            reporter.set_service_status(name, ServingStatus::NotServing).await;
        }
        let (over, ended) = oneshot::channel();
        let (sender, accepted) = mpsc::channel(1);
        let (closing, closed) = oneshot::channel::<()>();
        let accepting = tokio::spawn(async move {
            // Whoever holds the listener lets go of it; then callers are told to connect anew.
            let _closing = closing;
            accept_until(listener, ended, sender).await
        });
        let server = server.layer(StartingLayer).add_service(health);
        let closed = async { drop(closed.await) };
        tokio::spawn(async {
            if let Err(error) =
                server.serve_with_incoming_shutdown(ReceiverStream::new(accepted), closed).await
            {
                tracing::warn!(%error, "health was not answered while starting");
            }
        });
        Ok(Self { over, accepting })
    }

    /// Ends, and answers the listener: no connection taken from now on is answered so.
    ///
    /// # Errors
    /// The task that took connections failed.
    pub async fn end(self) -> Result<TcpListener, JoinError> {
        drop(self.over);
        self.accepting.await
    }
}

async fn accept_until(
    listener: TcpListener,
    mut over: oneshot::Receiver<()>,
    connections: mpsc::Sender<io::Result<TcpStream>>,
) -> TcpListener {
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            _ = &mut over => return listener,
        };
        match taken {
            Ok((connection, _)) => drop(connections.try_send(Ok(connection))),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct StartingLayer;

impl<S> Layer<S> for StartingLayer {
    type Service = HealthOnly<S>;

    fn layer(&self, health: S) -> HealthOnly<S> {
        HealthOnly { health }
    }
}

/// Lets nothing but health checks pass.
#[derive(Debug, Clone)]
struct HealthOnly<S> {
    health: S,
}

impl<S, B> Service<Request<B>> for HealthOnly<S>
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
