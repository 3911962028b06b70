//! Every pair of rows within a distance, shown once and never all kept: exact from all pairs, or from candidates.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::distances::{ROUNDING, audit};
use super::progress::Stage;
use super::sketch::Space;
use super::sweep::{BLOCK_ROWS, Tile, sweep};
use super::{CandidateSource, ClusterError};
use crate::types::PointOffset;

/// The most neighbours that candidates may give, over all rows, 4 bytes each.
const FOUND_MAX: usize = 128 << 20;
/// Candidates asked for at first.
const CANDIDATES: usize = 64;

/// Shows every pair at a cosine distance of at most `eps` to `edge`, once, from one thread at a time.
pub(super) fn all_within(
    space: &Space<'_>,
    eps: f32,
    stage: &Stage<'_>,
    edge: impl FnMut(PointOffset, PointOffset) + Send,
) -> Result<(), ClusterError> {
    let edge = Mutex::new(edge);
    let limits = vec![eps; BLOCK_ROWS];
    let visit = |found: &mut Vec<(PointOffset, PointOffset)>, tile: &mut Tile<'_>| {
        found.clear();
        let (rows, columns) = (tile.rows().len(), tile.columns().len());
        tile.pairs_within(&limits[..rows], &limits[..columns], |row, column, known| {
            let open = known.at_most > eps;
            if known.at_least <= eps && (!open || space.distance(row, column) <= eps) {
                found.push((row as PointOffset, column as PointOffset));
            }
        });
        let mut edge = edge.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        found.iter().for_each(|&(a, b)| edge(a, b));
        Ok(())
    };
    sweep(space, stage, Vec::new, visit, |a, _| a).map(|_| ())
}

/// Shows every pair within `eps` that candidates lead to, once; an edge found from one side counts for both. Answers
/// the share of true pairs among those shown, measured on a sample.
pub(super) fn candidates_within(
    space: &Space<'_>,
    source: &dyn CandidateSource,
    eps: f32,
    stage: &Stage<'_>,
    mut edge: impl FnMut(PointOffset, PointOffset),
) -> Result<f32, ClusterError> {
    let total = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let row = |row: usize| {
        stage.tick(done.fetch_add(1, Ordering::Relaxed), space.len())?;
        let found = grow(space, source, row, eps);
        if total.fetch_add(found.len(), Ordering::Relaxed) + found.len() > FOUND_MAX {
            let what = "the graph of neighbours within eps that candidates give";
            return Err(ClusterError::TooLarge { what, max: FOUND_MAX, unit: "neighbours" });
        }
        Ok(found)
    };
    let rows = (0..space.len()).into_par_iter().map(row).collect::<Result<Vec<_>, ClusterError>>()?;
    for (row, found) in rows.iter().enumerate() {
        for &other in found {
            let mutual = rows[other as usize].binary_search(&(row as PointOffset)).is_ok();
            if !mutual || (row as PointOffset) < other {
                edge(row as PointOffset, other);
            }
        }
    }
    Ok(recall(space, &rows, eps))
}

/// Asks for more candidates until some of them lie beyond the range; ascending.
fn grow(space: &Space<'_>, source: &dyn CandidateSource, row: usize, eps: f32) -> Vec<PointOffset> {
    let mut k = CANDIDATES;
    loop {
        let mut found = source.candidates(row, k.min(space.len()));
        found.sort_unstable();
        found.dedup();
        let asked = found.len();
        found.retain(|&other| other as usize != row && space.distance(row, other as usize) <= eps);
        // The point itself may be among them.
        if found.len() + 1 < asked || k >= space.len() {
            return found;
        }
        k *= 4;
    }
}

/// The share of the true neighbours within `eps` that were found from either side, on an even sample of rows.
fn recall(space: &Space<'_>, rows: &[Vec<PointOffset>], eps: f32) -> f32 {
    let (mut found, mut wanted) = (0, 0);
    audit(space.vectors, |row, distances| {
        for (other, &distance) in distances.iter().enumerate() {
            // Pairs on the edge are either's, by rounding.
            if other == row as usize || distance > eps - ROUNDING {
                continue;
            }
            wanted += 1;
            let known = |a: PointOffset, b: PointOffset| rows[a as usize].binary_search(&b).is_ok();
            found += usize::from(known(row, other as PointOffset) || known(other as PointOffset, row));
        }
    });
    if wanted == 0 { 1.0 } else { found as f32 / wanted as f32 }
}
