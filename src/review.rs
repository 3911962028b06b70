//! The review's core: from a few judgements to a side for every image, and to the question that is worth most.
//!
//! ```text
//! embeddings ─▶ Features ─▶ Projected ─┐
//! labels ─▶ Evidence ──────────────────┴▶ Model ─▶ Beliefs ─▶ keep flags (the caller's rules) ─▶ Outlook
//! ```
//!
//! Everything here is a pure function of the images and the labels, never of how they came: the features are fitted on
//! the images with the smallest ids, ties fall by [`Images::keys`], random numbers come from fixed seeds and those
//! keys, and no bit depends on the number of threads. No I/O, and no panic, whatever the input: rows that don't exist
//! are left out, missing values are those of an image about which nothing is known.

mod beliefs;
mod draws;
mod features;
mod kmeans;
mod linalg;
mod model;
mod outlook;
mod principal;
mod questions;

pub use beliefs::{Beliefs, PRECISION_WEIGHT};
pub use draws::{DRAWS, Estimate};
pub use features::{DIRECTIONS, FEATURES, Features, LANDMARKS, Point, Projected, SAMPLE_MAX};
pub use model::{Evidence, Model};
pub use outlook::{Asking, INTERVAL_IMAGES_MAX, Outlook};
pub use questions::{BOUNDARY_GROUPS, Question, SHOWN_MAX, split};

use crate::types::{PointOffset, Side};

/// The images under review, by row number.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// What the model sees of them; its length is the number of images.
    pub projected: &'a Projected,
    /// A number per image that stays with it, taken from its id (so it is uniform); settles ties and seeds the image's
    /// random numbers.
    pub keys: &'a [u64],
    /// What a person said of the image itself, if anything.
    pub seen: &'a [Option<Side>],
}

impl Images<'_> {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.projected.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.projected.is_empty()
    }

    fn key(&self, row: PointOffset) -> u64 {
        self.keys.get(row as usize).copied().unwrap_or_else(|| u64::from(row))
    }

    fn seen(&self, row: PointOffset) -> Option<Side> {
        self.seen.get(row as usize).copied().flatten()
    }

    /// The place of an image in any order, whatever rows the images have.
    fn place(&self, row: PointOffset) -> (u64, PointOffset) {
        (self.key(row), row)
    }

    /// The rows that exist, each once, by key.
    fn ordered(&self, rows: &[PointOffset]) -> Vec<PointOffset> {
        let mut rows: Vec<PointOffset> =
            rows.iter().copied().filter(|&row| (row as usize) < self.len()).collect();
        rows.sort_unstable_by_key(|&row| self.place(row));
        rows.dedup();
        rows
    }

    fn points(&self, rows: &[PointOffset]) -> Vec<Point> {
        rows.iter().filter_map(|&row| self.projected.points().get(row as usize).copied()).collect()
    }
}
