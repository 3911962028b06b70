//! What culld answers for one image: pure, total, no I/O.
//!
//! [`decide`] takes everything that bears on one image as plain values and answers a [`Decision`]. The rules and their
//! order are those of the documentation: a seen label, a near-duplicate of a discarded image, an implied label,
//! inheritance within a cluster, a standing verdict by the nearest labelled images, and else review with the reason.

pub mod event;
pub mod fold;
pub mod labels;
pub mod policy;
pub mod quality;

use serde::{Deserialize, Serialize};

use crate::types::{ClusterId, ImageId, Side};

use self::labels::Label;
use self::policy::{AnswerInReview, Policy};

/// Keep, discard, or a person has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DecisionKind {
    /// Needed.
    Keep,
    /// Not needed.
    Discard,
    /// A person has to look.
    Review,
}

impl From<Side> for DecisionKind {
    fn from(side: Side) -> Self {
        match side {
            Side::Keep => Self::Keep,
            Side::Discard => Self::Discard,
        }
    }
}

/// Why an image has its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// A person looked at this image.
    SeenLabel,
    /// It was a member of a cluster when that was judged.
    ImpliedLabel,
    /// Its cluster's labelled members agree, and it lies among them.
    Inherited,
    /// A near-duplicate of an image that a person looked at and discarded.
    NearDuplicate,
    /// Near to a labelled image, and clearly nearer than to any of the other side.
    StandingVerdict,
    /// Nothing is judged yet.
    NothingJudged,
    /// It would be discarded, but nothing has been kept yet to compare with.
    OneSideJudged,
    /// Labelled images of both sides are about equally near.
    NeighboursDisagree,
    /// Too far from everything that was judged.
    TooFar,
    /// In no cluster, and too far from everything that was judged.
    Noise,
    /// Its cluster's labels are too few or disagree.
    ClusterChanged,
    /// What it would inherit or stand by, its look contradicts.
    Doubtful,
}

/// The labels within one cluster of the active clustering, counted over its members that are still stored; what was
/// discarded as a duplicate speaks for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Votes {
    /// Members.
    pub members: u64,
    /// Members with a seen keep label.
    pub seen_keep: u64,
    /// Members with a seen discard label.
    pub seen_discard: u64,
    /// Members with an implied keep label.
    pub implied_keep: u64,
    /// Members with an implied discard label.
    pub implied_discard: u64,
    /// The largest distance from the medoid to a labelled member.
    pub labelled_radius: f32,
}

impl Votes {
    /// Counts one member and its label.
    pub fn count(&mut self, label: Option<&Label>, distance_to_medoid: f32) {
        self.members += 1;
        let Some(label) = label.filter(|label| label.speaks()) else { return };
        let counter = match (label.side, label.seen) {
            (Side::Keep, true) => &mut self.seen_keep,
            (Side::Discard, true) => &mut self.seen_discard,
            (Side::Keep, false) => &mut self.implied_keep,
            (Side::Discard, false) => &mut self.implied_discard,
        };
        *counter += 1;
        self.labelled_radius = self.labelled_radius.max(distance_to_medoid);
    }

    /// Members with a label of this side.
    pub fn of(&self, side: Side) -> u64 {
        match side {
            Side::Keep => self.seen_keep + self.implied_keep,
            Side::Discard => self.seen_discard + self.implied_discard,
        }
    }

    /// Members with a label.
    pub fn labelled(&self) -> u64 {
        self.of(Side::Keep) + self.of(Side::Discard)
    }

    /// The share [0, 1] of this side among the labelled members; `None` where none is labelled.
    pub fn share(&self, side: Side) -> Option<f64> {
        let labelled = self.labelled();
        (labelled > 0).then(|| self.of(side) as f64 / labelled as f64)
    }

    /// The side that members without a label inherit: enough members carry labels, no seen label disagrees, and
    /// nearly all implied ones agree.
    pub fn inherited_side(&self, policy: &Policy) -> Option<Side> {
        let labelled = self.labelled();
        if labelled == 0 || (labelled as f64) < policy.inheritance_quorum * self.members as f64 {
            return None;
        }
        let (side, against, agreeing, opposing) = if self.of(Side::Keep) >= self.of(Side::Discard) {
            (Side::Keep, self.seen_discard, self.implied_keep, self.implied_discard)
        } else {
            (Side::Discard, self.seen_keep, self.implied_discard, self.implied_keep)
        };
        let implied = (agreeing + opposing) as f64;
        (against == 0 && agreeing as f64 >= policy.inheritance_agreement * implied).then_some(side)
    }
}

/// The nearest image with a label of one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Which image.
    pub image: ImageId,
    /// Its cosine distance, [0, 2].
    pub distance: f32,
    /// How far its label reaches; `None` means the policy's radius.
    pub reach: Option<f32>,
    /// The labels in its own cluster, where it is in one.
    pub votes: Option<Votes>,
}

/// What the classifier, which learns from the images that were looked at, says of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The probability that it is needed, [0, 1].
    pub keep: f32,
    /// The side that is best for the Quality Metric of the whole collection; not always the likelier one.
    pub side: Side,
}

impl Score {
    /// The probability of a side.
    pub fn of(&self, side: Side) -> f32 {
        match side {
            Side::Keep => self.keep,
            Side::Discard => 1.0 - self.keep,
        }
    }
}

/// A near-duplicate with a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Duplicate {
    /// Which image.
    pub image: ImageId,
    /// Its cosine distance, [0, 2].
    pub distance: f32,
    /// The share of its perceptual hash's bits that differ, [0, 0.5]; of a crop, at the place where it was.
    pub hash_distance: f32,
    /// The shares that both distances take of what near-duplicates may be apart, together: [0, 1].
    pub separation: f32,
}

/// Where an image stands in the active clustering.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Standing {
    /// There is none, or it was added since.
    #[default]
    Unclustered,
    /// In no cluster.
    Noise,
    /// In a cluster.
    Member {
        /// Which.
        cluster: ClusterId,
        /// The labels within it.
        votes: Votes,
        /// Cosine distance to its medoid, [0, 2].
        distance_to_medoid: f32,
    },
}

/// Everything that bears on one image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Facts {
    /// Its own label.
    pub label: Option<Label>,
    /// Where it stands in the active clustering.
    pub standing: Standing,
    /// The nearest other image labelled keep; `None` means that there is none at all.
    pub nearest_keep: Option<Evidence>,
    /// The nearest other image labelled discard; `None` means that there is none at all.
    pub nearest_discard: Option<Evidence>,
    /// For an implied label: an image that was seen to be of the other side, within the policy's margin and nearer
    /// than the medoid of the cluster that was judged.
    pub contradiction: Option<Evidence>,
    /// What the classifier says, where anything was looked at.
    pub score: Option<Score>,
    /// Whether images of both sides were looked at.
    pub both_sides_seen: bool,
    /// The nearest image labelled keep that it is a near-duplicate of; looked for only where there is one of discard.
    pub duplicate_keep: Option<Duplicate>,
    /// The nearest image that it is a near-duplicate of, and that was seen and discarded, not for being a duplicate.
    pub duplicate_discard: Option<Duplicate>,
}

/// What culld answers for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Keep, discard or review.
    pub kind: DecisionKind,
    /// What it would be if it had to be decided now; equals `kind` where that is not review.
    pub side: Side,
    /// [0, 1].
    pub confidence: f32,
    /// Why.
    pub reason: Reason,
}

impl Decision {
    /// The answer while nothing is judged: keep, were it decided now, with no confidence.
    pub const UNJUDGED: Self =
        Self { kind: DecisionKind::Review, side: Side::Keep, confidence: 0.0, reason: Reason::NothingJudged };
}

/// Decides one image.
pub fn decide(facts: &Facts, policy: &Policy) -> Decision {
    let labelled = by_label(facts, policy).or_else(|| by_duplicate(facts));
    let decided = labelled.or_else(|| by_inheritance(facts, policy));
    let decision = decided.unwrap_or_else(|| by_standing_verdict(facts, policy));
    match (decision.kind, policy.answer_in_review) {
        (DecisionKind::Review, AnswerInReview::Keep) => {
            Decision { kind: DecisionKind::Keep, side: Side::Keep, ..decision }
        }
        (DecisionKind::Keep | DecisionKind::Discard, _) | (_, AnswerInReview::Review) => decision,
    }
}

/// Rules 1 and 3: the image's own label.
fn by_label(facts: &Facts, policy: &Policy) -> Option<Decision> {
    let Label { side, seen, .. } = facts.label?;
    if seen {
        return Some(Decision { kind: side.into(), side, confidence: 1.0, reason: Reason::SeenLabel });
    }
    if facts.contradiction.is_some() || is_doubtful(facts, side, policy) {
        return Some(doubtful(facts, side.other(), None));
    }
    let confidence = confidence(facts, side, None);
    Some(Decision { kind: side.into(), side, confidence, reason: Reason::ImpliedLabel })
}

/// Whether the classifier says the other side beyond the policy's threshold. It has a say once it knows both sides.
fn is_doubtful(facts: &Facts, side: Side, policy: &Policy) -> bool {
    let says_other = |score: Score| f64::from(score.of(side.other())) > policy.doubt_threshold;
    facts.both_sides_seen && facts.score.is_some_and(says_other)
}

/// Whether the classifier, once it knows both sides, would rather have the image on the other side.
fn is_disputed(facts: &Facts, side: Side) -> bool {
    facts.both_sides_seen && facts.score.is_some_and(|score| score.side != side)
}

/// A person has to look: what speaks for one side is contradicted, so this is the provisional one.
fn doubtful(facts: &Facts, side: Side, evidence: Option<&Evidence>) -> Decision {
    let confidence = confidence(facts, side, evidence);
    Decision { kind: DecisionKind::Review, side, confidence, reason: Reason::Doubtful }
}

/// Rule 2: a near-duplicate of a seen-discarded image, and nearer to it than to every image labelled keep. Only images
/// without a label get here.
fn by_duplicate(facts: &Facts) -> Option<Decision> {
    let discarded = facts.duplicate_discard?;
    let nearer = facts.nearest_keep.is_none_or(|keep| discarded.distance < keep.distance)
        && facts.duplicate_keep.is_none_or(|keep| discarded.separation < keep.separation);
    nearer.then_some(Decision {
        kind: DecisionKind::Discard,
        side: Side::Discard,
        // Nearly every pair within the thresholds is of one picture: at the edge one in two may not be.
        confidence: 1.0 - discarded.separation / 2.0,
        reason: Reason::NearDuplicate,
    })
}

/// Inheritance: members without a label take their cluster's side.
fn by_inheritance(facts: &Facts, policy: &Policy) -> Option<Decision> {
    let Standing::Member { votes, distance_to_medoid, .. } = facts.standing else {
        return None;
    };
    let side = votes.inherited_side(policy)?;
    if distance_to_medoid > votes.labelled_radius {
        return None;
    }
    if is_doubtful(facts, side, policy) {
        return Some(doubtful(facts, side.other(), None));
    }
    let confidence = confidence(facts, side, None);
    Some(Decision { kind: side.into(), side, confidence, reason: Reason::Inherited })
}

/// Rule 4, and the reviews of rule 5.
fn by_standing_verdict(facts: &Facts, policy: &Policy) -> Decision {
    let (side, near, other) = match (facts.nearest_keep, facts.nearest_discard) {
        (None, None) => return Decision::UNJUDGED,
        (Some(keep), Some(discard)) if discard.distance < keep.distance => {
            (Side::Discard, discard, Some(keep))
        }
        (Some(keep), discard) => (Side::Keep, keep, discard),
        (None, Some(discard)) => (Side::Discard, discard, None),
    };
    let within_reach = f64::from(near.distance) <= near.reach.map_or(policy.standing_radius, f64::from);
    let wins = other.is_none_or(|other| f64::from(other.distance - near.distance) >= policy.standing_margin);
    // Where it has to be looked at, the classifier's word is worth more than one neighbour's.
    let review = |side, reason| {
        let side = facts.score.map_or(side, |score| score.side);
        let reason = review_reason(facts, reason);
        let confidence = confidence(facts, side, Some(&near));
        Decision { kind: DecisionKind::Review, side, confidence, reason }
    };
    match (within_reach, wins, side, other) {
        (true, true, Side::Discard, None) => review(side, Reason::OneSideJudged),
        // One neighbour's word against the classifier's, which weighs all that was looked at: a person has to look.
        (true, true, _, _) if is_disputed(facts, side) => doubtful(facts, side.other(), Some(&near)),
        (true, true, _, _) => Decision {
            kind: side.into(),
            side,
            confidence: confidence(facts, side, Some(&near)),
            reason: Reason::StandingVerdict,
        },
        (true, false, _, _) => review(side, Reason::NeighboursDisagree),
        // Far from the only side that was judged, and that is discard: nothing speaks for discarding this one.
        (false, _, _, None) => review(Side::Keep, Reason::TooFar),
        (false, _, _, Some(_)) => review(side, Reason::TooFar),
    }
}

/// Where an image stands in the clustering says more than its distances do.
fn review_reason(facts: &Facts, reason: Reason) -> Reason {
    match facts.standing {
        Standing::Member { votes, .. } if votes.labelled() > 0 => Reason::ClusterChanged,
        Standing::Noise if reason == Reason::TooFar => Reason::Noise,
        Standing::Member { .. } | Standing::Noise | Standing::Unclustered => reason,
    }
}

/// The classifier's probability of the side. Where nothing was looked at: the share of like labels among the labelled
/// members of the image's cluster, else of its evidence's cluster; an image that rests on neither stands by one label
/// alone, and that says nothing of how alike its like are: one half.
fn confidence(facts: &Facts, side: Side, evidence: Option<&Evidence>) -> f32 {
    if let Some(score) = facts.score {
        return score.of(side);
    }
    let own = match facts.standing {
        Standing::Member { votes, .. } => votes.share(side),
        Standing::Noise | Standing::Unclustered => None,
    };
    own.or_else(|| evidence?.votes?.share(side)).unwrap_or(0.5) as f32
}
