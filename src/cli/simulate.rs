//! `culld simulate`: how good decisions get for how many judgements, measured with a reviewer who knows the truth.

mod reviewer;
mod whole_clusters;

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::labels::Labels;
use super::output::Output;
use super::temporary::{TemporaryDaemon, TemporaryFolder, stop_signal};
use super::walk::{Found, Unreadable, Walk};
use super::{Outcome, progress, upload};
use crate::proto::true_label::Image as LabelledImage;
use crate::proto::{EvaluateRequest, EvaluateResponse, TrueLabel};

/// Judgements after which figures are reported, beside the last one.
const REPORTED_AT: [u64; 4] = [10, 20, 40, 80];
/// Judgements at most.
const JUDGEMENTS_MAX: u64 = 100_000;

/// Measure quality per judgement with a simulated reviewer
///
/// Starts from an empty store in a temporary folder, adds the images in an order shuffled by the seed, and lets a
/// reviewer who knows the true labels judge: up to nine images at a time, kept or discarded where at most one of nine is
/// of the other side, else called mixed. Figures are of the provisional sides of all images.
///
/// Example: culld simulate --labels labels.csv --keep cat,dog --images ./images --judgements 40
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
    #[arg(long, value_enum, default_value_t = Reviewer::Items)]
    reviewer: Reviewer,
    /// Review items to answer
    #[arg(long, default_value_t = 80, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=JUDGEMENTS_MAX))]
    judgements: u64,
    /// Judge while only this share of the images is there, above 0 to below 1, and measure those that come later
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "reviewer")]
    stream: Option<f64>,
    /// Seed of the order of the images, and of the clustering
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        Ok(_) => Err("must be above 0 and below 1".into()),
        Err(error) => Err(format!("{error}")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reviewer {
    /// Answers one review item after the other
    Items,
    /// Clusters by `auto` and answers every cluster once by its true majority; noise counts as discarded
    WholeClusters,
}

/// Figures after so many judgements.
#[derive(Clone)]
struct Point {
    judgements: u64,
    measured: EvaluateResponse,
    /// Lower end, middle, upper end; `None` where nothing is estimated.
    estimate: Option<[f64; 3]>,
}

impl Point {
    fn line(&self) -> String {
        let EvaluateResponse { quality_metric, precision, recall, decided_share, .. } = &self.measured;
        let estimate = self.estimate.map_or_else(String::new, |[low, mid, high]| {
            format!(", estimated {mid:.4} [{low:.4}, {high:.4}]")
        });
        format!(
            "after {} judgements: Quality Metric {quality_metric:.4}, precision {precision:.4}, recall {recall:.4}, \
             {:.1} % decided{estimate}",
            self.judgements,
            decided_share * 100.0
        )
    }

    fn json(&self) -> Value {
        json!({
            "judgements": self.judgements,
            "quality_metric": self.measured.quality_metric,
            "precision": self.measured.precision,
            "recall": self.measured.recall,
            "decided_share": self.measured.decided_share,
            "estimate": self.estimate,
        })
    }
}

/// Simulates.
pub(super) async fn run(args: SimulateArgs, out: &mut Output) -> Result<Outcome, CliError> {
    let labels = Labels::read(&args.labels, &args.keep)?;
    let folder = TemporaryFolder::new()?;
    let mut daemon = TemporaryDaemon::start(folder.path()).await?;
    let result = tokio::select! {
        result = simulate(&args, &labels, &mut daemon.client, out) => result,
        stopped = stop_signal() => Err(stopped.map_or_else(CliError::Runtime, |()| CliError::Stopped)),
    };
    daemon.stop().await;
    result
}

async fn simulate(
    args: &SimulateArgs,
    labels: &Labels,
    client: &mut Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let mut files: Vec<Result<Found, Unreadable>> = Walk::new(std::slice::from_ref(&args.images)).collect();
    files.shuffle(&mut ChaCha8Rng::seed_from_u64(args.seed));
    let later = match args.stream {
        Some(share) => files.split_off((files.len() as f64 * share).round() as usize),
        None => Vec::new(),
    };
    let mut added = add(client, files).await?;
    let known = labels.resolve(client).await?;
    let (points, stopped) = match (args.reviewer, args.stream) {
        (Reviewer::WholeClusters, _) => (vec![whole_clusters::judge(client, args.seed, known).await?], None),
        (Reviewer::Items, None) => {
            reviewer::judge(client, args.judgements, &known, REPORTED_AT.as_slice()).await?
        }
        (Reviewer::Items, Some(_)) => {
            let (points, stopped) = reviewer::judge(client, args.judgements, &known, &[]).await?;
            let more = add(client, later).await?;
            added = Added { images: added.images + more.images, failed: added.failed + more.failed };
            let last = points.last().and_then(|point| point.estimate);
            let all = labels.resolve(client).await?;
            let point = Point {
                judgements: args.judgements,
                measured: evaluate(client, since(&known, all), args.judgements, false).await?,
                estimate: last,
            };
            (vec![point], stopped)
        }
    };
    out.line(format!("{} images", added.images));
    points.iter().for_each(|point| out.line(point.line()));
    if let Some(stopped) = &stopped {
        out.line(format!("enough {}", stopped.line()));
    }
    let at: Vec<Value> = points.iter().map(Point::json).collect();
    out.object(&json!({
        "images": added.images,
        "at": at,
        "stopped_at": stopped.as_ref().map(|stopped| stopped.judgements),
        "stopped": stopped.as_ref().map(Point::json),
    }));
    Ok(Outcome::partly_if(added.failed > 0))
}

struct Added {
    images: u64,
    failed: u64,
}

async fn add(client: &mut Client, files: Vec<Result<Found, Unreadable>>) -> Result<Added, CliError> {
    let bar = progress::counted(files.len() as u64, "adding");
    let summary = upload::add(client, files.into_iter(), Vec::new(), &bar).await?;
    bar.finish_and_clear();
    Ok(Added { images: summary.added + summary.already_present, failed: summary.failed })
}

/// Labels of images that were not known before.
fn since(known: &[TrueLabel], all: Vec<TrueLabel>) -> Vec<TrueLabel> {
    let before: HashMap<&str, bool> = needed(known);
    let is_new = |label: &TrueLabel| match &label.image {
        Some(LabelledImage::ImageId(id)) => !before.contains_key(id.as_str()),
        _ => false,
    };
    all.into_iter().filter(is_new).collect()
}

/// Whether images are needed, by id.
fn needed(labels: &[TrueLabel]) -> HashMap<&str, bool> {
    let known = labels.iter().filter_map(|label| match label.image.as_ref()? {
        LabelledImage::ImageId(id) => Some((id.as_str(), label.needed)),
        LabelledImage::SourceKey(_) => None,
    });
    known.collect()
}

async fn evaluate(
    client: &mut Client,
    labels: Vec<TrueLabel>,
    judgements: u64,
    noise_as_discard: bool,
) -> Result<EvaluateResponse, CliError> {
    let judgements = Some(judgements);
    let request = EvaluateRequest { labels, judgements, noise_as_discard, ..EvaluateRequest::default() };
    Ok(client.decisions.evaluate(request).await?.into_inner())
}
