//! `culld demo`: the whole job in one go.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::clusterings::print_card;
use super::clusters::print_clusters;
use super::decisions::write_csv;
use super::error::CliError;
use super::output::Output;
use super::recluster::{recluster, write_plot};
use super::sheets::write_sheets;
use super::temporary::{TemporaryDaemon, demo_pictures, stop_signal};
use super::upload::{self, Summary};
use super::walk::Walk;
use super::{Outcome, progress, words};
use crate::proto::{Clustering, ImageFilter, ReclusterRequest};
use crate::store::DirectoryLock;

/// Marks a folder as ours, so that a later demo may replace what is in it.
const MARKER: &str = ".culld-demo";
/// What a demo writes beside its marker.
const DATA: &str = "data";
const SHEETS: &str = "sheets";
const DECISIONS: &str = "decisions.csv";
const PLOT: &str = "parameters.svg";

/// Do the whole job on a folder of pictures
///
/// Starts a temporary daemon, adds the pictures, clusters them, and writes into the folder --out: `data` (the store),
/// `sheets` (a contact sheet per cluster), `decisions.csv` and `parameters.svg`. What an earlier demo left there is
/// replaced. Your pictures are only read. Without DIR some photographs are fetched.
///
/// Example: culld demo ~/pictures
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Folder of pictures [default: photographs fetched once into culld's cache]
    #[arg(value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Folder for what the demo makes; empty, not there yet, or of an earlier demo
    #[arg(long, default_value = "./culld-demo", value_name = "DIR")]
    out: PathBuf,
    /// Keep the daemon running at the end, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

/// How long each part took.
struct Times {
    begun: Instant,
    parts: Vec<(&'static str, Duration)>,
}

impl Times {
    fn new() -> Self {
        Self { begun: Instant::now(), parts: Vec::new() }
    }

    fn part<T>(&mut self, name: &'static str, begun: Instant, value: T) -> T {
        self.parts.push((name, begun.elapsed()));
        value
    }
}

/// Runs the demo.
pub(super) async fn run(args: DemoArgs, out: &mut Output) -> Result<Outcome, CliError> {
    let pictures = match &args.pictures {
        Some(folder) => folder.clone(),
        None => demo_pictures().await?,
    };
    fs::read_dir(&pictures).map_err(CliError::file("read the folder", &pictures))?;
    prepare(&args.out)?;
    let mut times = Times::new();
    let begun = Instant::now();
    let mut daemon = TemporaryDaemon::start(&args.out.join(DATA)).await?;
    times.part("starting", begun, ());
    let result = work(&args.out, &pictures, &mut daemon.client, times, out).await;
    if result.is_ok() && args.stay {
        out.line(format!("the daemon goes on at {}; stop it with Ctrl-C", daemon.server));
        out.line(format!("to sort by eye, open {}/ in a browser", daemon.server));
        out.flush();
        stop_signal().await.map_err(CliError::Runtime)?;
    }
    daemon.stop().await;
    result
}

/// Makes the folder, or empties one that an earlier demo made.
fn prepare(folder: &Path) -> Result<(), CliError> {
    fs::create_dir_all(folder).map_err(CliError::file("make the folder", folder))?;
    let marker = folder.join(MARKER);
    let is_empty = fs::read_dir(folder).map_err(CliError::file("read the folder", folder))?.next().is_none();
    if !is_empty && fs::symlink_metadata(&marker).is_err() {
        return Err(CliError::ForeignFolder { path: folder.to_path_buf() });
    }
    fs::write(&marker, "").map_err(CliError::file("write", &marker))?;
    let data = folder.join(DATA);
    if data.is_dir() {
        // A daemon that still runs on the store must not lose it.
        DirectoryLock::acquire(&data)?;
    }
    for name in [DATA, SHEETS, DECISIONS, PLOT] {
        let path = folder.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CliError::file("remove", &path)(error));
            }
            _ => {}
        }
    }
    fs::create_dir(&data).map_err(CliError::file("make the folder", &data))
}

/// Adds, clusters, writes what there is to see, and sums it up.
async fn work(
    folder: &Path,
    pictures: &Path,
    client: &mut Client,
    mut times: Times,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    // `culld demo .` finds its own folder among the pictures.
    let walk = || Walk::new(&[pictures.to_path_buf()]).without(folder);
    let bar = progress::counted(upload::count(walk()).await, "adding");
    let begun = Instant::now();
    let summary = upload::add(client, walk(), Vec::new(), &bar).await?;
    bar.finish_and_clear();
    times.part("adding", begun, ());
    let adding = begun.elapsed();
    summary.print(out);

    let mut clustering = Clustering::default();
    let mut contact_sheets = 0;
    if summary.added > 0 {
        let begun = Instant::now();
        clustering = times.part("clustering", begun, recluster(client, ReclusterRequest::default()).await?);
        let begun = Instant::now();
        contact_sheets = times.part("sheets", begun, show(client, &clustering, folder, out).await?);
    }
    let begun = Instant::now();
    let counts = write_csv(client, ImageFilter::default(), &folder.join(DECISIONS)).await?;
    times.part("decisions", begun, ());
    out.line(format!("{} decisions in {}", counts.all(), folder.join(DECISIONS).display()));
    summarise(folder, &summary, &clustering, contact_sheets, adding, &times, out);
    Ok(Outcome::partly_if(summary.failed > 0))
}

/// Shows the clusters and how they came about, and writes sheets and plot. Answers how many clusters got a sheet.
async fn show(
    client: &mut Client,
    clustering: &Clustering,
    folder: &Path,
    out: &mut Output,
) -> Result<u64, CliError> {
    let clusters = client.all_clusters(clustering.clustering_id).await?;
    print_card(clustering, out);
    print_clusters(client, &clusters, clustering.images, out).await?;
    let sheets = folder.join(SHEETS);
    let written = write_sheets(client, clustering.clustering_id, &clusters, &sheets).await?;
    out.line(format!("{written} contact sheets in {}", sheets.display()));
    let plot = folder.join(PLOT);
    // A handful of images has no curve; that is nothing to fail for.
    if clustering.algorithm == "optics" || !clustering.k_distances.is_empty() {
        write_plot(client, clustering, &plot).await?;
        out.line(format!("plot of the parameters in {}", plot.display()));
    }
    Ok(written)
}

fn summarise(
    folder: &Path,
    summary: &Summary,
    clustering: &Clustering,
    contact_sheets: u64,
    adding: Duration,
    times: &Times,
    out: &mut Output,
) {
    let images = summary.images();
    let images_per_second = images as f64 / adding.as_secs_f64().max(f64::MIN_POSITIVE);
    let all = times.begun.elapsed();
    let parts: Vec<String> =
        times.parts.iter().map(|(name, time)| format!("{name} {}", words::seconds(*time))).collect();
    out.line(format!(
        "{}; in all {}, {images_per_second:.1} images/s",
        parts.join(", "),
        words::seconds(all)
    ));
    out.line(format!("go on:  culld serve --data {}", folder.join(DATA).display()));
    out.line("then open the page that it names in a browser, and sort by eye");
    out.object(&json!({
        "images": images,
        "added": summary.added,
        "already_present": summary.already_present,
        "rejected": summary.rejected,
        "failed": summary.failed,
        "causes": summary.causes(),
        "clusters": clustering.clusters,
        "noise_share": words::share(clustering.noise, clustering.images),
        "algorithm": clustering.algorithm,
        "images_per_second": images_per_second,
        "contact_sheets": contact_sheets,
        "seconds": all.as_secs_f64(),
    }));
}
