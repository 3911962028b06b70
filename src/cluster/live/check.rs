//! Whether all that is kept fits together, by looking at everything again.

use super::{Core, Live, Loose, Ranges, Row, STEP_ROWS};
use crate::types::PointOffset;

impl Live {
    /// Looks at everything that is kept, with a range query for every row: for tests, and for states of doubtful
    /// origin.
    ///
    /// # Errors
    /// The first thing found that is not as it has to be.
    pub fn check(&self, ranges: &dyn Ranges) -> Result<(), String> {
        let held: Vec<PointOffset> =
            (0..self.rows.len() as PointOffset).filter(|&row| self.holds(row)).collect();
        require(held.len() == self.held, || format!("counts {} rows, there are {}", self.held, held.len()))?;
        self.check_rows(&held, ranges)?;
        self.components.keys().try_for_each(|&component| self.check_component(component))
    }

    /// Looks at everything but most rows' neighbours: only these rows are compared with range queries.
    ///
    /// # Errors
    /// As [`Live::check`].
    pub fn probe(&self, rows: &[PointOffset], ranges: &dyn Ranges) -> Result<(), String> {
        let held = self.rows.iter().filter(|row| !matches!(row, Row::Gone)).count();
        require(held == self.held, || format!("counts {} rows, there are {held}", self.held))?;
        self.check_rows(rows, ranges)?;
        self.components.keys().try_for_each(|&component| self.check_component(component))
    }

    fn check_rows(&self, rows: &[PointOffset], ranges: &dyn Ranges) -> Result<(), String> {
        for rows in rows.chunks(STEP_ROWS) {
            let near = self.within(rows, None, ranges);
            for (&row, near) in rows.iter().zip(near) {
                let mut near: Vec<PointOffset> =
                    near.iter().map(|near| near.offset).filter(|&other| self.holds(other)).collect();
                near.sort_unstable();
                match self.row(row) {
                    Row::Gone => {}
                    Row::Loose(loose) => self.check_loose(row, loose, &near, ranges)?,
                    Row::Core(core) => self.check_core(row, core, &near)?,
                }
            }
        }
        Ok(())
    }

    fn check_loose(
        &self,
        row: PointOffset,
        loose: &Loose,
        near: &[PointOffset],
        ranges: &dyn Ranges,
    ) -> Result<(), String> {
        let mut listed = loose.listed.clone();
        listed.sort_unstable();
        require(listed == near, || format!("row {row} lists {listed:?}, its neighbours are {near:?}"))?;
        let count = near.len() as u32 + 1;
        require(count < self.density.min_points, || {
            format!("row {row} has {count} neighbours and is no core")
        })?;
        let owner = self.nearest_core(row, ranges);
        require(loose.owner == owner, || {
            format!("row {row} belongs to {:?}, nearest is {owner:?}", loose.owner)
        })?;
        let hangs = owner.and_then(|owner| self.core(owner)).is_none_or(|core| core.links.contains(&row));
        require(hangs, || format!("border {row} does not hang from its owner"))
    }

    fn check_core(&self, row: PointOffset, core: &Core, near: &[PointOffset]) -> Result<(), String> {
        let count = near.len() as u32 + 1;
        require(core.count == count, || format!("core {row} counts {}, there are {count}", core.count))?;
        require(count >= self.density.min_points, || format!("core {row} has {count} neighbours only"))?;
        let component = self.components.get(&core.component);
        let listed = component.and_then(|component| component.cores.get(core.place as usize));
        require(listed == Some(&row), || format!("core {row} is not where its component has it"))?;
        for &other in near {
            let same = self.core(other).is_none_or(|other| other.component == core.component);
            require(same, || format!("cores {row} and {other} touch and are in two components"))?;
        }
        for &link in &core.links {
            require(near.binary_search(&link).is_ok(), || {
                format!("core {row} links to {link}, too far away")
            })?;
            let mutual = match self.row(link) {
                Row::Gone => false,
                Row::Loose(border) => border.owner == Some(row),
                Row::Core(other) => other.links.contains(&row),
            };
            require(mutual, || format!("the link of core {row} to {link} is not mutual"))?;
        }
        Ok(())
    }

    /// A component's links are a tree when they reach all its cores and are one fewer.
    fn check_component(&self, number: u32) -> Result<(), String> {
        let component = &self.components[&number];
        require(number < self.next, || format!("component {number} has a number not yet given out"))?;
        let mut reached = std::collections::BTreeSet::new();
        let mut open: Vec<PointOffset> = component.cores.first().copied().into_iter().collect();
        let (mut ends, mut borders) = (0, 0);
        while let Some(row) = open.pop() {
            if !reached.insert(row) {
                continue;
            }
            for &link in self.core(row).map_or(&[][..], |core| &core.links) {
                if self.is_core(link) {
                    ends += 1;
                    open.push(link);
                } else {
                    borders += 1;
                }
            }
        }
        let cores = component.cores.len();
        require(cores > 0, || format!("component {number} has no cores"))?;
        require(reached.len() == cores && component.cores.iter().all(|core| reached.contains(core)), || {
            format!("the tree of component {number} reaches {} of {cores} cores", reached.len())
        })?;
        require(ends == 2 * (cores - 1), || format!("the links of component {number} are no tree"))?;
        require(borders == component.borders, || {
            format!("component {number} counts {} borders, there are {borders}", component.borders)
        })
    }
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
