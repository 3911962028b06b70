//! Which offsets an index holds.

use serde::{Deserialize, Serialize};

use super::{IndexError, check_unit};
use crate::types::{PointOffset, Vectors};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Membership {
    Absent,
    Live,
    Removed,
}

/// The state of every offset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Members {
    states: Vec<Membership>,
    live: usize,
    removed: usize,
}

impl Members {
    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn removed(&self) -> usize {
        self.removed
    }

    pub(super) fn contains(&self, offset: PointOffset) -> bool {
        self.states.get(offset as usize) == Some(&Membership::Live)
    }

    /// One past the highest offset ever inserted.
    pub(super) fn end(&self) -> usize {
        self.states.len()
    }

    /// Takes all of `offsets` or none.
    pub(super) fn insert(
        &mut self,
        dim: usize,
        vectors: &Vectors,
        offsets: &[PointOffset],
    ) -> Result<(), IndexError> {
        if vectors.dim() != dim {
            return Err(IndexError::Dimension { expected: dim, received: vectors.dim() });
        }
        for &offset in offsets {
            if offset as usize >= vectors.len() {
                return Err(IndexError::NoRow { offset, rows: vectors.len() });
            }
            check_unit(vectors.row(offset as usize))?;
        }
        let end = offsets.iter().map(|&offset| offset as usize + 1).max().unwrap_or(0);
        if end > self.states.len() {
            self.states.resize(end, Membership::Absent);
        }
        for (done, &offset) in offsets.iter().enumerate() {
            let state = &mut self.states[offset as usize];
            if *state != Membership::Absent {
                for &taken in &offsets[..done] {
                    self.states[taken as usize] = Membership::Absent;
                }
                return Err(IndexError::Inserted { offset });
            }
            *state = Membership::Live;
        }
        self.live += offsets.len();
        Ok(())
    }

    pub(super) fn remove(&mut self, offset: PointOffset) -> Result<(), IndexError> {
        let state = self.states.get_mut(offset as usize).filter(|state| **state == Membership::Live);
        *state.ok_or(IndexError::Absent { offset })? = Membership::Removed;
        self.live -= 1;
        self.removed += 1;
        Ok(())
    }

    /// Refuses vectors that don't have a row for every offset ever inserted.
    pub(super) fn check_rows(&self, dim: usize, vectors: &Vectors) -> Result<(), IndexError> {
        if vectors.dim() != dim {
            return Err(IndexError::Dimension { expected: dim, received: vectors.dim() });
        }
        if vectors.len() < self.end() {
            let last = self.end() - 1;
            return Err(IndexError::NoRow { offset: last as PointOffset, rows: vectors.len() });
        }
        Ok(())
    }
}
