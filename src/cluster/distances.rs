//! Distances from a few rows to all, and the rows that an approximate search is audited on.

use rayon::prelude::*;

use crate::product::products;
use crate::types::{PointOffset, Vectors};

pub(super) use crate::product::PRODUCT_ROUNDING as ROUNDING;

/// Vectors that a few queries are compared with at a time.
const COLUMN_BLOCK_ROWS: usize = 1024;

/// Rows of the sample that recall is measured on, at most.
const AUDIT_ROWS_MAX: usize = 200;

/// An even sample of rows, whose true neighbours tell how many of them an approximate search knew.
fn audit_rows(points: usize) -> Vec<PointOffset> {
    (0..points).step_by(points.div_ceil(AUDIT_ROWS_MAX).max(1)).map(|row| row as PointOffset).collect()
}

/// Rows of the sample whose distances to all are held at a time: 4 bytes a vector each, twice.
const AUDIT_STEP_ROWS: usize = 16;

/// Shows each row of the sample with its distances to all vectors, shape (n).
pub(super) fn audit(vectors: &Vectors, mut show: impl FnMut(PointOffset, &[f32])) {
    for rows in audit_rows(vectors.len()).chunks(AUDIT_STEP_ROWS) {
        let distances = distances_to_all(vectors, &vectors.gather(rows));
        for (&row, distances) in rows.iter().zip(distances.chunks_exact(vectors.len().max(1))) {
            show(row, distances);
        }
    }
}

/// The distances from each row of `queries` to every vector, shape (queries, n), row-major; off by [`ROUNDING`] at most.
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
            let mut out = vec![0.0; m * columns.len() / vectors.dim()];
            products(queries.as_slice(), columns, vectors.dim(), &mut out);
            out.iter_mut().for_each(|product| *product = (1.0 - *product).clamp(0.0, 2.0));
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
