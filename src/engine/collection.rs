//! A collection: one writer, many readers of whole generations.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::decide::event::{Act, Event};
use crate::decide::fold::{Fold, undone};
use crate::decide::policy::Policy;
use crate::decode::Measures;
use crate::embed::EmbeddingSpace;
use crate::growth::Growth;
use crate::index::{HnswValidParams, IndexChoice, SnapshotKey, VectorIndex};
use crate::types::{Generation, ImageId, PointOffset, Vectors};

use super::changes::Saving;
use super::clusterings::{Places, places};
use super::duplicates::FoundDuplicates;
use super::error::EngineError;
use super::evidence::{EvidenceSets, NearRows};
use super::judged::{assemble, evidence_of, nearest};
use super::kept_near::NearKeeper;
use super::live::{BackOff, Followed, Keeper};
use super::lock::{lock, now_ms, read, write};
use super::map::Mapped;
use super::originals::Departed;
use super::persist::{Batch, CollectionRecord, CollectionStore, StateRecord};
use super::quota::Quota;
use super::requests::RequestKey;
use super::review::Review;
use super::revisions::{Deletions, Revisions};
use super::state::{Derived, Row, Rows, Snapshot, State};

/// How a collection is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeping {
    /// Which index it gets.
    pub(super) index: IndexChoice,
    /// Parameters of the graph, where it gets one.
    pub(super) hnsw: HnswValidParams,
    /// Clusterings kept beside the active one.
    pub(super) clusterings_max: usize,
    /// How much it may hold.
    pub(super) quota: Quota,
}

/// A separate world of images.
pub struct Collection {
    pub(super) record: CollectionRecord,
    pub(super) store: CollectionStore,
    pub(super) keeping: Keeping,
    index_folder: Option<PathBuf>,
    pub(super) state: RwLock<State>,
    writer: Mutex<()>,
    /// Held while parameters are looked for.
    pub(super) suggesting: Mutex<()>,
    closed: AtomicBool,
    /// Threads that cluster. A pool of their own: what holds the state to change it may wait for the common one, and
    /// while a clustering has all of that, verdicts and adds would wait too.
    pub(super) pool: Arc<rayon::ThreadPool>,
    /// The active clustering as it is followed; locked with the writer's turn.
    pub(super) followed: Mutex<Option<Followed>>,
    /// Held by the one who begins to follow a clustering; taken before the writer's turn.
    pub(super) beginning: Mutex<BackOff>,
    /// What is kept of it on disk.
    pub(super) keeper: Keeper,
    /// What is kept on disk of what is nearest to rows.
    pub(super) near_keeper: NearKeeper,
    pub(super) review: Review,
    /// The near-duplicates found last; locked while they are looked for.
    pub(super) duplicates: Mutex<Option<FoundDuplicates>>,
    /// How the counts went over time, as it is saved.
    pub(super) growth: Mutex<Growth>,
    /// Where its images lie on the map; locked while they are laid out.
    pub(super) mapped: Mutex<Option<Mapped>>,
    /// The tick of the last change of a decision.
    pub(super) ticks: watch::Sender<u64>,
    /// Held by the one who saves revisions; taken before the writer's turn.
    pub(super) saving: Mutex<Saving>,
}

/// The right to change a collection, held by one thread at a time.
pub(super) struct Writer<'a> {
    pub(super) collection: &'a Collection,
    _turn: MutexGuard<'a, ()>,
}

impl Collection {
    /// Rebuilds a collection from what the store holds.
    ///
    /// # Errors
    /// A record that is damaged or missing, or a broken log chain, is named.
    pub(super) fn open(
        record: CollectionRecord,
        store: CollectionStore,
        keeping: Keeping,
        index_folder: Option<PathBuf>,
        pool: Arc<rayon::ThreadPool>,
        review: Review,
    ) -> Result<Self, EngineError> {
        let dim = record.space.dim;
        let saved = store.state()?.unwrap_or_default();
        let measures = store.all_measures()?;
        let (rows, vectors, sources) = load_rows(&store, dim, &measures)?;
        let log = load_log(&store, record.created_ms)?;
        let heads = store.heads()?.into_iter().map(|head| (head.id, Arc::new(head))).collect();
        let index = load_index(&record, keeping, index_folder.as_deref(), saved.generation, &rows, &vectors)?;
        let mut state = State {
            generation: saved.generation,
            rows: Arc::new(rows),
            vectors,
            index,
            sources,
            labels: Arc::new(log.fold.labels),
            answers: Arc::new(log.fold.answers),
            evidence: Arc::new(EvidenceSets::new(dim)),
            seen: Arc::new(EvidenceSets::new(dim)),
            undos: Arc::new(log.undos),
            named: log.named,
            judgements: log.judgements,
            scorer: None,
            departed: load_departed(&store, &measures)?,
            policy: log.policy,
            policy_version: log.policy_version,
            policy_ms: log.policy_ms,
            events: log.events,
            last_hash: log.last_hash,
            heads,
            active: saved.active,
            next_clustering: saved.next_clustering.max(1),
            next_cluster: saved.next_cluster.max(1),
            derived: Arc::new(Derived::default()),
            live: None,
            revisions: Arc::new(Revisions::default()),
            compactions: 0,
        };
        let [evidence, seen] = evidence_of(&state, &state.labels);
        (state.evidence, state.seen) = (Arc::new(evidence), Arc::new(seen));
        let growth = super::growth::load(store.growth());
        let collection = Self {
            record,
            store,
            keeping,
            index_folder,
            state: RwLock::new(state),
            writer: Mutex::new(()),
            suggesting: Mutex::new(()),
            closed: AtomicBool::new(false),
            pool,
            followed: Mutex::new(None),
            beginning: Mutex::default(),
            keeper: Keeper::default(),
            near_keeper: NearKeeper::default(),
            review,
            duplicates: Mutex::new(None),
            growth: Mutex::new(growth),
            mapped: Mutex::new(None),
            ticks: watch::Sender::new(0),
            saving: Mutex::default(),
        };
        collection.derive_active()?;
        // So that no decision looks other than before the restart.
        collection.settle()?;
        collection.take_up_revisions(&log.deletions);
        Ok(collection)
    }

    /// Works out everything derived from the active clustering afresh, and publishes it.
    fn derive_active(&self) -> Result<(), EngineError> {
        let active = read(&self.state).active_head().map(Arc::clone);
        let places = match active {
            Some(head) => places(head.generation, &self.store.members(head.id)?),
            None => Places::default(),
        };
        let near = self.kept_near();
        let derived = derive(&read(&self.state), &places, near);
        write(&self.state).derived = Arc::new(derived);
        Ok(())
    }

    /// Takes up what was told before this start. It is derived: where it is damaged, everything is told anew.
    fn take_up_revisions(&self, deletions: &Deletions) {
        let saved = self.store.revisions().unwrap_or_else(|error| {
            tracing::warn!(%error, collection = self.name(), "every decision is told anew");
            None
        });
        write(&self.state).restore_revisions(saved, deletions);
    }

    /// What the log folds to now.
    pub(super) fn fold(&self) -> Result<Folded, EngineError> {
        load_log(&self.store, self.record.created_ms)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// The space its embeddings live in.
    pub fn space(&self) -> &EmbeddingSpace {
        &self.record.space
    }

    /// When it was made, milliseconds since 1970 UTC.
    pub fn created_ms(&self) -> i64 {
        self.record.created_ms
    }

    /// Where derived state is kept, if it is.
    pub(super) fn derived_folder(&self) -> Option<&Path> {
        self.index_folder.as_deref()
    }

    /// Saves the index for the next start, where that is faster than building it again. A collection whose rows have
    /// gaps is renumbered when it is opened, so its index is not worth saving.
    pub(super) fn save_index(&self) {
        let Some(folder) = &self.index_folder else { return };
        let state = read(&self.state);
        if state.rows.count() != state.rows.all().len() {
            return;
        }
        let key = snapshot_key(&self.record, state.generation, &state.rows);
        if let Err(error) = state.index.save(folder, &key) {
            tracing::warn!(%error, collection = self.name(), "the index was not saved");
        }
        crate::failpoint::pass("index", "saved");
    }

    /// The generation of the moment.
    pub(super) fn snapshot(&self) -> Snapshot {
        read(&self.state).snapshot()
    }

    /// Waits for the turn to write.
    ///
    /// # Errors
    /// The collection was deleted meanwhile.
    pub(super) fn writer(&self) -> Result<Writer<'_>, EngineError> {
        let turn = lock(&self.writer);
        if self.is_closed() {
            return Err(EngineError::not_found("collection", &self.record.name));
        }
        Ok(Writer { collection: self, _turn: turn })
    }

    /// Whether the collection is being deleted.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether it holds nothing, and nothing was said or done in it.
    pub(super) fn is_untouched(&self) -> bool {
        let state = read(&self.state);
        state.generation == Generation::default() && state.events == 0
    }

    /// Waits for the writer of the moment, and admits no other: the collection is being deleted.
    pub(super) fn close(&self) {
        let _turn = lock(&self.writer);
        self.close_now();
    }

    fn close_now(&self) {
        self.closed.store(true, Ordering::Release);
        // Whoever waits for changes waits in vain.
        self.ticks.send_modify(|_| {});
    }
}

impl Writer<'_> {
    /// Admits no other writer after this one.
    pub(super) fn close(self) {
        self.collection.close_now();
    }

    /// A batch that belongs to this collection.
    pub(super) fn batch(&self) -> Batch {
        self.collection.store.batch()
    }

    /// The first answer to this request, where it was answered before.
    ///
    /// # Errors
    /// The id was used for another request.
    pub(super) fn replay<R: DeserializeOwned>(
        &self,
        key: Option<&RequestKey>,
    ) -> Result<Option<R>, EngineError> {
        self.collection.store.replay(key)
    }

    /// Appends an event to the batch and answers its place in the log with the new head of the chain.
    pub(super) fn append(
        &self,
        batch: &mut Batch,
        actor: &str,
        note: &str,
        act: Act,
    ) -> Result<(u64, [u8; 32], Event), EngineError> {
        let (sequence, previous) = {
            let state = read(&self.collection.state);
            (state.events + 1, state.last_hash)
        };
        let event = Event { at_ms: now_ms(), actor: actor.to_owned(), note: note.to_owned(), act };
        let hash = batch.put_event(sequence, previous, &event)?;
        Ok((sequence, hash, event))
    }

    /// Publishes a change of the state; the store has it already. This is the one way for decisions to change: what
    /// differs from what was told gets a new revision, and whoever waits for changes is woken.
    pub(super) fn publish<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = write(&self.collection.state);
        let result = change(&mut state);
        let told = state.tell();
        drop(state);
        if let Some(tick) = told {
            self.collection.ticks.send_replace(tick);
        }
        result
    }

    /// Publishes a change that no decision feels, such as of an index: nothing is compared.
    pub(super) fn publish_aside<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut write(&self.collection.state))
    }

    /// The counters to be stored with a batch that moves them.
    pub(super) fn saved_state(&self) -> StateRecord {
        let state = read(&self.collection.state);
        StateRecord {
            generation: state.generation,
            next_clustering: state.next_clustering,
            next_cluster: state.next_cluster,
            active: state.active,
        }
    }
}

fn snapshot_key(record: &CollectionRecord, generation: Generation, rows: &Rows) -> SnapshotKey {
    SnapshotKey::new(generation, &record.space.id(), rows.alive().map(|(offset, row)| (offset, row.image)))
}

/// The index of the rows: from its snapshot where there is one of the same, else built.
fn load_index(
    record: &CollectionRecord,
    keeping: Keeping,
    folder: Option<&Path>,
    generation: Generation,
    rows: &Rows,
    vectors: &Vectors,
) -> Result<Box<dyn VectorIndex>, EngineError> {
    let offsets: Vec<PointOffset> = (0..rows.all().len() as PointOffset).collect();
    let index = match folder {
        Some(folder) => {
            let key = snapshot_key(record, generation, rows);
            keeping.index.load_or_build(vectors, &offsets, keeping.hnsw, folder, &key)
        }
        None => keeping.index.build_now(vectors, &offsets, keeping.hnsw),
    };
    Ok(index?)
}

/// Works out places, nearest labelled images, votes and decisions; `near` where they are known already. The scores
/// stay as they are.
pub(super) fn derive(state: &State, places: &Places, near: Option<NearRows>) -> Derived {
    let rows = &state.rows;
    let places: Vec<_> = rows.all().iter().map(|row| places.of(row)).collect();
    let sets = || nearest(state, &state.labels, [&state.evidence, &state.seen]);
    assemble(state, &state.labels, &state.policy, places, near.unwrap_or_else(sets))
}

/// What labelled images left behind that were deleted.
fn load_departed(
    store: &CollectionStore,
    measures: &HashMap<ImageId, Measures>,
) -> Result<HashMap<ImageId, Departed>, EngineError> {
    let hash = |image: &ImageId| measures.get(image).and_then(|measures| measures.hash);
    let fingerprints = store.fingerprints()?.into_iter();
    Ok(fingerprints.map(|(image, embedding)| (image, Departed { embedding, hash: hash(&image) })).collect())
}

/// Rows in the order they were added, their vectors, and the number of sources.
fn load_rows(
    store: &CollectionStore,
    dim: usize,
    measures: &HashMap<ImageId, Measures>,
) -> Result<(Rows, Vectors, u64), EngineError> {
    let mut headers: Vec<(ImageId, Generation, i64, u64)> = Vec::new();
    let mut sources = 0;
    store.scan_headers(|image, header| {
        sources += header.sources.len() as u64;
        headers.push((image, header.generation, header.added_ms, header.bytes));
    })?;
    headers.sort_unstable_by_key(|(image, generation, ..)| (*generation, *image));
    let mut rows = Rows::default();
    for &(image, generation, added_ms, bytes) in &headers {
        let measures = measures.get(&image);
        rows.push(Row {
            image,
            generation,
            added_ms,
            bytes,
            alive: true,
            hash: measures.and_then(|measures| measures.hash),
            defects: measures.map(Measures::defects),
        });
    }
    let mut data = vec![0.0; headers.len() * dim];
    let mut loaded = 0;
    store.scan_embeddings(dim, |image, embedding| {
        if let Some(offset) = rows.offset(&image) {
            data[offset as usize * dim..(offset as usize + 1) * dim].copy_from_slice(embedding);
            loaded += 1;
        }
    })?;
    if loaded != headers.len() {
        let message =
            format!("{} images of {} have no embedding in the store", headers.len() - loaded, headers.len());
        return Err(EngineError::Internal(message));
    }
    Ok((rows, Vectors::from_rows(dim, data), sources))
}

/// What the log folds to.
pub(super) struct Folded {
    pub(super) fold: Fold,
    undos: Vec<(u64, u64)>,
    named: HashSet<ImageId>,
    judgements: u64,
    pub(super) policy: Policy,
    pub(super) policy_version: u64,
    policy_ms: i64,
    pub(super) events: u64,
    pub(super) last_hash: [u8; 32],
    deletions: Deletions,
}

/// Reads the log twice, so that it need not be in memory: first for what is undone.
fn load_log(store: &CollectionStore, created_ms: i64) -> Result<Folded, EngineError> {
    let mut folded = Folded {
        fold: Fold::default(),
        undos: Vec::new(),
        named: HashSet::new(),
        judgements: 0,
        policy: Policy::default(),
        policy_version: 1,
        policy_ms: created_ms,
        events: 0,
        last_hash: [0; 32],
        deletions: Deletions::default(),
    };
    folded.last_hash = store.scan_log(|sequence, event: Event| {
        folded.events = sequence;
        folded.deletions.note_time(event.at_ms);
        folded.named.extend(event.act.images());
        match event.act {
            Act::Undo { event } => folded.undos.push((sequence, event)),
            Act::Answer(_) => folded.judgements += 1,
            Act::SetPolicy { version, policy } => {
                (folded.policy, folded.policy_version, folded.policy_ms) = (policy, version, event.at_ms);
            }
            Act::Delete { images, .. } => folded.deletions.note(sequence, &images),
            Act::Verdict(_) | Act::Activate { .. } => {}
        }
    })?;
    folded.fold = fold_log(store, &folded.undos)?;
    Ok(folded)
}

/// Folds the events that these undos leave in force.
///
/// # Errors
/// A damaged log.
pub(super) fn fold_log(store: &CollectionStore, undos: &[(u64, u64)]) -> Result<Fold, EngineError> {
    let undone = undone(undos);
    let mut fold = Fold::default();
    store.scan_log(|sequence, event| {
        if !undone.contains_key(&sequence) {
            fold.apply(sequence, &event.act);
        }
    })?;
    Ok(fold)
}
