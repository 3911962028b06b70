//! Adding images: what was prepared is stored in groups, published, and only then answered.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use crate::decide::{Decision, Score, decide};
use crate::embed::Prepared;
use crate::store::StoreError;
use crate::types::{ClusterId, Generation, ImageId, PointOffset, Vectors};

use super::clusterings::Place;
use super::collection::{Collection, Writer};
use super::error::EngineError;
use super::evidence::NearRows;
use super::lock::{lock, now_ms, read};
use super::persist::{Batch, ImageRecord, SourceRecord};
use super::requests::{RequestKey, RequestRecord};
use super::state::{Row, State, contradiction, facts};

/// Images stored with one write to the disk at most.
pub const GROUP_IMAGES_MAX: usize = 64;
/// Prepared images that wait for their group at most.
pub(super) const WAITING_IMAGES_MAX: usize = 128;
/// Sources of one image at most.
pub const SOURCES_MAX: usize = 1000;
/// The reason of one source too many.
pub const TOO_MANY_SOURCES: &str = "TOO_MANY_SOURCES";

/// Where an image was seen, as the caller says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewSource {
    /// The caller's name for it; the image id where it gave none.
    pub key: String,
    /// Where it can be fetched from; may be empty.
    pub uri: String,
    /// When the bytes there last changed, milliseconds since 1970 UTC.
    pub modified_ms: Option<i64>,
    /// The caller's words for it.
    pub tags: Vec<String>,
}

/// An image on its way into the store.
pub(super) enum NewImage {
    /// Decoded and embedded.
    Prepared(Box<Prepared>),
    /// Its bytes are stored already, so there was no need to.
    Known {
        /// Which image.
        image: ImageId,
        /// The size of the bytes.
        bytes: u64,
    },
}

/// What became of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// Which image.
    pub image: ImageId,
    /// Whether it is new.
    pub new: bool,
    /// The decision it got.
    pub decision: Decision,
    /// That decision's revision.
    pub revision: u64,
    /// Its cluster in the active clustering, where that is followed.
    pub cluster: Option<ClusterId>,
}

/// An answer that outlives the connection: what a repeated request gets. The decision is the one of the moment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct AddedRecord {
    pub(super) image: ImageId,
    pub(super) new: bool,
}

/// Takes the answer of one add.
pub(super) type AddReply = Box<dyn FnOnce(Result<Added, EngineError>) + Send>;

/// One image to store.
pub(super) struct AddTask {
    /// What.
    pub image: NewImage,
    /// From where.
    pub source: NewSource,
    /// The request, where a retry is to get the same answer.
    pub request: Option<RequestKey>,
    /// Whom to tell.
    pub reply: AddReply,
}

impl NewImage {
    fn id(&self) -> ImageId {
        match self {
            Self::Prepared(prepared) => prepared.id,
            Self::Known { image, .. } => *image,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Prepared(prepared) => prepared.bytes_len,
            Self::Known { bytes, .. } => *bytes,
        }
    }
}

/// Hands images to the thread that stores them.
#[derive(Clone)]
pub(super) struct Adder {
    /// `None` ends the thread.
    tasks: SyncSender<Option<AddTask>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Adder {
    /// Starts the thread of a collection; it ends with the last handle, or with [`Adder::stop`].
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(collection: Arc<Collection>) -> Result<Self, EngineError> {
        let (tasks, receiver) = sync_channel(WAITING_IMAGES_MAX);
        let thread = std::thread::Builder::new()
            .name("culld-add".into())
            .spawn(move || run(&collection, &receiver))
            .map_err(|error| EngineError::Internal(format!("can't start a thread: {error}")))?;
        Ok(Self { tasks, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Queues one image; waits while the queue is full.
    ///
    /// # Errors
    /// Never by overload; [`EngineError::Stopping`] (through the reply) once the thread is gone.
    pub(super) fn add(&self, task: AddTask) {
        if let Err(SendError(Some(refused))) = self.tasks.send(Some(task)) {
            (refused.reply)(Err(EngineError::Stopping));
        }
    }

    /// Ends the thread once what was queued before is stored, whoever holds handles still.
    pub(super) fn stop(&self) {
        // A thread that is gone needs no telling.
        let _ = self.tasks.send(None);
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that stores images panicked");
        }
    }
}

fn run(collection: &Collection, tasks: &Receiver<Option<AddTask>>) {
    while let Ok(Some(first)) = tasks.recv() {
        let mut group = vec![first];
        let mut last = false;
        while group.len() < GROUP_IMAGES_MAX
            && !last
            && let Ok(next) = tasks.try_recv()
        {
            last = next.is_none();
            group.extend(next);
        }
        store_group(collection, group);
        if last {
            break;
        }
    }
}

/// The images of a group that are new, and what is to be written for all of it.
struct Group {
    batch: Batch,
    headers: HashMap<ImageId, ImageRecord>,
    new: Vec<(Row, Box<Prepared>)>,
    new_sources: u64,
    generation: Generation,
    /// Requests of this group, which the store doesn't know yet.
    requests: HashMap<[u8; 32], RequestRecord>,
}

/// A task once its place in the group is known.
struct Placed {
    image: ImageId,
    new: bool,
    reply: AddReply,
}

fn store_group(collection: &Collection, tasks: Vec<AddTask>) {
    let writer = match collection.writer() {
        Ok(writer) => writer,
        Err(error) => {
            tracing::debug!(%error, "images for a collection that is gone");
            let refuse =
                |task: AddTask| (task.reply)(Err(EngineError::not_found("collection", collection.name())));
            return tasks.into_iter().for_each(refuse);
        }
    };
    let mut group = Group {
        batch: writer.batch(),
        headers: HashMap::new(),
        new: Vec::new(),
        new_sources: 0,
        generation: read(&collection.state).generation,
        requests: HashMap::new(),
    };
    let mut placed = Vec::with_capacity(tasks.len());
    for task in tasks {
        let AddTask { image, source, request, reply } = task;
        match place(&writer, &mut group, image, source, request.as_ref()) {
            Ok((image, new)) => placed.push(Placed { image, new, reply }),
            Err(error) => reply(Err(error)),
        }
    }
    match commit_group(&writer, group) {
        Ok(()) => answer(collection, placed),
        Err(error) => {
            tracing::error!(%error, images = placed.len(), "images were not stored");
            placed.into_iter().for_each(|task| (task.reply)(Err(EngineError::Store(error.clone()))));
        }
    }
}

/// Adds one image to the group: the first of new bytes is new, every other one a source of it.
fn place(
    writer: &Writer<'_>,
    group: &mut Group,
    image: NewImage,
    source: NewSource,
    request: Option<&RequestKey>,
) -> Result<(ImageId, bool), EngineError> {
    if let Some(first) = first_answer(writer, group, request)? {
        return Ok((first.image, first.new));
    }
    let (id, bytes) = (image.id(), image.bytes());
    let known = match group.headers.get(&id) {
        Some(header) => Some(header.clone()),
        None if read(&writer.collection.state).rows.offset(&id).is_some() => {
            writer.collection.store.header(&id)?
        }
        None => None,
    };
    let now = now_ms();
    let new = known.is_none();
    let mut header = match (known, &image) {
        (Some(header), _) => header,
        (None, NewImage::Prepared(prepared)) => {
            let coming = group.new.iter().map(|(row, _)| row.bytes);
            let coming = (group.new.len() as u64, coming.sum());
            let (name, quota) = (writer.collection.name(), writer.collection.keeping.quota);
            quota.check(name, &read(&writer.collection.state).rows, coming, bytes)?;
            group.generation = group.generation.next();
            ImageRecord {
                generation: group.generation,
                added_ms: now,
                width: prepared.width,
                height: prepared.height,
                format: prepared.format.media_type().trim_start_matches("image/").to_owned(),
                bytes,
                sources: Vec::new(),
            }
        }
        // It was deleted while this add was on its way: the caller has the bytes, and a second try embeds them.
        (None, NewImage::Known { .. }) => {
            return Err(EngineError::Internal("the image was deleted meanwhile; add it again".into()));
        }
    };
    group.new_sources += u64::from(note_source(&mut header, source, bytes, now, &id)?);
    let source_key = header.sources.last().map(|source| source.key.clone()).unwrap_or_default();
    group.batch.put_source_key(&source_key, &id)?;
    group.batch.put_header(&id, &header)?;
    if let NewImage::Prepared(prepared) = image
        && new
    {
        group.batch.put_pixels(group.generation, &id, prepared.embedding.as_slice(), &prepared.thumbnail);
        group.batch.put_measures(&id, &prepared.measures)?;
        let row = Row {
            image: id,
            generation: group.generation,
            added_ms: now,
            bytes,
            alive: true,
            hash: prepared.measures.hash,
            defects: Some(prepared.measures.defects()),
        };
        group.new.push((row, prepared));
    }
    let answer = AddedRecord { image: id, new };
    group.batch.remember(request, &answer)?;
    if let Some(request) = request {
        group.requests.insert(request.key, RequestRecord::new(request, &answer)?);
    }
    group.headers.insert(id, header);
    Ok((id, new))
}

/// What this request was answered before, be it in the same group.
fn first_answer(
    writer: &Writer<'_>,
    group: &Group,
    request: Option<&RequestKey>,
) -> Result<Option<AddedRecord>, EngineError> {
    let Some(request) = request else { return Ok(None) };
    match group.requests.get(&request.key) {
        Some(in_group) => in_group.answer(request).map(Some),
        None => writer.replay(Some(request)),
    }
}

/// Notes where an image was seen, last seen last; answers whether the place is new.
fn note_source(
    header: &mut ImageRecord,
    source: NewSource,
    bytes: u64,
    now: i64,
    image: &ImageId,
) -> Result<bool, EngineError> {
    let key = if source.key.is_empty() { image.to_string() } else { source.key };
    let before = header.sources.iter().position(|known| known.key == key && known.uri == source.uri);
    if before.is_none() && header.sources.len() >= SOURCES_MAX {
        let message = format!(
            "the image is stored, and has {SOURCES_MAX} sources already, which is the limit: this one is not noted; \
             delete some of them by their prefix, or go without"
        );
        return Err(EngineError::Precondition { reason: TOO_MANY_SOURCES, message });
    }
    let first_seen_ms = match before {
        Some(at) => header.sources.remove(at).first_seen_ms,
        None => now,
    };
    header.sources.push(SourceRecord {
        key,
        uri: source.uri,
        size: bytes,
        modified_ms: source.modified_ms,
        first_seen_ms,
        last_seen_ms: now,
        tags: source.tags,
    });
    Ok(before.is_none())
}

/// Writes the group durably, then publishes it.
fn commit_group(writer: &Writer<'_>, mut group: Group) -> Result<(), StoreError> {
    let collection = writer.collection;
    let mut saved = writer.saved_state();
    saved.generation = group.generation;
    group.batch.put_state(&saved)?;
    collection.store.commit("add", group.batch)?;
    let (near, scores) = {
        let state = read(&collection.state);
        (nearest_of_new(&state, &group.new), scores_of_new(&state, &group.new))
    };
    let offsets = writer.publish(|state| {
        state.generation = group.generation;
        state.sources += group.new_sources;
        push_rows(state, &group.new, near, &scores)
    });
    if !offsets.is_empty() {
        collection.follow_added(writer, &offsets);
    }
    tracing::debug!(images = group.new.len(), generation = group.generation.0, "group stored");
    Ok(())
}

/// What is nearest to each new image, by the label that it has at once where its bytes were labelled before.
fn nearest_of_new(state: &State, new: &[(Row, Box<Prepared>)]) -> NearRows {
    let mut near = vec![[None, None]; new.len()];
    for (seen_only, sets) in [(false, &state.evidence), (true, &state.seen)] {
        let mut queries = Vectors::new(state.vectors.dim());
        let (mut ids, mut places) = (Vec::new(), Vec::new());
        for (place, (row, prepared)) in new.iter().enumerate() {
            let label = state.labels.get(&row.image);
            let wanted = label.map_or(!seen_only, |label| seen_only && !label.seen);
            if wanted && queries.push(prepared.embedding.as_slice()).is_ok() {
                ids.push(row.image);
                places.push(place);
            }
        }
        for (place, found) in places.into_iter().zip(sets.nearest(&queries, &ids)) {
            near[place] = found;
        }
    }
    near
}

/// What the classifier says of new images, as it was last fitted.
fn scores_of_new(state: &State, new: &[(Row, Box<Prepared>)]) -> Vec<Option<Score>> {
    let mut vectors = Vectors::new(state.vectors.dim());
    let pushed = new.iter().all(|(_, prepared)| vectors.push(prepared.embedding.as_slice()).is_ok());
    match &state.scorer {
        Some(scorer) if pushed => scorer.score(&vectors),
        _ => vec![None; new.len()],
    }
}

/// Appends rows to everything that is kept by row, and decides them; answers where they are.
fn push_rows(
    state: &mut State,
    new: &[(Row, Box<Prepared>)],
    near: NearRows,
    scores: &[Option<Score>],
) -> Vec<PointOffset> {
    let mut offsets = Vec::with_capacity(new.len());
    for (((row, prepared), near), score) in new.iter().zip(near).zip(scores) {
        let offset = state.rows.all().len() as PointOffset;
        if let Err(error) = state.vectors.push(prepared.embedding.as_slice()) {
            // The pipeline embeds into the collection's space, so lengths agree; a row without a vector is not seen.
            tracing::error!(%error, image = %row.image, "an embedding of another space reached the writer");
            continue;
        }
        offsets.push(offset);
        Arc::make_mut(&mut state.rows).push(*row);
        let contradiction = contradiction(state, &state.labels, offset, near, state.policy.standing_margin);
        let twins = state.twins_of(offset);
        let derived = Arc::make_mut(&mut state.derived);
        derived.places.push(Place::Unclustered);
        derived.near.push(near);
        derived.twins.push(twins);
        // While the classifier is silent there are no scores at all.
        if score.is_some() || !derived.scores.is_empty() {
            let scores = Arc::make_mut(&mut derived.scores);
            scores.resize(offset as usize, None);
            scores.push(*score);
        }
        derived.contradictions.extend(contradiction.map(|near| (offset, near)));
        derived.decisions.push(Decision::UNJUDGED);
        let decision = decide(&facts(&state.rows, &state.labels, derived, offset, near), &state.policy);
        derived.decisions[offset as usize] = decision;
    }
    if let Err(error) = state.index.insert(&state.vectors, &offsets) {
        tracing::error!(%error, images = offsets.len(), "images are not in the index");
    }
    offsets
}

fn answer(collection: &Collection, placed: Vec<Placed>) {
    let snapshot = collection.snapshot();
    for Placed { image, new, reply } in placed {
        let offset = snapshot.rows.offset(&image);
        let decision =
            offset.map_or(Decision::UNJUDGED, |offset| snapshot.derived.decisions[offset as usize]);
        let revision =
            offset.and_then(|offset| snapshot.revisions.told(offset)).map_or(0, |told| told.revision);
        let cluster = offset.and_then(|offset| snapshot.cluster_of(offset));
        reply(Ok(Added { image, new, decision, revision, cluster }));
    }
}
