//! The engine's records and where they lie: the typed side of the store.

mod batch;
mod entries;
mod measures;
mod revisions;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::decide::event::Event;
use crate::embed::EmbeddingSpace;
use crate::failpoint;
use crate::growth::Growth;
use crate::store::{
    ChainVerifier, CommitQueue, Durability, Keys, LogRecord, Store, StoreError, Watched, Write, read,
    read_bytes, scan, scan_embeddings,
};
use crate::types::{Generation, ImageId};

use super::clusterings::{ClusteringHead, MemberRecord, ReachabilityRecord};
use super::error::EngineError;
use super::lock::now_ms;
use super::operations::OperationStatus;
use super::requests::{RequestKey, RequestRecord};

pub(super) use self::batch::Batch;
pub(super) use self::revisions::RevisionsRecord;

/// Members, or bars of a plot, in one record.
pub(super) const CHUNK_ENTRIES_MAX: usize = 10_000;
/// The collection number of what belongs to the daemon as a whole.
const DAEMON: u32 = 0;
pub(super) const STATE: &str = "state";

/// A collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CollectionRecord {
    /// The name in requests.
    pub(super) name: String,
    /// When it was made, milliseconds since 1970 UTC.
    pub(super) created_ms: i64,
    /// The space of its embeddings.
    pub(super) space: EmbeddingSpace,
    /// Whether it was deleted; what is left of it then goes when the daemon starts, if not before.
    pub(super) deleted: bool,
}

/// A collection's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateRecord {
    pub(super) generation: Generation,
    pub(super) next_clustering: u64,
    pub(super) next_cluster: u64,
    pub(super) active: Option<u64>,
}

/// One place where an image was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The caller's own key.
    pub key: String,
    /// Where the bytes can be read again; may be empty.
    pub uri: String,
    /// Size in bytes.
    pub size: u64,
    /// When the bytes there last changed, milliseconds since 1970 UTC.
    pub modified_ms: Option<i64>,
    /// When it was first seen.
    pub first_seen_ms: i64,
    /// When it was last seen.
    pub last_seen_ms: i64,
    /// The caller's tags.
    pub tags: Vec<String>,
}

/// The header of an image. Embedding and thumbnail have keys of their own: they are larger, and never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The generation that it came with.
    pub generation: Generation,
    /// When it was added, milliseconds since 1970 UTC.
    pub added_ms: i64,
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// The format's usual lower-case name, such as "jpeg".
    pub format: String,
    /// Size of the image file in bytes.
    pub bytes: u64,
    /// Where it was seen, at least one place, the last seen last.
    pub sources: Vec<SourceRecord>,
}

/// The store with its group commit, shared by all collections.
#[derive(Clone)]
pub(super) struct Persist {
    store: Arc<Watched>,
    commits: Arc<CommitQueue>,
}

impl std::fmt::Debug for Persist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Persist")
    }
}

impl Persist {
    /// Starts group commit over a store.
    pub(super) fn new(store: Arc<dyn Store>, durability: Durability) -> Result<Self, EngineError> {
        let options = crate::store::CommitOptions { durability, ..Default::default() };
        let store = Arc::new(Watched::over(store));
        let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        let commits = Arc::new(CommitQueue::start(shared, options)?);
        Ok(Self { store, commits })
    }

    /// Bytes of files that the store occupies.
    pub(super) fn disk_bytes(&self) -> Result<u64, EngineError> {
        Ok(self.store.size_on_disk()?)
    }

    /// The collections there are, by number.
    pub(super) fn collections(&self) -> Result<Vec<(u32, CollectionRecord)>, EngineError> {
        let mut found = Vec::new();
        scan(&*self.store, &Keys::collections(), |suffix, record| {
            found.extend(Keys::collection_number(suffix).map(|number| (number, record)));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// The records of one collection.
    pub(super) fn collection(&self, number: u32) -> CollectionStore {
        CollectionStore { persist: self.clone(), number }
    }

    /// The records of the daemon as a whole, such as answers to requests about collections.
    pub(super) fn daemon(&self) -> CollectionStore {
        self.collection(DAEMON)
    }

    /// All remembered operations.
    pub(super) fn operations(&self) -> Result<Vec<OperationStatus>, EngineError> {
        let mut found = Vec::new();
        scan(&*self.store, &Keys::operations(DAEMON), |_, status| {
            found.push(status);
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Remembers an operation.
    pub(super) fn put_operation(&self, status: &OperationStatus) -> Result<(), EngineError> {
        let mut batch = crate::store::Batch::new();
        batch.put(&Keys::operation(DAEMON, status.number), status)?;
        Ok(self.commit("operation", batch)?)
    }

    /// Forgets an operation.
    pub(super) fn forget_operation(&self, number: u64) -> Result<(), EngineError> {
        let mut batch = crate::store::Batch::new();
        batch.delete(&Keys::operation(DAEMON, number));
        Ok(self.commit("operation", batch)?)
    }

    fn commit(&self, writer: &'static str, batch: crate::store::Batch) -> Result<(), StoreError> {
        failpoint::pass(writer, "asked");
        self.commits.commit(batch.into_writes())?;
        failpoint::pass(writer, "stored");
        Ok(())
    }

    /// Copies all there is, as it is at one moment near the end; writers wait only for that moment.
    ///
    /// # Errors
    /// Another copy is under way, reading failed, or what `take` answers.
    pub(super) fn copy(
        &self,
        take: &mut dyn FnMut(Vec<Write>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.store.copy(take)
    }
}

/// The records of one collection.
#[derive(Clone)]
pub(super) struct CollectionStore {
    persist: Persist,
    number: u32,
}

impl CollectionStore {
    fn store(&self) -> &dyn Store {
        &*self.persist.store
    }

    /// An empty batch for this collection.
    pub(super) fn batch(&self) -> Batch {
        Batch { inner: crate::store::Batch::new(), number: self.number }
    }

    /// Writes a batch of one of [`failpoint::WRITERS`]; durable when this returns.
    pub(super) fn commit(&self, writer: &'static str, batch: Batch) -> Result<(), StoreError> {
        self.persist.commit(writer, batch.inner)
    }

    /// The counters.
    pub(super) fn state(&self) -> Result<Option<StateRecord>, EngineError> {
        Ok(read(self.store(), &Keys::meta(self.number, STATE))?)
    }

    /// How the counts went over time.
    pub(super) fn growth(&self) -> Result<Option<Growth>, EngineError> {
        Ok(read(self.store(), &Keys::growth(self.number))?)
    }

    /// The header of an image.
    pub(super) fn header(&self, image: &ImageId) -> Result<Option<ImageRecord>, EngineError> {
        Ok(read(self.store(), &Keys::image(self.number, image))?)
    }

    /// Visits all headers, by id.
    pub(super) fn scan_headers(
        &self,
        mut visit: impl FnMut(ImageId, ImageRecord),
    ) -> Result<(), EngineError> {
        Ok(scan(self.store(), &Keys::images(self.number), |suffix, header| {
            if let Some(image) = Keys::image_id(suffix) {
                visit(image, header);
            }
            ControlFlow::Continue(())
        })?)
    }

    /// Visits all embeddings, in order of arrival.
    pub(super) fn scan_embeddings(
        &self,
        dim: usize,
        mut visit: impl FnMut(ImageId, &[f32]),
    ) -> Result<(), EngineError> {
        let mut wrong = None;
        scan_embeddings(self.store(), &Keys::embeddings(self.number), |suffix, values| {
            match Keys::arrival(suffix) {
                Some((_, image)) if values.len() == dim => visit(image, &values),
                found => wrong = Some((found, values.len())),
            }
            ControlFlow::Continue(())
        })?;
        match wrong {
            None => Ok(()),
            Some((arrival, found)) => Err(EngineError::Internal(format!(
                "the embedding of {arrival:?} has {found} dimensions, the collection's space has {dim}"
            ))),
        }
    }

    /// The thumbnail of the image that came with this generation, JPEG.
    pub(super) fn thumbnail(
        &self,
        came: Generation,
        image: &ImageId,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(read_bytes(self.store(), &Keys::thumbnail(self.number, came.0, image))?)
    }

    /// Embeddings of labelled images that were deleted.
    pub(super) fn fingerprints(&self) -> Result<HashMap<ImageId, Vec<f32>>, EngineError> {
        let mut found = HashMap::new();
        scan_embeddings(self.store(), &Keys::fingerprints(self.number), |suffix, values| {
            found.extend(Keys::image_id(suffix).map(|image| (image, values)));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Labelled images that were deleted, by id.
    pub(super) fn departed_images(&self) -> Result<Vec<ImageId>, EngineError> {
        let prefix = Keys::fingerprints(self.number);
        let mut found = Vec::new();
        self.store().scan(prefix.as_bytes(), &mut |key, _| {
            found.extend(Keys::image_id(&key[prefix.as_bytes().len()..]));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Visits the log, oldest first, and checks its chain; answers the last hash.
    pub(super) fn scan_log(&self, mut visit: impl FnMut(u64, Event)) -> Result<[u8; 32], EngineError> {
        let mut chain = ChainVerifier::default();
        let mut broken = None;
        scan(self.store(), &Keys::events(self.number), |_, record: LogRecord| {
            let checked = chain.check(&record).map_err(|error| error.to_string());
            let event = checked.and_then(|()| decode_event(&record));
            match event {
                Ok(event) => {
                    visit(record.seq + 1, event);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    broken = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        broken.map_or(Ok(chain.last_hash()), |error| Err(EngineError::Internal(error)))
    }

    /// One event of the log.
    pub(super) fn event(&self, sequence: u64) -> Result<Option<Event>, EngineError> {
        let Some(seq) = sequence.checked_sub(1) else {
            return Ok(None);
        };
        let record: Option<LogRecord> = read(self.store(), &Keys::event(self.number, seq))?;
        record.map(|record| decode_event(&record).map_err(EngineError::Internal)).transpose()
    }

    /// The clusterings that are kept.
    pub(super) fn heads(&self) -> Result<Vec<ClusteringHead>, EngineError> {
        let mut found = Vec::new();
        scan(self.store(), &Keys::clusterings(self.number), |_, head| {
            found.push(head);
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// The members of a clustering, noise included.
    pub(super) fn members(&self, clustering: u64) -> Result<Vec<MemberRecord>, EngineError> {
        let mut found = Vec::new();
        scan(self.store(), &Keys::members_of(self.number, clustering), |_, chunk: Vec<MemberRecord>| {
            found.extend(chunk);
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// The reachability plot of a clustering, in cluster order; empty where it has none.
    pub(super) fn reachability(&self, clustering: u64) -> Result<Vec<ReachabilityRecord>, EngineError> {
        let mut found = Vec::new();
        scan(
            self.store(),
            &Keys::reachability_of(self.number, clustering),
            |_, chunk: Vec<ReachabilityRecord>| {
                found.extend(chunk);
                ControlFlow::Continue(())
            },
        )?;
        Ok(found)
    }

    /// Images with a source of this key.
    pub(super) fn images_at(&self, source_key: &str) -> Result<Vec<ImageId>, EngineError> {
        let mut found = Vec::new();
        scan(self.store(), &Keys::images_at(self.number, source_key), |suffix, (): ()| {
            found.extend(Keys::image_id(suffix));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// The answer to a request, unless it is too old.
    fn request(&self, key: &RequestKey) -> Result<Option<RequestRecord>, EngineError> {
        let found: Option<RequestRecord> = read(self.store(), &Keys::request(self.number, &key.key))?;
        Ok(found.filter(|record| !record.is_expired(now_ms())))
    }

    /// The first answer to this request, where it was answered before.
    ///
    /// # Errors
    /// The id was used for another request, or the store fails.
    pub(super) fn replay<R: DeserializeOwned>(
        &self,
        key: Option<&RequestKey>,
    ) -> Result<Option<R>, EngineError> {
        let Some(key) = key else { return Ok(None) };
        self.request(key)?.map(|record| record.answer(key)).transpose()
    }

    /// Forgets answers that are too old; answers how many.
    pub(super) fn purge_requests(&self) -> Result<usize, EngineError> {
        let now = now_ms();
        let mut expired = Vec::new();
        scan(self.store(), &Keys::requests(self.number), |suffix, record: RequestRecord| {
            if record.is_expired(now) {
                expired.extend(<[u8; 32]>::try_from(suffix));
            }
            ControlFlow::Continue(())
        })?;
        let mut batch = self.batch();
        expired.iter().for_each(|key| batch.inner.delete(&Keys::request(self.number, key)));
        if !batch.inner.is_empty() {
            self.commit("purge", batch)?;
        }
        Ok(expired.len())
    }

    /// Deletes everything of this collection, in steps that each fit a batch; its own record, which says that it was
    /// deleted, goes last.
    pub(super) fn delete_all(&self) -> Result<(), EngineError> {
        let own = Keys::collection(self.number);
        for prefix in Keys::all_of(self.number) {
            loop {
                let mut batch = self.batch();
                let mut keys = 0;
                self.store().scan(prefix.as_bytes(), &mut |key, _| {
                    if key != own.as_bytes() {
                        batch.inner.delete_raw(key);
                        keys += 1;
                    }
                    if keys < CHUNK_ENTRIES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })?;
                if keys == 0 {
                    break;
                }
                self.commit("delete-collection", batch)?;
            }
        }
        let mut batch = self.batch();
        batch.inner.delete(&own);
        Ok(self.commit("delete-collection", batch)?)
    }
}

fn decode_event(record: &LogRecord) -> Result<Event, String> {
    postcard::from_bytes(&record.payload).map_err(|error| format!("log entry {}: {error}", record.seq + 1))
}
