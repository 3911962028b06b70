//! Rows in groups around their leaders: pairs of rows in groups too far apart for any of theirs to be near are never
//! looked at.
//!
//! A row b that is nearer than the angle θ to some row a of a group, all of which lie within α of their leader, lies
//! within α + θ of that leader. So one product with the leader settles the pairs of b with all rows of the group. Tight
//! groups come first and every pair is looked at from the group that comes first, so a row far from everything is
//! compared with few but others of its kind.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::ClusterError;
use super::leaders::{least_product, widest};
use super::progress::Stage;
use super::sketch::{Known, Space, floor};
use super::sweep::{LANES, OPEN_SHARE};
use crate::product::products;
use crate::types::{PointOffset, Vectors};

/// The most rows of a group.
const GROUP_ROWS_MAX: usize = 256;
/// Rows that groups are compared with at a time.
const COLUMN_ROWS: usize = 512;
/// Where fewer than one in so many rows lie in groups tight enough to leave anything out, all pairs are compared.
const TIGHT_SHARE: usize = 4;

/// Rows near one leader.
struct Group {
    leader: u32,
    /// Their places in the order.
    places: Range<usize>,
    /// What the product of the leader and a row that is near to one of them is at least.
    least: f32,
}

/// All rows in groups, the tightest first.
pub(super) struct Groups<'a> {
    space: &'a Space<'a>,
    eps: f32,
    leaders: &'a Vectors,
    all: Vec<Group>,
    /// The row at each place.
    order: Vec<PointOffset>,
    /// The rows of the space that bound products, in this order.
    short: Vectors,
}

impl<'a> Groups<'a> {
    /// Groups the rows; `None` where all pairs may as well be compared.
    pub(super) fn new(space: &'a Space<'a>, eps: f32) -> Option<Self> {
        let leaders = space.leaders()?;
        let members = &leaders.members;
        let reach = widest(1.0 - eps);
        let mut rows: Vec<PointOffset> = (0..space.len() as PointOffset).collect();
        let nearer = |a: &PointOffset, b: &PointOffset| {
            let (of_a, of_b) = (members[*a as usize], members[*b as usize]);
            of_a.leader.cmp(&of_b.leader).then(of_b.product.total_cmp(&of_a.product)).then(a.cmp(b))
        };
        rows.par_sort_unstable_by(nearer);
        let of_leader =
            |a: &PointOffset, b: &PointOffset| members[*a as usize].leader == members[*b as usize].leader;
        let mut found: Vec<(f32, &[PointOffset])> = rows
            .chunk_by(of_leader)
            .flat_map(|rows| rows.chunks(GROUP_ROWS_MAX))
            .map(|rows| {
                // The last is the farthest.
                let farthest = rows.last().map_or(0.0, |&row| members[row as usize].product);
                (least_product(widest(farthest) + reach), rows)
            })
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let tight: usize = found.iter().filter(|(least, _)| *least > 0.0).map(|(_, rows)| rows.len()).sum();
        if tight * TIGHT_SHARE < space.len() {
            return None;
        }
        let mut order = Vec::with_capacity(space.len());
        let mut all = Vec::with_capacity(found.len());
        for (least, rows) in found {
            let leader = members[rows[0] as usize].leader;
            all.push(Group { leader, places: order.len()..order.len() + rows.len(), least });
            order.extend_from_slice(rows);
        }
        let short = space.short().gather(&order);
        Some(Self { space, eps, leaders: &leaders.vectors, all, order, short })
    }

    /// Shows every pair at a cosine distance of at most `eps` to `edge`, once, from one thread at a time.
    pub(super) fn pairs(
        &self,
        stage: &Stage<'_>,
        edge: &Mutex<impl FnMut(PointOffset, PointOffset) + Send>,
    ) -> Result<(), ClusterError> {
        let done = AtomicUsize::new(0);
        let blocks = self.order.len().div_ceil(COLUMN_ROWS);
        (0..blocks).into_par_iter().with_max_len(1).try_for_each_init(Buffers::default, |buffers, block| {
            stage.tick(done.fetch_add(1, Ordering::Relaxed), blocks)?;
            let end = ((block + 1) * COLUMN_ROWS).min(self.order.len());
            let columns = block * COLUMN_ROWS..end;
            let rows = self.space.vectors.gather(&self.order[columns.clone()]);
            buffers.of_leaders.resize(self.leaders.len() * rows.len(), 0.0);
            products(self.leaders.as_slice(), rows.as_slice(), rows.dim(), &mut buffers.of_leaders);
            for group in self.all.iter().take_while(|group| group.places.start < end) {
                self.near(group, columns.clone(), buffers);
                let mut edge = edge.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                buffers.found.drain(..).for_each(|(a, b)| edge(a, b));
            }
            Ok(())
        })
    }

    /// Finds the pairs of rows of a group with rows at these places behind them.
    fn near(&self, group: &Group, columns: Range<usize>, buffers: &mut Buffers) {
        let Buffers { of_leaders, places, products: out, found } = buffers;
        let of_leader = &of_leaders[group.leader as usize * columns.len()..][..columns.len()];
        let behind = columns.zip(of_leader).filter(|&(place, _)| place > group.places.start);
        places.clear();
        places.extend(behind.filter(|&(_, &product)| product >= group.least).map(|(place, _)| place as u32));
        if places.is_empty() {
            return;
        }
        let dim = self.short.dim();
        let rows = &self.short.as_slice()[group.places.start * dim..group.places.end * dim];
        out.resize(group.places.len() * places.len(), 0.0);
        products(rows, self.short.gather(places).as_slice(), dim, out);
        let mut sketched = self.space.sketched();
        let mut least = floor(self.eps, sketched);
        if sketched && out.iter().filter(|&&product| product >= least).count() * OPEN_SHARE >= out.len() {
            let columns: Vec<PointOffset> = places.iter().map(|&place| self.order[place as usize]).collect();
            let whole = |rows: &[PointOffset]| self.space.vectors.gather(rows);
            let (rows, columns) = (whole(&self.order[group.places.clone()]), whole(&columns));
            products(rows.as_slice(), columns.as_slice(), columns.dim(), out);
            (sketched, least) = (false, floor(self.eps, false));
        }
        for (row_place, products) in group.places.clone().zip(out.chunks_exact(places.len())) {
            let row = self.order[row_place];
            for (products, places) in products.chunks(LANES).zip(places.chunks(LANES)) {
                if products.iter().all(|&product| product < least) {
                    continue;
                }
                for (&product, &place) in products.iter().zip(places) {
                    let column = self.order[place as usize];
                    if product >= least
                        && place as usize > row_place
                        && self.is_near(row, column, product, sketched)
                    {
                        found.push((row, column));
                    }
                }
            }
        }
    }

    fn is_near(&self, a: PointOffset, b: PointOffset, product: f32, sketched: bool) -> bool {
        let (a, b) = (a as usize, b as usize);
        let known = if sketched { self.space.known(a, b, product) } else { Known::whole(product) };
        known.at_least <= self.eps && (known.at_most <= self.eps || self.space.distance(a, b) <= self.eps)
    }
}

/// Room for the work of one thread.
#[derive(Default)]
struct Buffers {
    /// Products of all leaders with the columns.
    of_leaders: Vec<f32>,
    /// The columns that a group is compared with.
    places: Vec<u32>,
    products: Vec<f32>,
    found: Vec<(PointOffset, PointOffset)>,
}
