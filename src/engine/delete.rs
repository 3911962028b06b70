//! Deleting: sources, and with its last source an image. Labels and what they rest on stay.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decide::event::Act;
use crate::index::IndexError;
use crate::types::{Generation, ImageId, PointOffset};

use super::collection::{Collection, Keeping, Writer};
use super::error::EngineError;
use super::filter::Filter;
use super::judged::assemble;
use super::lock::read;
use super::originals::Departed;
use super::persist::ImageRecord;
use super::requests::RequestKey;
use super::state::{Derived, Rows, State};
use super::verdict::{ACTOR_CHARACTERS_MAX, check_text};

/// Images deleted with one write to the disk at most.
const STEP_IMAGES_MAX: usize = 1000;

/// What was deleted, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Images.
    pub images: u64,
    /// Sources.
    pub sources: u64,
}

/// What becomes of one image.
struct Doomed {
    image: ImageId,
    gone: Vec<String>,
    left: Option<ImageRecord>,
}

impl Collection {
    /// Deletes what the filter selects, or only counts it. Durable when this returns; each step of
    /// a thousand images happens whole or not at all.
    ///
    /// # Errors
    /// A filter that sets nothing, or a store that fails.
    pub fn delete_images(
        &self,
        filter: &Filter,
        validate_only: bool,
        actor: &str,
        request: Option<&RequestKey>,
    ) -> Result<Deleted, EngineError> {
        if filter.is_empty() {
            return Err(EngineError::invalid(
                "filter",
                "must set at least one field: nothing selects everything",
            ));
        }
        check_text("actor", actor, ACTOR_CHARACTERS_MAX)?;
        let writer = self.writer()?;
        if let Some(first) = writer.replay(request)? {
            return Ok(first);
        }
        let doomed = self.doomed(filter)?;
        let mut deleted = Deleted::default();
        for doomed in &doomed {
            deleted.images += u64::from(doomed.left.is_none());
            deleted.sources += doomed.gone.len() as u64;
        }
        if validate_only {
            return Ok(deleted);
        }
        let steps = doomed.chunks(STEP_IMAGES_MAX).count();
        for (step, doomed) in doomed.chunks(STEP_IMAGES_MAX).enumerate() {
            let answer = (step + 1 == steps).then_some((request, deleted));
            delete_step(&writer, doomed, actor, answer)?;
        }
        if steps == 0 {
            let mut batch = writer.batch();
            batch.remember(request, &deleted)?;
            self.store.commit("request", batch)?;
        }
        self.compact_if_sparse(&writer);
        Ok(deleted)
    }

    fn doomed(&self, filter: &Filter) -> Result<Vec<Doomed>, EngineError> {
        let snapshot = self.snapshot();
        let mut doomed = Vec::new();
        for (_, image) in self.select(&snapshot, filter)? {
            let Some(mut header) = self.store.header(&image)? else {
                continue;
            };
            let (gone, left): (Vec<_>, Vec<_>) = std::mem::take(&mut header.sources)
                .into_iter()
                .partition(|source| source.key.starts_with(&filter.source_prefix));
            let gone = gone.into_iter().map(|source| source.key).collect();
            header.sources = left;
            doomed.push(Doomed { image, gone, left: (!header.sources.is_empty()).then_some(header) });
        }
        Ok(doomed)
    }

    /// Drops the rows of deleted images once they are most of all rows.
    fn compact_if_sparse(&self, writer: &Writer<'_>) {
        const ROWS_MIN: usize = 1024;
        let (rows, count) = {
            let state = read(&self.state);
            (state.rows.all().len(), state.rows.count())
        };
        if rows < ROWS_MIN || count * 2 > rows {
            return;
        }
        match writer.publish(|state| state.compact(self.keeping)) {
            Ok(kept) => self.follow_compacted(&kept),
            Err(error) => tracing::error!(%error, "rows of deleted images were not dropped"),
        }
    }
}

fn delete_step(
    writer: &Writer<'_>,
    doomed: &[Doomed],
    actor: &str,
    answer: Option<(Option<&RequestKey>, Deleted)>,
) -> Result<(), EngineError> {
    let collection = writer.collection;
    let mut batch = writer.batch();
    let mut saved = writer.saved_state();
    let (mut images, mut offsets) = (Vec::new(), Vec::new());
    let (mut sources, mut departed) = (0, Vec::new());
    {
        let state = read(&collection.state);
        for Doomed { image, gone, left } in doomed {
            sources += gone.len() as u64;
            gone.iter().for_each(|key| batch.delete_source_key(key, image));
            if let Some(header) = left {
                batch.put_header(image, header)?;
                continue;
            }
            let Some(offset) = state.rows.offset(image) else {
                continue;
            };
            let row = state.rows.get(offset);
            batch.delete_image(row.generation, image);
            images.push(*image);
            offsets.push(offset);
            saved.generation = saved.generation.next();
            if state.named.contains(image) {
                let embedding = state.vectors.row(offset as usize).to_vec();
                batch.put_fingerprint(image, &embedding);
                departed.push((*image, Departed { embedding, hash: row.hash }));
            } else {
                batch.delete_measures(image);
            }
        }
    }
    batch.put_state(&saved)?;
    let act = Act::Delete { images: images.clone(), sources };
    let (event, hash, _) = writer.append(&mut batch, actor, "", act)?;
    if let Some((request, deleted)) = answer {
        batch.remember(request, &deleted)?;
    }
    collection.store.commit("delete", batch)?;
    writer.publish(|state| {
        (state.events, state.last_hash) = (event, hash);
        state.sources -= sources;
        state.departed.extend(departed);
        state.forget(&images, saved.generation);
    });
    collection.follow_removed(writer, &offsets);
    collection.near_keeper.keep_soon();
    Ok(())
}

impl State {
    /// Takes images out of everything that is kept by row. Evidence stays: a deleted image's label still speaks.
    fn forget(&mut self, images: &[ImageId], generation: Generation) {
        let rows = Arc::make_mut(&mut self.rows);
        for image in images {
            if let Some(offset) = rows.remove(image)
                && let Err(error) = self.index.remove(offset)
            {
                tracing::error!(%error, %image, "a deleted image is still in the index");
            }
        }
        self.generation = generation;
        let derived = &self.derived;
        let (places, near) = (derived.places.clone(), derived.near.clone());
        self.derived = Arc::new(assemble(self, &self.labels, &self.policy, places, near));
    }

    /// Moves the rows that are left together; answers where they were.
    fn compact(&mut self, keeping: Keeping) -> Result<Vec<PointOffset>, IndexError> {
        let kept: Vec<_> = self.rows.alive().map(|(offset, row)| (offset, *row)).collect();
        let offsets: Vec<_> = kept.iter().map(|(offset, _)| *offset).collect();
        let vectors = self.vectors.gather(&offsets);
        let moved: Vec<_> = (0..offsets.len() as PointOffset).collect();
        let index = keeping.index.build_now(&vectors, &moved, keeping.hnsw)?;
        let mut rows = Rows::default();
        kept.iter().for_each(|(_, row)| rows.push(*row));
        let derived = &self.derived;
        let places = offsets.iter().map(|&offset| derived.places[offset as usize]).collect();
        let near = offsets.iter().map(|&offset| derived.near[offset as usize]).collect();
        let decisions = offsets.iter().map(|&offset| derived.decisions[offset as usize]).collect();
        let scored = |offset: &&PointOffset| (**offset as usize) < derived.scores.len();
        let scores = offsets.iter().filter(scored).map(|&offset| derived.scores[offset as usize]);
        let contradiction = |(at, offset): (usize, &PointOffset)| {
            derived.contradictions.get(offset).map(|near| (at as PointOffset, *near))
        };
        self.derived = Arc::new(Derived {
            places,
            near,
            contradictions: offsets.iter().enumerate().filter_map(contradiction).collect(),
            twins: derived.twins.gathered(&offsets),
            scores: Arc::new(scores.collect()),
            votes: derived.votes.clone(),
            decisions,
        });
        (self.rows, self.vectors, self.index) = (Arc::new(rows), vectors, index);
        self.compactions += 1;
        Arc::make_mut(&mut self.revisions).keep(&offsets);
        if let Some(live) = self.live.as_mut() {
            Arc::make_mut(live).keep(&offsets);
        }
        Ok(offsets)
    }
}
