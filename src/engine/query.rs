//! Questions about images and clusters.

use std::sync::Arc;

use crate::decide::Decision;
use crate::decode::Measures;
use crate::index::{FlatIndex, IndexKind, VectorIndex as _};
use crate::types::{ClusterId, Generation, ImageId, PointOffset, Side, Vectors};

use super::clusterings::{ClusteringHead, MemberRecord, ReachabilityRecord};
use super::collection::Collection;
use super::error::EngineError;
use super::filter::Filter;
use super::live::LiveView;
use super::lock::read;
use super::persist::ImageRecord;
use super::state::count_kinds;

/// Neighbours in one answer at most.
pub const NEIGHBOURS_MAX: usize = 1000;

/// What is known of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageView {
    /// Which image.
    pub image: ImageId,
    /// Everything but embedding and thumbnail.
    pub header: ImageRecord,
    /// Its cluster in the active clustering.
    pub cluster: Option<ClusterId>,
    /// What its pixels measure; `None` for an image stored before that was measured.
    pub measures: Option<Measures>,
    /// Its embedding, where asked for.
    pub embedding: Option<Vec<f32>>,
}

/// Some images of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct ImagePage {
    /// In the order they were added.
    pub images: Vec<ImageView>,
    /// The generation after which to go on; `None` on the last page.
    pub next: Option<Generation>,
    /// The generation listed.
    pub generation: Generation,
}

/// Where a listing goes on, and what bounds a page of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageBounds {
    /// Images added after this generation.
    pub after: Generation,
    /// And not after this one; `None` means now.
    pub until: Option<Generation>,
    /// Images at most.
    pub images_max: usize,
    /// Bytes at most, about.
    pub bytes_max: usize,
}

/// Images with their thumbnails, JPEG.
pub type Thumbnails = Vec<(ImageId, Vec<u8>)>;

/// Nearest to what.
#[derive(Debug, Clone, PartialEq)]
pub enum NeighbourQuery {
    /// A stored image, which is not its own neighbour.
    Image(ImageId),
    /// A unit vector of the collection's space.
    Vector(Vec<f32>),
}

/// The nearest images.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Nearest first, ties by image id.
    pub neighbours: Vec<(ImageId, f32)>,
    /// The index that proposed them.
    pub index: IndexKind,
    /// The generation searched.
    pub generation: Generation,
}

/// Counts and sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Whether it is worked out what the next reviewer is asked.
    pub review_ready: bool,
    /// Images stored.
    pub images: u64,
    /// Sources noted.
    pub sources: u64,
    /// The generation of the data.
    pub generation: Generation,
    /// Stored images with a label: keep, discard.
    pub labelled: [u64; 2],
    /// Images decided keep, discard, review.
    pub decided: [u64; 3],
    /// Verdicts given in bulk.
    pub bulk_verdicts: u64,
    /// Review items answered, the undone answers among them.
    pub judgements: u64,
    /// Events in the log.
    pub events: u64,
    /// Clusterings kept.
    pub clusterings: usize,
    /// The active one.
    pub active: Option<Arc<ClusteringHead>>,
    /// The active clustering as it is now, where it is followed.
    pub live: Option<Arc<LiveView>>,
    /// The index in use.
    pub index: IndexKind,
    /// Bytes that embeddings take in memory.
    pub vector_bytes: u64,
}

impl Collection {
    /// One image.
    ///
    /// # Errors
    /// It is not stored, or the store fails.
    pub fn image(&self, image: &ImageId, with_embedding: bool) -> Result<ImageView, EngineError> {
        let snapshot = self.snapshot();
        let offset = snapshot.rows.stored(image)?;
        let header = self.store.header(image)?.ok_or_else(|| EngineError::not_found("image", image))?;
        let cluster = snapshot.cluster_of(offset);
        let embedding = with_embedding.then(|| self.embedding(image)).flatten();
        let measures = self.store.measures(image)?;
        Ok(ImageView { image: *image, header, cluster, measures, embedding })
    }

    /// The embedding of a stored image.
    pub(super) fn embedding(&self, image: &ImageId) -> Option<Vec<f32>> {
        let state = read(&self.state);
        state.rows.offset(image).map(|offset| state.vectors.row(offset as usize).to_vec())
    }

    /// Whether these bytes are stored.
    pub fn contains(&self, image: &ImageId) -> bool {
        read(&self.state).rows.offset(image).is_some()
    }

    /// How many images are stored.
    pub fn count(&self) -> u64 {
        read(&self.state).rows.count() as u64
    }

    /// The generation of the data.
    pub fn generation(&self) -> Generation {
        read(&self.state).generation
    }

    /// One page of a listing.
    ///
    /// # Errors
    /// The store fails.
    pub fn list(
        &self,
        filter: &Filter,
        with_embeddings: bool,
        page: PageBounds,
    ) -> Result<ImagePage, EngineError> {
        let snapshot = self.snapshot();
        let until = page.until.unwrap_or(snapshot.generation);
        let rows = snapshot.rows.all();
        let first = rows.partition_point(|row| row.generation <= page.after);
        let mut found = ImagePage { images: Vec::new(), next: None, generation: until };
        let mut bytes = 0;
        let mut last = page.after;
        for (offset, row) in rows.iter().enumerate().skip(first) {
            if row.generation > until {
                break;
            }
            if !self.is_selected(&snapshot, filter, offset as PointOffset)? {
                continue;
            }
            if found.images.len() >= page.images_max || bytes >= page.bytes_max {
                found.next = Some(last);
                break;
            }
            last = row.generation;
            // Deleted since the snapshot: it simply isn't there any more.
            let Some(header) = self.store.header(&row.image)? else {
                continue;
            };
            let embedding = with_embeddings.then(|| self.embedding(&row.image)).flatten();
            let cluster = snapshot.cluster_of(offset as PointOffset);
            bytes += estimated_bytes(&header) + embedding.as_ref().map_or(0, |values| values.len() * 4);
            let measures = self.store.measures(&row.image)?;
            found.images.push(ImageView { image: row.image, header, cluster, measures, embedding });
        }
        Ok(found)
    }

    /// Thumbnails of stored images, and how many of the ids were looked at until the answer was full: as many as fit
    /// into so many bytes, at least one. Unknown ids are left out.
    ///
    /// # Errors
    /// The store fails.
    pub fn thumbnails(
        &self,
        images: &[ImageId],
        bytes_max: usize,
    ) -> Result<(Thumbnails, usize), EngineError> {
        let rows = self.snapshot().rows;
        let mut found = Thumbnails::with_capacity(images.len());
        let mut bytes = 0;
        for (looked_at, image) in images.iter().enumerate() {
            let Some(offset) = rows.offset(image) else {
                continue;
            };
            let came = rows.get(offset).generation;
            let Some(jpeg) = self.store.thumbnail(came, image)? else {
                continue;
            };
            bytes += size_of::<ImageId>() + jpeg.len();
            if bytes > bytes_max && !found.is_empty() {
                return Ok((found, looked_at));
            }
            found.push((*image, jpeg));
        }
        Ok((found, images.len()))
    }

    /// The nearest images; `exact` scans all vectors whatever the index.
    ///
    /// # Errors
    /// An unknown image, a vector of another dimension, or an index that fails.
    pub fn neighbours(
        &self,
        query: &NeighbourQuery,
        k: usize,
        exact: bool,
    ) -> Result<Neighbours, EngineError> {
        let state = read(&self.state);
        let (vector, itself): (&[f32], Option<PointOffset>) = match query {
            NeighbourQuery::Image(image) => {
                let offset = state.rows.stored(image)?;
                (state.vectors.row(offset as usize), Some(offset))
            }
            NeighbourQuery::Vector(vector) => (vector, None),
        };
        let exclude = |offset: PointOffset| Some(offset) == itself;
        let (found, index) = if exact && state.index.kind() != IndexKind::Flat {
            let mut flat = FlatIndex::new(state.vectors.dim());
            let alive: Vec<PointOffset> = state.rows.alive().map(|(offset, _)| offset).collect();
            flat.insert(&state.vectors, &alive)?;
            (flat.search(&state.vectors, vector, k, &exclude), IndexKind::Flat)
        } else {
            (state.index.search(&state.vectors, vector, k, &exclude), state.index.kind())
        };
        let found = found?;
        let mut neighbours: Vec<(ImageId, f32)> =
            found.into_iter().map(|near| (state.rows.get(near.offset).image, near.distance)).collect();
        neighbours.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        Ok(Neighbours { neighbours, index, generation: state.generation })
    }

    /// Labels among the members of each cluster of a clustering, that are still stored: keep, discard.
    ///
    /// # Errors
    /// The store fails.
    pub fn label_counts(
        &self,
        clustering: &ClusteringHead,
    ) -> Result<std::collections::HashMap<ClusterId, [u64; 2]>, EngineError> {
        let snapshot = self.snapshot();
        let mut counts = std::collections::HashMap::new();
        if snapshot.active.as_ref().is_some_and(|head| head.id == clustering.id) {
            for (&cluster, votes) in &snapshot.derived.votes {
                counts.insert(cluster, [votes.of(Side::Keep), votes.of(Side::Discard)]);
            }
            return Ok(counts);
        }
        for member in self.store.members(clustering.id)? {
            let (Some(cluster), Some(label)) = (member.cluster, snapshot.labels.get(&member.image)) else {
                continue;
            };
            if snapshot.rows.was_there(&member.image, clustering.generation) {
                counts.entry(cluster).or_insert([0; 2])[usize::from(label.side == Side::Discard)] += 1;
            }
        }
        Ok(counts)
    }

    /// The members of a cluster (or the noise) that are still stored, nearest to the medoid first.
    ///
    /// # Errors
    /// An unknown cluster, or the store fails.
    pub fn members(
        &self,
        head: &ClusteringHead,
        cluster: Option<ClusterId>,
    ) -> Result<Vec<MemberRecord>, EngineError> {
        if let Some(id) = cluster.filter(|id| head.cluster(*id).is_none()) {
            return Err(EngineError::not_found("cluster", id.0));
        }
        let rows = self.snapshot().rows;
        let mut members = self.store.members(head.id)?;
        members.retain(|member| member.cluster == cluster && rows.was_there(&member.image, head.generation));
        members.sort_by(|a, b| a.distance.total_cmp(&b.distance).then_with(|| a.image.cmp(&b.image)));
        Ok(members)
    }

    /// The reachability plot of a clustering.
    ///
    /// # Errors
    /// It has none, or the store fails.
    pub fn reachability(&self, head: &ClusteringHead) -> Result<Vec<ReachabilityRecord>, EngineError> {
        if !head.has_reachability {
            return Err(EngineError::Precondition {
                reason: "NO_REACHABILITY",
                message: format!(
                    "clustering {} was made by {}; only OPTICS has a plot",
                    head.id, head.algorithm
                ),
            });
        }
        self.store.reachability(head.id)
    }

    /// Counts and sizes of the moment.
    pub fn stats(&self) -> Stats {
        let review_ready = self.review_is_ready();
        let state = read(&self.state);
        let mut labelled = [0; 2];
        for (_, row) in state.rows.alive() {
            if let Some(label) = state.labels.get(&row.image) {
                labelled[usize::from(label.side == Side::Discard)] += 1;
            }
        }
        Stats {
            review_ready,
            images: state.rows.count() as u64,
            sources: state.sources,
            generation: state.generation,
            labelled,
            decided: count_kinds(&state.rows, &state.derived),
            bulk_verdicts: state.labels.verdicts(),
            judgements: state.judgements,
            events: state.events,
            clusterings: state.heads.len(),
            active: state.active_head().map(Arc::clone),
            live: state.live().map(Arc::clone),
            index: state.index.kind(),
            vector_bytes: vector_bytes(&state.vectors),
        }
    }

    /// The decision of the moment.
    pub fn decision(&self, image: &ImageId) -> Option<Decision> {
        let state = read(&self.state);
        state.rows.offset(image).map(|offset| state.derived.decisions[offset as usize])
    }
}

fn vector_bytes(vectors: &Vectors) -> u64 {
    size_of_val(vectors.as_slice()) as u64
}

fn estimated_bytes(header: &ImageRecord) -> usize {
    const FIXED: usize = 128;
    let source = |source: &super::persist::SourceRecord| {
        FIXED + source.key.len() + source.uri.len() + source.tags.iter().map(String::len).sum::<usize>()
    };
    FIXED + header.sources.iter().map(source).sum::<usize>()
}
