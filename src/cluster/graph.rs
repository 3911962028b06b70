//! Neighbour graphs: exact by blocked matrix products, or from candidates; never all pairs at once.
//!
//! A matrix product finds the pairs worth keeping; what is kept is measured again with [`cosine_distance`], so the
//! same pair has the same bits wherever it is met, on any processor.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};
use rayon::prelude::*;

use super::progress::Stage;
use super::{ClusterError, ClusterInput};
use crate::types::{Neighbour, PointOffset, Vectors, cosine_distance};

/// Rows of one block of a matrix product: two blocks of 1280-d vectors fit a second-level cache.
const BLOCK_ROWS: usize = 256;
/// Vectors that a few queries are compared with at a time.
const COLUMN_BLOCK_ROWS: usize = 1024;
/// The most directed edges of a range graph, 4 bytes each.
pub(super) const EDGES_MAX: usize = 128 << 20;
/// How far a product's distance may be off: f32 rounding over some thousand dimensions, generously.
const ROUNDING: f32 = 1e-5;
/// Neighbours kept beyond `k` until distances are measured again, so that rounding can't push one out.
const SPARE: usize = 8;
/// Rows of the sample that the recall of candidates is measured on.
const AUDIT_ROWS_MAX: usize = 200;

/// A block of the distance matrix.
pub(super) struct Tile<'a> {
    pub(super) first_row: usize,
    pub(super) first_column: usize,
    columns: usize,
    distances: &'a [f32],
}

impl Tile<'_> {
    /// The row's number and its distances to the tile's columns; on the diagonal only to columns behind it, so that
    /// every pair is seen once: (row, first column, distances).
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize, &[f32])> {
        let diagonal = self.first_row == self.first_column;
        self.distances.chunks_exact(self.columns).enumerate().map(move |(i, distances)| {
            let skip = if diagonal { i + 1 } else { 0 };
            (self.first_row + i, self.first_column + skip, &distances[skip..])
        })
    }
}

/// `1 − rows · columnsᵀ`, clamped to [0, 2], into the front of `out`, row-major. The order of additions within a
/// product does not depend on the shape, so a pair gets the same value in every tile.
fn products<'a>(rows: &[f32], columns: &[f32], dim: usize, out: &'a mut Vec<f32>) -> &'a [f32] {
    let (m, n) = (rows.len() / dim, columns.len() / dim);
    out.resize((m * n).max(out.len()), 0.0);
    let target = &mut out[..m * n];
    let views = (
        ArrayView2::from_shape((m, dim), rows),
        ArrayView2::from_shape((n, dim), columns),
        ArrayViewMut2::from_shape((m, n), &mut *target),
    );
    if let (Ok(a), Ok(b), Ok(mut c)) = views {
        general_mat_mul(-1.0, &a, &b.t(), 0.0, &mut c);
    }
    for product in &mut *target {
        *product = (1.0 + *product).clamp(0.0, 2.0);
    }
    target
}

fn block(vectors: &Vectors, index: usize) -> &[f32] {
    let end = ((index + 1) * BLOCK_ROWS).min(vectors.len());
    &vectors.as_slice()[index * BLOCK_ROWS * vectors.dim()..end * vectors.dim()]
}

/// Shows every pair of rows to `visit` once, in parallel; `merge` must not depend on the order of its arguments.
pub(super) fn sweep<A: Send>(
    vectors: &Vectors,
    stage: &Stage<'_>,
    start: impl Fn() -> A + Sync + Send,
    visit: impl Fn(&mut A, &Tile<'_>) -> Result<(), ClusterError> + Sync + Send,
    merge: impl Fn(A, A) -> A + Sync + Send,
) -> Result<A, ClusterError> {
    let blocks = vectors.len().div_ceil(BLOCK_ROWS);
    let tiles: Vec<(usize, usize)> = (0..blocks).flat_map(|i| (i..blocks).map(move |j| (i, j))).collect();
    let done = AtomicUsize::new(0);
    tiles
        .par_iter()
        .try_fold(
            || (start(), Vec::new()),
            |(mut sum, mut buffer), &(i, j)| {
                stage.tick(done.fetch_add(1, Ordering::Relaxed), tiles.len())?;
                let distances = products(block(vectors, i), block(vectors, j), vectors.dim(), &mut buffer);
                let columns = block(vectors, j).len() / vectors.dim();
                let tile =
                    Tile { first_row: i * BLOCK_ROWS, first_column: j * BLOCK_ROWS, columns, distances };
                visit(&mut sum, &tile)?;
                Ok((sum, buffer))
            },
        )
        .map(|folded| folded.map(|(sum, _)| sum))
        .try_reduce(&start, |a, b| Ok(merge(a, b)))
}

/// The distances from each row of `queries` to every vector, shape (queries, n), row-major.
pub(super) fn distances_to_all(vectors: &Vectors, queries: &Vectors) -> Vec<f32> {
    let (n, m) = (vectors.len(), queries.len());
    let mut all = vec![0.0; m * n];
    if m == 0 {
        return all;
    }
    let blocks: Vec<Vec<f32>> = vectors
        .as_slice()
        .par_chunks(COLUMN_BLOCK_ROWS * vectors.dim())
        .map(|columns| {
            let mut out = Vec::new();
            products(queries.as_slice(), columns, vectors.dim(), &mut out);
            out
        })
        .collect();
    for (index, distances) in blocks.iter().enumerate() {
        let (first, width) = (index * COLUMN_BLOCK_ROWS, distances.len() / m);
        for (row, part) in distances.chunks_exact(width).enumerate() {
            all[row * n + first..row * n + first + width].copy_from_slice(part);
        }
    }
    all
}

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
pub(super) fn knn(input: &ClusterInput<'_>, k: usize, stage: &Stage<'_>) -> Result<KnnGraph, ClusterError> {
    let k = k.min(input.vectors.len().saturating_sub(1));
    let measure = |row: usize, found: &mut dyn Iterator<Item = PointOffset>| {
        let query = input.vectors.row(row);
        let mut keys: Vec<u64> = found
            .filter(|&other| other as usize != row)
            .map(|other| key(cosine_distance(query, input.vectors.row(other as usize)), other))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(k);
        keys.into_iter().map(neighbour_of_key).collect::<Vec<_>>()
    };
    let Some(source) = input.candidates else {
        let smallest = exact_smallest(input, k, stage)?;
        let rows = smallest
            .into_par_iter()
            .enumerate()
            .map(|(row, mut smallest)| {
                smallest.keys.sort_unstable();
                smallest.keys.truncate(k + SPARE);
                measure(row, &mut smallest.keys.into_iter().map(|key| neighbour_of_key(key).offset))
            })
            .collect();
        return Ok(KnnGraph { rows, recall: 1.0, approximate: false });
    };
    let done = AtomicUsize::new(0);
    let rows = (0..input.vectors.len())
        .into_par_iter()
        .map(|row| {
            stage.tick(done.fetch_add(1, Ordering::Relaxed), input.vectors.len())?;
            Ok(measure(row, &mut source.candidates(row, k + 1).into_iter()))
        })
        .collect::<Result<Vec<_>, ClusterError>>()?;
    let recall = audit(input.vectors, &rows, k);
    Ok(KnnGraph { rows, recall, approximate: true })
}

fn exact_smallest(
    input: &ClusterInput<'_>,
    k: usize,
    stage: &Stage<'_>,
) -> Result<Vec<Smallest>, ClusterError> {
    let keep = k + SPARE;
    let n = input.vectors.len();
    let empty = Smallest { keys: Vec::new(), bound: u64::MAX };
    let blocks: Vec<Mutex<Vec<Smallest>>> = (0..n.div_ceil(BLOCK_ROWS))
        .map(|index| Mutex::new(vec![empty.clone(); BLOCK_ROWS.min(n - index * BLOCK_ROWS)]))
        .collect();
    let visit = |(): &mut (), tile: &Tile<'_>| {
        let mut of_rows = lock(&blocks[tile.first_row / BLOCK_ROWS]);
        for (row, first, distances) in tile.pairs() {
            let smallest = &mut of_rows[row - tile.first_row];
            for (column, &distance) in (first..).zip(distances) {
                smallest.push(distance, column as PointOffset, keep);
            }
        }
        drop(of_rows);
        let mut of_columns = lock(&blocks[tile.first_column / BLOCK_ROWS]);
        for (row, first, distances) in tile.pairs() {
            for (smallest, &distance) in of_columns[first - tile.first_column..].iter_mut().zip(distances) {
                smallest.push(distance, row as PointOffset, keep);
            }
        }
        Ok(())
    };
    sweep(input.vectors, stage, || (), visit, |(), ()| ())?;
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
fn audit(vectors: &Vectors, rows: &[Vec<Neighbour>], k: usize) -> f32 {
    let sample: Vec<PointOffset> = (0..vectors.len())
        .step_by((vectors.len() / AUDIT_ROWS_MAX).max(1))
        .map(|row| row as PointOffset)
        .collect();
    let distances = distances_to_all(vectors, &vectors.gather(&sample));
    let (mut found, mut wanted) = (0, 0);
    for (&row, distances) in sample.iter().zip(distances.chunks_exact(vectors.len().max(1))) {
        let mut others: Vec<f32> =
            distances.iter().enumerate().filter(|&(i, _)| i != row as usize).map(|(_, &d)| d).collect();
        if k == 0 || others.len() < k {
            continue;
        }
        let (_, &mut limit, _) = others.select_nth_unstable_by(k - 1, f32::total_cmp);
        wanted += k;
        found += rows[row as usize].iter().filter(|near| near.distance <= limit + ROUNDING).count().min(k);
    }
    if wanted == 0 { 1.0 } else { found as f32 / wanted as f32 }
}

/// Every pair within a distance.
pub(super) struct RangeGraph {
    /// The neighbours of each row, itself excluded, ascending.
    pub(super) rows: Vec<Vec<PointOffset>>,
}

/// All neighbours at a cosine distance of at most `eps`.
pub(super) fn range(
    input: &ClusterInput<'_>,
    eps: f32,
    stage: &Stage<'_>,
) -> Result<RangeGraph, ClusterError> {
    let n = input.vectors.len();
    let within = |a: usize, b: usize| cosine_distance(input.vectors.row(a), input.vectors.row(b)) <= eps;
    let edges = AtomicUsize::new(0);
    let count = |more: usize| {
        if edges.fetch_add(more, Ordering::Relaxed) + more > EDGES_MAX {
            return Err(ClusterError::TooLarge {
                what: "the graph of neighbours within eps",
                max: EDGES_MAX,
                unit: "edges",
            });
        }
        Ok(())
    };
    if let Some(source) = input.candidates {
        let row = |row: usize| {
            stage.tick(edges.load(Ordering::Relaxed).min(EDGES_MAX), EDGES_MAX)?;
            let found = grow_candidates(source, row, n, &within);
            count(found.len())?;
            Ok(found)
        };
        let mut rows = (0..n).into_par_iter().map(row).collect::<Result<Vec<_>, ClusterError>>()?;
        make_symmetric(&mut rows);
        return Ok(RangeGraph { rows });
    }
    let rows: Vec<Mutex<Vec<PointOffset>>> = (0..n).map(|_| Mutex::new(Vec::new())).collect();
    let visit = |(): &mut (), tile: &Tile<'_>| {
        for (row, first, distances) in tile.pairs() {
            let near: Vec<PointOffset> = (first..)
                .zip(distances)
                .filter(|&(_, &distance)| distance <= eps + ROUNDING)
                .filter(|&(column, &distance)| distance < eps - ROUNDING || within(row, column))
                .map(|(column, _)| column as PointOffset)
                .collect();
            count(2 * near.len())?;
            for &column in &near {
                lock(&rows[column as usize]).push(row as PointOffset);
            }
            lock(&rows[row]).extend(near);
        }
        Ok(())
    };
    sweep(input.vectors, stage, || (), visit, |(), ()| ())?;
    let sorted = |row: Mutex<Vec<PointOffset>>| {
        let mut row = row.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        row.sort_unstable();
        row
    };
    Ok(RangeGraph { rows: rows.into_par_iter().map(sorted).collect() })
}

/// Asks for more candidates until some of them lie beyond the range.
fn grow_candidates(
    source: &dyn super::CandidateSource,
    row: usize,
    points: usize,
    within: &(impl Fn(usize, usize) -> bool + Sync),
) -> Vec<PointOffset> {
    let mut k = 64;
    loop {
        let mut found = source.candidates(row, k.min(points));
        found.sort_unstable();
        found.dedup();
        let asked = found.len();
        found.retain(|&other| other as usize != row && within(row, other as usize));
        // The point itself may be among them.
        if found.len() + 1 < asked || k >= points {
            return found;
        }
        k *= 4;
    }
}

/// Approximate answers need not be mutual; an edge found from one side counts for both.
fn make_symmetric(rows: &mut [Vec<PointOffset>]) {
    let forward: Vec<(usize, PointOffset)> = rows
        .iter()
        .enumerate()
        .flat_map(|(row, found)| found.iter().map(move |&other| (row, other)))
        .collect();
    for (row, other) in forward {
        rows[other as usize].push(row as PointOffset);
    }
    rows.par_iter_mut().for_each(|row| {
        row.sort_unstable();
        row.dedup();
    });
}
