//! Small dense symmetric matrices in f64: the factorisations that the model and the features need, written out since
//! no side is longer than 129 and a linear algebra crate would cost more to build than it saves here.

/// The least a pivot counts for: a matrix that is singular up to rounding is factorised as if it were not.
const PIVOT_MIN: f64 = 1e-12;
/// Sweeps after which Jacobi's method has long converged (it does so quadratically, in about eight).
const SWEEPS_MAX: usize = 20;
/// Squared off-diagonal share below which a matrix counts as diagonal.
const DIAGONAL: f64 = 1e-26;

/// A square matrix, row-major, shape (`n`, `n`).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Square {
    n: usize,
    data: Vec<f64>,
}

impl Square {
    /// All zeros.
    pub(super) fn zeros(n: usize) -> Self {
        Self { n, data: vec![0.0; n * n] }
    }

    /// Row-major data; what is missing of n² values is zero.
    pub(super) fn from_data(n: usize, mut data: Vec<f64>) -> Self {
        data.resize(n * n, 0.0);
        Self { n, data }
    }

    /// One row, shape (`n`).
    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.n..(row + 1) * self.n]
    }

    /// Adds `factor` times another matrix of the same size.
    pub(super) fn add_scaled(&mut self, factor: f64, other: &Self) {
        self.data.iter_mut().zip(&other.data).for_each(|(sum, value)| *sum += factor * value);
    }

    /// Adds `value` to the diagonal.
    pub(super) fn add_to_diagonal(&mut self, value: f64) {
        self.data.iter_mut().step_by(self.n + 1).for_each(|entry| *entry += value);
    }

    /// Adds `v` vᵀ to the lower triangle.
    pub(super) fn add_outer(&mut self, v: &[f64]) {
        for (i, (row, &factor)) in self.data.chunks_exact_mut(self.n.max(1)).zip(v).enumerate() {
            row.iter_mut().zip(&v[..=i]).for_each(|(sum, value)| *sum += factor * value);
        }
    }

    /// The Cholesky factor L of A = L Lᵀ; reads the lower triangle only.
    pub(super) fn cholesky(mut self) -> Lower {
        let n = self.n;
        for i in 0..n {
            let (above, rest) = self.data.split_at_mut(i * n);
            let row = &mut rest[..n];
            for (j, other) in above.chunks_exact(n).enumerate() {
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            row[i] = (row[i] - dot(&row[..i], &row[..i])).max(PIVOT_MIN).sqrt();
            row[i + 1..].fill(0.0);
        }
        Lower(self)
    }

    /// The eigenvalues, falling, and their unit eigenvectors as rows, by Jacobi's cyclic rotations (Golub and Van Loan,
    /// *Matrix Computations*, §8.5).
    pub(super) fn eigen(mut self) -> (Vec<f64>, Self) {
        let n = self.n;
        let mut vectors = Self::zeros(n);
        vectors.add_to_diagonal(1.0);
        let total: f64 = self.data.iter().map(|v| v * v).sum();
        for _ in 0..SWEEPS_MAX {
            let diagonal: f64 = (0..n).map(|i| self.row(i)[i].powi(2)).sum();
            // Also ends where a value is not a number.
            if !(total - diagonal > DIAGONAL * total && total.is_finite()) {
                break;
            }
            for p in 0..n {
                for q in p + 1..n {
                    self.rotate(p, q, &mut vectors);
                }
            }
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| self.row(b)[b].total_cmp(&self.row(a)[a]));
        let values = order.iter().map(|&i| self.row(i)[i]).collect();
        let data = order.iter().flat_map(|&i| vectors.row(i).iter().copied()).collect();
        (values, Self { n, data })
    }

    /// One rotation that makes the entry (p, q) zero, p < q.
    fn rotate(&mut self, p: usize, q: usize, vectors: &mut Self) {
        let n = self.n;
        let (app, aqq, apq) = (self.data[p * n + p], self.data[q * n + q], self.data[p * n + q]);
        if apq.abs() <= f64::MIN_POSITIVE {
            return;
        }
        let theta = (aqq - app) / (2.0 * apq);
        let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
        let c = 1.0 / t.hypot(1.0);
        let s = t * c;
        for k in 0..n {
            let (x, y) = (self.data[k * n + p], self.data[k * n + q]);
            self.data[k * n + p] = c * x - s * y;
            self.data[k * n + q] = s * x + c * y;
        }
        for matrix in [self, vectors] {
            let (above, below) = matrix.data.split_at_mut(q * n);
            for (x, y) in above[p * n..(p + 1) * n].iter_mut().zip(&mut below[..n]) {
                (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
            }
        }
    }
}

/// A lower triangular matrix with a positive diagonal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lower(Square);

impl Lower {
    /// The logarithm of the determinant.
    pub(super) fn log_determinant(&self) -> f64 {
        self.0.data.iter().step_by(self.0.n + 1).map(|pivot| pivot.ln()).sum()
    }

    /// L⁻¹ v, by forward substitution.
    pub(super) fn solve(&self, v: &[f64]) -> Vec<f64> {
        let mut solved = v.to_vec();
        for i in 0..self.0.n.min(v.len()) {
            let row = self.0.row(i);
            solved[i] = (solved[i] - dot(&row[..i], &solved[..i])) / row[i];
        }
        solved
    }

    /// L⁻¹.
    pub(super) fn inverse(&self) -> Self {
        let n = self.0.n;
        let mut inverse = Square::zeros(n);
        for i in 0..n {
            let (above, rest) = inverse.data.split_at_mut(i * n);
            let (row, factors) = (&mut rest[..n], self.0.row(i));
            for (j, (other, factor)) in above.chunks_exact(n).zip(factors).enumerate() {
                row.iter_mut().zip(&other[..=j]).for_each(|(sum, value)| *sum -= factor * value);
            }
            row[i] = 1.0;
            row[..=i].iter_mut().for_each(|value| *value /= factors[i]);
        }
        Self(inverse)
    }

    /// Lᵀ v.
    pub(super) fn transposed_times(&self, v: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; self.0.n];
        for (i, &factor) in v.iter().enumerate().take(self.0.n) {
            product.iter_mut().zip(&self.0.row(i)[..=i]).for_each(|(sum, value)| *sum += factor * value);
        }
        product
    }

    /// The entries in single precision, row-major.
    pub(super) fn to_f32(&self) -> Vec<f32> {
        self.0.data.iter().map(|&value| value as f32).collect()
    }
}

/// The inner product in eight independent sums, so that it vectorises; the order of additions is fixed.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_blocks, a_tail) = a.as_chunks::<8>();
    let (b_blocks, b_tail) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let tail: f64 = a_tail.iter().zip(b_tail).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + tail
}
