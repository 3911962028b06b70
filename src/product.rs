//! Blocks of inner products: the one place where large matrices are multiplied [only user of ndarray's product].

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

/// Writes A·Bᵀ to `out`, row-major: `a` is (m, dim), `b` is (n, dim), `out` is (m, n). For unit rows these are cosines.
///
/// The last bits of a product depend on the shape of the block (sums are taken in another order), so nothing is decided
/// by them alone: near ties are settled by [`crate::types::dot`].
///
/// Slices whose lengths don't fit the shapes leave `out` as it was; callers cut them from whole rows.
pub fn products(a: &[f32], b: &[f32], dim: usize, out: &mut [f32]) {
    let dim = dim.max(1);
    let (m, n) = (a.len() / dim, b.len() / dim);
    if let (Ok(a), Ok(b), Ok(mut out)) = (
        ArrayView2::from_shape((m, dim), a),
        ArrayView2::from_shape((n, dim), b),
        ArrayViewMut2::from_shape((m, n), out),
    ) {
        general_mat_mul(1.0, &a, &b.t(), 0.0, &mut out);
    }
}

/// By how much two ways of computing one product of unit vectors can differ: an allowance far above the rounding of
/// f32 sums of a few thousand terms, far below any distance that means something.
pub const PRODUCT_ROUNDING: f32 = 1e-5;
