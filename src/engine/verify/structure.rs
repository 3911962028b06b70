//! Records of one collection that belong together. What is damaged by itself was told already, and counts as there.

use std::collections::{BTreeMap, HashMap};

use crate::engine::clusterings::{ClusteringHead, MemberRecord, ReachabilityRecord};
use crate::engine::error::EngineError;
use crate::engine::persist::{CollectionRecord, ImageRecord, RevisionsRecord, STATE, StateRecord};
use crate::index::UNIT_TOLERANCE;
use crate::store::{Keys, Store, codec};
use crate::types::{ClusterId, ImageId};

use super::records::{each, each_with};
use super::{Findings, Progress};

/// Looks at what belongs together in a collection.
pub(super) fn verify(
    store: &dyn Store,
    number: u32,
    record: &CollectionRecord,
    progress: &Progress<'_>,
) -> Result<Findings, EngineError> {
    let mut looking =
        Looking { store, number, record, progress, findings: Findings::default(), generation: 0 };
    let mut images = looking.headers()?;
    looking.embeddings(&mut images)?;
    looking.thumbnails(&mut images)?;
    looking.sources(&mut images)?;
    looking.left_over(&images);
    drop(images);
    looking.fingerprints()?;
    looking.clusterings()?;
    looking.revisions()?;
    progress.check()?;
    Ok(looking.findings)
}

/// What a header says is there, until it is found.
struct Expected {
    /// The generation that the image came with; `None` where the header is damaged.
    came: Option<u64>,
    embedding: bool,
    thumbnail: bool,
    /// The beginnings of the digests of its sources' keys.
    sources: Vec<u64>,
}

struct Looking<'a> {
    store: &'a dyn Store,
    number: u32,
    record: &'a CollectionRecord,
    progress: &'a Progress<'a>,
    findings: Findings,
    /// The largest generation that an image came with.
    generation: u64,
}

impl Looking<'_> {
    fn add(&mut self, kind: &str, key: impl ToString, what: impl Into<String>) {
        self.findings.add(&self.record.name, kind, key, what);
    }

    fn goes_on(&self) -> bool {
        !(self.progress.cancelled)()
    }

    fn headers(&mut self) -> Result<HashMap<ImageId, Expected>, EngineError> {
        (self.progress.tell)("images", 0, 0);
        let mut images = HashMap::new();
        each(self.store, &Keys::images(self.number), |suffix, header: Option<ImageRecord>| {
            let Some(image) = Keys::image_id(suffix) else { return true };
            let came = header.as_ref().map(|header| header.generation.0);
            self.generation = self.generation.max(came.unwrap_or(0));
            let mut sources: Vec<u64> = header
                .iter()
                .flat_map(|header| &header.sources)
                .map(|source| short(blake3::hash(source.key.as_bytes()).as_bytes()))
                .collect();
            if header.is_some() && sources.is_empty() {
                self.add("image", image, "has no source");
            }
            sources.sort_unstable();
            sources.dedup();
            images.insert(image, Expected { came, embedding: true, thumbnail: true, sources });
            self.goes_on()
        })?;
        Ok(images)
    }

    fn embeddings(&mut self, images: &mut HashMap<ImageId, Expected>) -> Result<(), EngineError> {
        (self.progress.tell)("embeddings", 0, images.len() as u64);
        let prefix = Keys::embeddings(self.number);
        each_with(self.store, &prefix, codec::decode_embedding, |suffix, values| {
            let Some((came, image)) = Keys::arrival(suffix) else { return true };
            match images.get_mut(&image).filter(|image| image.came.is_none_or(|at| at == came)) {
                Some(expected) => expected.embedding = false,
                None => self.add("embedding", image, "belongs to no image that is stored"),
            }
            self.embedding("embedding", &image, values.as_deref());
            self.goes_on()
        })
    }

    fn fingerprints(&mut self) -> Result<(), EngineError> {
        let prefix = Keys::fingerprints(self.number);
        each_with(self.store, &prefix, codec::decode_embedding, |suffix, values| {
            if let Some(image) = Keys::image_id(suffix) {
                self.embedding("fingerprint", &image, values.as_deref());
            }
            self.goes_on()
        })
    }

    /// Whether a vector is of the collection's space.
    fn embedding(&mut self, kind: &str, image: &ImageId, values: Option<&[f32]>) {
        let Some(values) = values else { return };
        let (dim, squares) = (self.record.space.dim, values.iter().map(|value| value * value).sum::<f32>());
        if values.len() != dim {
            let what = format!("has {} dimensions, the collection's space has {dim}", values.len());
            self.add(kind, image, what);
        } else if !squares.is_finite() {
            self.add(kind, image, "has a component that is not a finite number");
        } else if (squares - 1.0).abs() > UNIT_TOLERANCE {
            self.add(kind, image, format!("has squared length {squares} instead of 1"));
        }
    }

    fn thumbnails(&mut self, images: &mut HashMap<ImageId, Expected>) -> Result<(), EngineError> {
        (self.progress.tell)("thumbnails", 0, images.len() as u64);
        let prefix = Keys::thumbnails(self.number);
        // What is in it says its own record; here only that it is there.
        each_with(
            self.store,
            &prefix,
            |_, _, _| Ok(()),
            |suffix, _: Option<()>| {
                let Some((came, image)) = Keys::arrival(suffix) else { return true };
                match images.get_mut(&image).filter(|image| image.came.is_none_or(|at| at == came)) {
                    Some(expected) => expected.thumbnail = false,
                    None => self.add("thumbnail", image, "belongs to no image that is stored"),
                }
                self.goes_on()
            },
        )
    }

    fn sources(&mut self, images: &mut HashMap<ImageId, Expected>) -> Result<(), EngineError> {
        (self.progress.tell)("sources", 0, 0);
        each(self.store, &Keys::all_sources(self.number), |suffix, _: Option<()>| {
            let Some((digest, image)) = suffix.split_first_chunk::<32>() else { return true };
            let Some(image) = Keys::image_id(image) else { return true };
            let digest = short(digest);
            let known = images.get_mut(&image).is_some_and(|image| {
                let at = image.sources.iter().position(|source| *source == digest);
                at.map(|at| image.sources.swap_remove(at)).is_some() || image.came.is_none()
            });
            if !known {
                self.add("source", image, format!("no source of this image has the key {digest:016x}…"));
            }
            self.goes_on()
        })
    }

    /// What headers say is there, and is not.
    fn left_over(&mut self, images: &HashMap<ImageId, Expected>) {
        if !self.goes_on() {
            return;
        }
        let missing = |expected: &Expected| {
            [
                (expected.embedding, "embedding"),
                (expected.thumbnail, "thumbnail"),
                (!expected.sources.is_empty(), "source"),
            ]
        };
        let mut sorted: Vec<_> = images.iter().collect();
        sorted.sort_unstable_by_key(|(image, _)| **image);
        for (image, expected) in sorted {
            for (_, kind) in missing(expected).into_iter().filter(|(is_missing, _)| *is_missing) {
                self.add(kind, image, "is missing");
            }
        }
    }

    fn clusterings(&mut self) -> Result<(), EngineError> {
        (self.progress.tell)("clusterings", 0, 0);
        let mut heads: BTreeMap<u64, Option<ClusteringHead>> = BTreeMap::new();
        each(self.store, &Keys::clusterings(self.number), |suffix, head: Option<ClusteringHead>| {
            heads.extend(Keys::number(suffix).map(|id| (id, head)));
            self.goes_on()
        })?;
        // Damaged, it is told of already.
        if let Ok(state) = crate::store::read::<StateRecord>(self.store, &Keys::meta(self.number, STATE)) {
            let missing = state.is_none() && self.generation > 0;
            let state = state.unwrap_or_default();
            let problem = if missing {
                Some("is missing".to_owned())
            } else if state.generation.0 < self.generation {
                Some(format!(
                    "counts {} generations, an image came with {}",
                    state.generation.0, self.generation
                ))
            } else if state.active.is_some_and(|active| !heads.contains_key(&active)) {
                Some("the active clustering is not there".to_owned())
            } else if heads.keys().next_back().is_some_and(|last| *last >= state.next_clustering) {
                Some(format!("would give out clustering {} again", state.next_clustering))
            } else {
                None
            };
            problem.into_iter().for_each(|what| self.add("meta", STATE, what));
        }
        for (id, head) in &heads {
            match head {
                Some(head) if head.id != *id => self.add("clustering", id, format!("says it is {}", head.id)),
                Some(head) => self.clustering(head)?,
                None => {}
            }
        }
        self.strays(&heads)
    }

    /// Whether the members and the plot of a clustering are what its head says.
    fn clustering(&mut self, head: &ClusteringHead) -> Result<(), EngineError> {
        let mut sizes: BTreeMap<Option<ClusterId>, u64> = BTreeMap::new();
        let prefix = Keys::members_of(self.number, head.id);
        let whole =
            self.chunks(&prefix, |member: &MemberRecord| *sizes.entry(member.cluster).or_default() += 1)?;
        if whole {
            let noise = sizes.remove(&None).unwrap_or(0);
            let expected: BTreeMap<_, _> =
                head.clusters.iter().map(|cluster| (Some(cluster.id), cluster.size)).collect();
            let total = sizes.values().sum::<u64>() + noise;
            if (total, noise) != (head.images, head.noise) {
                let what = format!(
                    "has {total} members and {noise} of them noise, instead of {} and {}",
                    head.images, head.noise
                );
                self.add("members", head.id, what);
            } else if sizes != expected {
                self.add("members", head.id, "its clusters have other sizes than they should");
            }
        }
        let mut bars = 0;
        let prefix = Keys::reachability_of(self.number, head.id);
        let whole = self.chunks(&prefix, |_: &ReachabilityRecord| bars += 1)?;
        let expected = if head.has_reachability { head.images } else { 0 };
        if whole && bars != expected {
            self.add("reachability", head.id, format!("has {bars} bars instead of {expected}"));
        }
        Ok(())
    }

    /// Visits what is in chunks; answers whether all could be read.
    fn chunks<T: serde::de::DeserializeOwned>(
        &mut self,
        prefix: &crate::store::Key,
        visit: impl FnMut(&T),
    ) -> Result<bool, EngineError> {
        let (mut whole, mut visit) = (true, visit);
        each(self.store, prefix, |_, chunk: Option<Vec<T>>| {
            whole &= chunk.is_some();
            chunk.iter().flatten().for_each(&mut visit);
            self.goes_on()
        })?;
        Ok(whole && self.goes_on())
    }

    /// Chunks of clusterings that are not there.
    fn strays(&mut self, heads: &BTreeMap<u64, Option<ClusteringHead>>) -> Result<(), EngineError> {
        for prefix in [Keys::all_members(self.number), Keys::all_reachability(self.number)] {
            let mut last = None;
            each_with(
                self.store,
                &prefix,
                |_, _, _| Ok(()),
                |suffix, _: Option<()>| {
                    let id = suffix.first_chunk::<8>().map(|id| u64::from_be_bytes(*id));
                    if let Some(id) = id.filter(|id| last != Some(*id) && !heads.contains_key(id)) {
                        self.add(prefix.kind().name(), id, "belongs to no clustering that is kept");
                    }
                    last = id;
                    self.goes_on()
                },
            )?;
        }
        Ok(())
    }

    /// Whether saved revisions are of one moment, and not ahead of the log.
    fn revisions(&mut self) -> Result<(), EngineError> {
        let (mut first, mut count, mut readable) = (None, 0, true);
        let mut mixed = false;
        each(self.store, &Keys::all_revisions(self.number), |_, record: Option<RevisionsRecord>| {
            count += 1;
            readable &= record.is_some();
            if let Some(RevisionsRecord { head, chunks, .. }) = record {
                mixed |= *first.get_or_insert((head, chunks)) != (head, chunks);
            }
            self.goes_on()
        })?;
        let Some((head, chunks)) = first.filter(|_| readable && self.goes_on()) else { return Ok(()) };
        if mixed || chunks != count {
            self.add("revisions", 0, format!("{count} chunks of {chunks} that don't belong together"));
        }
        let mut events = 0;
        self.store.scan(Keys::events(self.number).as_bytes(), &mut |_, _| {
            events += 1;
            std::ops::ControlFlow::Continue(())
        })?;
        if events < head.events {
            self.add("event", events, format!("the log ends here, but had {} entries once", head.events));
        }
        Ok(())
    }
}

fn short(digest: &[u8; 32]) -> u64 {
    digest.first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first))
}
