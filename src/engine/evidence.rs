//! The labelled images as evidence for others: for every image the nearest one of each side.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::product::{PRODUCT_ROUNDING, products};
use crate::types::{ImageId, Side, Vectors, cosine_distance};

/// Rows multiplied at a time: small enough that a block of both sides stays in cache.
pub(super) const QUERY_BLOCK_ROWS: usize = 64;
/// Rows of the other side multiplied at a time.
const TARGET_BLOCK_ROWS: usize = 1024;

/// The nearest labelled image of one side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Near {
    /// Which image.
    pub(super) image: ImageId,
    /// Its cosine distance, [0, 2].
    pub(super) distance: f32,
}

impl Near {
    /// Whether this one is nearer; ties go to the smaller image id, so that the order of arrival can't matter.
    fn beats(&self, other: Option<&Self>) -> bool {
        other.is_none_or(|other| {
            self.distance.total_cmp(&other.distance).then_with(|| self.image.cmp(&other.image)).is_lt()
        })
    }
}

/// For each row the nearest labelled images: keep, discard.
pub(super) type NearRows = Vec<[Option<Near>; 2]>;

/// The nearer of two.
pub(super) fn nearer(a: Option<Near>, b: Option<Near>) -> Option<Near> {
    match (a, b) {
        (Some(a), b) if a.beats(b.as_ref()) => Some(a),
        (_, Some(b)) => Some(b),
        (a, None) => a,
    }
}

/// Embeddings of the images with a label of one side, the deleted ones included.
#[derive(Debug, Clone)]
struct EvidenceSet {
    vectors: Vectors,
    images: Vec<ImageId>,
}

impl EvidenceSet {
    /// None yet.
    fn new(dim: usize) -> Self {
        Self { vectors: Vectors::new(dim), images: Vec::new() }
    }

    /// Adds an image; its embedding has the set's dimension.
    fn push(&mut self, image: ImageId, embedding: &[f32]) {
        if self.vectors.push(embedding).is_ok() {
            self.images.push(image);
        }
    }

    /// Takes images away; the last ones come in their places.
    fn remove(&mut self, images: &HashSet<ImageId>) {
        for row in (0..self.images.len()).rev() {
            if images.contains(&self.images[row]) {
                self.images.swap_remove(row);
                self.vectors.swap_remove(row);
            }
        }
    }

    /// The nearest image to each query row, other than itself and those left out. Products propose and
    /// [`cosine_distance`] decides, so the answer doesn't depend on how rows are blocked.
    fn nearest(&self, queries: &Vectors, ids: &[ImageId], without: &HashSet<ImageId>) -> Vec<Option<Near>> {
        let dim = queries.dim();
        let blocks =
            queries.as_slice().par_chunks(QUERY_BLOCK_ROWS * dim).zip(ids.par_chunks(QUERY_BLOCK_ROWS));
        blocks.flat_map_iter(|(rows, ids)| self.nearest_to_block(rows, ids, without)).collect()
    }

    fn nearest_to_block(
        &self,
        queries: &[f32],
        ids: &[ImageId],
        without: &HashSet<ImageId>,
    ) -> Vec<Option<Near>> {
        let dim = self.vectors.dim();
        let mut best: Vec<Option<Near>> = vec![None; ids.len()];
        let mut cosines = vec![0.0; ids.len() * TARGET_BLOCK_ROWS];
        let targets = self.vectors.as_slice().chunks(TARGET_BLOCK_ROWS * dim);
        for (targets, images) in targets.zip(self.images.chunks(TARGET_BLOCK_ROWS)) {
            let cosines = &mut cosines[..ids.len() * images.len()];
            products(queries, targets, dim, cosines);
            for (row, cosines) in cosines.chunks_exact(images.len()).enumerate() {
                let query = &queries[row * dim..(row + 1) * dim];
                for (column, &cosine) in cosines.iter().enumerate() {
                    let hopeless =
                        best[row].is_some_and(|best| 1.0 - cosine > best.distance + PRODUCT_ROUNDING);
                    if hopeless || images[column] == ids[row] || without.contains(&images[column]) {
                        continue;
                    }
                    let target = &targets[column * dim..(column + 1) * dim];
                    let near = Near { image: images[column], distance: cosine_distance(query, target) };
                    if near.beats(best[row].as_ref()) {
                        best[row] = Some(near);
                    }
                }
            }
        }
        best
    }
}

/// The labelled images of both sides.
#[derive(Debug, Clone)]
pub(super) struct EvidenceSets {
    keep: EvidenceSet,
    discard: EvidenceSet,
    side_of: HashMap<ImageId, Side>,
}

impl EvidenceSets {
    /// None yet.
    pub(super) fn new(dim: usize) -> Self {
        Self { keep: EvidenceSet::new(dim), discard: EvidenceSet::new(dim), side_of: HashMap::new() }
    }

    /// The nearest image of each side to each query row, other than itself.
    pub(super) fn nearest(&self, queries: &Vectors, ids: &[ImageId]) -> NearRows {
        self.nearest_without(queries, ids, &HashSet::new())
    }

    /// The nearest image of each side to each query row, other than itself and those left out.
    pub(super) fn nearest_without(
        &self,
        queries: &Vectors,
        ids: &[ImageId],
        without: &HashSet<ImageId>,
    ) -> NearRows {
        let [keep, discard] = [&self.keep, &self.discard].map(|set| set.nearest(queries, ids, without));
        keep.into_iter().zip(discard).map(|(keep, discard)| [keep, discard]).collect()
    }

    /// The side that an image is evidence for.
    pub(super) fn side_of(&self, image: &ImageId) -> Option<Side> {
        self.side_of.get(image).copied()
    }

    /// Adds an image that is in neither set.
    pub(super) fn push(&mut self, side: Side, image: ImageId, embedding: &[f32]) {
        self.side_of.insert(image, side);
        match side {
            Side::Keep => self.keep.push(image, embedding),
            Side::Discard => self.discard.push(image, embedding),
        }
    }

    /// Takes images away.
    pub(super) fn remove(&mut self, images: &HashSet<ImageId>) {
        if images.is_empty() {
            return;
        }
        self.side_of.retain(|image, _| !images.contains(image));
        self.keep.remove(images);
        self.discard.remove(images);
    }

    /// Adds all images of another pair of sets.
    pub(super) fn extend(&mut self, added: &Self) {
        added.each().for_each(|(side, image, embedding)| self.push(side, image, embedding));
    }

    /// All images of both sides.
    pub(super) fn each(&self) -> impl Iterator<Item = (Side, ImageId, &[f32])> {
        let of = |side, set: &'_ EvidenceSet| (0..set.images.len()).map(move |row| (side, row));
        let rows = of(Side::Keep, &self.keep).chain(of(Side::Discard, &self.discard));
        rows.map(|(side, row)| {
            let set = match side {
                Side::Keep => &self.keep,
                Side::Discard => &self.discard,
            };
            (side, set.images[row], set.vectors.row(row))
        })
    }
}
