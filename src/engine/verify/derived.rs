//! What is held in memory, against the store and against itself.

use std::collections::HashMap;
use std::sync::Arc;

use crate::decide::{Decision, decide};
use crate::engine::clusterings::{Place, places};
use crate::engine::collection::Collection;
use crate::engine::error::EngineError;
use crate::engine::lock::read;
use crate::engine::state::{Derived, Snapshot, count_votes, facts};
use crate::index::IndexKind;
use crate::store::{Keys, codec};
use crate::types::{Generation, ImageId, PointOffset, Vectors};

use super::records::each_with;
use super::{Findings, Progress};

/// Rows whose neighbours are looked for at a time.
const STEP_ROWS: usize = 256;
/// Stored points that are looked for in the index.
const SAMPLE_ROWS: usize = 100;
/// The share of them that a graph may not find: it is approximate, and what it proposes is audited.
const MISSED_SHARE_MAX: f64 = 0.05;
/// Images up to which the clustering that is followed is checked: that takes the distances of all pairs, in a second or
/// two, while writers wait.
const FOLLOWED_IMAGES_MAX: usize = 5_000;

/// Compares what a collection holds with what it is derived from.
pub(super) fn verify(
    collection: &Collection,
    progress: &Progress<'_>,
    findings: &mut Findings,
    skipped: &mut Vec<String>,
) -> Result<(), EngineError> {
    let mut looking = Looking { collection, progress, findings, skipped };
    looking.log()?;
    looking.rows()?;
    let snapshot = collection.snapshot();
    looking.decisions(&snapshot)?;
    looking.followed()?;
    looking.index()?;
    progress.check()
}

struct Looking<'a> {
    collection: &'a Collection,
    progress: &'a Progress<'a>,
    findings: &'a mut Findings,
    skipped: &'a mut Vec<String>,
}

impl Looking<'_> {
    fn add(&mut self, kind: &str, key: impl ToString, what: impl Into<String>) {
        self.findings.add(self.collection.name(), kind, key, what);
    }

    fn skip(&mut self, what: &str) {
        self.skipped.push(format!("{}: {what}", self.collection.name()));
    }

    /// Labels and policy are what the log says.
    fn log(&mut self) -> Result<(), EngineError> {
        (self.progress.tell)("log", 0, 0);
        let writer = self.collection.writer()?;
        let Ok(folded) = self.collection.fold() else {
            drop(writer);
            self.skip("labels were not compared with the log, which can't be read");
            return Ok(());
        };
        let state = read(&self.collection.state);
        let checks = [
            ("labels", folded.fold.labels == *state.labels),
            ("policy", (folded.policy, folded.policy_version) == (state.policy, state.policy_version)),
            ("log", (folded.events, folded.last_hash) == (state.events, state.last_hash)),
        ];
        let stray = state.rows.alive().find(|(_, row)| {
            state.evidence.side_of(&row.image)
                != state.labels.get(&row.image).filter(|label| label.speaks()).map(|label| label.side)
        });
        let stray = stray.map(|(_, row)| row.image);
        drop(state);
        drop(writer);
        for (what, _) in checks.into_iter().filter(|(_, same)| !same) {
            self.add("log", what, "what is held in memory is not what the log says");
        }
        if let Some(image) = stray {
            self.add("evidence", image, "is evidence for another side than its label says");
        }
        Ok(())
    }

    /// Rows and vectors are those of the store.
    fn rows(&mut self) -> Result<(), EngineError> {
        let rows = self.collection.snapshot().rows;
        (self.progress.tell)("vectors", 0, rows.count() as u64);
        let mut seen = vec![false; rows.all().len()];
        let mut suspects: Vec<(Generation, ImageId)> = Vec::new();
        let mut done = 0;
        let (store, number) = self.collection.store.raw();
        let prefix = Keys::embeddings(number);
        each_with(store, &prefix, codec::decode_embedding, |suffix, values| {
            let Some((came, image)) = Keys::arrival(suffix) else { return true };
            let came = Generation(came);
            if let Some(row) = rows.offset(&image).filter(|row| rows.get(*row).generation == came) {
                seen[row as usize] = true;
            }
            // A damaged one is told of already.
            if values.is_some_and(|values| !self.holds(came, &image, &values)) {
                suspects.push((came, image));
            }
            done += 1;
            if done % STEP_ROWS as u64 == 0 {
                (self.progress.tell)("vectors", done, rows.count() as u64);
            }
            !(self.progress.cancelled)()
        })?;
        self.progress.check()?;
        let unseen = rows.alive().filter(|(row, _)| !seen[*row as usize]);
        suspects.extend(unseen.map(|(_, row)| (row.generation, row.image)));
        self.suspects(&suspects)
    }

    fn holds(&self, came: Generation, image: &ImageId, values: &[f32]) -> bool {
        let state = read(&self.collection.state);
        let row = state.rows.offset(image).filter(|row| state.rows.get(*row).generation == came);
        row.is_some_and(|row| {
            let held = state.vectors.row(row as usize).iter().map(|value| value.to_bits());
            held.eq(values.iter().map(|value| value.to_bits()))
        })
    }

    /// Looks again, with the writer's turn, at what may have come or gone meanwhile.
    fn suspects(&mut self, suspects: &[(Generation, ImageId)]) -> Result<(), EngineError> {
        for step in suspects.chunks(STEP_ROWS) {
            let writer = self.collection.writer()?;
            let mut wrong = Vec::new();
            for (came, image) in step {
                let (store, number) = self.collection.store.raw();
                let stored = crate::store::read_embedding(store, &Keys::embedding(number, came.0, image));
                let held = {
                    let state = read(&self.collection.state);
                    state.rows.offset(image).is_some_and(|row| state.rows.get(row).generation == *came)
                };
                // Damaged, it is told of already.
                let Ok(stored) = stored else { continue };
                match stored {
                    None if held => wrong.push((image, "is held in memory, and not in the store")),
                    Some(values) if !self.holds(*came, image, &values) => {
                        wrong.push((image, "is held in memory otherwise than in the store, or not at all"));
                    }
                    None | Some(_) => {}
                }
            }
            drop(writer);
            wrong.into_iter().for_each(|(image, what)| self.add("vector", image, what));
            self.progress.check()?;
        }
        Ok(())
    }

    /// Decisions are what comes out when they are derived anew, and what was told of them is what they are.
    fn decisions(&mut self, snapshot: &Snapshot) -> Result<(), EngineError> {
        let rows = &snapshot.rows;
        for (row, record) in rows.alive() {
            let decision = snapshot.derived.decisions[row as usize];
            let told = snapshot.revisions.told(row).map(|told| told.answer);
            if told != Some(crate::engine::revisions::Answer::of(decision)) {
                self.add("revision", record.image, "another decision was told than there is");
            }
        }
        let Some(base) = self.places(snapshot) else { return Ok(()) };
        let alive: Vec<PointOffset> = rows.alive().map(|(row, _)| row).collect();
        for (step, some) in alive.chunks(STEP_ROWS).enumerate() {
            (self.progress.tell)("decisions", (step * STEP_ROWS) as u64, alive.len() as u64);
            self.progress.check()?;
            let near = self.near(snapshot, some);
            for &row in some {
                let near = near.get(&row).copied().unwrap_or(snapshot.derived.near[row as usize]);
                let fresh = decide(&facts(rows, &snapshot.labels, &base, row, near), &snapshot.policy);
                let published: Decision = snapshot.derived.decisions[row as usize];
                if fresh != published {
                    let what = format!("is decided {published:?}, and should be {fresh:?}");
                    self.add("decision", rows.get(row).image, what);
                }
            }
        }
        Ok(())
    }

    /// Everybody's place in the active clustering, and the votes in it, from the store; `None` where that was pruned.
    fn places(&mut self, snapshot: &Snapshot) -> Option<Derived> {
        let rows = &snapshot.rows;
        let fresh: Vec<Place> = match &snapshot.active {
            None => vec![Place::default(); rows.all().len()],
            Some(head) => {
                let members = self.collection.store.members(head.id).unwrap_or_default();
                if members.len() as u64 != head.images {
                    self.skip(
                        "decisions were not derived anew: the active clustering is damaged, or was replaced",
                    );
                    return None;
                }
                let places = places(head.generation, &members);
                rows.all().iter().map(|row| places.of(row)).collect()
            }
        };
        let held = &snapshot.derived.places;
        if let Some((_, row)) = rows.alive().find(|(row, _)| fresh[*row as usize] != held[*row as usize]) {
            self.add("place", row.image, "has another place in the active clustering than its members say");
        }
        let votes = count_votes(rows, &snapshot.labels, &fresh);
        let held = &snapshot.derived;
        Some(Derived {
            places: fresh,
            votes,
            near: Vec::new(),
            contradictions: held.contradictions.clone(),
            scores: Arc::clone(&held.scores),
            twins: held.twins.clone(),
            decisions: Vec::new(),
        })
    }

    /// The nearest labelled images of rows without a label that are stored still.
    fn near(
        &self,
        snapshot: &Snapshot,
        some: &[PointOffset],
    ) -> HashMap<PointOffset, [Option<crate::engine::evidence::Near>; 2]> {
        let mut queries = Vectors::new(self.collection.space().dim);
        let (mut ids, mut found) = (Vec::new(), Vec::new());
        {
            let state = read(&self.collection.state);
            for &row in some {
                let record = snapshot.rows.get(row);
                let now =
                    state.rows.offset(&record.image).filter(|_| snapshot.labels.get(&record.image).is_none());
                if let Some(now) = now
                    && queries.push(state.vectors.row(now as usize)).is_ok()
                {
                    ids.push(record.image);
                    found.push(row);
                }
            }
        }
        let near = self.collection.pool.install(|| snapshot.evidence.nearest(&queries, &ids));
        found.into_iter().zip(near).collect()
    }

    /// The clustering that is followed is one.
    fn followed(&mut self) -> Result<(), EngineError> {
        let writer = self.collection.writer()?;
        if read(&self.collection.state).live().is_none() {
            return Ok(());
        }
        (self.progress.tell)("live clustering", 0, 0);
        if self.collection.count() as usize > FOLLOWED_IMAGES_MAX {
            drop(writer);
            self.skip(&format!(
                "the live clustering was not checked: it has more than {FOLLOWED_IMAGES_MAX} images"
            ));
            return Ok(());
        }
        let checked = self.collection.check_followed(&writer);
        drop(writer);
        if let Err(what) = checked {
            self.add("live clustering", "", what);
        }
        Ok(())
    }

    /// The index holds what is stored, and finds a sample of it.
    fn index(&mut self) -> Result<(), EngineError> {
        (self.progress.tell)("index", 0, 0);
        let state = read(&self.collection.state);
        let (held, stored) = (state.index.len(), state.rows.count());
        let step = stored.div_ceil(SAMPLE_ROWS).max(1);
        let (mut looked_for, mut missed) = (0, None);
        let mut misses = 0;
        for (row, record) in state.rows.alive().step_by(step) {
            let vector = state.vectors.row(row as usize);
            let found = state.index.search(&state.vectors, vector, 1, &|_| false)?;
            looked_for += 1;
            // Another image with the same embedding is as good.
            let own = crate::types::cosine_distance(vector, vector);
            if found.first().is_none_or(|near| near.distance > own) {
                misses += 1;
                missed = missed.or(Some(record.image));
            }
        }
        let allowed = match state.index.kind() {
            IndexKind::Flat => 0.0,
            IndexKind::Hnsw => MISSED_SHARE_MAX * f64::from(looked_for),
        };
        drop(state);
        if held != stored {
            self.add("index", "", format!("holds {held} images, {stored} are stored"));
        }
        if let Some(image) = missed.filter(|_| f64::from(misses) > allowed) {
            self.add("index", image, format!("{misses} of {looked_for} stored images are not found"));
        }
        Ok(())
    }
}
