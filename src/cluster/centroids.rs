//! Nearest of a set of centres that need not be of unit length.

use ndarray::{ArrayView2, linalg::general_mat_mul};
use rayon::prelude::*;

use crate::types::{Vectors, dot};

/// Rows assigned at a time.
const BLOCK_ROWS: usize = 256;

/// The nearest centre of every row by Euclidean distance, and the squared distance; ties go to the first centre.
/// `centres` has shape (k, dim), k at least 1.
pub(super) fn nearest_centre(vectors: &Vectors, centres: &Vectors) -> Vec<(u32, f32)> {
    let (dim, k) = (vectors.dim(), centres.len());
    let squares: Vec<f32> = (0..k).map(|c| dot(centres.row(c), centres.row(c))).collect();
    vectors
        .as_slice()
        .par_chunks(BLOCK_ROWS * dim)
        .flat_map_iter(|rows| {
            let m = rows.len() / dim;
            let mut products = ndarray::Array2::<f32>::zeros((m, k));
            let views = (
                ArrayView2::from_shape((m, dim), rows),
                ArrayView2::from_shape((k, dim), centres.as_slice()),
            );
            if let (Ok(a), Ok(b)) = views {
                general_mat_mul(1.0, &a, &b.t(), 0.0, &mut products);
            }
            let nearest = |(row, products): (&[f32], ndarray::ArrayView1<'_, f32>)| {
                let mut best = (0, f32::INFINITY);
                for (centre, (product, square)) in products.iter().zip(&squares).enumerate() {
                    let distance = square - 2.0 * product;
                    if distance < best.1 {
                        best = (centre as u32, distance);
                    }
                }
                (best.0, (best.1 + dot(row, row)).max(0.0))
            };
            rows.chunks_exact(dim).zip(products.rows()).map(nearest).collect::<Vec<_>>()
        })
        .collect()
}
