//! Distances from a few rows to all, and the rows that an approximate search is audited on.

use rayon::prelude::*;

use crate::product::products;
use crate::types::{PointOffset, Vectors};

pub(super) use crate::product::PRODUCT_ROUNDING as ROUNDING;

/// Vectors that a few queries are compared with at a time.
const COLUMN_BLOCK_ROWS: usize = 1024;

/// Rows of the sample that recall is measured on.
const AUDIT_ROWS_MAX: usize = 200;

/// An even sample of rows, whose true neighbours tell how many of them an approximate search knew.
pub(super) fn audit_rows(points: usize) -> Vec<PointOffset> {
    (0..points).step_by((points / AUDIT_ROWS_MAX).max(1)).map(|row| row as PointOffset).collect()
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
