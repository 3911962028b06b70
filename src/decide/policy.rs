//! The knobs of decisions, checked.

use serde::{Deserialize, Serialize};

/// What to answer for an image that needs review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnswerInReview {
    /// Say so.
    Review,
    /// Keep it, for callers that know two answers only.
    Keep,
}

/// The knobs of decisions; [`Policy::default`] works.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// By how much nearer (cosine distance, [0, 2]) the winning side must be for a standing verdict.
    pub standing_margin: f64,
    /// How far (cosine distance, [0, 2]) a label reaches that was given singly or as noise.
    pub standing_radius: f64,
    /// The share (0, 1] of a cluster's members that must carry labels for the others to inherit.
    pub inheritance_quorum: f64,
    /// The share (0.5, 1] of implied labels that must agree for members to inherit.
    pub inheritance_agreement: f64,
    /// How sure (0.5, 1] of the other side the classifier must be for an implied or inherited side to be doubtful.
    pub doubt_threshold: f64,
    /// How far (cosine distance, [0, 2]) near-duplicates with the same perceptual hash may be apart; 0: no image is
    /// discarded for being a near-duplicate.
    pub duplicate_distance: f64,
    /// The share (0, 0.5] of the perceptual hash's bits that near-duplicates with the same embedding may differ by.
    pub duplicate_hash_distance: f64,
    /// What to answer for an image that needs review.
    pub answer_in_review: AnswerInReview,
    /// The weight [0, 1] of precision in the Quality Metric; recall has the rest.
    pub precision_weight: f64,
    /// Cluster anew once images have grown by this share [0, 100] since; 0 never does.
    pub recluster_growth: f64,
    /// Cluster anew once the share [0, 1] of images in no cluster has risen above this since; 0 never does.
    pub recluster_noise: f64,
    /// Cluster anew so many hours [0, 8760] after the last time, where anything changed; 0 never does.
    pub recluster_hours: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            standing_margin: 0.05,
            standing_radius: 0.25,
            inheritance_quorum: 0.5,
            inheritance_agreement: 0.95,
            doubt_threshold: 0.9,
            duplicate_distance: 0.8,
            duplicate_hash_distance: 0.3,
            answer_in_review: AnswerInReview::Review,
            precision_weight: 0.3,
            recluster_growth: 0.0,
            recluster_noise: 0.0,
            recluster_hours: 0.0,
        }
    }
}

/// A knob is out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} is {received}, but must be in {range}")]
pub struct PolicyError {
    /// Which knob.
    pub field: &'static str,
    /// What was given.
    pub received: f64,
    /// What is allowed.
    pub range: &'static str,
}

impl Policy {
    /// Checks every knob.
    ///
    /// # Errors
    /// The first knob out of its range.
    pub fn check(self) -> Result<Self, PolicyError> {
        let Self {
            standing_margin,
            standing_radius,
            inheritance_quorum,
            inheritance_agreement,
            doubt_threshold,
            duplicate_distance,
            duplicate_hash_distance,
            answer_in_review: _,
            precision_weight,
            recluster_growth,
            recluster_noise,
            recluster_hours,
        } = self;
        let rows = [
            ("standing_margin", standing_margin, "[0, 2]", (0.0..=2.0).contains(&standing_margin)),
            ("standing_radius", standing_radius, "[0, 2]", (0.0..=2.0).contains(&standing_radius)),
            (
                "inheritance_quorum",
                inheritance_quorum,
                "(0, 1]",
                inheritance_quorum > 0.0 && inheritance_quorum <= 1.0,
            ),
            (
                "inheritance_agreement",
                inheritance_agreement,
                "(0.5, 1]",
                inheritance_agreement > 0.5 && inheritance_agreement <= 1.0,
            ),
            ("doubt_threshold", doubt_threshold, "(0.5, 1]", doubt_threshold > 0.5 && doubt_threshold <= 1.0),
            ("duplicate_distance", duplicate_distance, "[0, 2]", (0.0..=2.0).contains(&duplicate_distance)),
            (
                "duplicate_hash_distance",
                duplicate_hash_distance,
                "(0, 0.5]",
                duplicate_hash_distance > 0.0 && duplicate_hash_distance <= 0.5,
            ),
            ("precision_weight", precision_weight, "[0, 1]", (0.0..=1.0).contains(&precision_weight)),
            ("recluster_growth", recluster_growth, "[0, 100]", (0.0..=100.0).contains(&recluster_growth)),
            ("recluster_noise", recluster_noise, "[0, 1]", (0.0..=1.0).contains(&recluster_noise)),
            ("recluster_hours", recluster_hours, "[0, 8760]", (0.0..=8760.0).contains(&recluster_hours)),
        ];
        match rows.into_iter().find(|row| !row.3) {
            Some((field, received, range, _)) => Err(PolicyError { field, received, range }),
            None => Ok(self),
        }
    }
}
