//! Writing a collection in its portable form, while it is in use.
//!
//! One moment is taken: its images, its log and its clusterings, none of which change; they can only go. What goes while
//! the export runs is left out, and what labels rest on is in it as of a deleted image. Nobody waits for an export.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;

use crate::engine::clusterings::ClusteringHead;
use crate::engine::collection::Collection;
use crate::engine::error::EngineError;
use crate::engine::lock::{lock, now_ms, read};
use crate::engine::persist::StateRecord;
use crate::portable::{END, PortableWriter, npy};
use crate::store::{Keys, read_embedding};
use crate::types::{Generation, ImageId};

use super::{
    About, BarLine, DepartedLine, End, EventLine, FORMAT, ImageLine, PART_EVENTS, PART_IMAGES,
    PART_LOG_BYTES, PART_MEMBERS, VERSION, clustering_folder, part,
};

/// The moment that is exported.
struct Moment {
    state: StateRecord,
    heads: BTreeMap<u64, Arc<ClusteringHead>>,
    /// Images in the order they were added, each with the generation it came with.
    rows: Vec<(ImageId, Generation)>,
    /// Images that the log names: what labels rest on may be deleted.
    named: HashSet<ImageId>,
    events: u64,
}

/// An image with its embedding and thumbnail.
type Whole = (ImageLine, Vec<f32>, Vec<u8>);

struct Export<'a, W: Write> {
    collection: &'a Collection,
    moment: Moment,
    out: PortableWriter<W>,
    end: End,
}

impl Collection {
    /// Writes the whole collection in its portable form; blocks while `out` does.
    ///
    /// # Errors
    /// The collection is deleted, the store fails, or its active clustering was replaced and forgotten meanwhile;
    /// [`EngineError::Cancelled`] where `out` takes no more.
    pub fn export(&self, out: impl Write) -> Result<(), EngineError> {
        let moment = {
            let writer = self.writer()?;
            let saved = writer.saved_state();
            let state = read(&self.state);
            Moment {
                state: saved,
                heads: state.heads.clone(),
                rows: state.rows.alive().map(|(_, row)| (row.image, row.generation)).collect(),
                named: state.named.clone(),
                events: state.events,
            }
        };
        let mut export =
            Export { collection: self, moment, out: PortableWriter::new(out), end: End::default() };
        export.about()?;
        export.clusterings()?;
        // Images that go from here on are found here or, after the images, there.
        let mut written = HashSet::new();
        export.departed(&mut written)?;
        export.images(&mut written)?;
        export.departed(&mut written)?;
        export.log()?;
        let growth = lock(&self.growth).clone();
        export.json("growth.json", &growth)?;
        export.finish()
    }
}

impl<W: Write> Export<'_, W> {
    fn entry(&mut self, path: &str, bytes: &[u8]) -> Result<(), EngineError> {
        if self.collection.is_closed() {
            return Err(EngineError::not_found("collection", self.collection.name()));
        }
        self.out.entry(path, bytes).map_err(|_| EngineError::Cancelled)
    }

    fn json(&mut self, path: &str, value: &impl Serialize) -> Result<(), EngineError> {
        self.entry(path, &line(value)?)
    }

    fn lines<T: Serialize>(
        &mut self,
        path: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Result<(), EngineError> {
        let lines: Result<Vec<_>, _> = values.into_iter().map(|value| line(&value)).collect();
        self.entry(path, &lines?.concat())
    }

    fn about(&mut self) -> Result<(), EngineError> {
        let record = &self.collection.record;
        let about = About {
            format: FORMAT.to_owned(),
            version: VERSION,
            culld: env!("CARGO_PKG_VERSION").to_owned(),
            exported_ms: now_ms(),
            name: record.name.clone(),
            created_ms: record.created_ms,
            space: record.space.clone(),
            state: self.moment.state,
        };
        self.json("collection.json", &about)
    }

    fn clusterings(&mut self) -> Result<(), EngineError> {
        for (id, head) in self.moment.heads.clone() {
            let store = &self.collection.store;
            let (members, bars) = (store.members(id)?, store.reachability(id)?);
            let bars_expected = if head.has_reachability { head.images } else { 0 };
            if (members.len() as u64, bars.len() as u64) != (head.images, bars_expected) {
                if self.moment.state.active == Some(id) {
                    let message = "the active clustering was replaced meanwhile; export again".to_owned();
                    return Err(EngineError::Aborted { reason: "CLUSTERING_PRUNED", message });
                }
                continue;
            }
            let folder = clustering_folder(id);
            let bytes = line(&*head)?;
            if serde_json::from_slice::<ClusteringHead>(&bytes).is_err() {
                return Err(EngineError::Internal(format!("clustering {id} has a number that is none")));
            }
            self.entry(&format!("{folder}/clustering.json"), &bytes)?;
            for (number, members) in members.chunks(PART_MEMBERS).enumerate() {
                let path = part(&format!("{folder}/members-"), number * PART_MEMBERS, "jsonl");
                self.lines(&path, members)?;
            }
            for (number, bars) in bars.chunks(PART_MEMBERS).enumerate() {
                let path = part(&format!("{folder}/reachability-"), number * PART_MEMBERS, "jsonl");
                self.lines(&path, bars.iter().map(BarLine::from))?;
            }
            self.end.clusterings += 1;
        }
        Ok(())
    }

    /// What is kept of labelled images that were deleted.
    fn departed(&mut self, written: &mut HashSet<ImageId>) -> Result<(), EngineError> {
        let mut kept = self.collection.store.departed_images()?;
        kept.retain(|image| self.moment.named.contains(image) && !written.contains(image));
        for some in kept.chunks(PART_IMAGES) {
            let (mut lines, mut values) = (Vec::new(), Vec::new());
            let (store, number) = self.collection.store.raw();
            for &id in some {
                // Added again meanwhile.
                let Some(embedding) = read_embedding(store, &Keys::fingerprint(number, &id))? else {
                    continue;
                };
                values.extend(embedding);
                lines.push(DepartedLine { id, measures: self.collection.store.measures(&id)? });
                written.insert(id);
            }
            if lines.is_empty() {
                continue;
            }
            let first = self.end.departed as usize;
            self.end.departed += lines.len() as u64;
            self.lines(&part("departed/", first, "jsonl"), lines)?;
            self.entry(&part("departed/", first, "npy"), &npy(&values, self.collection.record.space.dim))?;
        }
        Ok(())
    }

    fn images(&mut self, written: &mut HashSet<ImageId>) -> Result<(), EngineError> {
        let rows = std::mem::take(&mut self.moment.rows);
        for some in rows.chunks(PART_IMAGES) {
            let (mut lines, mut values, mut thumbnails) = (Vec::new(), Vec::new(), Vec::new());
            for &(id, came) in some {
                let Some((line, embedding, thumbnail)) = self.image(id, came)? else { continue };
                values.extend(embedding);
                thumbnails.push((format!("thumbnails/{id}.jpg"), thumbnail));
                lines.push(line);
                written.insert(id);
            }
            if lines.is_empty() {
                continue;
            }
            let first = self.end.images as usize;
            self.end.images += lines.len() as u64;
            self.lines(&part("images/", first, "jsonl"), lines)?;
            self.entry(&part("images/", first, "npy"), &npy(&values, self.collection.record.space.dim))?;
            for (path, thumbnail) in thumbnails {
                self.entry(&path, &thumbnail)?;
            }
        }
        Ok(())
    }

    /// One image; `None` where it was deleted meanwhile, be it added again since.
    fn image(&self, id: ImageId, came: Generation) -> Result<Option<Whole>, EngineError> {
        let store = &self.collection.store;
        let (raw, number) = store.raw();
        let embedding = read_embedding(raw, &Keys::embedding(number, came.0, &id))?;
        let thumbnail = store.thumbnail(came, &id)?;
        let measures = store.measures(&id)?;
        // Last: all of it goes together, so what is there still was there before.
        let Some(image) = store.header(&id)?.filter(|header| header.generation == came) else {
            return Ok(None);
        };
        let (embedding, thumbnail) = embedding
            .zip(thumbnail)
            .ok_or_else(|| EngineError::Internal(format!("image {id} lacks its embedding or thumbnail")))?;
        Ok(Some((ImageLine { id, image, measures }, embedding, thumbnail)))
    }

    fn log(&mut self) -> Result<(), EngineError> {
        let (mut lines, mut first, mut count) = (Vec::new(), 0, 0);
        for sequence in 1..=self.moment.events {
            let found = self.collection.store.entry(sequence)?;
            let (hash, event) =
                found.ok_or_else(|| EngineError::Internal(format!("log entry {sequence} is missing")))?;
            let hash = blake3::Hash::from_bytes(hash).to_hex().to_string();
            lines.extend(line(&EventLine { sequence, hash, event })?);
            count += 1;
            if count == PART_EVENTS || lines.len() >= PART_LOG_BYTES || sequence == self.moment.events {
                self.entry(&part("log/", first, "jsonl"), &std::mem::take(&mut lines))?;
                (first, count) = (sequence as usize, 0);
            }
        }
        self.end.events = self.moment.events;
        Ok(())
    }

    fn finish(mut self) -> Result<(), EngineError> {
        self.end.blake3 = self.out.digest();
        let end = self.end.clone();
        self.json(END, &end)?;
        self.out.finish().map_err(|_| EngineError::Cancelled)
    }
}

/// A value as one line of JSON.
fn line(value: &impl Serialize) -> Result<Vec<u8>, EngineError> {
    let mut line = serde_json::to_vec(value).map_err(|error| EngineError::Internal(error.to_string()))?;
    line.push(b'\n');
    Ok(line)
}
