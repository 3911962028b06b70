//! Joint draws of which images are needed, and the interval of the Quality Metric that they give.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;

use super::Images;
use super::features::{BLOCK, FEATURES, padded_products};
use super::model::{Component, Model};
use crate::types::{PointOffset, Side};

/// Joint draws.
pub const DRAWS: usize = 200;
/// Random streams: what all images share, and what is an image's own.
const SHARED_STREAM: u64 = 0;
const OWN_STREAM: u64 = 1;

/// Of some images, in each of [`DRAWS`] worlds that the model holds possible, whether a person needs them.
///
/// An image is needed where the latent value, its residual and the noise of its label sum up to more than zero. The
/// latent values of one world come from one draw of the feature weights, so images that are alike go together; the rest
/// is one normal number per world, which depends on nothing but the image's key. Hence the draws of an image don't
/// depend on which other images are drawn.
pub(super) struct Draws {
    /// Ascending.
    rows: Vec<PointOffset>,
    needed: Vec<[bool; DRAWS]>,
}

impl Draws {
    pub(super) fn new(model: &Model, images: &Images<'_>, mut rows: Vec<PointOffset>) -> Self {
        rows.retain(|&row| (row as usize) < images.len());
        rows.sort_unstable();
        rows.dedup();
        let worlds = worlds(model);
        let weights: Vec<f32> = worlds.iter().flat_map(|world| world.weights.iter().copied()).collect();
        let mut needed = vec![[false; DRAWS]; rows.len()];
        needed.par_chunks_mut(BLOCK).zip(rows.par_chunks(BLOCK)).for_each(|(needed, rows)| {
            let features: Vec<[f32; FEATURES]> =
                rows.iter().map(|&row| images.projected.features()[row as usize]).collect();
            let latent = padded_products(features.as_flattened(), &weights, FEATURES);
            for ((needed, &row), latent) in needed.iter_mut().zip(rows).zip(latent.chunks_exact(DRAWS)) {
                match images.seen(row) {
                    Some(side) => needed.fill(side == Side::Keep),
                    None => draw(needed, latent, &worlds, images, row),
                }
            }
        });
        Self { rows, needed }
    }

    /// The draws of one image; `None` where it wasn't drawn.
    pub(super) fn of(&self, row: PointOffset) -> Option<&[bool; DRAWS]> {
        self.rows.binary_search(&row).ok().map(|at| &self.needed[at])
    }

    /// How many of some images are needed, in each world.
    pub(super) fn count(&self, rows: &[PointOffset]) -> [u32; DRAWS] {
        let mut counts = [0; DRAWS];
        for needed in rows.iter().filter_map(|&row| self.of(row)) {
            counts.iter_mut().zip(needed).for_each(|(count, &needed)| *count += u32::from(needed));
        }
        counts
    }
}

/// One world: its feature weights, and the hyperparameters they were drawn under.
struct World<'a> {
    component: &'a Component,
    weights: Vec<f32>,
}

/// [`DRAWS`] draws of the feature weights, spread over the model's components by their shares.
fn worlds(model: &Model) -> Vec<World<'_>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    rng.set_stream(SHARED_STREAM);
    let mut worlds = Vec::with_capacity(DRAWS);
    let mut share = 0.0;
    for (at, component) in model.components.iter().enumerate() {
        share += component.weight;
        let last = at + 1 == model.components.len();
        let end = if last { DRAWS } else { ((share * DRAWS as f64).round() as usize).min(DRAWS) };
        while worlds.len() < end {
            let normal: Vec<f64> = (0..FEATURES).map(|_| StandardNormal.sample(&mut rng)).collect();
            let deviation = component.inverse.transposed_times(&normal);
            let weights =
                component.mean.iter().zip(&deviation).map(|(mean, value)| (mean + value) as f32).collect();
            worlds.push(World { component, weights });
        }
    }
    worlds
}

/// Draws one image that nobody has seen.
fn draw(
    needed: &mut [bool; DRAWS],
    latent: &[f32],
    worlds: &[World<'_>],
    images: &Images<'_>,
    row: PointOffset,
) {
    let mut rng = ChaCha8Rng::seed_from_u64(images.key(row));
    rng.set_stream(OWN_STREAM);
    let residual = images.projected.residuals()[row as usize];
    for ((needed, &latent), world) in needed.iter_mut().zip(latent).zip(worlds) {
        let normal: f32 = StandardNormal.sample(&mut rng);
        *needed = latent + world.component.own_variance(residual).sqrt() as f32 * normal > 0.0;
    }
}

/// Where the Quality Metric lies, by the model: the mean over the draws, and a 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Lower end, [0, 1].
    pub low: f64,
    /// Mean, [0, 1].
    pub mid: f64,
    /// Upper end, [0, 1].
    pub high: f64,
}

/// The interval's percentiles.
const LOW: f64 = 0.025;
const HIGH: f64 = 0.975;
// The model is careful about single images, so the interval of its draws is too wide at the lower end, and as the mean
// is low for it, the truth may lie above the upper one. These three were fitted once to nine pairs of a set and a wish
// (five public sets, five orders each), for 90 to 99 % coverage at 10, 20, 40 and 80 judgements; no theory gives them.
/// Share of the way from the mean down to the lower percentile.
const LOW_SHARE: f64 = 0.7;
/// Share of the way from the mean to 1 that is added at the upper end.
const HIGH_SHARE: f64 = 0.2;
/// What is added at both ends, divided by the number of judgements: the model's own error while it knows little.
const SLACK: f64 = 0.2;

impl Estimate {
    /// The estimate for keeping what `keep` says, over the images named, which must have been drawn. Worlds in which
    /// nothing is needed have no recall and don't count.
    pub(super) fn new(
        draws: &Draws,
        rows: &[PointOffset],
        keep: &[bool],
        precision_weight: f64,
        judgements: usize,
    ) -> Self {
        let (kept, rest): (Vec<PointOffset>, Vec<PointOffset>) =
            rows.iter().partition(|&&row| keep.get(row as usize).copied().unwrap_or(false));
        let (good, missed) = (draws.count(&kept), draws.count(&rest));
        let mut metrics: Vec<f64> = good
            .iter()
            .zip(&missed)
            .filter(|&(good, missed)| good + missed > 0)
            .map(|(&good, &missed)| {
                precision_weight * f64::from(good) / kept.len().max(1) as f64
                    + (1.0 - precision_weight) * f64::from(good) / f64::from(good + missed)
            })
            .collect();
        if metrics.is_empty() {
            // Everything is needed in the one world that is left: precision is 1, recall the share that is kept.
            let some = if kept.is_empty() { 0.0 } else { 1.0 };
            let recall = kept.len() as f64 / rows.len().max(1) as f64;
            metrics.push(precision_weight * some + (1.0 - precision_weight) * recall);
        }
        metrics.sort_by(f64::total_cmp);
        let mid = metrics.iter().sum::<f64>() / metrics.len() as f64;
        let slack = SLACK / judgements.max(1) as f64;
        let low = mid - LOW_SHARE * (mid - percentile(&metrics, LOW)) - slack;
        let high = percentile(&metrics, HIGH) + HIGH_SHARE * (1.0 - mid) + slack;
        Self { low: low.clamp(0.0, 1.0), mid, high: high.clamp(0.0, 1.0) }
    }
}

/// The percentile of ascending values, linear between them.
fn percentile(values: &[f64], share: f64) -> f64 {
    let at = share * values.len().saturating_sub(1) as f64;
    let value = |at: f64| values.get(at as usize).copied().unwrap_or(0.0);
    value(at.floor()) + at.fract() * (value(at.ceil()) - value(at.floor()))
}
