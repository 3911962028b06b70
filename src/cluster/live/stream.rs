//! The batch run: from all pairs within eps, in whatever order they come, in memory linear in the rows.

use super::super::ClusterError;
use super::super::mst::UnionFind;
use super::{Core, Density, Live, Loose, Ranges, Row};
use crate::types::PointOffset;

/// Builds a clustering from the pairs of rows within eps.
///
/// A pair matters only once both its rows are cores, and then it only joins two sets. A row that is no core has fewer
/// than `min_points` neighbours, so the pairs that may matter later fit in short lists: memory stays within
/// `min_points` numbers a row, and the list of a row that never becomes a core is complete.
pub struct EdgeStream {
    /// Its components are empty until the end.
    live: Live,
    sets: UnionFind,
}

/// The most neighbours that may have to be listed, over all rows, 4 bytes each.
const LISTED_MAX: usize = 1 << 30;

impl EdgeStream {
    /// Whether so many rows may list so many neighbours.
    ///
    /// # Errors
    /// [`ClusterError::TooLarge`].
    pub(in crate::cluster) fn check(density: Density, rows: usize) -> Result<(), ClusterError> {
        if rows.saturating_mul(density.min_points as usize) > LISTED_MAX {
            return Err(ClusterError::TooLarge {
                what: "the neighbours of all points that may become core points",
                max: LISTED_MAX,
                unit: "neighbours",
            });
        }
        Ok(())
    }

    /// Begins with rows 0 to `rows` − 1 and no pairs.
    pub fn new(density: Density, rows: usize) -> Self {
        let mut live = Live::new(density);
        live.rows.resize(rows, Row::Loose(Loose::default()));
        let mut stream = Self { live, sets: UnionFind::new(rows) };
        // With fewer than two points wanted, a row needs no pair to be a core.
        (0..rows as PointOffset).for_each(|row| stream.promote(row));
        stream
    }

    /// Leaves out a row that is not there, before any pair is told; no pair may name it.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn leave_out(&mut self, row: PointOffset) {
        self.live.rows[row as usize] = Row::Gone;
    }

    /// Tells that two rows lie within eps. Each pair is told once, in either order.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn edge(&mut self, a: PointOffset, b: PointOffset) {
        if self.live.is_core(a) && self.live.is_core(b) {
            self.unite(a, b);
        }
        self.count(a, b);
        self.count(b, a);
    }

    /// Whether the pairs told so far make the row a core.
    pub fn is_core(&self, row: PointOffset) -> bool {
        self.live.is_core(row)
    }

    /// All pairs were told: numbers the components and gives the borders to their owners.
    pub fn finish(self, ranges: &dyn Ranges) -> Live {
        let Self { mut live, mut sets } = self;
        let rows = live.rows.len() as PointOffset;
        live.held = (0..rows).filter(|&row| live.holds(row)).count();
        // Components are numbered by their first rows.
        let mut number_of = vec![None; rows as usize];
        for row in 0..rows {
            if live.is_core(row) {
                let root = sets.find(row) as usize;
                let number = *number_of[root].get_or_insert_with(|| live.create());
                live.enrol(row, number);
            }
        }
        for row in 0..rows {
            if let Some(owner) = live.nearest_core(row, ranges) {
                live.own(row, owner);
            }
        }
        live
    }

    fn unite(&mut self, a: PointOffset, b: PointOffset) {
        if self.sets.union(a, b).is_some() {
            self.live.link(a, b);
        }
    }

    fn count(&mut self, row: PointOffset, neighbour: PointOffset) {
        match &mut self.live.rows[row as usize] {
            Row::Gone => {}
            Row::Core(core) => core.count += 1,
            Row::Loose(loose) => {
                loose.listed.push(neighbour);
                self.promote(row);
            }
        }
    }

    /// Makes a core of a row that has enough neighbours.
    fn promote(&mut self, row: PointOffset) {
        let min_points = self.live.density.min_points;
        let Some(loose) = self.live.loose_mut(row) else {
            return;
        };
        let count = loose.listed.len() as u32 + 1;
        if count < min_points {
            return;
        }
        let listed = std::mem::take(&mut loose.listed);
        self.live.rows[row as usize] = Row::Core(Core { count, component: 0, place: 0, links: Vec::new() });
        // Those of its neighbours that are no cores yet have it in their own lists.
        for other in listed {
            if self.live.is_core(other) {
                self.unite(row, other);
            }
        }
    }
}
