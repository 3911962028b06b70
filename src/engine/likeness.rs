//! When two pictures are near-duplicates: by embedding and perceptual hash together.
//!
//! Neither is enough. A gray copy of a colourful picture has another embedding and nearly the same hash, a crop the
//! reverse; two pages of one book have nearly the same embedding, two photographs of plain ground the same hash. So what
//! one distance takes of its threshold is not left for the other.

use std::cell::OnceCell;
use std::sync::OnceLock;

use crate::decide::Duplicate;
use crate::decide::policy::Policy;
use crate::decode::{Crops, PerceptualHash};
use crate::types::{ImageId, cosine_distance};

/// The share of the cosine threshold within which a picture may be a crop of the other: the embedding hardly minds.
const CROP_DISTANCE_SHARE: f64 = 0.2;
/// The share of the hash threshold that the parts of a crop may differ by, at the place where it lies in the other.
const CROP_HASH_SHARE: f64 = 0.8;
/// The share of a crop's parts that may differ from the original's where both lie as they are.
const CROP_PARTS_MAX: f32 = 0.42;

/// How far apart near-duplicates may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Cosine distance, (0, 2], of pictures with the same hash.
    pub distance: f64,
    /// Share of the hash's bits that differ, (0, 0.5], of pictures with the same embedding.
    pub hash_distance: f64,
}

impl Thresholds {
    /// Those of a policy; `None` where it turns near-duplicates off.
    pub(super) fn of(policy: &Policy) -> Option<Self> {
        let Policy { duplicate_distance, duplicate_hash_distance, .. } = *policy;
        (duplicate_distance > 0.0)
            .then_some(Self { distance: duplicate_distance, hash_distance: duplicate_hash_distance })
    }

    /// How far apart two pictures are, where they are near-duplicates; hashes first, since they are cheaper.
    pub(super) fn compare(&self, a: Picture<'_>, b: Picture<'_>) -> Option<Duplicate> {
        self.compare_within(a, b, 1.0, || a.hash.crop_distance(b.hash))
    }

    /// The same, where nothing farther apart than a separation is of use: what is answered may be farther all the same.
    /// To look for crops is what costs: `crop` is asked for [`PerceptualHash::crop_distance`] where it matters.
    pub(super) fn compare_within(
        &self,
        a: Picture<'_>,
        b: Picture<'_>,
        within: f32,
        crop: impl FnOnce() -> f32,
    ) -> Option<Duplicate> {
        let whole = a.hash.distance(b.hash);
        let may_be_copy = f64::from(whole) <= self.hash_distance;
        let may_be_crop = a.hash.parts_distance(b.hash) <= CROP_PARTS_MAX;
        if !may_be_copy && !may_be_crop {
            return None;
        }
        let distance = cosine_distance(a.embedding, b.embedding);
        // Hashes could be the same at best.
        if (f64::from(distance) / self.distance) as f32 > within {
            return None;
        }
        let copy = self.duplicate(b.image, distance, whole);
        if copy.is_some() || !may_be_crop || f64::from(distance) > self.distance * CROP_DISTANCE_SHARE {
            return copy;
        }
        let crop = crop();
        let near = f64::from(crop) <= self.hash_distance * CROP_HASH_SHARE;
        if near { self.duplicate(b.image, distance, crop) } else { None }
    }

    fn duplicate(&self, image: ImageId, distance: f32, hash_distance: f32) -> Option<Duplicate> {
        let separation = f64::from(distance) / self.distance + f64::from(hash_distance) / self.hash_distance;
        let separation = separation as f32;
        (separation <= 1.0).then_some(Duplicate { image, distance, hash_distance, separation })
    }
}

/// A picture that is compared with many, and what is made of it once for all of them.
pub(super) struct Subject<'a> {
    pub(super) picture: Picture<'a>,
    crops: OnceCell<Crops>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(picture: Picture<'a>) -> Self {
        Self { picture, crops: OnceCell::new() }
    }

    /// How far apart it is from one of many; `others_crops` is that one's, made once for all subjects.
    pub(super) fn compare(
        &self,
        thresholds: Thresholds,
        other: Picture<'_>,
        others_crops: Option<&OnceLock<Crops>>,
        within: f32,
    ) -> Option<Duplicate> {
        thresholds.compare_within(self.picture, other, within, || {
            let own = self.crops.get_or_init(|| Crops::of(self.picture.hash));
            match others_crops {
                Some(crops) => own.distance(crops.get_or_init(|| Crops::of(other.hash))),
                None => own.distance(&Crops::of(other.hash)),
            }
        })
    }
}

/// A picture, as far as likeness goes.
#[derive(Clone, Copy)]
pub(super) struct Picture<'a> {
    pub(super) image: ImageId,
    pub(super) hash: &'a PerceptualHash,
    pub(super) embedding: &'a [f32],
}
