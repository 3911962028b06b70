//! DBSCAN that stays exact while points come and go, after Ester et al., "Incremental Clustering for Mining in a Data
//! Warehousing Environment" (1998).
//!
//! A *core* has at least `min_points` rows within eps, itself among them. Clusters are the connected components of the
//! cores, two of which are joined when they lie within eps. Any other row with a core within eps is a *border* of its
//! nearest core, ties to the smaller image id; the rest is noise. So the labels follow from the set of rows alone, and
//! what is kept here is just enough to follow a change of that set:
//!
//! - A row that is no core has fewer than `min_points` neighbours, so all of them are listed. When it becomes a core,
//!   the list is what a range query would say; when its owner goes, the list holds every core that may own it.
//! - A core counts its neighbours and forgets which they are. Its component is held together by a spanning tree, the
//!   links of which are neighbours. Borders hang from their owners as leaves of that tree.
//!
//! An arrival can only add cores, and these join components: a union. A departure can only take cores away: their trees
//! fall into pieces, and range queries from all but the largest piece say which of them still touch (`repair.rs`).

mod changes;
mod check;
mod forest;
mod insert;
mod remove;
mod repair;
mod stream;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use changes::{Changes, Merge, Split};
pub use stream::EdgeStream;

use crate::types::{ImageId, Neighbour, PointOffset};

/// The most rows that arrive or leave in one step: the neighbours of all of them are in memory at once.
const STEP_ROWS: usize = 256;

/// What makes a row a core.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Density {
    /// The cosine distance up to which two rows are neighbours, in [0, 2].
    pub eps: f32,
    /// How many rows a core has within eps, itself among them; at least 2.
    pub min_points: u32,
}

/// What the clustering asks of the vectors. Distances are those of [`crate::types::cosine_distance`], to the last bit:
/// a pair must look the same from either end, and at any time.
pub trait Ranges {
    /// The rows within `eps` of each query, the query itself excluded, in any order; shape (queries). Only rows of
    /// `among` are looked at, or with `None` every row: rows that were removed or have yet to come may be among the
    /// answers, those that the clustering holds have to be. A row that is just being removed can still be a query.
    fn within(&self, eps: f32, queries: &[PointOffset], among: Option<&[PointOffset]>)
    -> Vec<Vec<Neighbour>>;

    /// The cosine distance of two rows.
    fn distance(&self, a: PointOffset, b: PointOffset) -> f32;

    /// The image of a row.
    fn id(&self, row: PointOffset) -> ImageId;
}

/// How many rows a clustering holds, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows in all.
    pub rows: usize,
    /// Cores.
    pub cores: usize,
    /// Rows that belong to a core without being one.
    pub borders: usize,
}

impl Counts {
    /// Rows that belong to no cluster.
    pub fn noise(self) -> usize {
        self.rows - self.cores - self.borders
    }
}

/// A DBSCAN clustering that follows its set of rows: whatever the changes and their order, its labels are those of a
/// batch run on the rows it holds.
///
/// It holds no vectors, every change is given a [`Ranges`] to ask. A component's number is never given out twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    density: Density,
    rows: Vec<Row>,
    /// How many of these are not gone.
    held: usize,
    components: BTreeMap<u32, Component>,
    /// The first component number never given out.
    next: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Row {
    /// Never came, or left.
    Gone,
    Loose(Loose),
    Core(Core),
}

/// A row that is no core: a border or noise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Loose {
    /// All its neighbours, itself excluded: fewer than `min_points − 1`.
    listed: Vec<PointOffset>,
    /// The nearest core of these.
    owner: Option<PointOffset>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Core {
    /// How many rows lie within eps, itself included.
    count: u32,
    component: u32,
    /// Where it stands in the component's list.
    place: u32,
    /// Its neighbours in the component's spanning tree, and the borders that it owns.
    links: Vec<PointOffset>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Component {
    cores: Vec<PointOffset>,
    /// How many borders these own.
    borders: u32,
}

impl Component {
    fn members(&self) -> usize {
        self.cores.len() + self.borders as usize
    }
}

impl Live {
    /// Holds no rows yet.
    pub fn new(density: Density) -> Self {
        Self { density, rows: Vec::new(), held: 0, components: BTreeMap::new(), next: 0 }
    }

    /// What makes a row a core.
    pub fn parameters(&self) -> Density {
        self.density
    }

    /// The component of a row; `None` for noise and for rows that are not held.
    pub fn label(&self, row: PointOffset) -> Option<u32> {
        match self.row(row) {
            Row::Gone => None,
            Row::Loose(loose) => loose.owner.and_then(|owner| self.core(owner)).map(|core| core.component),
            Row::Core(core) => Some(core.component),
        }
    }

    /// Whether the row is held: it came and did not leave.
    pub fn holds(&self, row: PointOffset) -> bool {
        !matches!(self.row(row), Row::Gone)
    }

    /// Whether the row is a core.
    pub fn is_core(&self, row: PointOffset) -> bool {
        self.core(row).is_some()
    }

    /// The core that a border belongs to, its nearest.
    pub fn owner(&self, row: PointOffset) -> Option<PointOffset> {
        match self.row(row) {
            Row::Loose(loose) => loose.owner,
            Row::Gone | Row::Core(_) => None,
        }
    }

    /// The numbers of the components, ascending.
    pub fn components(&self) -> impl Iterator<Item = u32> + '_ {
        self.components.keys().copied()
    }

    /// The cores and borders of a component, in no particular order; none when there is no such component.
    pub fn members(&self, component: u32) -> impl Iterator<Item = PointOffset> + '_ {
        let cores = self.components.get(&component).map_or(&[][..], |component| &component.cores);
        cores.iter().flat_map(|&core| std::iter::once(core).chain(self.borders(core)))
    }

    /// How many members a component has, cores and borders.
    pub fn size(&self, component: u32) -> usize {
        self.components.get(&component).map_or(0, Component::members)
    }

    /// How many rows there are of each kind.
    pub fn counts(&self) -> Counts {
        Counts {
            rows: self.held,
            cores: self.components.values().map(|component| component.cores.len()).sum(),
            borders: self.components.values().map(|component| component.borders as usize).sum(),
        }
    }

    /// Gives every row that is held another offset and forgets the others; for when the vectors of removed rows are
    /// dropped. Components keep their numbers.
    ///
    /// # Panics
    /// When two rows get one offset.
    pub fn compact(&mut self, new_offset_of: impl Fn(PointOffset) -> PointOffset) {
        let renamed = |rows: &mut [PointOffset]| rows.iter_mut().for_each(|row| *row = new_offset_of(*row));
        let mut rows = Vec::new();
        for (old, mut row) in std::mem::take(&mut self.rows).into_iter().enumerate() {
            match &mut row {
                Row::Gone => continue,
                Row::Loose(loose) => {
                    renamed(&mut loose.listed);
                    loose.owner = loose.owner.map(&new_offset_of);
                }
                Row::Core(core) => renamed(&mut core.links),
            }
            let new = new_offset_of(old as PointOffset) as usize;
            if rows.len() <= new {
                rows.resize(new + 1, Row::Gone);
            }
            assert!(matches!(rows[new], Row::Gone), "two rows are to get the offset {new}");
            rows[new] = row;
        }
        self.rows = rows;
        self.components.values_mut().for_each(|component| renamed(&mut component.cores));
    }

    fn row(&self, row: PointOffset) -> &Row {
        self.rows.get(row as usize).unwrap_or(&Row::Gone)
    }

    fn core(&self, row: PointOffset) -> Option<&Core> {
        match self.row(row) {
            Row::Core(core) => Some(core),
            Row::Gone | Row::Loose(_) => None,
        }
    }

    fn core_mut(&mut self, row: PointOffset) -> Option<&mut Core> {
        match self.rows.get_mut(row as usize) {
            Some(Row::Core(core)) => Some(core),
            _ => None,
        }
    }

    fn loose_mut(&mut self, row: PointOffset) -> Option<&mut Loose> {
        match self.rows.get_mut(row as usize) {
            Some(Row::Loose(loose)) => Some(loose),
            _ => None,
        }
    }

    /// The borders that a core owns.
    fn borders(&self, core: PointOffset) -> impl Iterator<Item = PointOffset> + '_ {
        let links = self.core(core).map_or(&[][..], |core| &core.links);
        links.iter().copied().filter(|&link| !self.is_core(link))
    }

    /// Asks for neighbours; a question without queries is not worth a pass over the vectors.
    fn within(
        &self,
        queries: &[PointOffset],
        among: Option<&[PointOffset]>,
        ranges: &dyn Ranges,
    ) -> Vec<Vec<Neighbour>> {
        if queries.is_empty() { Vec::new() } else { ranges.within(self.density.eps, queries, among) }
    }

    /// The core among a row's listed neighbours that owns it.
    fn nearest_core(&self, row: PointOffset, ranges: &dyn Ranges) -> Option<PointOffset> {
        let Row::Loose(Loose { listed, .. }) = self.row(row) else {
            return None;
        };
        let cores = listed.iter().filter(|&&other| self.is_core(other));
        let near = cores.map(|&core| Neighbour { offset: core, distance: ranges.distance(row, core) });
        near.min_by(|a, b| by_distance(*a, *b, ranges)).map(|nearest| nearest.offset)
    }
}

/// Nearer first, ties by image.
fn by_distance(a: Neighbour, b: Neighbour, ranges: &dyn Ranges) -> std::cmp::Ordering {
    a.distance.total_cmp(&b.distance).then_with(|| ranges.id(a.offset).cmp(&ranges.id(b.offset)))
}
