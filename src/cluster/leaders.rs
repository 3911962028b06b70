//! Leaders: a few unit vectors, and how far every row is from the one next to it. Angles between vectors obey the triangle
//! inequality, so two products with leaders tell of most pairs that they can't be near. Exact for any leaders; how much
//! they save depends on how tightly rows lie around them.

use rayon::prelude::*;

use super::distances::ROUNDING;
use crate::product::products;
use crate::types::{PointOffset, Vectors, dot};

/// Rows that leaders are picked from, spread over all.
const SAMPLE_ROWS: usize = 1_024;
/// There is at most one leader for so many rows.
const ROWS_PER_LEADER: usize = 64;
/// Leaders are at least so far apart, a cosine distance: one or a few for a tight cluster.
const APART: f32 = 0.3;
/// The sum of members that has no direction.
const LENGTH_MIN: f32 = 1e-3;
/// Rows that are assigned at a time.
const BLOCK_ROWS: usize = 256;
/// Unit vectors are so within 1e-3 of their squared length, and products are rounded.
const UNIT_SLACK: f64 = 1.1e-3 + ROUNDING as f64;

/// The leader of a row, and the product of the two; a row that nothing is near to has none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Member {
    pub(super) leader: u32,
    pub(super) product: f32,
}

/// What a row that is not there is: no range holds its product.
pub(super) const NOBODY: Member = Member { leader: 0, product: f32::NAN };

/// Leaders and their members.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaders {
    /// The leaders' vectors.
    pub(super) vectors: Vectors,
    /// Of each row.
    pub(super) members: Vec<Member>,
}

impl Leaders {
    /// Picks leaders of these rows, assigns all to them, and moves each leader to the middle of its members, from where
    /// they are nearer.
    pub(super) fn new(vectors: &Vectors) -> Self {
        let leaders = vectors.gather(&picked(vectors));
        let mut made = Self { vectors: leaders, members: Vec::new() };
        made.extend(vectors);
        made.vectors = made.middles(vectors);
        let Self { vectors: leaders, members } = &mut made;
        members.par_iter_mut().enumerate().for_each(|(row, member)| {
            member.product = dot(vectors.row(row), leaders.row(member.leader as usize));
        });
        made
    }

    /// The directions of the members' sums.
    fn middles(&self, vectors: &Vectors) -> Vectors {
        let dim = vectors.dim();
        let mut sums = vec![0.0f32; self.vectors.len() * dim];
        for (row, member) in self.members.iter().enumerate() {
            let sum = &mut sums[member.leader as usize * dim..][..dim];
            sum.iter_mut().zip(vectors.row(row)).for_each(|(sum, value)| *sum += value);
        }
        for (leader, sum) in sums.chunks_exact_mut(dim).enumerate() {
            let length = dot(sum, sum).sqrt();
            if length > LENGTH_MIN {
                sum.iter_mut().for_each(|value| *value /= length);
            } else {
                // They cancel out, or there are none.
                sum.copy_from_slice(self.vectors.row(leader));
            }
        }
        Vectors::from_rows(dim, sums)
    }

    /// Assigns the rows that were appended since.
    pub(super) fn extend(&mut self, vectors: &Vectors) {
        let (dim, first) = (vectors.dim(), self.members.len());
        let leaders = &self.vectors;
        let mut members = vec![NOBODY; vectors.len() - first];
        let rows = vectors.as_slice()[first * dim..].par_chunks(BLOCK_ROWS * dim);
        members.par_chunks_mut(BLOCK_ROWS).zip(rows).for_each(|(members, rows)| {
            let mut out = vec![0.0; members.len() * leaders.len()];
            products(rows, leaders.as_slice(), dim, &mut out);
            for (member, products) in members.iter_mut().zip(out.chunks_exact(leaders.len().max(1))) {
                let nearest = (0..).zip(products).max_by(|a, b| a.1.total_cmp(b.1));
                *member = nearest.map_or(NOBODY, |(leader, &product)| Member { leader, product });
            }
        });
        self.members.append(&mut members);
    }

    /// The rows that may lie within `eps` of a query, some of which do not; ascending.
    pub(super) fn near(&self, query: &[f32], eps: f32) -> Vec<PointOffset> {
        let reach = widest(1.0 - eps);
        let ranges: Vec<(f32, f32)> = (0..self.vectors.len())
            .map(|leader| {
                let product = dot(query, self.vectors.row(leader));
                (least_product(widest(product) + reach), most_product(narrowest(product) - reach))
            })
            .collect();
        let is_near = |member: &Member| {
            let (least, most) = ranges[member.leader as usize];
            (least..=most).contains(&member.product)
        };
        let rows = (0..).zip(&self.members).filter(|(_, member)| is_near(member));
        rows.map(|(row, _)| row).collect()
    }
}

/// The largest angle that two vectors with this product can have, in radians.
pub(super) fn widest(product: f32) -> f64 {
    (f64::from(product) - UNIT_SLACK).clamp(-1.0, 1.0).acos()
}

/// The smallest such angle.
fn narrowest(product: f32) -> f64 {
    (f64::from(product) + UNIT_SLACK).clamp(-1.0, 1.0).acos()
}

/// What the product of two vectors at most so far apart is at least.
pub(super) fn least_product(angle: f64) -> f32 {
    if angle >= std::f64::consts::PI { f32::NEG_INFINITY } else { (angle.cos() - UNIT_SLACK) as f32 }
}

/// What the product of two vectors at least so far apart is at most.
fn most_product(angle: f64) -> f32 {
    if angle <= 0.0 { f32::INFINITY } else { (angle.cos() + UNIT_SLACK) as f32 }
}

/// Rows of a sample that lie apart.
fn picked(vectors: &Vectors) -> Vec<PointOffset> {
    let n = vectors.len();
    let count = SAMPLE_ROWS.min(n);
    let rows: Vec<PointOffset> = (0..count).map(|place| (place * n / count) as PointOffset).collect();
    let sample = vectors.gather(&rows);
    let mut all = vec![0.0; count * count];
    let blocks = all.par_chunks_mut(16 * count).zip(sample.as_slice().par_chunks(16 * sample.dim()));
    blocks.for_each(|(out, rows)| products(rows, sample.as_slice(), sample.dim(), out));
    let mut picked: Vec<usize> = Vec::new();
    for place in 0..count {
        let is_apart = |&leader: &usize| all[place * count + leader] < 1.0 - APART;
        if picked.len() < (n / ROWS_PER_LEADER).max(1) && picked.iter().all(is_apart) {
            picked.push(place);
        }
    }
    picked.into_iter().map(|place| rows[place]).collect()
}
