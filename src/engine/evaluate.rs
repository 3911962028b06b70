//! Measuring decisions against true labels.

use crate::decide::DecisionKind;
use crate::decide::quality::{Confusion, Rates};
use crate::types::{ImageId, Side};

use super::collection::Collection;
use super::error::EngineError;

/// Labels of one evaluation at most.
pub const TRUE_LABELS_MAX: usize = 200_000;

/// What an image really is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrueLabel {
    /// Which image.
    pub image: Named,
    /// Whether it is needed.
    pub needed: bool,
}

/// An image by id or by source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By id.
    Id(ImageId),
    /// By the key of a source: the image last seen there, unless the key has different images in different places.
    SourceKey(String),
}

/// How to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvaluateOptions {
    /// Human looks to charge for; `None`: the review items answered and the bulk verdicts in force.
    pub judgements: Option<u64>,
    /// Rates of the cost tables.
    pub rates: Rates,
    /// Count noise of the active clustering as not kept.
    pub noise_as_discard: bool,
}

/// How good the decisions are.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Counts; positive means kept, review counts as its provisional side.
    pub confusion: Confusion,
    /// The weight of precision in the Quality Metric.
    pub precision_weight: f64,
    /// The 95 % bootstrap interval of the Quality Metric.
    pub interval: (f64, f64),
    /// Human looks charged for.
    pub judgements: u64,
    /// Rates of the cost tables.
    pub rates: Rates,
    /// The share of these images decided without review.
    pub decided_share: f64,
    /// Labels that named no stored image, or several.
    pub unknown: u64,
}

impl Collection {
    /// Measures the provisional sides against true labels. Of several labels for one image the last counts.
    ///
    /// # Errors
    /// Too many labels, or the store fails.
    pub fn evaluate(
        &self,
        labels: &[TrueLabel],
        options: &EvaluateOptions,
    ) -> Result<Evaluation, EngineError> {
        if labels.len() > TRUE_LABELS_MAX {
            let description = format!("has {} entries, at most {TRUE_LABELS_MAX} are allowed", labels.len());
            return Err(EngineError::invalid("labels", description));
        }
        self.settle()?;
        let reader = self.decisions();
        let mut truth = std::collections::HashMap::with_capacity(labels.len());
        let mut unknown = 0;
        for label in labels {
            let image = match &label.image {
                Named::Id(image) => Some(*image),
                // A key of different images says of none what it is.
                Named::SourceKey(key) => match self.images_at(key)?[..] {
                    [image] => Some(image),
                    _ => None,
                },
            };
            match image.filter(|image| reader.get(image).is_some()) {
                Some(image) => drop(truth.insert(image, label.needed)),
                None => unknown += 1,
            }
        }
        let mut confusion = Confusion::default();
        let mut decided = 0;
        for (image, needed) in &truth {
            let Some(decision) = reader.get(image) else {
                continue;
            };
            let noise = options.noise_as_discard && reader.is_noise(image);
            confusion.count(*needed, decision.side == Side::Keep && !noise);
            decided += u64::from(decision.kind != DecisionKind::Review);
        }
        let (policy, _, _) = self.policy();
        Ok(Evaluation {
            interval: confusion.interval(policy.precision_weight),
            precision_weight: policy.precision_weight,
            judgements: options.judgements.unwrap_or_else(|| {
                let stats = self.stats();
                stats.judgements + stats.bulk_verdicts
            }),
            rates: options.rates,
            decided_share: if truth.is_empty() { 0.0 } else { decided as f64 / truth.len() as f64 },
            confusion,
            unknown,
        })
    }
}
