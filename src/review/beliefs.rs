//! From probabilities to sides: the cut that the expected Quality Metric is largest at, and what each side risks.

use rayon::prelude::*;

use super::Images;
use crate::types::{PointOffset, Side};

/// The weight of precision in the Quality Metric; the rest is recall's.
pub const PRECISION_WEIGHT: f64 = 0.3;
/// Keeps quotients finite where nothing is expected to be needed.
const NEEDED_MIN: f64 = 1e-9;

/// What is believed of every image.
#[derive(Debug, Clone, PartialEq)]
pub struct Beliefs {
    keep_probability: Vec<f32>,
    threshold: f64,
    expected_metric: f64,
    /// Rows by falling probability, ties by key.
    order: Vec<PointOffset>,
    precision_weight: f64,
}

impl Beliefs {
    /// Takes what the model predicts, shape (n), replaced by what was seen, and finds the threshold.
    ///
    /// With the images in order of falling probability pⱼ, keeping the first i is worth w·(Σⱼ≤ᵢ pⱼ)/i +
    /// (1 − w)·(Σⱼ≤ᵢ pⱼ)/(Σ pⱼ), up to the fluctuation of the number needed: the optimum of such metrics is always such a
    /// cut (Koyejo et al., *Consistent binary classification with generalized performance metrics*, 2014).
    pub fn new(images: &Images<'_>, predicted: Vec<f32>, precision_weight: f64) -> Self {
        let mut keep_probability = predicted;
        keep_probability.resize(images.len(), 0.5);
        for (row, keep) in keep_probability.iter_mut().enumerate() {
            *keep = match images.seen(row as PointOffset) {
                Some(Side::Keep) => 1.0,
                Some(Side::Discard) => 0.0,
                None if keep.is_nan() => 0.5,
                None => keep.clamp(0.0, 1.0),
            };
        }
        let probability = |row: PointOffset| keep_probability[row as usize];
        let mut order: Vec<PointOffset> = (0..images.len() as PointOffset).collect();
        order.par_sort_unstable_by(|&a, &b| {
            probability(b).total_cmp(&probability(a)).then_with(|| images.place(a).cmp(&images.place(b)))
        });
        let falling = order.iter().map(|&row| f64::from(probability(row)));
        let (threshold, expected_metric) = cut(falling, precision_weight);
        Self { keep_probability, threshold, expected_metric, order, precision_weight }
    }

    /// P(keep), [0, 1], shape (n); of seen images it is what was seen: 1 or 0. An implied label is doubtful where the
    /// probability of the other side is above the policy's threshold.
    pub fn keep_probability(&self) -> &[f32] {
        &self.keep_probability
    }

    /// Images are better kept from this probability on.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The Quality Metric expected at that threshold, [0, 1].
    pub fn expected_metric(&self) -> f64 {
        self.expected_metric
    }

    /// The side of an image as far as the model is asked; discard where the row doesn't exist.
    pub fn keeps(&self, row: PointOffset) -> bool {
        self.keep_probability.get(row as usize).is_some_and(|&keep| f64::from(keep) >= self.threshold)
    }

    pub(super) fn precision_weight(&self) -> f64 {
        self.precision_weight
    }

    /// The Quality Metric that is expected to be lost by each image having the side that `keep` gives it: a needed image
    /// discarded costs recall, and precision what it would have added; an unneeded one kept costs precision.
    pub fn losses(&self, keep: &[bool]) -> Vec<f64> {
        let kept = |row: PointOffset| keep.get(row as usize).copied().unwrap_or(false);
        let probability = |row: PointOffset| f64::from(self.keep_probability[row as usize]);
        let (mut needed, mut count, mut good) = (0.0, 0.0f64, 0.0);
        for &row in &self.order {
            needed += probability(row);
            if kept(row) {
                count += 1.0;
                good += probability(row);
            }
        }
        let count = count.max(1.0);
        let (needed, precision) = (f64::max(needed, NEEDED_MIN), good / count);
        let w = self.precision_weight;
        let missed = (1.0 - w) / needed + w * (1.0 - precision) / count;
        let wrong = w * precision / count;
        (0..self.keep_probability.len() as PointOffset)
            .map(|row| if kept(row) { (1.0 - probability(row)) * wrong } else { probability(row) * missed })
            .collect()
    }
}

/// The threshold for probabilities in falling order, half-way between the last one kept and the next, and the metric
/// expected there.
fn cut(falling: impl Iterator<Item = f64> + Clone, precision_weight: f64) -> (f64, f64) {
    let needed = falling.clone().sum::<f64>().max(NEEDED_MIN);
    let mut sum = 0.0;
    let mut best = (f64::NEG_INFINITY, 0);
    for (at, keep) in falling.clone().enumerate() {
        sum += keep;
        let metric = precision_weight * sum / (at + 1) as f64 + (1.0 - precision_weight) * sum / needed;
        if metric > best.0 {
            best = (metric, at);
        }
    }
    let mut around = falling.skip(best.1);
    let last = around.next().unwrap_or(0.0);
    (f64::midpoint(last, around.next().unwrap_or(0.0)), best.0.clamp(0.0, 1.0))
}
