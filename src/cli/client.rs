//! The connection to a daemon, with what every command needs of it: paging, names of images, waiting.

use std::collections::HashMap;

use super::credentials::Credentials;
use super::error::CliError;
use super::{progress, words};
use crate::client::{ConnectError, Connection, Wire};
use crate::proto::admin_service_client::AdminServiceClient;
use crate::proto::clustering_service_client::ClusteringServiceClient;
use crate::proto::collection_service_client::CollectionServiceClient;
use crate::proto::decision_service_client::DecisionServiceClient;
use crate::proto::image_service_client::ImageServiceClient;
use crate::proto::operation::Result as OperationResult;
use crate::proto::{
    AmbiguousKey, BatchGetDecisionsRequest, BatchGetThumbnailsRequest, Cluster, Clustering, Decision,
    DecisionView, GetClusteringRequest, GetReachabilityRequest, Image, ImageFilter, ListClusteringsRequest,
    ListClustersRequest, ListImagesRequest, ListMembersRequest, Member, Operation, ReachabilityPoint,
    WaitOperationRequest, WatchOperationRequest,
};

/// Entries of a page: the most that the daemon gives.
pub(super) const PAGE_SIZE: u32 = 1000;
/// Thumbnails asked for at a time: the most that the daemon gives.
const THUMBNAILS_PER_CALL: usize = 100;
/// Characters of an actor: the most that the daemon takes.
const ACTOR_CHARACTERS_MAX: usize = 128;

/// A connection to a daemon, working on one collection; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Operations, figures.
    pub(super) admin: AdminServiceClient<Wire>,
    /// Clusterings.
    pub(super) clusterings: ClusteringServiceClient<Wire>,
    /// Collections and their policies.
    pub(super) collections: CollectionServiceClient<Wire>,
    /// Verdicts and decisions.
    pub(super) decisions: DecisionServiceClient<Wire>,
    /// Images.
    pub(super) images: ImageServiceClient<Wire>,
    /// The collection worked on; empty means "default".
    pub(super) collection: String,
    /// Who acts, for the log.
    pub(super) actor: String,
}

/// The pages of a listing of images, one after the other.
pub(super) struct ImagePages {
    images: ImageServiceClient<Wire>,
    request: Option<ListImagesRequest>,
}

impl ImagePages {
    /// The next page; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Image>>, CliError> {
        let Some(mut request) = self.request.take() else {
            return Ok(None);
        };
        let page = self.images.list_images(request.clone()).await?.into_inner();
        if !page.next_page_token.is_empty() {
            request.page_token = page.next_page_token;
            self.request = Some(request);
        }
        Ok(Some(page.images))
    }
}

/// All entries of a listing, page by page.
pub(super) async fn all_pages<T>(
    mut page: impl AsyncFnMut(String) -> Result<(Vec<T>, String), tonic::Status>,
) -> Result<Vec<T>, CliError> {
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let (mut entries, next) = page(token).await?;
        all.append(&mut entries);
        if next.is_empty() {
            return Ok(all);
        }
        token = next;
    }
}

impl Client {
    /// Connects to a daemon.
    pub(super) async fn connect(
        server: &str,
        collection: &str,
        credentials: &Credentials,
    ) -> Result<Self, CliError> {
        let connection = Connection::connect(&credentials.options(server)?).await.map_err(unconnected)?;
        let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
        Ok(Self {
            admin: connection.admin(),
            clusterings: connection.clusterings(),
            collections: connection.collections(),
            decisions: connection.decisions(),
            images: connection.images(),
            collection: collection.to_string(),
            actor: user.unwrap_or_default().chars().take(ACTOR_CHARACTERS_MAX).collect(),
        })
    }

    /// The images that match, a page at a time.
    pub(super) fn image_pages(&self, filter: Option<ImageFilter>, with_embeddings: bool) -> ImagePages {
        let request = ListImagesRequest {
            collection: self.collection.clone(),
            filter,
            with_embeddings,
            page_size: PAGE_SIZE,
            page_token: String::new(),
        };
        ImagePages { images: self.images.clone(), request: Some(request) }
    }

    /// The first source's key of each of these images, by image id; unknown images are left out.
    pub(super) async fn names(&self, image_ids: Vec<String>) -> Result<HashMap<String, String>, CliError> {
        let mut names = HashMap::new();
        for ids in image_ids.chunks(PAGE_SIZE as usize) {
            let filter = ImageFilter { image_ids: ids.to_vec(), ..ImageFilter::default() };
            let mut pages = self.image_pages(Some(filter), false);
            while let Some(images) = pages.next().await? {
                names.extend(images.into_iter().map(|image| {
                    let name = first_key(&image);
                    (image.image_id, name)
                }));
            }
        }
        Ok(names)
    }

    /// The id of the image that is meant: an id, or the key of a source.
    pub(super) async fn resolve(&mut self, image: &str) -> Result<String, CliError> {
        if image.parse::<crate::types::ImageId>().is_ok() {
            return Ok(image.to_lowercase());
        }
        let request = BatchGetDecisionsRequest {
            collection: self.collection.clone(),
            source_keys: vec![image.to_string()],
            view: DecisionView::Basic.into(),
            ..BatchGetDecisionsRequest::default()
        };
        let answer = self.decisions.batch_get_decisions(request).await?.into_inner();
        if let Some(ambiguous) = answer.ambiguous.into_iter().next() {
            return Err(self.ambiguous(ambiguous).await?);
        }
        let decision = answer.decisions.into_iter().next();
        decision
            .map(|decision| decision.image_id)
            .ok_or_else(|| CliError::Usage(format!("{image} is neither an image id nor the key of a source")))
    }

    /// As [`Client::resolve`], of several.
    pub(super) async fn resolve_all(&mut self, images: &[String]) -> Result<Vec<String>, CliError> {
        let mut ids = Vec::with_capacity(images.len());
        for image in images {
            ids.push(self.resolve(image).await?);
        }
        Ok(ids)
    }

    /// The error of a key that names several images: their ids, and where they lie.
    async fn ambiguous(&self, key: AmbiguousKey) -> Result<CliError, CliError> {
        let filter = ImageFilter { image_ids: key.image_ids.clone(), ..ImageFilter::default() };
        let mut places = HashMap::new();
        let mut pages = self.image_pages(Some(filter), false);
        while let Some(images) = pages.next().await? {
            for image in images {
                let source = image.sources.into_iter().rfind(|source| source.key == key.source_key);
                places.insert(image.image_id, source.map(|source| source.uri).unwrap_or_default());
            }
        }
        let lines = key.image_ids.iter().map(|id| {
            let place = places.get(id).map_or("", String::as_str);
            format!("\n  {id}  {}", words::printable(place)).trim_end().to_owned()
        });
        Ok(CliError::Usage(format!(
            "{} is the key of different pictures; name the one you mean by its id:{}",
            words::printable(&key.source_key),
            lines.collect::<String>()
        )))
    }

    /// The decisions of at most 1,000 images, by image id.
    pub(super) async fn decisions_of(
        &mut self,
        images: &[Image],
    ) -> Result<HashMap<String, Decision>, CliError> {
        let request = BatchGetDecisionsRequest {
            collection: self.collection.clone(),
            image_ids: images.iter().map(|image| image.image_id.clone()).collect(),
            view: DecisionView::Basic.into(),
            ..BatchGetDecisionsRequest::default()
        };
        if images.is_empty() {
            return Ok(HashMap::new());
        }
        let answer = self.decisions.batch_get_decisions(request).await?.into_inner();
        Ok(answer.decisions.into_iter().map(|decision| (decision.image_id.clone(), decision)).collect())
    }

    /// Thumbnails in the order asked; unknown images are left out.
    pub(super) async fn thumbnails(&mut self, image_ids: &[String]) -> Result<Vec<Vec<u8>>, CliError> {
        let mut all = Vec::with_capacity(image_ids.len());
        for ids in image_ids.chunks(THUMBNAILS_PER_CALL) {
            let mut image_ids = ids.to_vec();
            while !image_ids.is_empty() {
                let request = BatchGetThumbnailsRequest { collection: self.collection.clone(), image_ids };
                let answer = self.images.batch_get_thumbnails(request).await?.into_inner();
                all.extend(answer.thumbnails.into_iter().map(|thumbnail| thumbnail.jpeg));
                image_ids = answer.remaining_image_ids;
            }
        }
        Ok(all)
    }

    /// One clustering with its curve; 0 means the active one.
    pub(super) async fn clustering(&mut self, clustering_id: u64) -> Result<Clustering, CliError> {
        let request = GetClusteringRequest { collection: self.collection.clone(), clustering_id };
        let answer = self.clusterings.get_clustering(request).await?.into_inner();
        answer.clustering.ok_or(CliError::Answer("the clustering"))
    }

    /// All clusterings that are kept, newest first.
    pub(super) async fn all_clusterings(&mut self) -> Result<Vec<Clustering>, CliError> {
        let collection = self.collection.clone();
        all_pages(async |page_token| {
            let request =
                ListClusteringsRequest { collection: collection.clone(), page_size: PAGE_SIZE, page_token };
            let page = self.clusterings.list_clusterings(request).await?.into_inner();
            Ok((page.clusterings, page.next_page_token))
        })
        .await
    }

    /// All clusters of a clustering, largest first; 0 means the active one.
    pub(super) async fn all_clusters(&mut self, clustering_id: u64) -> Result<Vec<Cluster>, CliError> {
        let collection = self.collection.clone();
        all_pages(async |page_token| {
            let collection = collection.clone();
            let request = ListClustersRequest { collection, clustering_id, page_size: PAGE_SIZE, page_token };
            let page = self.clusterings.list_clusters(request).await?.into_inner();
            Ok((page.clusters, page.next_page_token))
        })
        .await
    }

    /// All members of a cluster, nearest to the medoid first; no cluster means the noise.
    pub(super) async fn all_members(
        &mut self,
        clustering_id: u64,
        cluster_id: Option<u64>,
    ) -> Result<Vec<Member>, CliError> {
        let collection = self.collection.clone();
        all_pages(async |page_token| {
            let collection = collection.clone();
            let page_size = PAGE_SIZE;
            let request = ListMembersRequest { collection, clustering_id, cluster_id, page_size, page_token };
            let page = self.clusterings.list_members(request).await?.into_inner();
            Ok((page.members, page.next_page_token))
        })
        .await
    }

    /// The reachability plot of an OPTICS clustering.
    pub(super) async fn reachability(
        &mut self,
        clustering_id: u64,
    ) -> Result<Vec<ReachabilityPoint>, CliError> {
        let collection = self.collection.clone();
        all_pages(async |page_token| {
            let collection = collection.clone();
            let request =
                GetReachabilityRequest { collection, clustering_id, page_size: PAGE_SIZE, page_token };
            let page = self.clusterings.get_reachability(request).await?.into_inner();
            Ok((page.points, page.next_page_token))
        })
        .await
    }

    /// Waits for an operation, with a progress bar, and answers its result.
    pub(super) async fn wait(&mut self, operation: Operation) -> Result<OperationResult, CliError> {
        let name = operation.name.clone();
        let bar = progress::counted(operation.work_total, &operation.method);
        let mut last = operation;
        let request = WatchOperationRequest { name: name.clone() };
        let mut looks = self.admin.watch_operation(request).await?.into_inner();
        while let Some(look) = looks.message().await? {
            last = look.operation.ok_or(CliError::Answer("the operation"))?;
            progress::set_total(&bar, last.work_total);
            bar.set_message(last.phase.clone());
            bar.set_position(last.work_done);
        }
        while !last.done {
            let request = WaitOperationRequest { name: name.clone(), timeout: None };
            let answer = self.admin.wait_operation(request).await?.into_inner();
            last = answer.operation.ok_or(CliError::Answer("the operation"))?;
        }
        bar.finish_and_clear();
        match last.result.ok_or(CliError::Answer("the operation's result"))? {
            OperationResult::Error(error) => {
                Err(CliError::Operation { name, message: error.message, reason: error.reason })
            }
            result => Ok(result),
        }
    }
}

/// The key of an image's first source; its id where it has none.
pub(super) fn first_key(image: &Image) -> String {
    image.sources.first().map_or_else(|| image.image_id.clone(), |source| source.key.clone())
}

fn unconnected(error: ConnectError) -> CliError {
    match error {
        ConnectError::Address { address, source } if address.starts_with("https://") => {
            CliError::Usage(format!("--server {address} can't be used: {}", root_cause(&source)))
        }
        ConnectError::Address { address, source } => {
            CliError::Usage(format!("--server {address} is no address: {source}"))
        }
        ConnectError::Token => CliError::Usage(error.to_string()),
        ConnectError::Unreachable { address: server, source } => {
            CliError::Unreachable { server, cause: root_cause(&source) }
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
