//! `culld recluster`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::client::Client;
use super::clusterings::{object, print_card};
use super::error::CliError;
use super::output::Output;
use super::{Outcome, operations};
use crate::plot;
use crate::proto::operation::Result as OperationResult;
use crate::proto::optics_parameters::Extraction;
use crate::proto::parameters::Algorithm;
use crate::proto::{
    AutoParameters, BirchParameters, Clustering, DbscanParameters, HdbscanParameters, KMeansParameters,
    KMeansStart, KMedoidsParameters, OpticsParameters, Parameters, ReclusterRequest,
};

/// Group all pictures anew
///
/// Without an algorithm culld picks one with its parameters, and says why. Labels stay as they are; the result becomes
/// the active clustering unless --keep-active is given.
///
/// Example: culld recluster dbscan --eps 0.3 --min-points 5 --plot knee.svg
#[derive(Debug, Args)]
pub(super) struct ReclusterArgs {
    #[command(subcommand)]
    algorithm: Option<AlgorithmArgs>,
    /// Seed of random choices: same pictures, parameters and seed, same clusters
    #[arg(long, global = true, default_value_t = 0)]
    seed: u64,
    /// Leave the active clustering as it is
    #[arg(long, global = true)]
    keep_active: bool,
    /// Compare all pairs, whatever the index is, as DBSCAN does in any case
    #[arg(long, global = true)]
    exact: bool,
    /// Only start it; see `culld operations`
    #[arg(long, global = true, conflicts_with = "plot")]
    no_wait: bool,
    /// Write a plot: reachability for optics, else the k-distance curve with its knee
    #[arg(long, global = true, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Start {
    /// The clusters that Ward linkage finds
    Ward,
    /// Pictures drawn far from each other
    PlusPlus,
}

#[derive(Debug, Subcommand)]
enum AlgorithmArgs {
    /// Algorithm and parameters from the data (the default)
    Auto,
    /// K-Means
    KMeans {
        /// Clusters [default: the square root of the number of pictures, within 2 and 40]
        #[arg(long)]
        k: Option<u32>,
        /// Iterations at most, 1 to 10,000 [default: 300]
        #[arg(long)]
        max_iterations: Option<u32>,
        /// Restarts, of which the best counts, 1 to 100 [default: 1 from Ward's clusters, 4 from k-means++]
        #[arg(long)]
        restarts: Option<u32>,
        /// Where the centres start [default: ward, or plus-plus where restarts are asked for]
        #[arg(long, value_enum)]
        start: Option<Start>,
    },
    /// K-Medoids
    KMedoids {
        /// Clusters [default: the square root of the number of pictures, within 2 and 40]
        #[arg(long)]
        k: Option<u32>,
    },
    /// DBSCAN
    #[command(allow_negative_numbers = true)]
    Dbscan {
        /// Neighbourhood radius, cosine distance, 0 to 2 [default: the knee of the k-distance curve]
        #[arg(long)]
        eps: Option<f64>,
        /// Pictures within eps, itself included, that make a core picture [default: 5]
        #[arg(long)]
        min_points: Option<u32>,
    },
    /// OPTICS
    #[command(allow_negative_numbers = true)]
    Optics {
        /// As for DBSCAN
        #[arg(long)]
        min_points: Option<u32>,
        /// Neighbours farther than this are not looked at, cosine distance, 0 to 2 [default: 2]
        #[arg(long)]
        max_eps: Option<f64>,
        /// Read clusters off by steepness, above 0 and below 1 [default: 0.05]
        #[arg(long, conflicts_with = "eps")]
        xi: Option<f64>,
        /// Read clusters off by a cut at this distance, as DBSCAN would
        #[arg(long)]
        eps: Option<f64>,
    },
    /// BIRCH
    #[command(allow_negative_numbers = true)]
    Birch {
        /// The radius that a leaf subcluster may have, above 0 to 2 [default: 0.5, or 0.7 of the radius of all the data where that is less]
        #[arg(long)]
        threshold: Option<f64>,
        /// Children of a node at most, 2 to 1,000 [default: 50]
        #[arg(long)]
        branching: Option<u32>,
        /// Clusters that the subclusters are merged to [default: every subcluster is one]
        #[arg(long)]
        k: Option<u32>,
    },
    /// HDBSCAN
    Hdbscan {
        /// Smaller groups are noise [default: 5]
        #[arg(long)]
        min_cluster_size: Option<u32>,
        /// Neighbours, itself included, that the core distance looks at [default: --min-cluster-size]
        #[arg(long)]
        min_samples: Option<u32>,
    },
}

impl From<AlgorithmArgs> for Algorithm {
    fn from(args: AlgorithmArgs) -> Self {
        match args {
            AlgorithmArgs::Auto => Self::Auto(AutoParameters {}),
            AlgorithmArgs::KMeans { k, max_iterations, restarts, start } => {
                let start = start.map_or(KMeansStart::Unspecified, |start| match start {
                    Start::Ward => KMeansStart::Ward,
                    Start::PlusPlus => KMeansStart::PlusPlus,
                });
                Self::KMeans(KMeansParameters { k, max_iterations, restarts, start: start.into() })
            }
            AlgorithmArgs::KMedoids { k } => Self::KMedoids(KMedoidsParameters { k }),
            AlgorithmArgs::Dbscan { eps, min_points } => Self::Dbscan(DbscanParameters { eps, min_points }),
            AlgorithmArgs::Optics { min_points, max_eps, xi, eps } => {
                let extraction = xi.map(Extraction::Xi).or(eps.map(Extraction::Eps));
                Self::Optics(OpticsParameters { min_points, max_eps, extraction })
            }
            AlgorithmArgs::Birch { threshold, branching, k } => {
                Self::Birch(BirchParameters { threshold, branching, k })
            }
            AlgorithmArgs::Hdbscan { min_cluster_size, min_samples } => {
                Self::Hdbscan(HdbscanParameters { min_cluster_size, min_samples })
            }
        }
    }
}

/// Reclusters, and shows the parameter card of the result.
pub(super) async fn run(
    args: ReclusterArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let algorithm = args.algorithm.unwrap_or(AlgorithmArgs::Auto).into();
    let request = ReclusterRequest {
        collection: client.collection.clone(),
        parameters: Some(Parameters { algorithm: Some(algorithm) }),
        seed: args.seed,
        keep_active: args.keep_active,
        exact: args.exact,
        request_id: String::new(),
        actor: client.actor.clone(),
    };
    if args.no_wait {
        let answer = client.clusterings.recluster(request).await?.into_inner();
        let operation = answer.operation.ok_or(CliError::Answer("the operation"))?;
        out.line(format!("{} is running; wait with `culld operations wait {0}`", operation.name));
        out.object(&operations::object(&operation));
        return Ok(Outcome::Done);
    }
    let clustering = recluster(&mut client, request).await?;
    print_card(&clustering, out);
    if let Some(path) = &args.plot {
        write_plot(&mut client, &clustering, path).await?;
        out.line(format!("plot in {}", path.display()));
    }
    out.object(&object(&clustering));
    Ok(Outcome::Done)
}

/// Reclusters and waits for the result, with its k-distance curve.
pub(super) async fn recluster(
    client: &mut Client,
    request: ReclusterRequest,
) -> Result<Clustering, CliError> {
    let answer = client.clusterings.recluster(request).await?.into_inner();
    let operation = answer.operation.ok_or(CliError::Answer("the operation"))?;
    match client.wait(operation).await? {
        OperationResult::Clustering(clustering) => client.clustering(clustering.clustering_id).await,
        OperationResult::Error(_)
        | OperationResult::Import(_)
        | OperationResult::Verify(_)
        | OperationResult::Backup(_) => Err(CliError::Answer("the clustering")),
    }
}

/// Writes the plot that fits the clustering's algorithm.
pub(super) async fn write_plot(
    client: &mut Client,
    clustering: &Clustering,
    path: &Path,
) -> Result<(), CliError> {
    let svg = if clustering.algorithm == "optics" {
        let points = client.reachability(clustering.clustering_id).await?;
        let bars: Vec<plot::Bar> = points
            .iter()
            .map(|point| plot::Bar { height: point.reachability, cluster: point.cluster_id })
            .collect();
        plot::reachability(&bars)?
    } else {
        plot::k_distances(&clustering.k_distances, clustering.knee)?
    };
    std::fs::write(path, svg).map_err(CliError::file("write", path))
}
