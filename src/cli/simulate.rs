//! `culld simulate`: how good decisions get for how many judgements, measured with a reviewer who knows the truth.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::labels::Labels;
use super::output::Output;
use super::recluster::recluster;
use super::temporary::{TemporaryDaemon, TemporaryFolder, stop_signal};
use super::walk::{Found, Unreadable, Walk};
use super::{Outcome, progress, upload};
use crate::proto::set_verdict_request::Target;
use crate::proto::true_label::Image as LabelledImage;
use crate::proto::{
    ClusterTarget, EvaluateRequest, EvaluateResponse, ReclusterRequest, SetVerdictRequest, Side, TrueLabel,
};

/// Measure quality per judgement with a simulated reviewer
///
/// Starts from an empty store in a temporary folder, adds the images in an order shuffled by the seed, clusters them,
/// and lets a reviewer who knows the true labels judge.
///
/// Example: culld simulate --labels labels.csv --keep cat,dog --images ./images --seed 1
#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// CSV file with the columns `file` and `class`
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Classes that are needed
    #[arg(long, value_delimiter = ',', required = true, value_name = "CLASS,…")]
    keep: Vec<String>,
    /// Folder of the images
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// How the reviewer goes about it
    #[arg(long, value_enum, default_value_t = Reviewer::WholeClusters)]
    reviewer: Reviewer,
    /// Seed of the order of the images, and of the clustering
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Reviewer {
    /// Answers every cluster once by its true majority; noise counts as discarded
    WholeClusters,
}

/// Simulates.
pub(super) async fn run(args: SimulateArgs, out: &mut Output) -> Result<Outcome, CliError> {
    let labels = Labels::read(&args.labels, &args.keep)?;
    let folder = TemporaryFolder::new()?;
    let mut daemon = TemporaryDaemon::start(folder.path()).await?;
    let result = tokio::select! {
        result = review(&args, &labels, &mut daemon.client, out) => result,
        stopped = stop_signal() => Err(stopped.map_or_else(CliError::Runtime, |()| CliError::Stopped)),
    };
    daemon.stop().await;
    result
}

async fn review(
    args: &SimulateArgs,
    labels: &Labels,
    client: &mut Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let mut files: Vec<Result<Found, Unreadable>> = Walk::new(std::slice::from_ref(&args.images)).collect();
    files.shuffle(&mut ChaCha8Rng::seed_from_u64(args.seed));
    let bar = progress::counted(files.len() as u64, "adding");
    let summary = upload::add(client, files.into_iter(), Vec::new(), &bar).await?;
    bar.finish_and_clear();
    let request = ReclusterRequest { seed: args.seed, ..ReclusterRequest::default() };
    let clustering = recluster(client, request).await?;
    let labels = labels.resolve(client).await?;
    let judgements = match args.reviewer {
        Reviewer::WholeClusters => judge_whole_clusters(client, clustering.clustering_id, &labels).await?,
    };
    let request = EvaluateRequest {
        labels,
        judgements: Some(judgements),
        noise_as_discard: true,
        ..EvaluateRequest::default()
    };
    let EvaluateResponse { quality_metric, precision, recall, .. } =
        client.decisions.evaluate(request).await?.into_inner();
    let images = summary.added + summary.already_present;
    out.line(format!("{images} images, {} clusters by {}", clustering.clusters, clustering.algorithm));
    out.line(format!(
        "after {judgements} judgements: Quality Metric {quality_metric:.4}, precision {precision:.4}, recall {recall:.4}"
    ));
    let point = json!({
        "judgements": judgements,
        "quality_metric": quality_metric,
        "precision": precision,
        "recall": recall,
    });
    out.object(&json!({"images": images, "at": [point]}));
    Ok(Outcome::partly_if(summary.failed > 0))
}

/// Answers every cluster once by the true majority of its members, ties by keep. Answers how many there were.
async fn judge_whole_clusters(
    client: &mut Client,
    clustering_id: u64,
    labels: &[TrueLabel],
) -> Result<u64, CliError> {
    let needed: HashMap<&str, bool> = labels
        .iter()
        .filter_map(|label| match label.image.as_ref()? {
            LabelledImage::ImageId(id) => Some((id.as_str(), label.needed)),
            LabelledImage::SourceKey(_) => None,
        })
        .collect();
    let clusters = client.all_clusters(clustering_id).await?;
    let bar = progress::counted(clusters.len() as u64, "judging");
    for cluster in &clusters {
        let members = client.all_members(clustering_id, Some(cluster.cluster_id)).await?;
        let balance: i64 = members
            .iter()
            .filter_map(|member| needed.get(member.image_id.as_str()))
            .map(|&needed| if needed { 1 } else { -1 })
            .sum();
        let side = if balance >= 0 { Side::Keep } else { Side::Discard };
        let target = ClusterTarget { clustering_id, cluster_id: Some(cluster.cluster_id), generation: 0 };
        let request = SetVerdictRequest {
            side: side.into(),
            target: Some(Target::Cluster(target)),
            actor: "simulate".into(),
            ..SetVerdictRequest::default()
        };
        client.decisions.set_verdict(request).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(clusters.len() as u64)
}
