//! Nearest neighbours of every row: exact from all pairs, or from candidates that are measured again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::distances::{ROUNDING, audit};
use super::progress::Stage;
use super::sketch::Space;
use super::sweep::{BLOCK_ROWS, Tile, sweep};
use super::{ClusterError, ClusterInput};
use crate::types::{Neighbour, PointOffset, Vectors};

/// The most neighbours that are listed, over all points; up to 16 bytes each while they are looked for.
const LISTED_MAX: usize = 128 << 20;

/// Orders neighbours by distance, then row, which is in the order of ids: the bits of a float that is not negative are
/// in its order.
fn key(distance: f32, row: PointOffset) -> u64 {
    u64::from(distance.to_bits()) << 32 | u64::from(row)
}

fn neighbour_of_key(key: u64) -> Neighbour {
    Neighbour { offset: key as PointOffset, distance: f32::from_bits((key >> 32) as u32) }
}

/// The smallest keys seen so far.
#[derive(Clone)]
struct Smallest {
    keys: Vec<u64>,
    bound: u64,
}

impl Smallest {
    #[inline]
    fn push(&mut self, distance: f32, row: PointOffset, keep: usize) {
        let key = key(distance, row);
        if key >= self.bound {
            return;
        }
        self.keys.push(key);
        if self.keys.len() >= 2 * keep {
            let (_, &mut last, _) = self.keys.select_nth_unstable(keep - 1);
            self.bound = last + 1;
            self.keys.truncate(keep);
        }
    }

    /// What a neighbour's distance must not exceed to be among them.
    fn distance_bound(&self) -> f32 {
        if self.bound == u64::MAX { 2.0 } else { f32::from_bits((self.bound >> 32) as u32) }
    }
}

/// The nearest neighbours of every row.
pub(super) struct KnnGraph {
    rows: Vec<Vec<Neighbour>>,
    /// The share of true neighbours present, in [0, 1].
    pub(super) recall: f32,
    /// Whether candidates stood in for an exact search.
    pub(super) approximate: bool,
}

impl KnnGraph {
    /// The neighbours of a row, itself excluded, by distance, then image id.
    pub(super) fn row(&self, row: usize) -> &[Neighbour] {
        &self.rows[row]
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The distance to the `min_points`-th nearest point, the point itself being the first; infinite when there are
    /// not as many.
    pub(super) fn core_distance(&self, row: usize, min_points: usize) -> f32 {
        match min_points {
            0 | 1 => 0.0,
            _ => self.rows[row].get(min_points - 2).map_or(f32::INFINITY, |neighbour| neighbour.distance),
        }
    }
}

/// The `k` nearest neighbours of every row, by distance, then image id.
pub(super) fn knn(
    input: &ClusterInput<'_>,
    space: &Space<'_>,
    k: usize,
    stage: &Stage<'_>,
) -> Result<KnnGraph, ClusterError> {
    let k = k.min(input.vectors.len().saturating_sub(1));
    if k.saturating_mul(space.len()) > LISTED_MAX {
        return Err(ClusterError::TooLarge {
            what: "the nearest neighbours of all points",
            max: LISTED_MAX,
            unit: "neighbours",
        });
    }
    let Some(source) = input.candidates else {
        let sorted = |mut smallest: Smallest| {
            smallest.keys.sort_unstable();
            smallest.keys.truncate(k);
            smallest.keys.into_iter().map(neighbour_of_key).collect()
        };
        let rows = exact_smallest(space, k, stage)?.into_par_iter().map(sorted).collect();
        return Ok(KnnGraph { rows, recall: 1.0, approximate: false });
    };
    let done = AtomicUsize::new(0);
    let rows = (0..space.len())
        .into_par_iter()
        .map(|row| {
            stage.tick(done.fetch_add(1, Ordering::Relaxed), space.len())?;
            let others = source.candidates(row, k + 1).into_iter().filter(|&other| other as usize != row);
            let mut keys: Vec<u64> =
                others.map(|other| key(space.distance(row, other as usize), other)).collect();
            keys.sort_unstable();
            keys.dedup();
            keys.truncate(k);
            Ok(keys.into_iter().map(neighbour_of_key).collect())
        })
        .collect::<Result<Vec<_>, ClusterError>>()?;
    let recall = recall(input.vectors, &rows, k);
    Ok(KnnGraph { rows, recall, approximate: true })
}

fn exact_smallest(space: &Space<'_>, k: usize, stage: &Stage<'_>) -> Result<Vec<Smallest>, ClusterError> {
    let n = space.len();
    let empty = Smallest { keys: Vec::new(), bound: if k == 0 { 0 } else { u64::MAX } };
    let blocks: Vec<Mutex<Vec<Smallest>>> = (0..n.div_ceil(BLOCK_ROWS))
        .map(|index| Mutex::new(vec![empty.clone(); BLOCK_ROWS.min(n - index * BLOCK_ROWS)]))
        .collect();
    let bounds = |first: usize| -> Vec<f32> {
        lock(&blocks[first / BLOCK_ROWS]).iter().map(Smallest::distance_bound).collect()
    };
    let visit = |(): &mut (), tile: &mut Tile<'_>| {
        let (row_limits, column_limits) = (bounds(tile.first_row), bounds(tile.first_column));
        let (first_row, first_column) = (tile.first_row, tile.first_column);
        let mut found = Vec::new();
        tile.pairs_within(&row_limits, &column_limits, |row, column, known| {
            if known.at_least <= row_limits[row - first_row].max(column_limits[column - first_column]) {
                found.push((row, column, space.distance(row, column)));
            }
        });
        let mut of_rows = lock(&blocks[tile.first_row / BLOCK_ROWS]);
        for &(row, column, distance) in &found {
            of_rows[row - tile.first_row].push(distance, column as PointOffset, k);
        }
        drop(of_rows);
        let mut of_columns = lock(&blocks[tile.first_column / BLOCK_ROWS]);
        for &(row, column, distance) in &found {
            of_columns[column - tile.first_column].push(distance, row as PointOffset, k);
        }
        Ok(())
    };
    sweep(space, stage, || (), visit, |(), ()| ())?;
    Ok(blocks
        .into_iter()
        .flat_map(|block| block.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
        .collect())
}

/// The guard even if another thread panicked: the panic ends the whole sweep anyway.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The share of true nearest neighbours in `rows`, on an even sample; a neighbour as near as the true k-th counts.
fn recall(vectors: &Vectors, rows: &[Vec<Neighbour>], k: usize) -> f32 {
    let (mut found, mut wanted) = (0, 0);
    audit(vectors, |row, distances| {
        let mut others: Vec<f32> =
            distances.iter().enumerate().filter(|&(i, _)| i != row as usize).map(|(_, &d)| d).collect();
        if k == 0 || others.len() < k {
            return;
        }
        let (_, &mut limit, _) = others.select_nth_unstable_by(k - 1, f32::total_cmp);
        wanted += k;
        found += rows[row as usize].iter().filter(|near| near.distance <= limit + ROUNDING).count().min(k);
    });
    if wanted == 0 { 1.0 } else { found as f32 / wanted as f32 }
}
