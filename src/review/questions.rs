//! What can be asked: items with the images that stand for them, groups around the boundary, and parts of what was
//! mixed.

use rayon::prelude::*;

use super::Images;
use super::features::Point;
use super::kmeans::{kmeans, mean, squared_distance};
use crate::types::PointOffset;

/// The most images that a question shows.
pub const SHOWN_MAX: usize = 9;
/// Groups around the boundary that are tried for each question.
pub const BOUNDARY_GROUPS: usize = 24;
/// Members that the images shown are chosen among: those with the smallest keys.
const CHOOSING_MAX: usize = 2_048;
/// Iterations of the choice: few, as any spread of typical images will do.
const CHOOSING_ITERATIONS: usize = 5;
const SPLITTING_ITERATIONS: usize = 20;
/// Rows that one thread takes at least.
const ROWS_PER_TASK: usize = 2_048;

/// Something a person may be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The images that the answer is about, by key.
    pub members: Vec<PointOffset>,
    /// The members shown: all of up to nine, else nine.
    pub shown: Vec<PointOffset>,
    /// The Quality Metric that the answer is expected to win, counting only what it wins at once: the members' losses
    /// times the chance that the images shown agree.
    pub gain: f64,
    /// Whether it is a group around the boundary rather than one of the caller's items.
    pub boundary: bool,
}

impl Question {
    /// An open item; `None` without members.
    pub(super) fn item(images: &Images<'_>, members: &[PointOffset]) -> Option<Self> {
        let members = images.ordered(members);
        let shown = shown(images, &members);
        (!members.is_empty()).then_some(Self { members, shown, gain: 0.0, boundary: false })
    }

    fn group(images: &Images<'_>, members: &[PointOffset]) -> Self {
        Self { members: images.ordered(members), shown: members.to_vec(), gain: 0.0, boundary: true }
    }
}

/// The members that stand for a question's members: typical images of nine parts of it, so that an item that is mixed
/// looks so.
fn shown(images: &Images<'_>, members: &[PointOffset]) -> Vec<PointOffset> {
    if members.len() <= SHOWN_MAX {
        return members.to_vec();
    }
    let members = &members[..members.len().min(CHOOSING_MAX)];
    let points = images.points(members);
    let parts = kmeans(&points, SHOWN_MAX, CHOOSING_ITERATIONS);
    let mut chosen: Vec<usize> = (0..parts.centres.len())
        .filter_map(|part| {
            let centre = mean(parts.members(part).map(|at| &points[at]));
            let distance = |at: usize| squared_distance(&points[at], &centre);
            parts.members(part).min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
        })
        .collect();
    // Fewer than nine parts: there are equal points.
    while chosen.len() < SHOWN_MAX {
        let apart = |at: usize| {
            let distances = chosen.iter().map(|&other| squared_distance(&points[at], &points[other]));
            distances.fold(f32::INFINITY, f32::min)
        };
        let left = (0..points.len()).filter(|at| !chosen.contains(at)).map(|at| (apart(at), at));
        let Some((_, at)) = left.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))) else { break };
        chosen.push(at);
    }
    chosen.into_iter().map(|at| members[at]).collect()
}

/// Up to [`BOUNDARY_GROUPS`] groups of the up to nine free images nearest to one of them, itself included: first around
/// the image with the largest loss, then around that of those in no group yet. Images shown are nearest first.
pub(super) fn boundary_groups(images: &Images<'_>, losses: &[f64], free: &[bool]) -> Vec<Question> {
    let rows: Vec<PointOffset> = (0..images.len() as PointOffset)
        .filter(|&row| free.get(row as usize).copied().unwrap_or(false) && images.seen(row).is_none())
        .collect();
    let mut left: Vec<f64> =
        rows.iter().map(|&row| losses.get(row as usize).copied().unwrap_or(0.0)).collect();
    let mut groups = Vec::new();
    while groups.len() < BOUNDARY_GROUPS {
        let largest = |a: &usize, b: &usize| {
            left[*a].total_cmp(&left[*b]).then_with(|| images.place(rows[*b]).cmp(&images.place(rows[*a])))
        };
        let Some(at) = (0..rows.len()).filter(|&at| left[at] > 0.0).max_by(largest) else { break };
        let near = nearest(images, &rows, &images.projected.points()[rows[at] as usize]);
        near.iter().for_each(|&at| left[at] = 0.0);
        // Should other images lie in the very same place and have smaller keys, the image itself may be left out.
        left[at] = 0.0;
        groups.push(Question::group(images, &near.iter().map(|&at| rows[at]).collect::<Vec<_>>()));
    }
    groups
}

/// The positions of the up to nine rows nearest to a point, nearest first.
fn nearest(images: &Images<'_>, rows: &[PointOffset], point: &Point) -> Vec<usize> {
    let distances: Vec<f32> = (rows.par_iter().with_min_len(ROWS_PER_TASK))
        .map(|&row| squared_distance(point, &images.projected.points()[row as usize]))
        .collect();
    let order = |a: &usize, b: &usize| {
        distances[*a]
            .total_cmp(&distances[*b])
            .then_with(|| images.place(rows[*a]).cmp(&images.place(rows[*b])))
    };
    let mut near: Vec<usize> = (0..rows.len()).collect();
    if near.len() > SHOWN_MAX {
        near.select_nth_unstable_by(SHOWN_MAX - 1, order);
        near.truncate(SHOWN_MAX);
    }
    near.sort_by(order);
    near
}

/// Parts a mixed item's members in two by what they look like, each by key. No part is empty unless there are fewer than
/// two members.
pub fn split(images: &Images<'_>, members: &[PointOffset]) -> [Vec<PointOffset>; 2] {
    let members = images.ordered(members);
    let mut labels = kmeans(&images.points(&members), 2, SPLITTING_ITERATIONS).labels;
    if labels.iter().all(|&label| label == 0) || labels.iter().all(|&label| label == 1) {
        labels = (0..members.len()).map(|at| at % 2).collect();
    }
    let part = |part: usize| {
        members.iter().zip(&labels).filter(|&(_, &label)| label == part).map(|(&row, _)| row).collect()
    };
    [part(0), part(1)]
}
