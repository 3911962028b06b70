//! Making a collection of its portable form.
//!
//! It is built under a number of its own, and marked as deleted until it is whole and was looked at: whatever breaks off
//! leaves nothing that anybody sees, and what is left of it goes at once, or when the daemon starts.

use std::io::Read;

use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::clusterings::{ClusteringHead, MemberRecord, ReachabilityRecord};
use crate::engine::collections::{check_name, remove_index};
use crate::engine::error::EngineError;
use crate::engine::lock::{lock, read, write};
use crate::engine::persist::{Batch, CollectionRecord, CollectionStore};
use crate::engine::requests::RequestKey;
use crate::engine::verify::verify_import;
use crate::engine::{DEFAULT_COLLECTION, Engine, Open};
use crate::growth::Growth;
use crate::portable::{END, Portable, PortableReader, damaged, read_npy};
use crate::store::StoreError;

use super::check::{check_about, check_clustering, check_event, check_growth, check_image, own_thumbnail};
use super::{
    About, BarLine, DepartedLine, End, EventLine, FORMAT, ImageLine, PART_MEMBERS, VERSION,
    clustering_folder, part,
};

/// Images in one part at most; an export has fewer.
const PART_IMAGES_MAX: usize = 1_000;

/// How far an import is: images and log entries read. Answers whether to go on.
pub type TransferProgress<'a> = dyn FnMut(u64, u64) -> bool + 'a;

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Its name here.
    pub name: String,
    /// Its images.
    pub images: u64,
    /// Its log entries.
    pub events: u64,
}

impl Engine {
    /// Makes a collection of its portable form; blocks while `bytes` does. The name has to be free, or that of a
    /// collection that holds nothing and of which nothing was said, which then makes room.
    ///
    /// # Errors
    /// A name that is taken or not allowed, another embedding space, more than a collection may hold, an export that is
    /// damaged or cut off, or a store that fails; nothing is there then that was not before. [`EngineError::Cancelled`]
    /// where `bytes` can't be read, or `tell` says so.
    pub fn import_collection(
        &self,
        name: &str,
        request: Option<&RequestKey>,
        bytes: impl Read,
        tell: &mut TransferProgress<'_>,
    ) -> Result<Imported, EngineError> {
        let name = if name.is_empty() { DEFAULT_COLLECTION } else { name };
        check_name(name)?;
        if let Some(first) = self.persist.daemon().replay(request)? {
            return Ok(first);
        }
        self.check_room(name)?;
        let mut portable = Portable::over(bytes);
        let mut entries = portable.entries()?;
        let about = about(&mut entries)?;
        if about.space != *self.space() {
            return Err(EngineError::Precondition {
                reason: "EMBEDDING_SPACE_MISMATCH",
                message: format!(
                    "the export lives in embedding space {}, the daemon's model makes {}: vectors of different spaces \
                     are never compared",
                    about.space.id(),
                    self.space().id()
                ),
            });
        }
        let number = self.next_number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let store = self.persist.collection(number);
        let record = CollectionRecord {
            name: name.to_owned(),
            created_ms: about.created_ms,
            space: about.space.clone(),
            deleted: true,
        };
        let unfinished = Unfinished { store: &store, done: false };
        let mut batch = store.batch();
        batch.put_collection(&record)?;
        batch.put_state(&about.state)?;
        store.commit("import", batch)?;
        let mut import = Import { engine: self, name, store: &store, entries, end: End::default(), bytes: 0 };
        import.everything(&about, tell)?;
        let End { images, events, .. } = std::mem::take(&mut import.end);
        drop(import);
        portable.end()?;
        verify_import(&store, &record)?;
        let imported = Imported { name: name.to_owned(), images, events };
        self.put_in_place(number, record, request, &imported)?;
        unfinished.done();
        Ok(imported)
    }

    /// Whether there may be another collection, or one of this name holds nothing.
    fn check_room(&self, name: &str) -> Result<Option<Open>, EngineError> {
        let (taken, count) = {
            let collections = read(&self.collections);
            (collections.get(name).cloned(), collections.len())
        };
        match taken {
            Some(open) if open.collection.is_untouched() => Ok(Some(open)),
            Some(_) => Err(EngineError::AlreadyExists { what: "collection", name: name.to_owned() }),
            None if count >= self.collections_max => {
                let message = format!("there are {count} collections, which is the limit");
                Err(EngineError::Exhausted { message, retry_after: None })
            }
            None => Ok(None),
        }
    }

    /// Opens what was imported, and lets everybody see it in one step.
    fn put_in_place(
        &self,
        number: u32,
        record: CollectionRecord,
        request: Option<&RequestKey>,
        imported: &Imported,
    ) -> Result<(), EngineError> {
        let name = &imported.name;
        let record = CollectionRecord { deleted: false, ..record };
        let open = self.open_collection(number, record.clone())?;
        let placed = || {
            let _turn = lock(&self.changing);
            let before = self.check_room(name)?;
            let mut batch = self.persist.collection(number).batch();
            batch.put_collection(&record)?;
            batch.remember_for_daemon(request, imported)?;
            if let Some(before) = &before {
                // With its writer's turn, nobody else adds to it between the look and the end.
                let turn = before.collection.writer()?;
                if !before.collection.is_untouched() {
                    return Err(EngineError::AlreadyExists { what: "collection", name: name.clone() });
                }
                let mut gone = self.persist.collection(before.number).batch();
                gone.put_collection(&CollectionRecord { deleted: true, ..before.collection.record.clone() })?;
                batch.append(gone);
                self.persist.collection(number).commit("import", batch)?;
                turn.close();
            } else {
                self.persist.collection(number).commit("import", batch)?;
            }
            write(&self.collections).insert(name.clone(), open.clone());
            Ok(before)
        };
        match placed() {
            Ok(before) => {
                before.iter().for_each(|before| self.delete_rest(before));
                Ok(())
            }
            Err(error) => {
                open.adder.stop();
                let index = self.index_folder.as_ref().map(|folder| folder.join(number.to_string()));
                index.iter().for_each(|folder| remove_index(folder));
                Err(error)
            }
        }
    }
}

/// Removes what was built when building fails.
struct Unfinished<'a> {
    store: &'a CollectionStore,
    done: bool,
}

impl Unfinished<'_> {
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.done
            && let Err(error) = self.store.delete_all()
        {
            tracing::error!(%error, "the rest of a broken import goes at the next start");
        }
    }
}

struct Import<'a, R: Read> {
    engine: &'a Engine,
    name: &'a str,
    store: &'a CollectionStore,
    entries: PortableReader<'a, R>,
    /// What was read so far.
    end: End,
    /// Bytes of the images' files.
    bytes: u64,
}

fn about<R: Read>(entries: &mut PortableReader<'_, R>) -> Result<About, EngineError> {
    #[derive(Deserialize)]
    struct Form {
        format: String,
        version: u32,
    }
    let bytes = entries.expect("collection.json")?;
    let form: Form = json("collection.json", &bytes)?;
    if form.format != FORMAT || form.version != VERSION {
        let what = format!(
            "it is {:?} of version {}, this culld reads {FORMAT:?} of version {VERSION}",
            form.format, form.version
        );
        return Err(damaged(what).into());
    }
    let about = json("collection.json", &bytes)?;
    check_about(&about)?;
    Ok(about)
}

fn json<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(format!("{path}: {error}")).into())
}

fn lines<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<Vec<T>, EngineError> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| json(path, line)).collect()
}

impl<R: Read> Import<'_, R> {
    fn everything(&mut self, about: &About, tell: &mut TransferProgress<'_>) -> Result<(), EngineError> {
        let mut hash = [0; 32];
        while let Some((path, bytes)) = self.entries.next_entry()? {
            let (folder, file) = path.split_once('/').unwrap_or(("", &path));
            match (folder, file) {
                ("clusterings", _) => self.clustering(&path, &bytes)?,
                ("departed", _) => self.departed(about, &path, &bytes)?,
                ("images", _) => self.images(about, &path, &bytes)?,
                ("log", _) => hash = self.log(hash, &path, &bytes)?,
                ("", "growth.json") => self.growth(&path, &bytes)?,
                ("", END) => return self.ended(&path, &bytes),
                _ => return Err(damaged(format!("{path} is no entry of an export")).into()),
            }
            if !tell(self.end.images, self.end.events) {
                return Err(EngineError::Cancelled);
            }
        }
        Err(damaged(format!("it is cut off: {END} is missing")).into())
    }

    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        Ok(self.store.commit("import", batch)?)
    }

    fn ended(&mut self, path: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let said: End = json(path, bytes)?;
        self.end.blake3 = self.entries.digest();
        if said.blake3 != self.end.blake3 {
            return Err(damaged("its digest is wrong: it was changed since it was written").into());
        }
        if said != self.end {
            return Err(damaged(format!("it has {:?}, and says {said:?}", self.end)).into());
        }
        match self.entries.next_entry()? {
            None => Ok(()),
            Some((path, _)) => Err(damaged(format!("{path} comes behind the end")).into()),
        }
    }

    /// A clustering, with the parts that its head says there are, part by part.
    fn clustering(&mut self, path: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let head: ClusteringHead = json(path, bytes)?;
        let folder = clustering_folder(head.id);
        if path != format!("{folder}/clustering.json") {
            return Err(damaged(format!("{path} is of clustering {}", head.id)).into());
        }
        check_clustering(&head)?;
        let mut batch = self.store.batch();
        batch.put_clustering(&head, &[], &[])?;
        self.commit(batch)?;
        self.parts(
            &format!("{folder}/members-"),
            head.images,
            |batch, first, members: Vec<MemberRecord>| batch.put_members(head.id, first, &members),
        )?;
        let bars = if head.has_reachability { head.images } else { 0 };
        self.parts(&format!("{folder}/reachability-"), bars, |batch, first, bars: Vec<BarLine>| {
            let bars: Vec<_> = bars.into_iter().map(ReachabilityRecord::from).collect();
            batch.put_reachability(head.id, first, &bars)
        })?;
        self.end.clusterings += 1;
        Ok(())
    }

    /// Stores parts of so many lines together; `put` gets the number of each part's first line.
    fn parts<T: DeserializeOwned>(
        &mut self,
        of: &str,
        count: u64,
        put: impl Fn(&mut Batch, usize, Vec<T>) -> Result<(), StoreError>,
    ) -> Result<(), EngineError> {
        let mut first = 0;
        while (first as u64) < count {
            let path = part(of, first, "jsonl");
            let bytes = self.entries.expect(&path)?;
            let some: Vec<T> = lines(&path, &bytes)?;
            let (found, expected) = (some.len(), PART_MEMBERS.min((count - first as u64) as usize));
            if found != expected {
                return Err(damaged(format!("{path} has {found} lines instead of {expected}")).into());
            }
            let mut batch = self.store.batch();
            put(&mut batch, first, some)?;
            self.commit(batch)?;
            first += found;
        }
        Ok(())
    }

    /// The embeddings that go with so many lines.
    fn embeddings(&mut self, about: &About, path: &str, lines: usize) -> Result<Vec<f32>, EngineError> {
        if lines == 0 || lines > PART_IMAGES_MAX {
            return Err(
                damaged(format!("{path} has {lines} lines, 1 to {PART_IMAGES_MAX} are allowed")).into()
            );
        }
        let path = path.replace(".jsonl", ".npy");
        let bytes = self.entries.expect(&path)?;
        let dim = about.space.dim;
        let values = read_npy(&bytes, lines, dim);
        values.ok_or_else(|| damaged(format!("{path} has not {lines} rows of {dim} float32")).into())
    }

    fn departed(&mut self, about: &About, path: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let lines: Vec<DepartedLine> = lines(path, bytes)?;
        let embeddings = self.embeddings(about, path, lines.len())?;
        self.bytes = self.bytes.saturating_add(size_of_val(&embeddings[..]) as u64);
        let there = self.end.images + self.end.departed + lines.len() as u64;
        self.engine.keeping.quota.check_all(self.name, there, self.bytes)?;
        let mut batch = self.store.batch();
        for (line, embedding) in lines.iter().zip(embeddings.chunks_exact(about.space.dim)) {
            batch.put_fingerprint(&line.id, embedding);
            line.measures.iter().try_for_each(|measures| batch.put_measures(&line.id, measures))?;
        }
        self.end.departed += lines.len() as u64;
        self.commit(batch)
    }

    fn images(&mut self, about: &About, path: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let lines: Vec<ImageLine> = lines(path, bytes)?;
        let embeddings = self.embeddings(about, path, lines.len())?;
        let mut thumbnails = Vec::with_capacity(lines.len());
        for ImageLine { id, image, .. } in &lines {
            check_image(id, image, about)?;
            self.end.images += 1;
            let thumbnail = self.entries.expect(&format!("thumbnails/{id}.jpg"))?;
            self.bytes = self.bytes.saturating_add(image.bytes.max(thumbnail.len() as u64));
            thumbnails.push(thumbnail);
        }
        let there = self.end.images + self.end.departed;
        self.engine.keeping.quota.check_all(self.name, there, self.bytes)?;
        let thumbnails: Vec<_> = thumbnails.into_par_iter().map(own_thumbnail).collect();
        if let Some((line, _)) = lines.iter().zip(&thumbnails).find(|(_, thumbnail)| thumbnail.is_none()) {
            return Err(damaged(format!("thumbnails/{}.jpg is no thumbnail", line.id)).into());
        }
        let mut batch = self.store.batch();
        let rows = embeddings.chunks_exact(about.space.dim);
        for ((ImageLine { id, image, measures }, embedding), thumbnail) in
            lines.iter().zip(rows).zip(thumbnails.iter().flatten())
        {
            batch.put_header(id, image)?;
            batch.put_pixels(image.generation, id, embedding, thumbnail);
            measures.iter().try_for_each(|measures| batch.put_measures(id, measures))?;
            image.sources.iter().try_for_each(|source| batch.put_source_key(&source.key, id))?;
        }
        self.commit(batch)
    }

    /// Appends to the log, and compares the chain with the one that was exported; answers the last hash.
    fn log(&mut self, before: [u8; 32], path: &str, bytes: &[u8]) -> Result<[u8; 32], EngineError> {
        let lines: Vec<EventLine> = lines(path, bytes)?;
        let mut hash = before;
        let mut batch = self.store.batch();
        for EventLine { sequence, hash: said, event } in lines {
            self.end.events += 1;
            if sequence != self.end.events {
                let what = format!("{path}: log entry {sequence} comes in the place of {}", self.end.events);
                return Err(damaged(what).into());
            }
            check_event(&event).map_err(|error| damaged(format!("{path}: log entry {sequence}: {error}")))?;
            hash = batch.put_event(sequence, hash, &event)?;
            if blake3::Hash::from_bytes(hash).to_hex().as_str() != said {
                let what = format!("{path}: log entry {sequence} does not continue the chain of the log");
                return Err(damaged(what).into());
            }
        }
        self.commit(batch)?;
        Ok(hash)
    }

    fn growth(&mut self, path: &str, bytes: &[u8]) -> Result<(), EngineError> {
        let growth: Growth = json(path, bytes)?;
        check_growth(path, &growth)?;
        let mut batch = self.store.batch();
        batch.put_growth(&growth)?;
        self.commit(batch)
    }
}
