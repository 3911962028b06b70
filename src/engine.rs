//! The use cases: adding, deleting, clustering, judging, deciding. Everything above it only translates, everything
//! below it knows nothing of collections.
//!
//! One writer per collection changes the store first and memory after; readers hold whole generations. Calls block:
//! an asynchronous caller puts them on a thread where that is allowed.

mod add;
mod backup;
mod changes;
mod clusterings;
mod collection;
mod collections;
mod decisions;
mod delete;
mod derived_file;
mod duplicates;
mod error;
mod evaluate;
mod events;
mod evidence;
mod filter;
mod growth;
mod import;
mod ingest;
mod judged;
mod kept_near;
mod likeness;
mod live;
mod lock;
mod map;
mod operations;
mod original;
mod originals;
mod persist;
mod points;
mod query;
mod quota;
mod recluster;
mod requests;
mod review;
mod revisions;
mod roots;
mod schedule;
mod sources;
mod state;
mod suggest;
mod transfer;
mod undo;
mod upkeep;
mod verdict;
mod verify;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::embed::{EmbeddingSpace, Job, Pipeline, PrepareError, Prepared, SubmitError};
use crate::index::{HnswParams, IndexChoice};
use crate::store::{Durability, Store};

pub use self::add::{Added, GROUP_IMAGES_MAX, NewSource, SOURCES_MAX, TOO_MANY_SOURCES};
pub use self::backup::BackupReport;
pub use self::changes::{Changes, HeldPoint, POINT_EXPIRED, POINT_LASTS_MS};
pub use self::clusterings::{ClusterHead, ClusteringHead, MemberRecord, ReachabilityRecord};
pub use self::collection::Collection;
pub use self::collections::NewCollection;
pub use self::decisions::{DecisionReader, Explanation, FullDecision, Look};
pub use self::delete::Deleted;
pub use self::duplicates::{
    DUPLICATES_IMAGES_MAX, DuplicateGroup, DuplicateMember, DuplicateQuery, Duplicates,
};
pub use self::error::EngineError;
pub use self::evaluate::{EvaluateOptions, Evaluation, Named, TRUE_LABELS_MAX, TrueLabel};
pub use self::events::{EventKind, LogEntry, LogFilter, LogPage, NamedImages};
pub use self::filter::{FILTER_IDS_MAX, Filter};
pub use self::ingest::{AddError, Ingest, IngestTask, check_source};
pub use self::likeness::Thresholds;
pub use self::live::{LineageChange, LineageEvent, LiveView};
pub use self::map::{MapPart, MapPoint};
pub use self::operations::{
    FailureKind, ImportSummary, Operation, OperationFailure, OperationResult, OperationStatus, Operations,
};
pub use self::persist::{ImageRecord, SourceRecord};
pub use self::query::{
    ImagePage, ImageView, NEIGHBOURS_MAX, NeighbourQuery, Neighbours, PageBounds, Stats, Thumbnails,
};
pub use self::quota::Quota;
pub use self::recluster::ReclusterRequest;
pub use self::requests::RequestKey;
pub use self::review::{
    AnswerTaken, DecisionChange, ITEM_STALE, NewAnswer, NextReview, Preview, Proposal, ReviewItem,
};
pub use self::revisions::ChangePoint;
pub use self::suggest::Suggestion;
pub use self::transfer::{Imported, TransferProgress};
pub use self::undo::{NewUndo, Undone};
pub use self::verdict::{NewVerdict, Target, VerdictAnswer};
pub use self::verify::{PROBLEMS_LISTED_MAX, Progress, VerifyProblem, VerifyReport, verify_store};

use self::add::Adder;
use self::collection::Keeping;
use self::lock::read;
use self::persist::Persist;
use self::roots::Roots;
use self::worker::Worker;

/// The collection that always exists.
pub const DEFAULT_COLLECTION: &str = "default";
/// What a caller who met overload waits before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked whether a collection needs care.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);
/// And whether no more images come, so that the first question is worked out before somebody opens the page.
const REVIEW_INTERVAL: Duration = Duration::from_millis(250);
/// Characters of a collection's name at most.
pub const NAME_CHARACTERS_MAX: usize = 64;

/// What the engine is made of, and its limits.
pub struct EngineParts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// What a write that was answered survives.
    pub durability: Durability,
    /// What decodes and embeds.
    pub pipeline: Arc<Pipeline>,
    /// Which index collections get.
    pub index: IndexChoice,
    /// Where indexes are saved for the next start; `None`: nowhere.
    pub index_folder: Option<PathBuf>,
    /// Directories that imports may read, canonical.
    pub allowed_roots: Vec<PathBuf>,
    /// How much each collection may hold.
    pub quota: Quota,
    /// Where backups are written; `None`: nowhere.
    pub backup_folder: Option<PathBuf>,
    /// Bytes of one image at most.
    pub image_bytes_max: u64,
    /// Collections at most.
    pub collections_max: usize,
    /// Clusterings kept per collection beside the active one.
    pub clusterings_kept: usize,
    /// How long a review item is leased.
    pub lease_time: Duration,
}

/// All collections and the work on them.
pub struct Engine {
    persist: Persist,
    pipeline: Arc<Pipeline>,
    keeping: Keeping,
    index_folder: Option<PathBuf>,
    allowed_roots: Vec<PathBuf>,
    roots: Roots,
    backup_folder: Option<PathBuf>,
    image_bytes_max: u64,
    collections_max: usize,
    collections: Arc<RwLock<BTreeMap<String, Open>>>,
    /// Held by the one who makes or deletes a collection.
    changing: Mutex<()>,
    upkeep: Worker,
    refresher: Worker,
    lease_time: Duration,
    /// Threads that cluster, shared by all collections.
    pool: Arc<rayon::ThreadPool>,
    /// Above that of every collection there was since the daemon started: records of a deleted one may still be going.
    next_number: AtomicU32,
    operations: Arc<Operations>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A collection that is open.
#[derive(Clone)]
struct Open {
    number: u32,
    collection: Arc<Collection>,
    adder: Adder,
}

impl Engine {
    /// Opens everything the store holds, and makes the default collection if it is not there.
    ///
    /// # Errors
    /// A store that fails or is damaged; the message names the record.
    pub fn open(parts: EngineParts) -> Result<Self, EngineError> {
        let hnsw = HnswParams::default().check()?;
        let persist = Persist::new(parts.store, parts.durability)?;
        let operations = Arc::new(Operations::load(persist.clone())?);
        let collections = Arc::new(RwLock::new(BTreeMap::new()));
        let engine = Self {
            pipeline: parts.pipeline,
            keeping: Keeping {
                index: parts.index,
                hnsw,
                clusterings_max: parts.clusterings_kept,
                quota: parts.quota,
            },
            index_folder: parts.index_folder,
            roots: Roots::open(&parts.allowed_roots)?,
            allowed_roots: parts.allowed_roots,
            backup_folder: parts.backup_folder,
            image_bytes_max: parts.image_bytes_max,
            collections_max: parts.collections_max,
            upkeep: {
                let collections = Arc::clone(&collections);
                Worker::start("culld-upkeep", UPKEEP_INTERVAL, move |stop| {
                    upkeep::keep_up(&collections, stop);
                })?
            },
            refresher: {
                let collections = Arc::clone(&collections);
                Worker::start("culld-review", REVIEW_INTERVAL, move |stop| {
                    review::catch_up(&collections, stop);
                })?
            },
            lease_time: parts.lease_time,
            collections,
            changing: Mutex::new(()),
            pool: Arc::new(points::clustering_pool()?),
            next_number: AtomicU32::new(1),
            operations,
            threads: Mutex::new(Vec::new()),
            persist,
        };
        engine.open_collections()?;
        engine.purge_requests()?;
        Ok(engine)
    }

    fn get(&self, name: &str) -> Result<Open, EngineError> {
        let name = if name.is_empty() { DEFAULT_COLLECTION } else { name };
        read(&self.collections).get(name).cloned().ok_or_else(|| EngineError::not_found("collection", name))
    }

    /// A collection by name; the empty name means the default one.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn collection(&self, name: &str) -> Result<Arc<Collection>, EngineError> {
        Ok(self.get(name)?.collection)
    }

    /// All collections, by name.
    pub fn collections(&self) -> Vec<Arc<Collection>> {
        read(&self.collections).values().map(|open| Arc::clone(&open.collection)).collect()
    }

    /// The space of images that are added now.
    pub fn space(&self) -> &EmbeddingSpace {
        self.pipeline.space()
    }

    /// Directories that imports may read.
    pub fn allowed_roots(&self) -> &[PathBuf] {
        &self.allowed_roots
    }

    /// Images that wait for a worker.
    pub fn waiting_images(&self) -> usize {
        self.pipeline.waiting()
    }

    /// Decodes and embeds a picture that is not stored; `done` gets it, on any thread. Whoever sets `cancelled` before its
    /// turn gives it up.
    ///
    /// # Errors
    /// Too many images wait already, or the daemon is stopping; `done` is not called then.
    pub fn try_prepare(
        &self,
        bytes: Arc<[u8]>,
        cancelled: Arc<AtomicBool>,
        done: Box<dyn FnOnce(Result<Prepared, PrepareError>) + Send>,
    ) -> Result<(), EngineError> {
        let job = Job { bytes, cancelled, done };
        self.pipeline.try_submit(job).map_err(|error| match error {
            SubmitError::Overloaded { .. } => {
                EngineError::Exhausted { message: error.to_string(), retry_after: Some(RETRY_AFTER) }
            }
            SubmitError::Stopped => EngineError::Stopping,
        })
    }

    /// Bytes of files that the store occupies.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn disk_bytes(&self) -> Result<u64, EngineError> {
        self.persist.disk_bytes()
    }

    /// All operations.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Prepares adding to a collection.
    ///
    /// # Errors
    /// An unknown collection, or one of another embedding space.
    pub fn ingest(&self, name: &str) -> Result<Ingest, EngineError> {
        let open = self.get(name)?;
        self.check_space(&open.collection)?;
        Ok(Ingest::new(open.collection, open.adder, Arc::clone(&self.pipeline), self.image_bytes_max))
    }

    /// Whether vectors that are made now may be compared with those of a collection.
    ///
    /// # Errors
    /// The collection lives in another space.
    pub fn check_space(&self, collection: &Collection) -> Result<(), EngineError> {
        if collection.space() == self.space() {
            return Ok(());
        }
        Err(EngineError::Precondition {
            reason: "EMBEDDING_SPACE_MISMATCH",
            message: format!(
                "collection {:?} lives in embedding space {}, the daemon's model makes {}: vectors of different \
                 spaces are never compared",
                collection.name(),
                collection.space().id(),
                self.space().id()
            ),
        })
    }

    /// Starts clustering a collection.
    ///
    /// # Errors
    /// An unknown collection, parameters out of range, or a clustering that still runs.
    pub fn recluster(
        &self,
        name: &str,
        recluster: ReclusterRequest,
        request: Option<&RequestKey>,
    ) -> Result<Arc<Operation>, EngineError> {
        let collection = self.collection(name)?;
        if let Some(operation) = self.started(&collection, request)? {
            return Ok(operation);
        }
        verdict::check_text("actor", &recluster.actor, verdict::ACTOR_CHARACTERS_MAX)?;
        let images = collection.count() as usize;
        if images == 0 {
            return Err(EngineError::Precondition {
                reason: "NO_IMAGES",
                message: format!("collection {:?} has no images to cluster", collection.name()),
            });
        }
        recluster.parameters.check(images).map_err(|error| recluster::parameter_error(&error))?;
        let work = {
            let collection = Arc::clone(&collection);
            move |operation: &Operation| collection.recluster(&recluster, operation)
        };
        self.start(&collection, "Recluster", request, work)
    }

    /// Starts adding what lies under directories of this machine.
    ///
    /// # Errors
    /// An unknown collection, a path outside the allowed roots, tags beyond their limits, or an import that still
    /// runs in the collection.
    pub fn import(
        &self,
        name: &str,
        paths: &[String],
        tags: Vec<String>,
        request: Option<&RequestKey>,
    ) -> Result<Arc<Operation>, EngineError> {
        let ingest = self.ingest(name)?;
        if let Some(operation) = self.started(ingest.collection(), request)? {
            return Ok(operation);
        }
        let paths = import::allowed_paths(paths, &self.roots)?;
        let source = NewSource { tags, ..NewSource::default() };
        check_source(&source).map_err(|description| EngineError::invalid("tags", description))?;
        let collection = Arc::clone(ingest.collection());
        let work = move |operation: &Operation| import::import(&ingest, &paths, &source.tags, operation);
        self.start(&collection, "ImportSources", request, work)
    }

    /// Starts an operation on a thread of its own; one per collection and method runs at a time.
    fn start(
        &self,
        collection: &Arc<Collection>,
        method: &'static str,
        request: Option<&RequestKey>,
        work: impl FnOnce(&Operation) -> Result<OperationResult, EngineError> + Send + 'static,
    ) -> Result<Arc<Operation>, EngineError> {
        let writer = collection.writer()?;
        if let Some(operation) = self.started(collection, request)? {
            return Ok(operation);
        }
        let operation = self.operations.start(collection.name(), method)?;
        if request.is_some() {
            let mut batch = writer.batch();
            batch.remember(request, &Started { operation: operation.status().number })?;
            collection.store.commit("request", batch)?;
        }
        drop(writer);
        self.run(&operation, work);
        Ok(operation)
    }

    /// Does the work of an operation on a thread of its own.
    fn run(
        &self,
        operation: &Arc<Operation>,
        work: impl FnOnce(&Operation) -> Result<OperationResult, EngineError> + Send + 'static,
    ) {
        let (operations, handle) = (Arc::clone(&self.operations), Arc::clone(operation));
        let run = move || {
            let attempt = std::panic::AssertUnwindSafe(|| work(&handle));
            let result = std::panic::catch_unwind(attempt)
                .unwrap_or_else(|_| Err(EngineError::Internal("the operation panicked".to_owned())));
            if let Err(error) = &result {
                tracing::warn!(operation = handle.status().number, %error, "operation failed");
            }
            operations.finish(&handle, result.map_err(OperationFailure::from));
        };
        let spawned = std::thread::Builder::new().name("culld-operation".into()).spawn(run);
        match spawned {
            Ok(thread) => self.keep_thread(thread),
            Err(error) => {
                let error = EngineError::Internal(format!("can't start a thread: {error}"));
                self.operations.finish(operation, Err(error.into()));
            }
        }
    }

    /// The operation that this request started before: whatever became of the data since, a retry gets it.
    fn started(
        &self,
        collection: &Collection,
        request: Option<&RequestKey>,
    ) -> Result<Option<Arc<Operation>>, EngineError> {
        let first: Option<Started> = collection.store.replay(request)?;
        first.map(|first| self.operations.get(first.operation)).transpose()
    }

    fn keep_thread(&self, thread: JoinHandle<()>) {
        let mut threads = lock::lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
    }

    /// Forgets answers to requests that are too old.
    ///
    /// # Errors
    /// The store fails.
    pub fn purge_requests(&self) -> Result<(), EngineError> {
        self.persist.daemon().purge_requests()?;
        for collection in self.collections() {
            collection.store.purge_requests()?;
        }
        Ok(())
    }

    /// Cancels all operations, waits for all threads, and saves what makes the next start faster; what operations
    /// had stored stays.
    pub fn stop(&self) {
        self.operations.cancel_all(None);
        self.upkeep.stop();
        self.refresher.stop();
        for thread in std::mem::take(&mut *lock::lock(&self.threads)) {
            if thread.join().is_err() {
                tracing::error!("an operation's thread panicked");
            }
        }
        let open: Vec<Open> = read(&self.collections).values().cloned().collect();
        for Open { collection, adder, .. } in open {
            adder.stop();
            collection.save_index();
            if let Err(error) = collection.keep_followed(true) {
                tracing::warn!(%error, collection = collection.name(), "the clustering was not kept");
            }
            if let Err(error) = collection.keep_near(true) {
                tracing::warn!(%error, collection = collection.name(), "what is nearest was not kept");
            }
            // What is saved as told is what the next start finds.
            if let Err(error) = collection.settle() {
                tracing::warn!(%error, collection = collection.name(), "the classifier did not catch up");
            }
            if let Err(error) = collection.note_growth() {
                tracing::warn!(%error, collection = collection.name(), "the counts were not recorded");
            }
            if let Err(error) = collection.save_revisions(true) {
                tracing::warn!(%error, collection = collection.name(), "revisions were not saved");
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Started {
    operation: u64,
}
