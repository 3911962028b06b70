//! Groups the unit vectors of one collection; pure, no I/O.
//!
//! Every distance that crosses this API is a cosine distance, 1 − a·b, in [0, 2]. Of two unit vectors it is half their
//! squared Euclidean distance, so both order neighbours alike: K-Means and BIRCH minimise the squared Euclidean
//! distance, K-Medoids, DBSCAN, OPTICS and HDBSCAN the cosine distance itself.
//!
//! The work is a handful of passes over blocks of the distance matrix (`sweep.rs`), which never exists as a whole.
//! Results depend on the vectors, the ids, the parameters and the seed, never on the number of threads.
//!
//! # What it costs
//!
//! Two cores, vectors of 1,280 dimensions in 200 clusters and a tenth of noise, all exact. `cargo bench --bench density`
//! and `--bench live` print it, with the peers in the same run; tests/bench/measured/density.md is what they printed.
//!
//! | points | DBSCAN | its peers | one insert, p99 | one delete, p99 |
//! |---|---|---|---|---|
//! | 10,000 | 0.7 s | | 1.5 ms, mean 69 times as fast as incdbscan | 0.7 ms |
//! | 20,000 | 1.7 s | scikit-learn 12.5 s, hnswlib's graph with a query a point 15.4 s | 1.8 ms | 0.5 ms |
//! | 100,000 | 12.5 to 14.6 s | hnswlib's graph with a query a point 75.5 s | 6.5 to 12.3 ms | 2.8 to 4.3 ms |
//!
//! A component of 50,000 points that falls in two takes 4.1 s. HDBSCAN of 20,000 points takes 11.0 s, scikit-learn's
//! 23.6 s; OPTICS of 5,000 points 1.9 s, scikit-learn's 212 s.

mod auto;
mod birch;
mod centroids;
mod curve;
mod dbscan;
mod distances;
mod groups;
mod hdbscan;
mod kmeans;
mod kmedoids;
mod knn;
mod leaders;
pub mod lineage;
mod live;
pub mod metrics;
mod mst;
mod optics;
mod outcome;
mod pairs;
mod params;
mod progress;
mod ranges;
mod seeding;
mod sketch;
mod suggest;
pub mod summary;
mod survey;
mod sweep;
mod tree;
mod validity;
mod ward;
mod xi;

pub use live::{Changes, Counts, Density, EdgeStream, Live, Merge, Ranges, Split};
pub use optics::{extract_eps, extract_xi};
pub use outcome::{Algorithm, Outcome, Reachability, RedFlag};
pub use params::{Extraction, KMeansStart, ParameterError, Parameters, ValidParameters};
pub use progress::{Progress, RunContext, Stage};
pub use ranges::{RowRanges, follow};
pub use sketch::Sketches;
pub use suggest::{OpticsLook, ParameterCard, suggest};
pub use survey::EpsLook;

use crate::types::{ImageId, PointOffset, Vectors};

/// The most points one clustering takes; rows are 32-bit and some marks need one value to spare.
pub const POINTS_MAX: usize = 10_000_000;

/// What is to be clustered.
#[derive(Clone, Copy)]
pub struct ClusterInput<'a> {
    /// Unit vectors, shape (n, dim).
    pub vectors: &'a Vectors,
    /// The image of each row, shape (n), ascending: a row's number is its place in the order of ids. So ties that go to
    /// the smaller row go to the smaller id, and the order of arrival can't matter to seeding or summation either.
    pub ids: &'a [ImageId],
    /// Proposes neighbours (an HNSW graph, say); `None` looks at every pair.
    pub candidates: Option<&'a dyn CandidateSource>,
}

/// Proposes the neighbours of a point; their distances are then recomputed, so it decides only what is looked at.
pub trait CandidateSource: Sync {
    /// Its name in explanations.
    fn name(&self) -> &'static str;

    /// About `k` rows that lie near `row`, in any order; `row` itself may be among them.
    fn candidates(&self, row: usize, k: usize) -> Vec<PointOffset>;
}

/// Why a run gave no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClusterError {
    /// The caller asked to stop.
    #[error("the clustering was cancelled")]
    Cancelled,
    /// There are not as many ids as vectors.
    #[error("{ids} ids were given for {vectors} vectors")]
    IdCount {
        /// Rows of the vectors.
        vectors: usize,
        /// Ids given.
        ids: usize,
    },
    /// Rows are not in the order of their ids, or an id is there twice.
    #[error("the id of row {row} does not come after the one before it")]
    IdOrder {
        /// The row.
        row: usize,
    },
    /// The parameters were checked for another number of points.
    #[error("the parameters were checked for {checked} points, the input has {received}")]
    PointCount {
        /// The number given to [`Parameters::check`].
        checked: usize,
        /// Rows of the vectors.
        received: usize,
    },
    /// A parameter is out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A structure would grow beyond its limit.
    #[error("{what} would need more than {max} {unit}")]
    TooLarge {
        /// The structure.
        what: &'static str,
        /// Its limit.
        max: usize,
        /// The unit of the limit.
        unit: &'static str,
    },
    /// A vector is not of unit length, or not finite: row and squared length.
    #[error("row {row} is not a unit vector, its squared length is {squared_length}")]
    NotUnit {
        /// The row.
        row: usize,
        /// Its squared length; 1 is allowed within 1e-3.
        squared_length: f32,
    },
    /// A library refused its input.
    #[error("{library}: {message}")]
    Library {
        /// The crate.
        library: &'static str,
        /// What it said.
        message: String,
    },
}

/// Clusters `input` as `parameters` say.
///
/// # Errors
/// [`ClusterError`]: cancelled, inconsistent input, or a structure beyond its limit.
pub fn run(
    parameters: &ValidParameters,
    input: &ClusterInput<'_>,
    context: &RunContext<'_>,
) -> Result<Outcome, ClusterError> {
    check_input(input)?;
    let n = input.vectors.len();
    if parameters.points() != n {
        return Err(ClusterError::PointCount { checked: parameters.points(), received: n });
    }
    let stage = Stage::whole(context);
    let mut outcome = parameters.algorithm().run(input, &stage)?;
    outcome.number_canonically(input.ids);
    stage.tick(1, 1)?;
    Ok(outcome)
}

fn check_input(input: &ClusterInput<'_>) -> Result<(), ClusterError> {
    let n = input.vectors.len();
    if input.ids.len() != n {
        return Err(ClusterError::IdCount { vectors: n, ids: input.ids.len() });
    }
    if n > POINTS_MAX {
        return Err(ClusterError::TooLarge { what: "the input", max: POINTS_MAX, unit: "points" });
    }
    if let Some(place) = input.ids.windows(2).position(|pair| pair[0] >= pair[1]) {
        return Err(ClusterError::IdOrder { row: place + 1 });
    }
    for row in 0..n {
        let vector = input.vectors.row(row);
        let squared_length = crate::types::dot(vector, vector);
        // A range holds no NaN.
        if !(0.999..=1.001).contains(&squared_length) {
            return Err(ClusterError::NotUnit { row, squared_length });
        }
    }
    Ok(())
}
