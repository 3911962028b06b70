//! The principal directions of a sample, by subspace iteration.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;

use super::linalg::Square;
use crate::product::products;
use crate::types::{Vectors, dot};

/// Vectors iterated beside those asked for: convergence goes by the ratio of the last eigenvalue asked for and the
/// first one left out of the block.
const OVERSAMPLING: usize = 32;
/// Rounds. The directions of a picture embedding's covariance converge by more than half a digit in each.
const ROUNDS: usize = 24;
/// Rows per product: fixed, since the last bits depend on it.
const BLOCK: usize = 128;
/// A direction counts when its variance is above this share of the first one's; the rest is rounding.
const VARIANCE_SHARE_MIN: f32 = 1e-6;
/// And above this, for rows of unit length: below, all rows are one point up to rounding.
const VARIANCE_MIN: f32 = 1e-10;

/// The `count` directions of most variance of the rows around `mean`, as orthonormal rows, shape (`count`, dim); rows
/// that the sample can't fill (it has fewer dimensions, images, or differences) are zero.
///
/// Subspace iteration with a Rayleigh-Ritz step at the end (Golub and Van Loan, *Matrix Computations*, §8.2) on the
/// smaller of X Xᵀ and Xᵀ X, from a fixed random start.
pub(super) fn directions(sample: &Vectors, mean: &[f64], count: usize) -> Vec<f32> {
    let (n, dim) = (sample.len(), sample.dim());
    let mut found = vec![0.0; count * dim];
    let centred: Vec<f32> = (0..n)
        .flat_map(|row| {
            sample.row(row).iter().zip(mean).map(|(&value, mean)| (f64::from(value) - mean) as f32)
        })
        .collect();
    let by_images = n <= dim;
    let turned = transposed(&centred, dim);
    let gram = gram(if by_images { &centred } else { &turned }, if by_images { dim } else { n }, n);
    let basis = leading(&gram, n.min(dim), count);
    let rows = if by_images { multiplied(&basis, &turned, n, dim) } else { basis };
    for (to, from) in found.chunks_exact_mut(dim).zip(rows.chunks_exact(dim)) {
        let norm = dot(from, from).sqrt();
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from / norm);
    }
    found
}

/// The transpose of row-major rows of `width`.
fn transposed(rows: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| rows.iter().skip(column).step_by(width).copied()).collect()
}

/// A Bᵀ for few rows `a`, each product taken alone so that the shape is fixed: (m, width) × (count, width).
fn multiplied(a: &[f32], b: &[f32], width: usize, count: usize) -> Vec<f32> {
    let mut out = vec![0.0; a.len() / width.max(1) * count];
    out.par_chunks_mut((count * 16).max(1))
        .zip(a.par_chunks((width * 16).max(1)))
        .for_each(|(out, a)| products(a, b, width, out));
    out
}

/// The inner products of all rows of `width`, divided by `n`.
fn gram(rows: &[f32], width: usize, n: usize) -> Vec<f32> {
    let side = rows.len() / width.max(1);
    let mut gram = vec![0.0; side * side];
    let blocks: Vec<Vec<f32>> = rows
        .par_chunks((BLOCK * width).max(1))
        .enumerate()
        .map(|(block, some)| {
            // Up to the diagonal: the rest is the same by symmetry.
            let columns = ((block + 1) * BLOCK).min(side);
            let mut out = vec![0.0; some.len() / width * columns];
            products(some, &rows[..columns * width], width, &mut out);
            out
        })
        .collect();
    for (block, values) in blocks.iter().enumerate() {
        let columns = ((block + 1) * BLOCK).min(side);
        for (i, row) in values.chunks_exact(columns).enumerate() {
            let i = block * BLOCK + i;
            for (j, value) in row[..=i].iter().enumerate() {
                gram[i * side + j] = value / n as f32;
                gram[j * side + i] = gram[i * side + j];
            }
        }
    }
    gram
}

/// The leading eigenvectors of a symmetric matrix, as up to `count` rows of length `side`.
fn leading(matrix: &[f32], side: usize, count: usize) -> Vec<f32> {
    let width = (count + OVERSAMPLING).min(side);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut block: Vec<f32> = (0..width * side).map(|_| StandardNormal.sample(&mut rng)).collect();
    for _ in 0..ROUNDS {
        block = multiplied(&block, matrix, side, side);
        orthonormalise(&mut block, side);
    }
    let image = multiplied(&block, matrix, side, side);
    let mut ritz = vec![0.0; width * width];
    products(&block, &image, side, &mut ritz);
    let (values, vectors) = Square::from_data(width, ritz.iter().map(|&v| f64::from(v)).collect()).eigen();
    let floor = VARIANCE_MIN.max(values.first().map_or(0.0, |&first| first as f32 * VARIANCE_SHARE_MIN));
    let kept = values.iter().take(count).take_while(|&&value| value as f32 > floor).count();
    let mut rows = vec![0.0; kept * side];
    for (i, row) in rows.chunks_exact_mut(side.max(1)).enumerate() {
        for (&factor, from) in vectors.row(i).iter().zip(block.chunks_exact(side)) {
            row.iter_mut().zip(from).for_each(|(sum, value)| *sum += factor as f32 * value);
        }
    }
    rows
}

/// Makes rows of `width` orthonormal, in order (modified Gram-Schmidt, twice: Giraud et al. 2005); a row that depends
/// on those before it becomes zero.
fn orthonormalise(rows: &mut [f32], width: usize) {
    for i in 0..rows.len() / width.max(1) {
        let (before, rest) = rows.split_at_mut(i * width);
        let row = &mut rest[..width];
        let scale = dot(row, row).sqrt();
        for _ in 0..2 {
            for other in before.chunks_exact(width) {
                let share = dot(row, other);
                row.iter_mut().zip(other).for_each(|(value, other)| *value -= share * other);
            }
        }
        let norm = dot(row, row).sqrt();
        let factor = if norm > 1e-5 * scale && norm.is_normal() { 1.0 / norm } else { 0.0 };
        row.iter_mut().for_each(|value| *value *= factor);
    }
}
