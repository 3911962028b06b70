//! The parameters of the graph, by the names of the HNSW paper (Malkov and Yashunin, 2016, arXiv:1603.09320).

use super::IndexError;

/// Parameters as given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HnswParams {
    /// Links per row and layer (twice as many in the lowest), in [2, 128]: the paper's M.
    pub m: usize,
    /// Candidates kept while a row is inserted, in [`m`, 4096]: the paper's efConstruction.
    pub ef_construction: usize,
    /// Candidates kept while a query is answered, in [1, 4096]: the paper's ef.
    pub ef_search: usize,
}

impl Default for HnswParams {
    fn default() -> Self {
        Self { m: 24, ef_construction: 200, ef_search: 128 }
    }
}

impl HnswParams {
    /// Checks the ranges. The graph library ends the process at an M above 256, takes 256 for 0 when it saves, and
    /// divides by ln(M); no such M gets past here.
    ///
    /// # Errors
    /// The first parameter out of its range.
    pub fn check(self) -> Result<HnswValidParams, IndexError> {
        let within = |name, value, min, max| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(IndexError::Param { name, value, min, max })
            }
        };
        let Self { m, ef_construction, ef_search } = self;
        within("m", m, 2, M_MAX)?;
        within("ef_construction", ef_construction, m, EF_MAX)?;
        within("ef_search", ef_search, 1, EF_MAX)?;
        Ok(HnswValidParams(self))
    }
}

const M_MAX: usize = 128;
const EF_MAX: usize = 4096;

/// Parameters within their ranges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HnswValidParams(HnswParams);

impl HnswValidParams {
    /// The values.
    pub fn get(&self) -> HnswParams {
        self.0
    }
}
