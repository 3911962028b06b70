//! The order of answers, and the selection of the first k.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::types::{Neighbour, PointOffset, Vectors, cosine_distance};

/// Nearest first, equal distances by offset: a total order, so that the first k are the same however they are found.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that sorting takes")]
pub(super) fn by_distance(a: &Neighbour, b: &Neighbour) -> Ordering {
    a.distance.total_cmp(&b.distance).then(a.offset.cmp(&b.offset))
}

struct Ranked(Neighbour);

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        by_distance(&self.0, &other.0)
    }
}

/// Keeps the k nearest of what it is offered.
pub(super) struct Nearest {
    k: usize,
    // The farthest is on top.
    heap: BinaryHeap<Ranked>,
}

impl Nearest {
    pub(super) fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    pub(super) fn offer(&mut self, neighbour: Neighbour) {
        if self.heap.len() < self.k {
            self.heap.push(Ranked(neighbour));
        } else if let Some(mut farthest) = self.heap.peek_mut()
            && by_distance(&neighbour, &farthest.0).is_lt()
        {
            farthest.0 = neighbour;
        }
    }

    pub(super) fn into_sorted(self) -> Vec<Neighbour> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect()
    }
}

/// The k nearest of `candidates` by exact distance, which may name an offset more than once.
pub(super) fn k_nearest(
    vectors: &Vectors,
    query: &[f32],
    k: usize,
    candidates: impl Iterator<Item = PointOffset>,
) -> Vec<Neighbour> {
    let mut found: Vec<Neighbour> = candidates
        .map(|offset| Neighbour { offset, distance: cosine_distance(query, vectors.row(offset as usize)) })
        .collect();
    found.sort_unstable_by(by_distance);
    found.dedup_by_key(|neighbour| neighbour.offset);
    found.truncate(k);
    found
}
