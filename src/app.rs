//! Wires the parts together, and takes them apart in order.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::access::{Access, AccessError};
use crate::config::{Config, DurabilitySetting, IndexSetting, ModelSetting};
use crate::decode::Limits;
use crate::embed::{EmbedError, Model, ModelSource, Pipeline, PipelineOptions};
use crate::engine::{Engine, EngineError, EngineParts, Quota};
use crate::grpc::{self, TlsError};
use crate::index::IndexChoice;
use crate::store::{Durability, SledOptions, SledStore, Store, StoreError};

/// Folder of saved indexes within the data folder: a cache, which may be deleted.
const INDEX_FOLDER: &str = "index";
/// How often answers to old requests are forgotten.
const HOUSEKEEPING: Duration = Duration::from_hours(1);
/// How often it is looked whether a policy asks for a clustering.
const POLICY_LOOKS: Duration = Duration::from_secs(2);
/// The longest that one step of a read of the store may take, and how often it is looked whether one does.
const READ_TIME_MAX: Duration = Duration::from_mins(1);
const READ_LOOKS: Duration = Duration::from_secs(5);
/// How long the end of connections is waited for once all calls have ended, and how often it is looked for.
const LET_GO_TIME_MAX: Duration = Duration::from_secs(5);
const LET_GO_INTERVAL: Duration = Duration::from_millis(1);

/// Why the daemon can't start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model can't be loaded.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// What is stored can't be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The tokens can't be used.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The certificate, its key or the callers' authority can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A thread failed.
    #[error("starting failed: {0}")]
    Thread(String),
}

/// A running daemon.
pub struct Daemon {
    address: SocketAddr,
    engine: Arc<Engine>,
    store: Weak<dyn Store>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    drain_time_max: Duration,
}

impl Daemon {
    /// Opens the store, loads the model, and serves; health checks are answered from the beginning.
    ///
    /// # Errors
    /// Anything that keeps it from serving; nothing listens then.
    pub async fn start(config: Config) -> Result<Self, AppError> {
        // What keeps strangers out is looked at first: nothing is opened where it can't be used.
        let access = Arc::new(Access::open(&config.access)?);
        if let Some(files) = &config.access.tls {
            grpc::check_tls(files)?;
        }
        let listen = |source| AppError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let starting = grpc::Starting::on(listener, config.access.tls.as_ref()).await?;
        let thread = |error: JoinError| AppError::Thread(error.to_string());
        let folder = config.data.clone();
        let options = SledOptions::within(config.store_memory_bytes);
        let opened = tokio::task::spawn_blocking(move || SledStore::open(&folder, &options));
        let store: Arc<dyn Store> = Arc::new(opened.await.map_err(thread)??);
        let watched = Arc::downgrade(&store);
        let opening = config.clone();
        let opened = tokio::select! {
            opened = tokio::task::spawn_blocking(move || open(&opening, store)) => opened,
            error = stalled(Weak::clone(&watched)) => return Err(error.into()),
        };
        let engine = Arc::new(opened.map_err(thread)??);
        let listener = starting.end().await.map_err(thread)?;
        let address = listener.local_addr().map_err(listen)?;
        let (stop, stopping) = watch::channel(false);
        let drain_time_max = config.drain_time_max;
        let server = tokio::spawn(serve(listener, Arc::clone(&engine), access, config, stopping));
        tracing::info!(%address, "serving");
        Ok(Self { address, engine, store: watched, stop, server, drain_time_max })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends when the daemon is of no use any more, and says why: a read of the store that does not end holds up whoever
    /// needs what it holds, and stopping in order would wait for it as well.
    pub fn broken(&self) -> impl Future<Output = AppError> + use<> {
        let store = Weak::clone(&self.store);
        async { stalled(store).await.into() }
    }

    /// Stops taking calls, waits for those in flight as long as the settings say, then ends long work.
    pub async fn stop(mut self) {
        tracing::info!("draining");
        self.stop.send_replace(true);
        if tokio::time::timeout(self.drain_time_max, &mut self.server).await.is_err() {
            tracing::warn!("calls still in flight were cut off");
            self.server.abort();
        }
        let engine = self.engine;
        let stopped = tokio::task::spawn_blocking(move || {
            engine.stop();
            let until = Instant::now() + LET_GO_TIME_MAX;
            // Connections let go of the engine a moment after their last answer; with the last one the folder is free.
            while Arc::strong_count(&engine) > 1 && Instant::now() < until {
                std::thread::sleep(LET_GO_INTERVAL);
            }
        });
        if stopped.await.is_err() {
            tracing::error!("long work did not end in order");
        }
        tracing::info!("stopped");
    }
}

async fn serve(
    listener: TcpListener,
    engine: Arc<Engine>,
    access: Arc<Access>,
    config: Config,
    stopping: watch::Receiver<bool>,
) {
    let (house, policies) = (keep_house(Arc::clone(&engine)), keep_policies(Arc::clone(&engine)));
    let housekeeping = tokio::spawn(async { tokio::join!(house, policies) });
    if let Err(error) = grpc::serve(listener, engine, access, &config, stopping).await {
        tracing::error!(%error, "serving failed");
    }
    housekeeping.abort();
    // It was cancelled, unless it panicked; either way it holds the engine no more.
    drop(housekeeping.await);
}

async fn keep_house(engine: Arc<Engine>) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    loop {
        ticks.tick().await;
        let engine = Arc::clone(&engine);
        match tokio::task::spawn_blocking(move || engine.purge_requests()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "old answers were not forgotten"),
            Err(error) => tracing::error!(%error, "housekeeping failed"),
        }
    }
}

/// Clusters anew where a policy asks for it, until dropped.
async fn keep_policies(engine: Arc<Engine>) {
    let mut ticks = tokio::time::interval(POLICY_LOOKS);
    loop {
        ticks.tick().await;
        let engine = Arc::clone(&engine);
        if let Err(error) = tokio::task::spawn_blocking(move || engine.keep_policies()).await {
            tracing::error!(%error, "looking at policies failed");
        }
    }
}

/// Ends when a read of the store does not.
async fn stalled(store: Weak<dyn Store>) -> StoreError {
    let mut ticks = tokio::time::interval(READ_LOOKS);
    loop {
        ticks.tick().await;
        let Some(store) = store.upgrade() else { std::future::pending().await };
        if let Some(error) = store.stalled(READ_TIME_MAX) {
            return error;
        }
    }
}

/// Model, pipeline and engine over the store: that it is locked is found out before the model is loaded.
fn open(config: &Config, store: Arc<dyn Store>) -> Result<Engine, AppError> {
    let source = match &config.model {
        ModelSetting::BuiltIn => ModelSource::BuiltIn,
        ModelSetting::Fake => ModelSource::Fake,
        ModelSetting::File(path) => ModelSource::File(path.clone()),
    };
    let model = Model::load(&source, config.onnxruntime.as_deref())?;
    let limits = Limits {
        bytes_max: config.image_bytes_max as usize,
        pixels_max: config.image_pixels_max,
        decode_time_max: config.decode_time_max,
    };
    let options = PipelineOptions { workers: config.workers, queue_max: config.queue_images_max, limits };
    let pipeline = Arc::new(Pipeline::start(&model, &options)?);
    let choice = match config.index {
        IndexSetting::Flat => IndexChoice::Flat,
        IndexSetting::Hnsw => IndexChoice::Hnsw,
        IndexSetting::Auto => IndexChoice::Auto,
    };
    Ok(Engine::open(EngineParts {
        store,
        durability: match config.durability {
            DurabilitySetting::Fsync => Durability::Fsync,
            DurabilitySetting::Process => Durability::Process,
        },
        pipeline,
        index: choice,
        index_folder: Some(config.data.join(INDEX_FOLDER)),
        backup_folder: config.backup_folder.clone(),
        allowed_roots: config.allowed_roots.clone(),
        quota: Quota { images_max: config.quota.images_max, bytes_max: config.quota.bytes_max },
        image_bytes_max: config.image_bytes_max,
        collections_max: config.collections_max,
        clusterings_kept: config.clusterings_kept,
        lease_time: config.lease_time,
    })?)
}
