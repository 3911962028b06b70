//! All pairs of rows, in parallel, as blocks of a matrix that never exists as a whole.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::ClusterError;
use super::progress::Stage;
use super::sketch::{Known, Space, floor};
use crate::product::products;

/// Rows of one block of a matrix product: two blocks fit a second-level cache.
pub(super) const BLOCK_ROWS: usize = 256;
/// Products looked at together: nearly always none of them is high enough.
pub(super) const LANES: usize = 16;

/// Where more than one in so many pairs stays open, the whole products of the tile are cheaper than those of the pairs.
pub(super) const OPEN_SHARE: usize = 8;

/// A block of the matrix of pairs.
pub(super) struct Tile<'a> {
    /// The first of its rows.
    pub(super) first_row: usize,
    /// The first of its columns.
    pub(super) first_column: usize,
    columns: usize,
    space: &'a Space<'a>,
    /// The sketches' products.
    products: &'a [f32],
    /// Room for the whole products.
    whole: &'a mut Vec<f32>,
}

impl Tile<'_> {
    /// The numbers of its rows.
    pub(super) fn rows(&self) -> Range<usize> {
        self.first_row..self.first_row + self.products.len() / self.columns
    }

    /// The numbers of its columns.
    pub(super) fn columns(&self) -> Range<usize> {
        self.first_column..self.first_column + self.columns
    }

    /// Shows `visit` every pair (row, column, what is known of its distance) that may lie within the limit of its row or
    /// of its column, cosine distances both; on the diagonal only columns behind the row, so that every pair is seen
    /// once.
    pub(super) fn pairs_within(
        &mut self,
        row_limits: &[f32],
        column_limits: &[f32],
        mut visit: impl FnMut(usize, usize, Known),
    ) {
        let space = self.space;
        let mut open = 0;
        let floors = |limits: &[f32], sketched| limits.iter().map(|&limit| floor(limit, sketched)).collect();
        let (of_rows, of_columns): (Vec<f32>, Vec<f32>) =
            (floors(row_limits, space.sketched()), floors(column_limits, space.sketched()));
        self.above(self.products, &of_rows, &of_columns, |_, _, _| open += 1);
        if !space.sketched() || open * OPEN_SHARE < self.products.len() {
            let known = |row, column, product| visit(row, column, space.known(row, column, product));
            return self.above(self.products, &of_rows, &of_columns, known);
        }
        let mut whole = std::mem::take(self.whole);
        whole.resize(self.products.len(), 0.0);
        let vectors = space.vectors;
        let of =
            |rows: Range<usize>| &vectors.as_slice()[rows.start * vectors.dim()..rows.end * vectors.dim()];
        products(of(self.rows()), of(self.columns()), vectors.dim(), &mut whole);
        let (of_rows, of_columns): (Vec<f32>, Vec<f32>) =
            (floors(row_limits, false), floors(column_limits, false));
        self.above(&whole, &of_rows, &of_columns, |row, column, product| {
            visit(row, column, Known::whole(product));
        });
        *self.whole = whole;
    }

    fn above(
        &self,
        products: &[f32],
        row_floors: &[f32],
        column_floors: &[f32],
        mut visit: impl FnMut(usize, usize, f32),
    ) {
        let diagonal = self.first_row == self.first_column;
        for (i, (products, &own)) in products.chunks_exact(self.columns).zip(row_floors).enumerate() {
            let skip = if diagonal { i + 1 } else { 0 };
            let over = |product: f32, floor: f32| product - if floor < own { floor } else { own };
            let chunks = products[skip..].chunks(LANES).zip(column_floors[skip..].chunks(LANES));
            for (chunk, (products, floors)) in chunks.enumerate() {
                let most = products.iter().zip(floors).fold(-1.0, |most: f32, (&product, &floor)| {
                    let over = over(product, floor);
                    if over > most { over } else { most }
                });
                if most < 0.0 {
                    continue;
                }
                for (lane, (&product, &floor)) in products.iter().zip(floors).enumerate() {
                    if over(product, floor) >= 0.0 {
                        visit(self.first_row + i, self.first_column + skip + chunk * LANES + lane, product);
                    }
                }
            }
        }
    }
}

fn block<'a>(space: &Space<'a>, index: usize) -> &'a [f32] {
    let short = space.short();
    let end = ((index + 1) * BLOCK_ROWS).min(space.len());
    &short.as_slice()[index * BLOCK_ROWS * short.dim()..end * short.dim()]
}

/// Shows every pair of rows to `visit` once, in parallel, blocks on the diagonal first: what is near a row among a few
/// hundred bounds what is near it among all. `merge` must not depend on the order of its arguments.
pub(super) fn sweep<A: Send>(
    space: &Space<'_>,
    stage: &Stage<'_>,
    start: impl Fn() -> A + Sync + Send,
    visit: impl Fn(&mut A, &mut Tile<'_>) -> Result<(), ClusterError> + Sync + Send,
    merge: impl Fn(A, A) -> A + Sync + Send,
) -> Result<A, ClusterError> {
    let dim = space.short().dim();
    let blocks = space.len().div_ceil(BLOCK_ROWS);
    let done = AtomicUsize::new(0);
    let see = |sum: &mut A, (buffer, whole): &mut (Vec<f32>, Vec<f32>), i: usize, j: usize| {
        stage.tick(done.fetch_add(1, Ordering::Relaxed), blocks * (blocks + 1) / 2)?;
        let (rows, columns) = (block(space, i), block(space, j));
        let len = rows.len() / dim * (columns.len() / dim);
        buffer.resize(len.max(buffer.len()), 0.0);
        products(rows, columns, dim, &mut buffer[..len]);
        let mut tile = Tile {
            first_row: i * BLOCK_ROWS,
            first_column: j * BLOCK_ROWS,
            columns: columns.len() / dim,
            space,
            products: &buffer[..len],
            whole,
        };
        visit(sum, &mut tile)
    };
    let run = |of_row: &(dyn Fn(usize) -> Range<usize> + Sync)| {
        let row = |(mut sum, mut buffers): (A, (Vec<f32>, Vec<f32>)), i: usize| {
            of_row(i).try_for_each(|j| see(&mut sum, &mut buffers, i, j))?;
            Ok::<_, ClusterError>((sum, buffers))
        };
        (0..blocks)
            .into_par_iter()
            .with_max_len(1)
            .try_fold(|| (start(), (Vec::new(), Vec::new())), row)
            .map(|folded| folded.map(|(sum, _)| sum))
            .try_reduce(&start, |a, b| Ok(merge(a, b)))
    };
    let diagonal = run(&|i| i..i + 1)?;
    Ok(merge(diagonal, run(&|i| i + 1..blocks)?))
}
