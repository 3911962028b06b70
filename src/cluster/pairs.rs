//! Every pair of rows within a distance, shown once and never all kept.

use std::sync::Mutex;

use super::ClusterError;
use super::groups::Groups;
use super::progress::Stage;
use super::sketch::Space;
use super::sweep::{BLOCK_ROWS, Tile, sweep};
use crate::types::PointOffset;

/// Shows every pair at a cosine distance of at most `eps` to `edge`, once, from one thread at a time.
pub(super) fn all_within(
    space: &Space<'_>,
    eps: f32,
    stage: &Stage<'_>,
    edge: impl FnMut(PointOffset, PointOffset) + Send,
) -> Result<(), ClusterError> {
    let edge = Mutex::new(edge);
    if let Some(groups) = Groups::new(space, eps) {
        return groups.pairs(stage, &edge);
    }
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
