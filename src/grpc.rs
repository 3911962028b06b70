//! The gRPC face of the engine [with `build.rs` and the command line's client the only users of tonic and prost]. It
//! translates and bounds; it decides nothing. The page's calls are the same ones as gRPC-Web, over HTTP/1.1 or 2.

mod add_stream;
mod admin;
mod arriving;
mod caller;
mod clusterings;
mod collections;
mod convert;
mod deadline;
mod decisions;
mod door;
mod duplicates;
mod events;
mod fetch;
mod front;
mod images;
mod incoming;
mod inflight;
mod meter;
mod page;
mod review;
mod starting;
mod status;
mod tls;
mod token;
mod transfer;
mod verify;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::watch::Receiver;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;

use crate::access::Access;
use crate::config::Config;
use crate::engine::Engine;
use crate::metrics::{Flow, Metrics};
use crate::proto;
use crate::proto::admin_service_server::AdminServiceServer;
use crate::proto::clustering_service_server::ClusteringServiceServer;
use crate::proto::collection_service_server::CollectionServiceServer;
use crate::proto::decision_service_server::DecisionServiceServer;
use crate::proto::image_service_server::ImageServiceServer;
use crate::web::{self, Guard};

use self::arriving::Arrivals;
use self::deadline::DeadlineLayer;
pub use self::tls::{TlsError, check_tls};

use self::door::DoorLayer;
use self::front::FrontLayer;
use self::incoming::connections;
use self::inflight::Inflight;
pub use self::starting::Starting;

/// Bytes of a message that carries an image beyond the image itself.
const IMAGE_MESSAGE_OVERHEAD_BYTES: u64 = 1 << 20;
/// A message may carry so many times the image that is allowed: an image too large is read to be told so by name, and
/// only one beyond this breaks its call.
const IMAGE_MESSAGE_SLACK: u64 = 2;
/// Bytes of any other message at most; 200,000 true labels by source key fit.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Bytes of a question after the daemon's health, which anyone may ask.
const HEALTH_BYTES_MAX: usize = 4 << 10;
/// Streams of one connection at most.
const STREAMS_MAX: u32 = 200;
/// How often an idle connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// What all services share.
struct Shared {
    engine: Arc<Engine>,
    config: Config,
    inflight: Inflight,
    metrics: Metrics,
    /// A permit per stream of decisions.
    fetches: Arc<Semaphore>,
    /// A permit per watcher of decisions.
    watchers: Arc<Semaphore>,
    /// A permit per collection that is exported or imported.
    transfers: Arc<Semaphore>,
    /// A permit per image that a stream hands to the queue.
    handing: Arc<Semaphore>,
    stopping: Receiver<bool>,
    started_ms: i64,
}

/// Serves on `listener` until `stopping` turns true, and returns when all calls have ended. Streams that could go on
/// for ever end themselves then; what takes too long is the caller's to cut off.
///
/// # Errors
/// The transport fails.
pub async fn serve(
    listener: TcpListener,
    engine: Arc<Engine>,
    access: Arc<Access>,
    config: &Config,
    stopping: Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let image_message_max =
        (config.image_bytes_max * IMAGE_MESSAGE_SLACK + IMAGE_MESSAGE_OVERHEAD_BYTES) as usize;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let metrics = Metrics::default();
    let shared = Arc::new(Shared {
        engine: Arc::clone(&engine),
        config: config.clone(),
        inflight: Inflight::new(config.inflight_bytes_max),
        metrics: metrics.clone(),
        fetches: Arc::new(Semaphore::new(fetch::STREAMS_MAX)),
        watchers: Arc::new(Semaphore::new(watch::WATCHERS_MAX)),
        transfers: Arc::new(Semaphore::new(transfer::TRANSFERS_MAX)),
        handing: Arc::new(Semaphore::new(add_stream::HANDING_MAX)),
        stopping: stopping.clone(),
        started_ms: now.map_or(0, |since| since.as_millis() as i64),
    });
    let images = ImageServiceServer::new(images::Images(Arc::clone(&shared)))
        .max_decoding_message_size(image_message_max)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let decisions = DecisionServiceServer::new(decisions::Decisions(Arc::clone(&shared)))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let clusterings = ClusteringServiceServer::new(clusterings::Clusterings(Arc::clone(&engine)))
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    let health = health.max_decoding_message_size(HEALTH_BYTES_MAX);
    report_serving(&reporter).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let guard = Guard::new(listener.local_addr()?);
    let page = web::page(Arc::clone(&engine), Arc::clone(&access), config, guard, measure(&shared));
    let arrivals =
        Arrivals { room: Inflight::new(config.inflight_bytes_max), time_max: config.request_time_max };
    let shutdown = drain_signal(stopping, reporter);
    let mut server = Server::builder();
    if let Some(files) = &config.access.tls {
        server = server.tls_config(tls::config(files)?)?;
    }
    server
        .accept_http1(true)
        .layer(FrontLayer { page, guard, access: Arc::clone(&access) })
        .layer(GrpcWebLayer::new())
        .layer(DoorLayer { access, metrics, arrivals })
        .layer(DeadlineLayer { limit: config.request_time_max })
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        // Python's grpcio-reflection, for one, asks by the older name only.
        .add_service(reflection().build_v1alpha()?)
        .add_service(CollectionServiceServer::new(collections::Collections(Arc::clone(&shared))))
        .add_service(images)
        .add_service(clusterings)
        .add_service(decisions)
        .add_service(AdminServiceServer::new(admin::Admin(shared)))
        .serve_with_incoming_shutdown(connections(listener), shutdown)
        .await?;
    Ok(())
}

impl Shared {
    /// An outcome, counted.
    fn counted(&self, outcome: proto::AddOutcome) -> proto::AddOutcome {
        let name = outcome.status().as_str_name().trim_start_matches("ADD_STATUS_").to_lowercase();
        self.metrics.outcome(&name);
        outcome
    }
}

/// What `/metrics` answers.
fn measure(shared: &Arc<Shared>) -> web::Measure {
    // Whoever asks may come when the daemon is going down: the engine is not held for that.
    let shared = Arc::downgrade(shared);
    Arc::new(move || {
        let Some(shared) = shared.upgrade() else { return String::new() };
        let flow = Flow {
            inflight_bytes: shared.inflight.bytes(),
            inflight_bytes_max: shared.config.inflight_bytes_max,
            queue_images_max: shared.config.queue_images_max as u64,
        };
        shared.metrics.text(&shared.engine, flow)
    })
}

/// Answers true once the daemon is to stop. The sender only goes with a daemon that is going down as well.
async fn stopped(stopping: &mut Receiver<bool>) -> bool {
    drop(stopping.wait_for(|stopping| *stopping).await);
    true
}

async fn report_serving(reporter: &HealthReporter) {
    reporter.set_serving::<CollectionServiceServer<collections::Collections>>().await;
    reporter.set_serving::<ImageServiceServer<images::Images>>().await;
    reporter.set_serving::<ClusteringServiceServer<clusterings::Clusterings>>().await;
    reporter.set_serving::<DecisionServiceServer<decisions::Decisions>>().await;
    reporter.set_serving::<AdminServiceServer<admin::Admin>>().await;
}

/// Returns when the daemon is to stop; says so to those who watch its health first.
async fn drain_signal(mut stopping: Receiver<bool>, reporter: HealthReporter) {
    stopped(&mut stopping).await;
    reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    reporter.set_not_serving::<CollectionServiceServer<collections::Collections>>().await;
    reporter.set_not_serving::<ImageServiceServer<images::Images>>().await;
    reporter.set_not_serving::<ClusteringServiceServer<clusterings::Clusterings>>().await;
    reporter.set_not_serving::<DecisionServiceServer<decisions::Decisions>>().await;
    reporter.set_not_serving::<AdminServiceServer<admin::Admin>>().await;
}
