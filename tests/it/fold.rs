//! Labels and open questions as the fold of a log, against simple models.

use std::collections::{BTreeMap, BTreeSet};

use culld::decide::event::{Act, Answer, PartKey, ReviewAnswer, Verdict};
use culld::decide::fold::{Fold, undone};
use culld::types::{Generation, ImageId, Side};
use proptest::prelude::*;

const IMAGES: u8 = 10;

/// One line of a log about ten images.
#[derive(Debug, Clone)]
enum Line {
    Verdict {
        keep: bool,
        implied: Vec<u8>,
        seen: Vec<u8>,
        exceptions: Vec<u8>,
    },
    Answer {
        answer: Answer,
        shown: Vec<u8>,
        others: Vec<u8>,
        exceptions: usize,
    },
    /// Of this event, counted back from the line itself; if it is not undoable, nothing.
    Undo {
        back: u64,
    },
}

fn some() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::btree_set(0..IMAGES, 0..4).prop_map(|set| set.into_iter().collect())
}

fn line() -> impl Strategy<Value = Line> {
    let answer =
        prop_oneof![Just(Answer::Keep), Just(Answer::Discard), Just(Answer::Mixed), Just(Answer::Skip)];
    prop_oneof![
        (any::<bool>(), some(), some(), some()).prop_map(|(keep, implied, seen, exceptions)| Line::Verdict {
            keep,
            implied,
            seen,
            exceptions
        }),
        (answer, some(), some(), 0..3usize).prop_map(|(answer, shown, others, exceptions)| Line::Answer {
            answer,
            shown,
            others,
            exceptions
        }),
        (1..6u64).prop_map(|back| Line::Undo { back }),
    ]
}

fn ids(numbers: &[u8]) -> Vec<ImageId> {
    numbers.iter().map(|&number| ImageId([number; 32])).collect()
}

fn act(line: &Line, event: u64) -> Act {
    match line {
        Line::Verdict { keep, implied, seen, exceptions } => Act::Verdict(Verdict {
            side: if *keep { Side::Keep } else { Side::Discard },
            cluster: None,
            seen: ids(seen),
            implied: ids(implied),
            exceptions: ids(exceptions),
            duplicate_of: None,
        }),
        Line::Answer { answer, shown, others, exceptions } => {
            let cut = (*exceptions).min(shown.len());
            let cut = if answer.side().is_some() { cut } else { 0 };
            Act::Answer(ReviewAnswer {
                answer: *answer,
                exceptions: ids(&shown[..cut]),
                shown: ids(&shown[cut..]),
                others: ids(others),
                part: None,
                parts: if *answer == Answer::Mixed { vec![ids(shown), ids(others)] } else { Vec::new() },
                medoid: None,
                radius: 0.5,
                generation: Generation(1),
            })
        }
        Line::Undo { back } => Act::Undo { event: event.saturating_sub(*back) },
    }
}

/// What the log says of each image, told simply: side, and whether it was seen.
fn model(acts: &[(u64, Act)]) -> BTreeMap<ImageId, (Side, bool)> {
    let mut said: BTreeMap<ImageId, (Side, bool)> = BTreeMap::new();
    let implied = |said: &mut BTreeMap<_, (Side, bool)>, images: &[ImageId], side| {
        for image in images {
            if said.get(image).is_none_or(|before| !before.1) {
                said.insert(*image, (side, false));
            }
        }
    };
    for (_, act) in acts {
        match act {
            Act::Verdict(verdict) => {
                implied(&mut said, &verdict.implied, verdict.side);
                said.extend(verdict.seen.iter().map(|image| (*image, (verdict.side, true))));
                said.extend(verdict.exceptions.iter().map(|image| (*image, (verdict.side.other(), true))));
            }
            Act::Answer(answer) => match answer.answer.side() {
                Some(side) => {
                    implied(&mut said, &answer.others, side);
                    said.extend(answer.shown.iter().map(|image| (*image, (side, true))));
                    said.extend(answer.exceptions.iter().map(|image| (*image, (side.other(), true))));
                }
                None if answer.answer == Answer::Mixed => {
                    for image in answer.images() {
                        if said.get(image).is_some_and(|label| !label.1) {
                            said.remove(image);
                        }
                    }
                }
                None => {}
            },
            _ => {}
        }
    }
    said
}

/// Whether an event is in force, by definition: no undo in force is of it.
fn in_force(event: u64, undos: &[(u64, u64)]) -> bool {
    !undos.iter().any(|&(undo, of)| of == event && in_force(undo, undos))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn labels_are_the_fold_of_what_is_in_force(lines in proptest::collection::vec(line(), 0..24)) {
        let acts: Vec<(u64, Act)> = (1..).zip(&lines).map(|(event, line)| (event, act(line, event))).collect();
        let undos: Vec<(u64, u64)> = acts
            .iter()
            .filter_map(|(event, act)| match act {
                Act::Undo { event: of } => Some((*event, *of)),
                _ => None,
            })
            .collect();
        let gone = undone(&undos);
        for (event, _) in &acts {
            prop_assert_eq!(!gone.contains_key(event), in_force(*event, &undos), "event {}", event);
        }
        let left: Vec<(u64, Act)> =
            acts.into_iter().filter(|(event, _)| !gone.contains_key(event)).collect();
        let mut fold = Fold::default();
        left.iter().for_each(|(event, act)| {
            fold.apply(*event, act);
        });
        let found: BTreeMap<ImageId, (Side, bool)> =
            fold.labels.iter().map(|(image, label)| (*image, (label.side, label.seen))).collect();
        let expected = model(&left);
        prop_assert_eq!(&found, &expected);
        for side in [Side::Keep, Side::Discard] {
            let count = expected.values().filter(|label| label.0 == side).count();
            prop_assert_eq!(fold.labels.count(side), count);
        }
        let seen: BTreeSet<bool> =
            expected.values().filter(|label| label.1).map(|label| label.0 == Side::Keep).collect();
        prop_assert_eq!(fold.labels.both_sides_seen(), seen.len() == 2);
    }
}

#[test]
fn halves_of_mixed_items_stay_open_until_they_are_answered() {
    let answer = |answer, shown: &[u8], others: &[u8], part, parts: &[&[u8]]| {
        Act::Answer(ReviewAnswer {
            answer,
            shown: ids(shown),
            exceptions: Vec::new(),
            others: ids(others),
            part,
            parts: parts.iter().map(|part| ids(part)).collect(),
            medoid: None,
            radius: 0.5,
            generation: Generation(1),
        })
    };
    let half = |event, part| PartKey { event, part };
    let mut fold = Fold::default();
    let open =
        |fold: &Fold| fold.answers.parts().map(|(key, images)| (key, images.len())).collect::<Vec<_>>();
    fold.apply(1, &answer(Answer::Mixed, &[0, 1], &[2, 3, 4], None, &[&[0, 2], &[1, 3, 4]]));
    assert_eq!(open(&fold), [(half(1, 0), 2), (half(1, 1), 3)]);
    fold.apply(2, &answer(Answer::Skip, &[0, 2], &[], Some(half(1, 0)), &[]));
    assert_eq!(open(&fold).len(), 2, "who skips leaves it open");
    assert!(fold.answers.is_skipped(&ImageId([0; 32])) && !fold.answers.is_skipped(&ImageId([1; 32])));
    fold.apply(3, &answer(Answer::Mixed, &[1, 3], &[4], Some(half(1, 1)), &[&[1], &[3, 4]]));
    assert_eq!(open(&fold), [(half(1, 0), 2), (half(3, 0), 1), (half(3, 1), 2)]);
    fold.apply(4, &answer(Answer::Keep, &[0, 2], &[], Some(half(1, 0)), &[]));
    assert_eq!(open(&fold), [(half(3, 0), 1), (half(3, 1), 2)]);
    assert!(!fold.answers.is_skipped(&ImageId([0; 32])), "it was answered after all");
    assert!((0..5).all(|image| fold.answers.is_covered(&ImageId([image; 32]))));
}
