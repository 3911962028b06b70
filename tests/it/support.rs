//! A daemon for each test, callers of its services, and pictures that fall into groups.

pub(crate) mod raw;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use culld::app::Daemon;
use culld::config::{Config, DurabilitySetting, IndexSetting, ModelSetting};
use culld::proto;
use culld::proto::admin_service_client::AdminServiceClient;
use culld::proto::clustering_service_client::ClusteringServiceClient;
use culld::proto::collection_service_client::CollectionServiceClient;
use culld::proto::decision_service_client::DecisionServiceClient;
use culld::proto::image_service_client::ImageServiceClient;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A PNG of 4 × 4 coloured blocks. The colours are the group's, each a little off by the item: pictures of one group
/// are nearer to each other than to those of any other.
pub(crate) fn picture(group: u64, item: u64) -> Vec<u8> {
    const BLOCK: u32 = 6;
    let mut colours = ChaCha8Rng::seed_from_u64(group);
    let mut noise = ChaCha8Rng::seed_from_u64(group << 32 | item);
    let blocks: [[u8; 3]; 16] = std::array::from_fn(|_| {
        std::array::from_fn(|_| colours.random_range(20..220u8) + noise.random_range(0..12u8))
    });
    png(&RgbImage::from_fn(4 * BLOCK, 4 * BLOCK, |x, y| Rgb(blocks[(y / BLOCK * 4 + x / BLOCK) as usize])))
}

/// A PNG file of a picture.
pub(crate) fn png(picture: &RgbImage) -> Vec<u8> {
    encoded(&DynamicImage::ImageRgb8(picture.clone()), ImageFormat::Png)
}

/// An image file of a picture.
pub(crate) fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// `items` pictures of each group, keyed "group/item".
pub(crate) fn groups(groups: impl IntoIterator<Item = u64>, items: u64) -> Vec<(String, Vec<u8>)> {
    let each = |group| (0..items).map(move |item| (format!("{group}/{item}"), picture(group, item)));
    groups.into_iter().flat_map(each).collect()
}

/// The id that bytes have.
pub(crate) fn id_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Callers of all services of one daemon.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) channel: Channel,
    /// The collection that the calls below are about; empty is the default one.
    pub(crate) collection: String,
}

impl Api {
    /// Connects; the daemon serves already.
    pub(crate) async fn connect(address: &str) -> Self {
        Self::try_connect(address).await.unwrap()
    }

    /// Connects, unless nobody is there.
    pub(crate) async fn try_connect(address: &str) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
        Ok(Self { channel: endpoint.connect().await?, collection: String::new() })
    }

    /// The same calls about another collection.
    pub(crate) fn at(&self, collection: &str) -> Self {
        Self { channel: self.channel.clone(), collection: collection.to_owned() }
    }

    /// Makes a collection; answers the calls about it.
    pub(crate) async fn create(&self, collection: &str) -> Self {
        let request =
            proto::CreateCollectionRequest { collection: collection.to_owned(), ..Default::default() };
        self.collections().create_collection(request).await.unwrap();
        self.at(collection)
    }

    pub(crate) fn collections(&self) -> CollectionServiceClient<Channel> {
        CollectionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone())
    }

    pub(crate) fn clusterings(&self) -> ClusteringServiceClient<Channel> {
        ClusteringServiceClient::new(self.channel.clone())
    }

    pub(crate) fn decisions(&self) -> DecisionServiceClient<Channel> {
        DecisionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// Adds one image by the unary call.
    pub(crate) async fn add(&self, key: &str, data: Vec<u8>) -> Result<proto::AddOutcome, Status> {
        let image = Some(new_image(key, data));
        let request =
            proto::AddImageRequest { collection: self.collection.clone(), image, ..Default::default() };
        Ok(self.images().add_image(request).await?.into_inner().outcome.unwrap())
    }

    /// Adds images by one stream; the outcomes by key, of equal keys the last.
    pub(crate) async fn add_all(
        &self,
        images: Vec<(String, Vec<u8>)>,
    ) -> Result<BTreeMap<String, proto::AddOutcome>, Status> {
        let mut messages = vec![header(&self.collection)];
        messages.extend(images.into_iter().map(|(key, data)| image_message(&key, data)));
        let mut stream = self.images().add_images(tokio_stream::iter(messages)).await?.into_inner();
        let mut outcomes = BTreeMap::new();
        while let Some(response) = stream.message().await? {
            let outcome = response.outcome.unwrap();
            outcomes.insert(outcome.key.clone(), outcome);
        }
        Ok(outcomes)
    }

    /// Adds pictures, every one new; answers ids by key.
    pub(crate) async fn add_new(&self, images: Vec<(String, Vec<u8>)>) -> BTreeMap<String, String> {
        let outcomes = self.add_all(images).await.unwrap();
        let added = |(key, outcome): (String, proto::AddOutcome)| {
            assert_eq!(outcome.status(), proto::AddStatus::Added, "{outcome:?}");
            (key, outcome.image_id)
        };
        outcomes.into_iter().map(added).collect()
    }

    /// Starts clustering all images.
    pub(crate) async fn start_recluster(
        &self,
        parameters: Option<proto::Parameters>,
    ) -> Result<proto::Operation, Status> {
        let request =
            proto::ReclusterRequest { collection: self.collection.clone(), parameters, ..Default::default() };
        Ok(self.clusterings().recluster(request).await?.into_inner().operation.unwrap())
    }

    /// Waits until an operation is done.
    pub(crate) async fn wait(&self, name: &str) -> Result<proto::Operation, Status> {
        loop {
            let request = proto::WaitOperationRequest { name: name.to_owned(), timeout: None };
            let operation = self.admin().wait_operation(request).await?.into_inner().operation.unwrap();
            if operation.done {
                return Ok(operation);
            }
        }
    }

    /// Clusters all images and activates the result.
    pub(crate) async fn recluster(&self, algorithm: proto::parameters::Algorithm) -> proto::Clustering {
        let parameters = proto::Parameters { algorithm: Some(algorithm) };
        let operation = self.start_recluster(Some(parameters)).await.unwrap();
        match self.wait(&operation.name).await.unwrap().result {
            Some(proto::operation::Result::Clustering(clustering)) => clustering,
            other => panic!("{other:?}"),
        }
    }

    /// Imports paths of this machine.
    pub(crate) async fn import(&self, paths: Vec<String>) -> Result<proto::ImportResult, Status> {
        let request =
            proto::ImportSourcesRequest { collection: self.collection.clone(), paths, ..Default::default() };
        let operation = self.images().import_sources(request).await?.into_inner().operation.unwrap();
        match self.wait(&operation.name).await?.result {
            Some(proto::operation::Result::Import(result)) => Ok(result),
            other => panic!("{other:?}"),
        }
    }

    /// The clusters of a clustering; 0 means the active one.
    pub(crate) async fn clusters(&self, clustering_id: u64) -> Vec<proto::Cluster> {
        let request = proto::ListClustersRequest {
            collection: self.collection.clone(),
            clustering_id,
            page_size: 1000,
            ..Default::default()
        };
        self.clusterings().list_clusters(request).await.unwrap().into_inner().clusters
    }

    /// The members of a cluster of the active clustering, or its noise.
    pub(crate) async fn members(&self, cluster_id: Option<u64>) -> Vec<String> {
        let request = proto::ListMembersRequest {
            collection: self.collection.clone(),
            cluster_id,
            page_size: 1000,
            ..Default::default()
        };
        let members = self.clusterings().list_members(request).await.unwrap().into_inner().members;
        members.into_iter().map(|member| member.image_id).collect()
    }

    /// The cluster that an image has in the active clustering.
    pub(crate) async fn cluster_of(&self, image_id: &str) -> Option<u64> {
        self.image(image_id).await.unwrap().cluster_id
    }

    /// Says keep or discard of a cluster of the active clustering, but of the exceptions.
    pub(crate) async fn judge_cluster(
        &self,
        side: proto::Side,
        cluster_id: Option<u64>,
        exceptions: &[&str],
    ) -> Result<proto::SetVerdictResponse, Status> {
        let target = proto::ClusterTarget { cluster_id, ..Default::default() };
        let request = proto::SetVerdictRequest {
            collection: self.collection.clone(),
            side: side.into(),
            target: Some(proto::set_verdict_request::Target::Cluster(target)),
            exception_image_ids: exceptions.iter().map(|id| (*id).to_owned()).collect(),
            ..Default::default()
        };
        Ok(self.decisions().set_verdict(request).await?.into_inner())
    }

    /// Says keep or discard of images.
    pub(crate) async fn judge(
        &self,
        side: proto::Side,
        ids: &[&str],
    ) -> Result<proto::SetVerdictResponse, Status> {
        let image_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let target = proto::ImagesTarget { image_ids };
        let request = proto::SetVerdictRequest {
            collection: self.collection.clone(),
            side: side.into(),
            target: Some(proto::set_verdict_request::Target::Images(target)),
            ..Default::default()
        };
        Ok(self.decisions().set_verdict(request).await?.into_inner())
    }

    /// Waits until the classifier has caught up with what was said and stored.
    pub(crate) async fn settle(&self) {
        let collection = self.collection.clone();
        let request = proto::EvaluateRequest { collection, ..Default::default() };
        self.decisions().evaluate(request).await.unwrap();
    }

    /// All decisions, in full, once the classifier has caught up; asserts that all messages are of one generation.
    pub(crate) async fn fetch(&self) -> BTreeMap<String, proto::Decision> {
        self.settle().await;
        let request = proto::FetchDecisionsRequest {
            collection: self.collection.clone(),
            view: proto::DecisionView::Full.into(),
            ..Default::default()
        };
        let mut stream = self.decisions().fetch_decisions(request).await.unwrap().into_inner();
        let (mut decisions, mut generation) = (BTreeMap::new(), None);
        while let Some(message) = stream.message().await.unwrap() {
            assert_eq!(*generation.get_or_insert(message.generation), message.generation);
            decisions.extend(message.decisions.into_iter().map(|one| (one.image_id.clone(), one)));
        }
        decisions
    }

    /// The decision of one image, in full, once the classifier has caught up.
    pub(crate) async fn decision(&self, image_id: &str) -> proto::Decision {
        self.settle().await;
        let request = proto::BatchGetDecisionsRequest {
            collection: self.collection.clone(),
            image_ids: vec![image_id.to_owned()],
            view: proto::DecisionView::Full.into(),
            ..Default::default()
        };
        let found = self.decisions().batch_get_decisions(request).await.unwrap().into_inner();
        found.decisions.into_iter().next().unwrap()
    }

    /// One image with its embedding.
    pub(crate) async fn image(&self, image_id: &str) -> Result<proto::Image, Status> {
        let request = proto::GetImageRequest {
            collection: self.collection.clone(),
            image_id: image_id.to_owned(),
            with_embedding: true,
        };
        Ok(self.images().get_image(request).await?.into_inner().image.unwrap())
    }

    /// Every image, with embeddings, in the order they were added.
    pub(crate) async fn list(&self) -> Vec<proto::Image> {
        let mut images = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = proto::ListImagesRequest {
                collection: self.collection.clone(),
                with_embeddings: true,
                page_size: 1000,
                page_token,
                ..Default::default()
            };
            let page = self.images().list_images(request).await.unwrap().into_inner();
            images.extend(page.images);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return images;
            }
        }
    }

    /// Deletes what a filter selects.
    pub(crate) async fn delete(
        &self,
        filter: proto::ImageFilter,
    ) -> Result<proto::DeleteImagesResponse, Status> {
        let request = proto::DeleteImagesRequest {
            collection: self.collection.clone(),
            filter: Some(filter),
            ..Default::default()
        };
        Ok(self.images().delete_images(request).await?.into_inner())
    }

    pub(crate) async fn stats(&self) -> proto::GetStatsResponse {
        self.admin()
            .get_stats(proto::GetStatsRequest { collection: self.collection.clone() })
            .await
            .unwrap()
            .into_inner()
    }
}

/// An image to add.
pub(crate) fn new_image(key: &str, data: Vec<u8>) -> proto::NewImage {
    proto::NewImage { key: key.to_owned(), data, ..Default::default() }
}

/// The first message of a stream of images.
pub(crate) fn header(collection: &str) -> proto::AddImagesRequest {
    let header = proto::AddImagesHeader { collection: collection.to_owned(), ..Default::default() };
    proto::AddImagesRequest { message: Some(proto::add_images_request::Message::Header(header)) }
}

/// Any other message of it.
pub(crate) fn image_message(key: &str, data: Vec<u8>) -> proto::AddImagesRequest {
    let image = new_image(key, data);
    proto::AddImagesRequest { message: Some(proto::add_images_request::Message::Image(image)) }
}

/// Exactly these images.
pub(crate) fn ids_filter(ids: &[&str]) -> proto::ImageFilter {
    proto::ImageFilter { image_ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..Default::default() }
}

/// K-Means with so many clusters.
pub(crate) fn k_means(k: u32) -> proto::parameters::Algorithm {
    proto::parameters::Algorithm::KMeans(proto::KMeansParameters { k: Some(k), ..Default::default() })
}

/// DBSCAN with this radius and core images of three.
pub(crate) fn dbscan(eps: f64) -> proto::parameters::Algorithm {
    proto::parameters::Algorithm::Dbscan(proto::DbscanParameters { eps: Some(eps), min_points: Some(3) })
}

/// Work of a minute or so on the 1,200 images that it is for, which outlasts whatever a test does meanwhile; cancelling it
/// takes a moment.
pub(crate) fn long_work() -> proto::Parameters {
    let slow = proto::KMeansParameters {
        k: Some(500),
        max_iterations: Some(10_000),
        restarts: Some(100),
        ..Default::default()
    };
    proto::Parameters { algorithm: Some(proto::parameters::Algorithm::KMeans(slow)) }
}

/// What an error says to programs: its code, its reason, and the field where there is one.
pub(crate) fn facts(status: &Status) -> (Code, String, String) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    let field = details.bad_request().and_then(|bad| Some(bad.field_violations.first()?.field.clone()));
    (status.code(), reason, field.unwrap_or_default())
}

/// Asserts what an error says to programs.
#[track_caller]
pub(crate) fn check_error<T>(result: Result<T, Status>, code: Code, reason: &str, field: &str) {
    let Err(status) = result else { panic!("no error, expected {code:?} {reason} {field}") };
    assert_eq!(facts(&status), (code, reason.to_owned(), field.to_owned()), "{status:?}");
}

/// A daemon of this process over a folder of its own, with the fake model.
pub(crate) struct TestDaemon {
    daemon: Daemon,
    api: Api,
    config: Config,
    folder: TempDir,
}

impl Deref for TestDaemon {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl TestDaemon {
    /// A daemon over an empty folder.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with a graph for an index, whatever the number of images.
    pub(crate) async fn with_hnsw() -> Self {
        Self::with(|config| config.index = IndexSetting::Hnsw).await
    }

    /// The same with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::temporary(&folder.path().join("data"));
        config.model = ModelSetting::Fake;
        // Tests that kill a process do without the disk's own word as well; durability.rs has both.
        config.durability = DurabilitySetting::Process;
        config.workers = 2;
        config.drain_time_max = Duration::from_mins(1);
        change(&mut config);
        Self::over(folder, config).await
    }

    async fn over(folder: TempDir, config: Config) -> Self {
        let daemon = Daemon::start(config.clone()).await.unwrap();
        let api = Api::connect(&format!("http://{}", daemon.address())).await;
        Self { daemon, api, config, folder }
    }

    /// Stops in order and starts again over the same folder.
    pub(crate) async fn restarted(self) -> Self {
        self.restarted_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn restarted_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { daemon, api, mut config, folder } = self;
        drop(api);
        daemon.stop().await;
        change(&mut config);
        Self::over(folder, config).await
    }

    /// Stops in order; callers stay connected.
    pub(crate) async fn stop(self) {
        self.daemon.stop().await;
    }

    /// Stops in order; its store stays, in `data` below the folder.
    pub(crate) async fn stopped(self) -> TempDir {
        self.daemon.stop().await;
        self.folder
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.daemon.address()
    }

    /// A folder that goes with the daemon.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// The folder of labelled sets, when this machine has them. Skipping is said aloud, and is no option in CI.
pub(crate) fn shared_data() -> Option<std::path::PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{} is missing", folder.display());
    eprintln!("skipped: {} is missing", folder.display());
    None
}
