//! Whether the clustering that is followed is one, and what readers see of it.

use std::collections::BTreeMap;

use crate::cluster::RowRanges;
use crate::engine::collection::{Collection, Writer};
use crate::engine::lock::{lock, read};

impl Collection {
    /// Looks at everything that is kept of it: the distances of all pairs.
    ///
    /// # Errors
    /// The first thing that is not as it has to be.
    pub(in crate::engine) fn check_followed(&self, _turn: &Writer<'_>) -> Result<(), String> {
        let followed = lock(&self.followed);
        let state = read(&self.state);
        let Some(view) = state.live() else { return Ok(()) };
        let Some(followed) = followed.as_ref().filter(|followed| followed.clustering == view.clustering)
        else {
            return Err("what readers see is not followed".to_owned());
        };
        let id = |row| state.rows.get(row).image;
        let ranges = RowRanges::new(&state.vectors, &followed.sketches, &id);
        followed.live.check(&ranges)?;
        let mut sizes = BTreeMap::new();
        let mut noise = 0;
        for (row, record) in state.rows.alive() {
            let label = followed.label(row);
            if !followed.live.holds(row) || view.label(row) != label {
                return Err(format!("image {} is seen in another cluster than it is in", record.image));
            }
            match label {
                Some(cluster) => *sizes.entry(cluster).or_default() += 1,
                None => noise += 1,
            }
        }
        if (&sizes, noise) != (&view.sizes, view.noise) {
            return Err("clusters are counted otherwise than they are".to_owned());
        }
        Ok(())
    }
}
