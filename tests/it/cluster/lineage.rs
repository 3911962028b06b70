//! Cluster ids across runs.

use std::collections::HashMap;

use culld::cluster::lineage::{Lineage, match_clusters};
use culld::types::{ClusterId, ImageId};
use proptest::prelude::*;

use super::ids;

/// Matches new labels against old ones, both written as one letter per image; `.` is noise.
fn check(old: &str, new: &str) -> Lineage {
    let images = ids(old.len());
    let label = |letter: char| letter.is_ascii_alphabetic().then(|| u32::from(letter) - u32::from('a'));
    let previous: HashMap<ImageId, ClusterId> = images
        .iter()
        .zip(old.chars())
        .filter_map(|(id, letter)| Some((*id, ClusterId(u64::from(label(letter)?) + 100))))
        .collect();
    let labels: Vec<Option<u32>> = new.chars().map(label).collect();
    match_clusters(&previous, &images, &labels, ClusterId(500))
}

fn numbers(lineage: &Lineage) -> Vec<u64> {
    lineage.ids.iter().map(|id| id.0).collect()
}

#[test]
fn ids_follow_their_clusters() {
    for (old, new, expected) in [
        ("aaabbbcc.", "aaabbbcc.", vec![100, 101, 102]),
        ("aaabbbcc.", "bbbccca a", vec![102, 100, 101]),
        // A split: the larger piece keeps the id, the smaller is new.
        ("aaaaaa", "aaaabb", vec![100, 500]),
        // A merger: the id of the part that is most of it.
        ("aaaabb", "aaaaaa", vec![100]),
        // Growth and noise say nothing.
        ("aa......", "aaaaaaaa", vec![100]),
        ("", "", vec![]),
        ("....", "aabb", vec![500, 501]),
        // Nothing resembles anything.
        ("aaabbbccc", "abcabcabc", vec![500, 501, 502]),
    ] {
        assert_eq!(numbers(&check(old, new)), expected, "{old} {new}");
    }
}

#[test]
fn parents_show_mergers_and_splits() {
    let merged = check("aaaabb", "aaaaaa");
    assert_eq!(merged.parents, [vec![(ClusterId(100), 4), (ClusterId(101), 2)]]);
    let split = check("aaaaaa", "aaaabb");
    assert_eq!(split.parents, [vec![(ClusterId(100), 4)], vec![(ClusterId(100), 2)]]);
    assert_eq!(split.next, ClusterId(501));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn running_again_keeps_every_id(letters in "[a-f.]{0,60}") {
        // Labels are dense.
        let mut seen: Vec<char> = letters.chars().filter(char::is_ascii_alphabetic).collect();
        seen.sort_unstable();
        seen.dedup();
        let dense: String = letters
            .chars()
            .map(|letter| seen.binary_search(&letter).map_or('.', |place| char::from(b'a' + place as u8)))
            .collect();
        let lineage = check(&dense, &dense);
        prop_assert_eq!(numbers(&lineage), (100..100 + seen.len() as u64).collect::<Vec<_>>());
        prop_assert_eq!(lineage.next, ClusterId(500));
    }

    #[test]
    fn ids_are_never_given_twice(old in "[a-e.]{40}", new in "[a-e.]{40}") {
        let mut ids = numbers(&check(&old, &new));
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), count);
    }
}
