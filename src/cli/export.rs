//! `culld export`, and `culld import` of what it wrote whole

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::client::{Client, first_key};
use super::error::CliError;
use super::output::Output;
use super::{Outcome, progress, words};
use crate::client::transfer;
use crate::portable::npy_header;
use crate::proto::{Decision, ExportCollectionRequest, GetStatsRequest, Image};

/// Write a whole collection, or embeddings and labels for other tools
///
/// FILE.tar holds everything that was added, said and clustered, independent of how this culld stores it: JSON Lines,
/// NumPy arrays and thumbnails, which other tools read, and `culld import` makes a collection of, here or elsewhere. The
/// pictures themselves are not in it. (A backup is faster, and of all collections, but for culld alone.)
///
/// Rows of embeddings and labels are the images in the order they were added. The embeddings are NumPy float32, shape
/// (images, dimension). In the labels `cluster` is -1 for noise and empty for images added since the clustering.
///
/// Example: culld export cars.tar --collection cars
/// Example: culld export --embeddings embeddings.npy --labels labels.csv
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct ExportArgs {
    /// Write the whole collection
    #[arg(value_name = "FILE.tar")]
    file: Option<PathBuf>,
    /// Write the embeddings
    #[arg(long, value_name = "FILE.npy")]
    embeddings: Option<PathBuf>,
    /// Write `image_id,file,cluster,distance,decision,provisional_side,confidence`
    #[arg(long, value_name = "FILE.csv")]
    labels: Option<PathBuf>,
    /// Write the reachability plot of an OPTICS clustering: `image_id,cluster,reachability,core_distance`
    #[arg(long, value_name = "FILE.csv")]
    reachability: Option<PathBuf>,
    /// Clusters of this clustering; 0 means the active one
    #[arg(long, default_value_t = 0, value_name = "ID")]
    clustering: u64,
}

/// Exports.
pub(super) async fn run(args: ExportArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let mut bytes = 0;
    if let Some(path) = &args.file {
        bytes = write_whole(&mut client, path).await?;
        out.line(format!("{bytes} bytes written to {}", words::printable(&path.to_string_lossy())));
    }
    let mut images = 0;
    if args.embeddings.is_some() || args.labels.is_some() {
        images = write_rows(&args, &mut client).await?;
        out.line(format!("{images} images written"));
    }
    let mut points = 0;
    if let Some(path) = &args.reachability {
        points = write_reachability(&mut client, args.clustering, path).await?;
        out.line(format!("{points} points of the reachability plot written"));
    }
    out.object(&json!({"images": images, "reachability_points": points, "bytes": bytes}));
    Ok(Outcome::Done)
}

async fn write_whole(client: &mut Client, path: &Path) -> Result<u64, CliError> {
    let request = ExportCollectionRequest { collection: client.collection.clone() };
    let pieces = client.collections.export_collection(request).await?.into_inner();
    let bar = progress::counted(0, "exporting");
    let written = transfer::export(pieces, path, |bytes| bar.set_position(bytes)).await;
    bar.finish_and_clear();
    written.map_err(CliError::transfer("write"))
}

async fn write_rows(args: &ExportArgs, client: &mut Client) -> Result<u64, CliError> {
    let mut embeddings = args.embeddings.as_deref().map(NpyWriter::create).transpose()?;
    let mut labels = match &args.labels {
        Some(path) => Some(LabelsWriter::create(client, args.clustering, path).await?),
        None => None,
    };
    let stats = GetStatsRequest { collection: client.collection.clone() };
    let total = client.admin.get_stats(stats).await?.into_inner().images;
    let bar = progress::counted(total, "exporting");
    let mut pages = client.image_pages(None, embeddings.is_some());
    let mut written = 0;
    while let Some(images) = pages.next().await? {
        if let Some(npy) = &mut embeddings {
            for image in &images {
                npy.row(&image.embedding)?;
            }
        }
        if let Some(labels) = &mut labels {
            let decisions = client.decisions_of(&images).await?;
            for image in &images {
                labels.row(image, decisions.get(&image.image_id))?;
            }
        }
        written += images.len() as u64;
        bar.inc(images.len() as u64);
    }
    bar.finish_and_clear();
    if let Some(npy) = embeddings {
        npy.finish()?;
    }
    if let Some(labels) = labels {
        labels.finish()?;
    }
    Ok(written)
}

/// NumPy's format 1.0: a header of fixed size, filled in once the number of rows is known, then f32, little-endian.
struct NpyWriter {
    file: BufWriter<File>,
    path: PathBuf,
    rows: u64,
    dimension: usize,
}

impl NpyWriter {
    fn create(path: &Path) -> Result<Self, CliError> {
        let start = || {
            let mut file = BufWriter::new(File::create(path)?);
            file.write_all(&npy_header(0, 0))?;
            Ok(file)
        };
        let file = start().map_err(CliError::file("write", path))?;
        Ok(Self { file, path: path.to_path_buf(), rows: 0, dimension: 0 })
    }

    fn row(&mut self, values: &[f32]) -> Result<(), CliError> {
        if self.rows == 0 {
            self.dimension = values.len();
        } else if values.len() != self.dimension {
            return Err(CliError::Answer("an embedding of the others' dimension"));
        }
        self.rows += 1;
        let mut write = || values.iter().try_for_each(|value| self.file.write_all(&value.to_le_bytes()));
        write().map_err(CliError::file("write", &self.path))
    }

    fn finish(mut self) -> Result<(), CliError> {
        let header = npy_header(self.rows, self.dimension);
        let mut finish = || -> io::Result<()> {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&header)?;
            self.file.flush()
        };
        finish().map_err(CliError::file("write", &self.path))
    }
}

/// Where an image lies in a clustering: its cluster (none: noise) and its distance to the medoid.
type Places = HashMap<String, (Option<u64>, f64)>;

struct LabelsWriter {
    csv: csv::Writer<File>,
    path: PathBuf,
    places: Places,
}

impl LabelsWriter {
    async fn create(client: &mut Client, clustering_id: u64, path: &Path) -> Result<Self, CliError> {
        let places = places(client, clustering_id).await?;
        let mut csv = csv::Writer::from_path(path).map_err(CliError::csv(path))?;
        let header =
            ["image_id", "file", "cluster", "distance", "decision", "provisional_side", "confidence"];
        csv.write_record(header).map_err(CliError::csv(path))?;
        Ok(Self { csv, path: path.to_path_buf(), places })
    }

    fn row(&mut self, image: &Image, decision: Option<&Decision>) -> Result<(), CliError> {
        let (cluster, distance) = match self.places.get(&image.image_id) {
            None => (String::new(), String::new()),
            Some((None, _)) => ("-1".into(), String::new()),
            Some((Some(cluster), distance)) => (cluster.to_string(), distance.to_string()),
        };
        let record = [
            image.image_id.clone(),
            first_key(image),
            cluster,
            distance,
            decision.map_or(String::new(), |decision| words::decision(decision.decision())),
            decision.map_or(String::new(), |decision| words::side(decision.provisional_side())),
            decision.map_or(String::new(), |decision| decision.confidence.to_string()),
        ];
        self.csv.write_record(record).map_err(CliError::csv(&self.path))
    }

    fn finish(mut self) -> Result<(), CliError> {
        self.csv.flush().map_err(CliError::file("write", &self.path))
    }
}

/// Every image of a clustering; nothing where none was named and none is active yet.
async fn places(client: &mut Client, clustering_id: u64) -> Result<Places, CliError> {
    let mut places = Places::new();
    let clustering_id = match clustering_id {
        0 => {
            let stats = GetStatsRequest { collection: client.collection.clone() };
            client.admin.get_stats(stats).await?.into_inner().active_clustering_id
        }
        id => id,
    };
    if clustering_id == 0 {
        return Ok(places);
    }
    let clusters = client.all_clusters(clustering_id).await?;
    for cluster in clusters.into_iter().map(|cluster| Some(cluster.cluster_id)).chain([None]) {
        let members = client.all_members(clustering_id, cluster).await?;
        places.extend(members.into_iter().map(|member| (member.image_id, (cluster, member.distance))));
    }
    Ok(places)
}

async fn write_reachability(client: &mut Client, clustering_id: u64, path: &Path) -> Result<u64, CliError> {
    let points = client.reachability(clustering_id).await?;
    let mut csv = csv::Writer::from_path(path).map_err(CliError::csv(path))?;
    csv.write_record(["image_id", "cluster", "reachability", "core_distance"])
        .map_err(CliError::csv(path))?;
    let distance = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for point in &points {
        let cluster = point.cluster_id.map_or("-1".into(), |id| id.to_string());
        csv.write_record([
            point.image_id.clone(),
            cluster,
            distance(point.reachability),
            distance(point.core_distance),
        ])
        .map_err(CliError::csv(path))?;
    }
    csv.flush().map_err(CliError::file("write", path))?;
    Ok(points.len() as u64)
}
