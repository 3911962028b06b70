//! The rules of decisions as tables over the pure function, and labels against a simple model.

use std::collections::HashMap;

use culld::decide::event::{JudgedCluster, Verdict};
use culld::decide::labels::{Label, Labels};
use culld::decide::policy::{AnswerInReview, Policy};
use culld::decide::quality::{Confusion, Rates};
use culld::decide::{
    Decision, DecisionKind, Duplicate, Evidence, Facts, Reason, Score, Standing, Votes, decide,
};
use culld::types::{ClusterId, Generation, ImageId, Side};
use proptest::prelude::*;

const KEEP: (DecisionKind, Side) = (DecisionKind::Keep, Side::Keep);
const DISCARD: (DecisionKind, Side) = (DecisionKind::Discard, Side::Discard);
const REVIEW_KEEP: (DecisionKind, Side) = (DecisionKind::Review, Side::Keep);
const REVIEW_DISCARD: (DecisionKind, Side) = (DecisionKind::Review, Side::Discard);

/// Margin and radius that f32 holds exactly, so that tables can stand on the boundary.
fn policy() -> Policy {
    Policy { standing_margin: 0.0625, standing_radius: 0.25, ..Policy::default() }
}

#[track_caller]
fn check(facts: &Facts, (kind, side): (DecisionKind, Side), reason: Reason) -> Decision {
    let decision = decide(facts, &policy());
    assert_eq!((decision.kind, decision.side, decision.reason), (kind, side, reason), "{facts:?}");
    assert!((0.0..=1.0).contains(&decision.confidence), "{decision:?}");
    // Callers that know two answers only never hear of review, and lose nothing by it.
    let two_answers = Policy { answer_in_review: AnswerInReview::Keep, ..policy() };
    let expected = if kind == DecisionKind::Review { KEEP } else { (kind, side) };
    let answer = decide(facts, &two_answers);
    assert_eq!((answer.kind, answer.side, answer.reason), (expected.0, expected.1, reason), "{facts:?}");
    decision
}

#[expect(clippy::unnecessary_wraps, reason = "tables read better without")]
fn label(side: Side, seen: bool) -> Option<Label> {
    Some(Label { side, seen, event: 1, bulk: true, reach: None, medoid: None, duplicate: false })
}

#[expect(clippy::unnecessary_wraps, reason = "tables read better without")]
fn near(distance: f32) -> Option<Evidence> {
    Some(Evidence { image: ImageId([1; 32]), distance, reach: None, votes: None })
}

#[expect(clippy::unnecessary_wraps, reason = "tables read better without")]
fn reaching(distance: f32, reach: f32) -> Option<Evidence> {
    Some(Evidence { image: ImageId([1; 32]), distance, reach: Some(reach), votes: None })
}

fn facts(nearest_keep: Option<Evidence>, nearest_discard: Option<Evidence>) -> Facts {
    Facts { nearest_keep, nearest_discard, ..Facts::default() }
}

#[test]
fn labels_decide() {
    let near = facts(near(0.0), near(0.0));
    for (side, answer) in [(Side::Keep, KEEP), (Side::Discard, DISCARD)] {
        let decision = check(&Facts { label: label(side, true), ..near }, answer, Reason::SeenLabel);
        assert_eq!(decision.confidence, 1.0);
        check(&Facts { label: label(side, false), ..near }, answer, Reason::ImpliedLabel);
    }
    // An implied label is as sure as its cluster is of one mind.
    let votes = Votes { members: 10, implied_keep: 6, seen_discard: 2, ..Votes::default() };
    let standing = Standing::Member { cluster: ClusterId(1), votes, distance_to_medoid: 0.1 };
    let implied = Facts { label: label(Side::Keep, false), standing, ..Facts::default() };
    assert_eq!(check(&implied, KEEP, Reason::ImpliedLabel).confidence, 0.75);
}

#[test]
fn standing_verdicts_need_reach_and_margin() {
    let none = || None;
    let decision = check(&facts(none(), none()), REVIEW_KEEP, Reason::NothingJudged);
    assert_eq!(decision.confidence, 0.0);
    let rows = [
        // The nearer side decides when it wins by the margin, the margin itself included.
        (near(0.125), near(0.1875), KEEP, Reason::StandingVerdict),
        (near(0.1875), near(0.125), DISCARD, Reason::StandingVerdict),
        (near(0.125), near(0.187), REVIEW_KEEP, Reason::NeighboursDisagree),
        (near(0.187), near(0.125), REVIEW_DISCARD, Reason::NeighboursDisagree),
        (near(0.125), near(0.125), REVIEW_KEEP, Reason::NeighboursDisagree),
        // And lies within the radius, the radius itself included.
        (near(0.25), near(0.5), KEEP, Reason::StandingVerdict),
        (near(0.251), near(0.5), REVIEW_KEEP, Reason::TooFar),
        (near(0.5), near(0.25), DISCARD, Reason::StandingVerdict),
        (near(0.5), near(0.251), REVIEW_DISCARD, Reason::TooFar),
        // A label that was given with its cluster reaches as far as that did, be it more or less.
        (reaching(0.375, 0.5), near(1.0), KEEP, Reason::StandingVerdict),
        (reaching(0.125, 0.0625), near(1.0), REVIEW_KEEP, Reason::TooFar),
        (near(1.0), reaching(0.375, 0.5), DISCARD, Reason::StandingVerdict),
        // While only one side has labels, keep may be decided, discard never.
        (near(0.125), None, KEEP, Reason::StandingVerdict),
        (near(0.5), None, REVIEW_KEEP, Reason::TooFar),
        (None, near(0.0), REVIEW_DISCARD, Reason::OneSideJudged),
        (None, near(0.5), REVIEW_KEEP, Reason::TooFar),
    ];
    for (keep, discard, answer, reason) in rows {
        check(&facts(keep, discard), answer, reason);
    }
}

/// Twenty members, of which so many are labelled: seen keep, seen discard, implied keep, implied discard.
fn member(counts: [u64; 4], distance_to_medoid: f32) -> Facts {
    let [seen_keep, seen_discard, implied_keep, implied_discard] = counts;
    let votes =
        Votes { members: 20, seen_keep, seen_discard, implied_keep, implied_discard, labelled_radius: 0.25 };
    let standing = Standing::Member { cluster: ClusterId(1), votes, distance_to_medoid };
    Facts { standing, ..facts(near(1.0), near(1.0)) }
}

#[test]
fn members_inherit_what_their_cluster_agrees_on() {
    let (inherited, changed) = (Reason::Inherited, Reason::ClusterChanged);
    let rows = [
        // At least half carry labels.
        ([0, 0, 10, 0], 0.1, KEEP, inherited),
        ([0, 0, 9, 0], 0.1, REVIEW_KEEP, changed),
        ([0, 0, 0, 10], 0.1, DISCARD, inherited),
        ([10, 0, 0, 0], 0.1, KEEP, inherited),
        ([0, 10, 0, 0], 0.1, DISCARD, inherited),
        // No seen label disagrees.
        ([1, 0, 18, 0], 0.1, KEEP, inherited),
        ([0, 1, 18, 0], 0.1, REVIEW_KEEP, changed),
        ([1, 0, 0, 18], 0.1, REVIEW_KEEP, changed),
        // 95 % of the implied ones agree.
        ([0, 0, 19, 1], 0.1, KEEP, inherited),
        ([0, 0, 18, 1], 0.1, REVIEW_KEEP, changed),
        ([0, 0, 1, 19], 0.1, DISCARD, inherited),
        ([0, 0, 1, 18], 0.1, REVIEW_KEEP, changed),
        // They lie within the radius of the labelled ones.
        ([0, 0, 20, 0], 0.25, KEEP, inherited),
        ([0, 0, 20, 0], 0.251, REVIEW_KEEP, changed),
    ];
    for (counts, distance, answer, reason) in rows {
        check(&member(counts, distance), answer, reason);
    }
    assert_eq!(check(&member([0, 0, 19, 1], 0.1), KEEP, inherited).confidence, 0.95);
}

#[test]
fn without_inheritance_the_standing_verdict_is_tried() {
    let changed = member([0, 0, 5, 0], 0.1);
    check(&Facts { nearest_keep: near(0.1), ..changed }, KEEP, Reason::StandingVerdict);
    check(&Facts { nearest_discard: near(0.1), ..changed }, DISCARD, Reason::StandingVerdict);
    // Where the cluster has no label at all, the distances say why.
    check(&member([0; 4], 0.1), REVIEW_KEEP, Reason::TooFar);
    let noise = |keep| Facts { standing: Standing::Noise, ..facts(keep, near(1.0)) };
    check(&noise(near(1.0)), REVIEW_KEEP, Reason::Noise);
    check(&noise(near(0.1)), KEEP, Reason::StandingVerdict);
    check(&noise(near(0.99)), REVIEW_KEEP, Reason::Noise);
    check(&Facts { standing: Standing::Noise, ..Facts::default() }, REVIEW_KEEP, Reason::NothingJudged);
    check(
        &Facts { standing: Standing::Noise, ..facts(None, near(0.1)) },
        REVIEW_DISCARD,
        Reason::OneSideJudged,
    );
}

/// What the classifier says with this probability of keep, once both sides were seen.
fn scored(keep: f32, facts: &Facts) -> Facts {
    let side = if keep >= 0.5 { Side::Keep } else { Side::Discard };
    Facts { score: Some(Score { keep, side }), both_sides_seen: true, ..*facts }
}

#[test]
fn what_was_not_seen_may_be_doubtful() {
    let doubtful = Reason::Doubtful;
    let implied = |side| Facts { label: label(side, false), ..facts(near(0.1), near(0.1)) };
    let seen = Facts { label: label(Side::Keep, true), ..facts(near(0.1), near(0.1)) };
    let rows = [
        // Beyond the threshold of 0.9, and not at it.
        (scored(0.05, &implied(Side::Keep)), REVIEW_DISCARD, doubtful),
        (scored(0.2, &implied(Side::Keep)), KEEP, Reason::ImpliedLabel),
        (scored(0.95, &implied(Side::Discard)), REVIEW_KEEP, doubtful),
        (scored(0.8, &implied(Side::Discard)), DISCARD, Reason::ImpliedLabel),
        // Neither before both sides were seen, nor of an image that was looked at.
        (Facts { both_sides_seen: false, ..scored(0.05, &implied(Side::Keep)) }, KEEP, Reason::ImpliedLabel),
        (scored(0.0, &seen), KEEP, Reason::SeenLabel),
        // A seen image of the other side needs no classifier.
        (Facts { contradiction: near(0.01), ..implied(Side::Keep) }, REVIEW_DISCARD, doubtful),
        (Facts { contradiction: near(0.01), ..implied(Side::Discard) }, REVIEW_KEEP, doubtful),
        (scored(0.05, &member([0, 0, 20, 0], 0.1)), REVIEW_DISCARD, doubtful),
        (scored(0.5, &member([0, 0, 20, 0], 0.1)), KEEP, Reason::Inherited),
        (scored(0.05, &facts(near(0.1), near(0.5))), REVIEW_DISCARD, doubtful),
        (scored(0.95, &facts(near(0.5), near(0.1))), REVIEW_KEEP, doubtful),
        // One neighbour against the classifier decides nothing, however sure either is.
        (scored(0.45, &facts(near(0.1), near(0.5))), REVIEW_DISCARD, doubtful),
        (scored(0.55, &facts(near(0.1), near(0.5))), KEEP, Reason::StandingVerdict),
        (
            Facts { both_sides_seen: false, ..scored(0.2, &facts(near(0.1), near(0.5))) },
            KEEP,
            Reason::StandingVerdict,
        ),
        // In review the classifier says the side, whatever the reason.
        (scored(0.2, &facts(near(0.1), near(0.11))), REVIEW_DISCARD, Reason::NeighboursDisagree),
        (scored(0.8, &facts(near(0.5), near(0.4))), REVIEW_KEEP, Reason::TooFar),
        (scored(0.8, &facts(None, near(0.1))), REVIEW_KEEP, Reason::OneSideJudged),
    ];
    for (facts, answer, reason) in rows {
        let decision = check(&facts, answer, reason);
        let expected = match (reason, facts.score) {
            (Reason::SeenLabel, _) => 1.0,
            (_, Some(score)) => score.of(decision.side),
            (_, None) => decision.confidence,
        };
        assert_eq!(decision.confidence, expected, "{facts:?}");
    }
}

/// Rule 2: of a discarded image, and nearer to it than to every kept one.
#[test]
fn near_duplicates_of_discarded_images_are_discarded() {
    let twin = |distance: f32, separation: f32| {
        Some(Duplicate { image: ImageId([2; 32]), distance, hash_distance: 0.0625, separation })
    };
    let found = |duplicate_discard, duplicate_keep, nearest_keep| Facts {
        duplicate_discard,
        duplicate_keep,
        ..facts(nearest_keep, near(0.125))
    };
    let alone = found(twin(0.125, 0.25), None, None);
    let decision = check(&alone, DISCARD, Reason::NearDuplicate);
    assert_eq!(decision.confidence, 0.875);
    check(&found(twin(0.125, 1.0), None, near(0.1875)), DISCARD, Reason::NearDuplicate);
    // As near is not nearer, by embedding or by both together.
    check(&found(twin(0.125, 0.25), None, near(0.125)), REVIEW_KEEP, Reason::NeighboursDisagree);
    check(&found(twin(0.125, 0.25), twin(0.25, 0.25), near(0.25)), DISCARD, Reason::StandingVerdict);
    check(&found(twin(0.125, 0.25), twin(0.25, 0.5), near(0.25)), DISCARD, Reason::NearDuplicate);
    // Any label of its own goes before, and it goes before inheritance.
    for seen in [true, false] {
        let labelled = Facts { label: label(Side::Keep, seen), ..alone };
        let reason = if seen { Reason::SeenLabel } else { Reason::ImpliedLabel };
        check(&labelled, KEEP, reason);
    }
    let standing = member([0, 0, 10, 0], 0.1).standing;
    check(&Facts { standing, ..alone }, DISCARD, Reason::NearDuplicate);
}

#[test]
fn policies_are_checked() {
    let default = Policy::default();
    assert_eq!(default.check(), Ok(default));
    let rows = [
        ("standing_margin", Policy { standing_margin: -0.1, ..default }),
        ("standing_radius", Policy { standing_radius: 2.1, ..default }),
        ("inheritance_quorum", Policy { inheritance_quorum: 0.0, ..default }),
        ("inheritance_agreement", Policy { inheritance_agreement: 0.5, ..default }),
        ("doubt_threshold", Policy { doubt_threshold: 0.5, ..default }),
        ("duplicate_distance", Policy { duplicate_distance: 2.1, ..default }),
        ("duplicate_hash_distance", Policy { duplicate_hash_distance: 0.0, ..default }),
        ("precision_weight", Policy { precision_weight: f64::NAN, ..default }),
    ];
    for (field, policy) in rows {
        assert_eq!(policy.check().unwrap_err().field, field);
    }
}

#[test]
fn quality_is_the_studys() {
    assert_eq!(Rates::default().savings().map(|(_, saving)| saving), [5.0, 185.0, 1985.0, 19_985.0]);
    assert_eq!(Rates::default().cost(40), 10.0, "40 looks of 10 seconds at 90 an hour");
    let rows = [
        // true positive, false positive, false negative, true negative: precision, recall, metric
        ([8, 2, 0, 5], 0.8, 1.0, 0.94),
        ([5, 0, 5, 5], 1.0, 0.5, 0.65),
        ([0, 0, 5, 5], 0.0, 0.0, 0.0),
        ([0, 5, 0, 5], 0.0, 0.0, 0.0),
        ([0, 0, 0, 0], 0.0, 0.0, 0.0),
        ([100, 0, 0, 0], 1.0, 1.0, 1.0),
    ];
    for ([true_positive, false_positive, false_negative, true_negative], precision, recall, metric) in rows {
        let confusion = Confusion { true_positive, false_positive, false_negative, true_negative };
        let found = (confusion.precision(), confusion.recall());
        assert_eq!(found, (precision, recall), "{confusion:?}");
        assert!((confusion.quality_metric(0.3) - metric).abs() < 1e-12, "{confusion:?}");
        let (low, high) = confusion.interval(0.3);
        assert!(low <= metric + 1e-12 && metric - 1e-12 <= high, "{low} {metric} {high}");
        assert_eq!(confusion.interval(0.3), (low, high), "the same counts, the same interval");
    }
}

/// A verdict on some of eight images: whether it keeps, implied, seen, exceptions.
type Words = (bool, Vec<u8>, Vec<u8>, Vec<u8>);

fn verdicts() -> impl Strategy<Value = Vec<Words>> {
    let images = || proptest::collection::vec(0..8u8, 0..5);
    proptest::collection::vec((any::<bool>(), images(), images(), images()), 0..12)
}

fn images(numbers: &[u8]) -> Vec<ImageId> {
    numbers.iter().map(|&number| ImageId([number; 32])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The last seen word wins; only where there is none, the last implied one.
    #[test]
    fn labels_are_the_last_words(verdicts in verdicts()) {
        let mut labels = Labels::default();
        let (mut seen, mut implied) = (HashMap::new(), HashMap::new());
        for (event, (keep, members, named, exceptions)) in (1..).zip(&verdicts) {
            let side = if *keep { Side::Keep } else { Side::Discard };
            let cluster = Some(JudgedCluster {
                clustering: 1,
                cluster: Some(ClusterId(1)),
                generation: Generation(1),
                radius: Some(0.5),
                medoid: None,
            });
            let verdict = Verdict {
                side,
                cluster,
                seen: images(named),
                implied: images(members),
                exceptions: images(exceptions),
                duplicate_of: None,
            };
            labels.apply(event, &verdict);
            implied.extend(members.iter().map(|&image| (image, side)));
            seen.extend(named.iter().map(|&image| (image, side)));
            seen.extend(exceptions.iter().map(|&image| (image, side.other())));
        }
        for image in 0..8 {
            let expected = seen.get(&image).map(|&side| (side, true, None));
            let expected = expected.or_else(|| implied.get(&image).map(|&side| (side, false, Some(0.5))));
            let found = labels.get(&ImageId([image; 32])).map(|label| (label.side, label.seen, label.reach));
            prop_assert_eq!(found, expected);
        }
        for side in [Side::Keep, Side::Discard] {
            let counted = labels.iter().filter(|(_, label)| label.side == side).count();
            prop_assert_eq!(labels.count(side), counted);
        }
        prop_assert_eq!(labels.verdicts(), verdicts.len() as u64);
    }
}
