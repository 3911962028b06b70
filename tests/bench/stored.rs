//! A store of many images as a daemon left it, and `culld serve` on it: what the benchmarks of restarts share.
//!
//! The images are added to a daemon with a model that takes no time, so that every record is as ever; then their
//! embeddings are overwritten by vectors in clusters, as are in the space of the built-in model.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use culld::app::Daemon;
use culld::config::{Config, DurabilitySetting, ModelSetting};
use culld::proto;
use culld::proto::admin_service_client::AdminServiceClient;
use culld::proto::clustering_service_client::ClusteringServiceClient;
use culld::proto::decision_service_client::DecisionServiceClient;
use culld::proto::image_service_client::ImageServiceClient;
use culld::store::{Batch, Keys, SledOptions, SledStore, Store as _, Write};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::transport::{Channel, Endpoint};

use crate::common::{EPS, MIN_POINTS, Outcome, generate};

/// Embeddings written at a time.
const BATCH: usize = 1_000;
/// What is asked again at this interval until it is answered.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// In which Linux tells a process's time.
const TICKS_PER_SECOND: f64 = 100.0;
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_hours(1);

/// A picture of noise in four colours.
pub(crate) fn picture(number: u64, edge: u32) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(number);
    let colours: [[u8; 3]; 4] = rng.random();
    let image = RgbImage::from_fn(edge, edge, |_, _| Rgb(colours[rng.random_range(0..4)]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    // Writing to memory can't fail; an empty picture would be told as rejected.
    drop(DynamicImage::ImageRgb8(image).write_to(&mut bytes, ImageFormat::Png));
    bytes.into_inner()
}

/// Makes the data folder of a daemon with so many images.
pub(crate) async fn fill(data: &Path, images: usize) -> Outcome {
    let mut config = Config::temporary(data);
    (config.model, config.durability) = (ModelSetting::Fake, DurabilitySetting::Process);
    let daemon = Daemon::start(config).await?;
    let channel = Endpoint::from_shared(format!("http://{}", daemon.address()))?.connect().await?;
    Api { channel }.add(0..images as u64, 8).await?;
    daemon.stop().await;
    let other = tempfile::tempdir()?;
    Daemon::start(Config::temporary(&other.path().join("data"))).await?.stop().await;
    embed(data, &collection(&other.path().join("data"))?, images)?;
    Ok(std::fs::remove_dir_all(data.join("index")).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?)
}

/// The record of a store's only collection, which says what space its embeddings live in.
fn collection(data: &Path) -> Outcome<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    SledStore::open(data, &SledOptions::default())?.scan(
        Keys::collections().as_bytes(),
        &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        },
    )?;
    Ok(found.pop().ok_or("no collection")?)
}

fn embed(data: &Path, (key, value): &(Vec<u8>, Vec<u8>), images: usize) -> Outcome {
    let store = SledStore::open(data, &SledOptions::default())?;
    store.apply(vec![Write::Put { key: key.clone(), value: value.clone() }])?;
    let number = Keys::collection_number(&key[1..]).ok_or("no collection's key")?;
    let prefix = Keys::embeddings(number);
    let mut arrivals = Vec::new();
    store.scan(prefix.as_bytes(), &mut |key, _| {
        arrivals.extend(Keys::arrival(&key[prefix.as_bytes().len()..]));
        ControlFlow::Continue(())
    })?;
    if arrivals.len() != images {
        return Err(format!("{} of {images} images are stored", arrivals.len()).into());
    }
    let vectors = generate(images, 1);
    for (block, arrivals) in arrivals.chunks(BATCH).enumerate() {
        let mut batch = Batch::new();
        for (place, (came, image)) in arrivals.iter().enumerate() {
            batch.put_embedding(&Keys::embedding(number, *came, image), vectors.row(block * BATCH + place));
        }
        store.apply(batch.into_writes())?;
        store.sync()?;
    }
    Ok(())
}

/// What is decided of each image.
pub(crate) type Decisions = BTreeMap<String, (i32, i32, i32)>;

/// Callers of a daemon's services.
#[derive(Clone)]
pub(crate) struct Api {
    channel: Channel,
}

impl Api {
    /// Adds pictures by their numbers.
    pub(crate) async fn add(&self, numbers: std::ops::Range<u64>, edge: u32) -> Outcome {
        let (send, messages) = tokio::sync::mpsc::channel(64);
        let count = numbers.end - numbers.start;
        tokio::task::spawn_blocking(move || {
            let header = proto::add_images_request::Message::Header(proto::AddImagesHeader::default());
            let pictures = numbers.map(|number| {
                let (key, data) = (number.to_string(), picture(number, edge));
                proto::add_images_request::Message::Image(proto::NewImage { key, data, ..Default::default() })
            });
            for message in std::iter::once(header).chain(pictures) {
                if send.blocking_send(proto::AddImagesRequest { message: Some(message) }).is_err() {
                    break;
                }
            }
        });
        let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
        let mut outcomes =
            ImageServiceClient::new(self.channel.clone()).add_images(stream).await?.into_inner();
        let mut added = 0;
        while let Some(response) = outcomes.message().await? {
            let status = response.outcome.map(|outcome| outcome.status());
            added += u64::from(status == Some(proto::AddStatus::Added));
        }
        if added == count { Ok(()) } else { Err(format!("{added} of {count} images were added").into()) }
    }

    pub(crate) async fn delete(&self, image_ids: Vec<String>) -> Outcome {
        let filter = Some(proto::ImageFilter { image_ids, ..Default::default() });
        let request = proto::DeleteImagesRequest { filter, ..Default::default() };
        ImageServiceClient::new(self.channel.clone()).delete_images(request).await?;
        Ok(())
    }

    pub(crate) async fn neighbours(&self, image: &str) -> Outcome {
        let target = proto::find_neighbours_request::Query::ImageId(image.to_owned());
        let request = proto::FindNeighboursRequest { query: Some(target), k: 10, ..Default::default() };
        ImageServiceClient::new(self.channel.clone()).find_neighbours(request).await?;
        Ok(())
    }

    pub(crate) async fn stats(&self) -> Outcome<proto::GetStatsResponse> {
        let mut admin = AdminServiceClient::new(self.channel.clone());
        Ok(admin.get_stats(proto::GetStatsRequest::default()).await?.into_inner())
    }

    pub(crate) async fn clusters(&self) -> Outcome<Vec<proto::Cluster>> {
        let request = proto::ListClustersRequest { page_size: 1000, ..Default::default() };
        let mut clusterings = ClusteringServiceClient::new(self.channel.clone());
        Ok(clusterings.list_clusters(request).await?.into_inner().clusters)
    }

    /// The clusters that follow every add and delete, once they do.
    pub(crate) async fn live_clusters(&self) -> Outcome<usize> {
        let mut clusterings = ClusteringServiceClient::new(self.channel.clone());
        let began = Instant::now();
        loop {
            let request = proto::ListLiveClustersRequest { page_size: 1000, ..Default::default() };
            match clusterings.list_live_clusters(request).await {
                Ok(listed) => return Ok(listed.into_inner().clusters.len()),
                Err(_) if began.elapsed() < PATIENCE => tokio::time::sleep(ASK_EVERY).await,
                Err(status) => return Err(status.into()),
            }
        }
    }

    pub(crate) async fn next_review(&self) -> Outcome {
        let mut decisions = DecisionServiceClient::new(self.channel.clone());
        decisions.next_review(proto::NextReviewRequest::default()).await?;
        Ok(())
    }

    pub(crate) async fn decisions(&self) -> Outcome<Decisions> {
        let mut decisions = DecisionServiceClient::new(self.channel.clone());
        let mut stream =
            decisions.fetch_decisions(proto::FetchDecisionsRequest::default()).await?.into_inner();
        let mut found = BTreeMap::new();
        while let Some(part) = stream.message().await? {
            let said =
                |one: proto::Decision| (one.image_id, (one.decision, one.provisional_side, one.reason));
            found.extend(part.decisions.into_iter().map(said));
        }
        Ok(found)
    }

    /// Clusters by DBSCAN and waits until the clusters follow; answers the seconds that took.
    pub(crate) async fn cluster(&self) -> Outcome<f64> {
        let dbscan = proto::DbscanParameters { eps: Some(f64::from(EPS)), min_points: Some(MIN_POINTS) };
        let algorithm = Some(proto::parameters::Algorithm::Dbscan(dbscan));
        let parameters = Some(proto::Parameters { algorithm });
        let request = proto::ReclusterRequest { parameters, exact: true, ..Default::default() };
        let began = Instant::now();
        let mut clusterings = ClusteringServiceClient::new(self.channel.clone());
        let mut operation = clusterings.recluster(request).await?.into_inner().operation.ok_or("nothing")?;
        while !operation.done {
            let timeout = Some(prost_types::Duration { seconds: 10, nanos: 0 });
            let request = proto::WaitOperationRequest { name: operation.name, timeout };
            let mut admin = AdminServiceClient::new(self.channel.clone());
            operation = admin.wait_operation(request).await?.into_inner().operation.ok_or("nothing")?;
        }
        if let Some(proto::operation::Result::Error(error)) = operation.result {
            return Err(error.message.into());
        }
        self.live_clusters().await?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Judges images by themselves.
    pub(crate) async fn judge_images(&self, image_ids: Vec<String>, side: proto::Side) -> Outcome {
        let target = proto::ImagesTarget { image_ids };
        let request = proto::SetVerdictRequest {
            side: side.into(),
            target: Some(proto::set_verdict_request::Target::Images(target)),
            ..Default::default()
        };
        DecisionServiceClient::new(self.channel.clone()).set_verdict(request).await?;
        Ok(())
    }

    /// Judges a cluster as a whole.
    pub(crate) async fn judge(&self, cluster_id: u64, side: proto::Side) -> Outcome {
        let target = proto::ClusterTarget { cluster_id: Some(cluster_id), ..Default::default() };
        let request = proto::SetVerdictRequest {
            side: side.into(),
            target: Some(proto::set_verdict_request::Target::Cluster(target)),
            ..Default::default()
        };
        DecisionServiceClient::new(self.channel.clone()).set_verdict(request).await?;
        Ok(())
    }
}

/// `culld serve` with the built-in model, in a process of its own.
pub(crate) struct Served {
    child: Child,
    pub(crate) api: Api,
    /// When the process was started.
    pub(crate) began: Instant,
    /// Seconds from there until it served.
    pub(crate) serving: f64,
}

impl Served {
    pub(crate) async fn start(data: &Path, index: &str) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_culld"));
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--index", index, "--data"]).arg(data);
        let began = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        let serving = began.elapsed().as_secs_f64();
        let said: serde_json::Value = serde_json::from_str(&line)?;
        let address = said["address"].as_str().ok_or("no address")?.to_owned();
        let channel = Endpoint::from_shared(address)?.connect().await?;
        Ok(Self { child, api: Api { channel }, began, serving })
    }

    /// Asks everything at once; answers the seconds from the process's start to each answer.
    pub(crate) async fn answers(
        &self,
        number: u64,
        image: &str,
    ) -> Outcome<(Vec<(&'static str, f64)>, Decisions)> {
        let since = || self.began.elapsed().as_secs_f64();
        let api = &self.api;
        let stats = async { api.stats().await.map(|_| since()) };
        let decisions = async { api.decisions().await.map(|all| (all, since())) };
        let clusters = async { api.clusters().await.map(|_| since()) };
        let neighbours = async { api.neighbours(image).await.map(|()| since()) };
        let review = async { api.next_review().await.map(|()| since()) };
        let add = async { api.add(number..number + 1, 224).await.map(|()| since()) };
        let live = async { api.live_clusters().await.map(|_| since()) };
        let (stats, (all, decisions), clusters, neighbours, review, add, live) =
            tokio::try_join!(stats, decisions, clusters, neighbours, review, add, live)?;
        let seconds = vec![
            ("serving", self.serving),
            ("GetStats", stats),
            ("FetchDecisions, all of them", decisions),
            ("ListClusters", clusters),
            ("FindNeighbours", neighbours),
            ("a picture added", add),
            ("NextReview", review),
            ("ListLiveClusters", live),
        ];
        Ok((seconds, all))
    }

    /// Seconds of processors that the process took so far: what is left of a time where others use the machine too.
    pub(crate) fn processor_seconds(&self) -> Outcome<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).ok_or("the system does not say")?;
        Ok((user + system) / TICKS_PER_SECOND)
    }

    /// SIGTERM; answers the seconds that it took to stop.
    pub(crate) fn stop(mut self) -> Outcome<f64> {
        let began = Instant::now();
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let status = self.child.wait()?;
        if status.success() { Ok(began.elapsed().as_secs_f64()) } else { Err(format!("{status}").into()) }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        drop((self.child.kill(), self.child.wait()));
    }
}

/// The files that make a start faster, and may be deleted.
pub(crate) fn snapshots(data: &Path) -> PathBuf {
    data.join("index")
}
