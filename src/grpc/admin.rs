//! What the daemon is and does, and its operations.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::decode::SIDE_MAX;
use crate::engine::{Collection, DUPLICATES_IMAGES_MAX, EngineError, Operation, OperationStatus, RequestKey};
use crate::proto;
use crate::proto::admin_service_server::AdminService;

use super::add_stream::UNREAD_OUTCOMES_MAX;
use super::page::{PAGE_SIZE_MAX, Page, Position};
use super::status::{blocking, invalid, on_collection, status};
use super::{Shared, caller, convert, fetch};

/// The longest wait for an operation.
const WAIT_MAX: Duration = Duration::from_mins(5);
/// The most that is kept of a call's time for its answer, when it waits.
const WAIT_MARGIN_MAX: Duration = Duration::from_secs(10);
/// The wait for an operation where none is said.
const WAIT_DEFAULT: Duration = Duration::from_secs(30);
/// The shortest time between two looks at an operation.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// The feature of a daemon that asks who calls.
const ASKS_WHO_CALLS: &str = "access";

/// The service over an engine.
pub(super) struct Admin(pub(super) Arc<Shared>);

impl Admin {
    async fn operation(&self, name: &str) -> Result<Arc<Operation>, Status> {
        let number = name.strip_prefix("operations/").and_then(|number| number.parse().ok());
        let number =
            number.ok_or_else(|| invalid("name", format!("{name:?} is not \"operations/\" and a number")))?;
        let engine = Arc::clone(&self.0.engine);
        let operation = blocking(move || engine.operations().get(number)).await?;
        let collection = operation.status().collection;
        // One that is about all collections belongs to those who may see them all.
        if collection.is_empty() && !caller::current().reaches_all() {
            return Err(status(EngineError::NotAllowed {
                reason: "COLLECTION_NOT_ALLOWED",
                message: format!("{name} is about all collections"),
            }));
        }
        if !collection.is_empty() {
            caller::reach(&collection)?;
        }
        Ok(operation)
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    type WatchOperationStream = ReceiverStream<Result<proto::WatchOperationResponse, Status>>;

    async fn get_server_info(
        &self,
        _: Request<proto::GetServerInfoRequest>,
    ) -> Result<Response<proto::GetServerInfoResponse>, Status> {
        let (config, engine) = (&self.0.config, &self.0.engine);
        let limits = proto::ServerLimits {
            image_bytes_max: config.image_bytes_max,
            image_pixels_max: config.image_pixels_max,
            decode_seconds_max: config.decode_time_max.as_secs_f64(),
            inflight_bytes_max: config.inflight_bytes_max,
            unread_outcomes_max: UNREAD_OUTCOMES_MAX as u32,
            page_size_max: PAGE_SIZE_MAX,
            collections_max: config.collections_max as u32,
            clusterings_kept: config.clusterings_kept as u32,
            image_side_px_max: SIDE_MAX,
            fetch_streams_max: fetch::STREAMS_MAX as u32,
            watch_streams_max: super::watch::WATCHERS_MAX as u32,
            request_seconds_max: config.request_time_max.as_secs_f64(),
            duplicates_images_max: DUPLICATES_IMAGES_MAX as u32,
        };
        Ok(Response::new(proto::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            limits: Some(limits),
            embedding_space: Some(convert::space(engine.space())),
            index: format!("{:?}", config.index).to_lowercase(),
            durability: format!("{:?}", config.durability).to_lowercase(),
            allowed_roots: engine.allowed_roots().iter().map(|root| root.display().to_string()).collect(),
            start_time: Some(convert::timestamp(self.0.started_ms)),
            features: if config.access.is_closed() { vec![ASKS_WHO_CALLS.to_owned()] } else { Vec::new() },
            workers: config.workers as u32,
        }))
    }

    async fn get_stats(
        &self,
        request: Request<proto::GetStatsRequest>,
    ) -> Result<Response<proto::GetStatsResponse>, Status> {
        let shared = Arc::clone(&self.0);
        let name = request.into_inner().collection;
        caller::reach(&name)?;
        let (stats, disk_bytes, queued) = blocking(move || {
            let collection = shared.engine.collection(&name)?;
            Ok((collection.stats(), shared.engine.disk_bytes()?, shared.engine.waiting_images()))
        })
        .await?;
        let (active, live) = (stats.active.as_deref(), stats.live.as_deref());
        Ok(Response::new(proto::GetStatsResponse {
            images: stats.images,
            sources: stats.sources,
            generation: stats.generation.0,
            labelled_keep: stats.labelled[0],
            labelled_discard: stats.labelled[1],
            decided_keep: stats.decided[0],
            decided_discard: stats.decided[1],
            in_review: stats.decided[2],
            judgements: stats.judgements,
            bulk_verdicts: stats.bulk_verdicts,
            events: stats.events,
            clusterings: stats.clusterings as u32,
            active_clustering_id: active.map_or(0, |head| head.id),
            clustering_generation: active.map_or(0, |head| head.generation.0),
            live_generation: live.map_or(0, |live| live.generation.0),
            live_clusters: live.map_or(0, |live| live.sizes.len() as u32),
            live_noise: live.map_or(0, |live| live.noise),
            clusters: active.map_or(0, |head| head.clusters.len() as u32),
            noise: active.map_or(0, |head| head.noise),
            index: stats.index.name().to_owned(),
            vector_bytes: stats.vector_bytes,
            disk_bytes,
            queued_images: queued as u32,
            inflight_bytes: self.0.inflight.bytes(),
            review_ready: stats.review_ready,
        }))
    }

    async fn get_growth(
        &self,
        request: Request<proto::GetGrowthRequest>,
    ) -> Result<Response<proto::GetGrowthResponse>, Status> {
        let name = request.into_inner().collection;
        let growth = |collection: Arc<Collection>| Ok(collection.growth());
        let points = on_collection(&self.0.engine, name, growth).await?;
        let points = points.iter().map(convert::growth_point).collect();
        Ok(Response::new(proto::GetGrowthResponse { points }))
    }

    async fn verify(
        &self,
        _: Request<proto::VerifyRequest>,
    ) -> Result<Response<proto::VerifyResponse>, Status> {
        let engine = Arc::clone(&self.0.engine);
        let operation = blocking(move || engine.verify()).await?.status();
        Ok(Response::new(proto::VerifyResponse { operation: Some(convert::operation(&operation)) }))
    }

    async fn backup(
        &self,
        request: Request<proto::BackupRequest>,
    ) -> Result<Response<proto::BackupResponse>, Status> {
        let (engine, request) = (Arc::clone(&self.0.engine), request.into_inner());
        let key = RequestKey::of("Backup", &request.request_id, &request.encode_to_vec()).map_err(status)?;
        let operation = blocking(move || engine.backup(&request.name, key.as_ref())).await?.status();
        Ok(Response::new(proto::BackupResponse { operation: Some(convert::operation(&operation)) }))
    }

    async fn get_operation(
        &self,
        request: Request<proto::GetOperationRequest>,
    ) -> Result<Response<proto::GetOperationResponse>, Status> {
        let operation = self.operation(&request.into_inner().name).await?.status();
        Ok(Response::new(proto::GetOperationResponse { operation: Some(convert::operation(&operation)) }))
    }

    async fn list_operations(
        &self,
        request: Request<proto::ListOperationsRequest>,
    ) -> Result<Response<proto::ListOperationsResponse>, Status> {
        let mut request = request.into_inner();
        let (size, token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
        let page = Page::of("ListOperations", &request, size, &token)?;
        let before = page.position.map_or(u64::MAX, |position| position.after);
        if !request.collection.is_empty() {
            caller::reach(&request.collection)?;
        }
        let (engine, limit, caller) = (Arc::clone(&self.0.engine), page.size + 1, caller::current());
        let list = move || {
            let collection = Some(request.collection.as_str()).filter(|name| !name.is_empty());
            if let Some(name) = collection {
                engine.collection(name)?;
            }
            let of_caller = |name: &str| {
                collection.is_none_or(|wanted| name == wanted)
                    && if name.is_empty() { caller.reaches_all() } else { caller.reaches(name) }
            };
            Ok(engine.operations().list(of_caller, before, limit))
        };
        let mut found = blocking(list).await?;
        let more = found.len() > page.size;
        found.truncate(page.size);
        let last = found.last().map(|status| Position { generation: 0, after: status.number });
        Ok(Response::new(proto::ListOperationsResponse {
            operations: found.iter().map(convert::operation).collect(),
            next_page_token: page.token(last.filter(|_| more)),
        }))
    }

    async fn cancel_operation(
        &self,
        request: Request<proto::CancelOperationRequest>,
    ) -> Result<Response<proto::CancelOperationResponse>, Status> {
        let operation = self.operation(&request.into_inner().name).await?;
        operation.cancel();
        let operation = convert::operation(&operation.status());
        Ok(Response::new(proto::CancelOperationResponse { operation: Some(operation) }))
    }

    async fn wait_operation(
        &self,
        request: Request<proto::WaitOperationRequest>,
    ) -> Result<Response<proto::WaitOperationResponse>, Status> {
        let request = request.into_inner();
        let operation = self.operation(&request.name).await?;
        // The answer has to be out before the call itself has taken too long.
        let limit = self.0.config.request_time_max;
        let wait_max = WAIT_MAX.min(limit.saturating_sub(WAIT_MARGIN_MAX.min(limit / 10)));
        let timeout = match request.timeout.map(Duration::try_from) {
            None => WAIT_DEFAULT.min(wait_max),
            Some(Ok(timeout)) => timeout.min(wait_max),
            Some(Err(_)) => return Err(invalid("timeout", "must not be negative")),
        };
        let (mut watcher, mut stopping) = (operation.watch(), self.0.stopping.clone());
        tokio::select! {
            _ = tokio::time::timeout(timeout, watcher.wait_for(|status| status.result.is_some())) => {}
            _ = super::stopped(&mut stopping) => return Err(status(EngineError::Stopping)),
        }
        let operation = convert::operation(&operation.status());
        Ok(Response::new(proto::WaitOperationResponse { operation: Some(operation) }))
    }

    async fn watch_operation(
        &self,
        request: Request<proto::WatchOperationRequest>,
    ) -> Result<Response<Self::WatchOperationStream>, Status> {
        let watcher = self.operation(&request.into_inner().name).await?.watch();
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(watch_until_done(watcher, sender, self.0.stopping.clone()));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Tells the state of the moment, then each change, but never faster than [`WATCH_INTERVAL`].
async fn watch_until_done(
    mut watcher: watch::Receiver<OperationStatus>,
    sender: mpsc::Sender<Result<proto::WatchOperationResponse, Status>>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let look = watcher.borrow_and_update().clone();
        let message = proto::WatchOperationResponse { operation: Some(convert::operation(&look)) };
        if sender.send(Ok(message)).await.is_err() || look.result.is_some() {
            return;
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
        let stopped = tokio::select! {
            changed = watcher.changed() => changed.is_err(),
            () = sender.closed() => true,
            stopped = super::stopped(&mut stopping) => stopped,
        };
        if stopped {
            // The caller may be gone, and then nobody wants to know.
            drop(sender.send(Err(status(EngineError::Stopping))).await);
            return;
        }
    }
}
