//! Images: adding one, listing, thumbnails, deleting, neighbours. Streams of images are in `add_stream`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prost::Message as _;
use tokio::sync::oneshot;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::embed::PrepareError;
use crate::engine::{
    AddError, Added, Collection, EngineError, IngestTask, NEIGHBOURS_MAX, NeighbourQuery, PageBounds,
    RequestKey,
};
use crate::proto;
use crate::proto::image_service_server::ImageService;
use crate::types::{Embedding, Generation, ImageId};

use super::page::{PAGE_BYTES_MAX, Page, Position};
use super::status::{blocking, invalid, on_collection, status};
use super::{Shared, add_stream, caller, convert, duplicates};

/// Thumbnails in one answer at most.
const THUMBNAILS_MAX: usize = 100;
/// What a caller who met overload waits before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The service over an engine.
pub(super) struct Images(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl ImageService for Images {
    type AddImagesStream = ReceiverStream<Result<proto::AddImagesResponse, Status>>;

    async fn add_images(
        &self,
        request: Request<Streaming<proto::AddImagesRequest>>,
    ) -> Result<Response<Self::AddImagesStream>, Status> {
        Ok(Response::new(add_stream::run(Arc::clone(&self.0), request.into_inner())))
    }

    async fn add_image(
        &self,
        request: Request<proto::AddImageRequest>,
    ) -> Result<Response<proto::AddImageResponse>, Status> {
        let request = request.into_inner();
        caller::reach(&request.collection)?;
        let key =
            RequestKey::of("AddImage", &request.request_id, &request.encode_to_vec()).map_err(status)?;
        caller::reach(&request.collection)?;
        let (engine, collection) = (Arc::clone(&self.0.engine), request.collection);
        let ingest = blocking(move || engine.ingest(&collection)).await?;
        let image = request.image.ok_or_else(|| invalid("image", "is missing"))?;
        let Some(room) = self.0.inflight.try_acquire(&caller::current().name, image.data.len()) else {
            return Err(status(overloaded("too many bytes of images are in flight".to_owned())));
        };
        let name = image.key.clone();
        let (source, bytes) = convert::source_from(image, &[])?;
        let (sender, receiver) = oneshot::channel();
        let gone = CancelOnDrop::default();
        let cancelled = Some(Arc::clone(&gone.0));
        let id = blocking(move || {
            let id = id_of(&bytes);
            // Nobody listens any more once the caller is gone: an image whose turn had come is stored all the same.
            let reply = Box::new(move |answer| drop((sender.send(answer), room)));
            ingest.try_add(IngestTask { bytes: bytes.into(), source, request: key, cancelled, reply });
            Ok(id)
        })
        .await?;
        let answer = receiver.await.unwrap_or(Err(AddError::Stopping));
        let outcome = self.0.counted(convert::outcome(name, id, unless_refused(answer)?));
        Ok(Response::new(proto::AddImageResponse { outcome: Some(outcome) }))
    }

    async fn import_sources(
        &self,
        request: Request<proto::ImportSourcesRequest>,
    ) -> Result<Response<proto::ImportSourcesResponse>, Status> {
        let (shared, request) = (Arc::clone(&self.0), request.into_inner());
        caller::reach(&request.collection)?;
        let key =
            RequestKey::of("ImportSources", &request.request_id, &request.encode_to_vec()).map_err(status)?;
        let start =
            move || shared.engine.import(&request.collection, &request.paths, request.tags, key.as_ref());
        let operation = blocking(start).await?.status();
        Ok(Response::new(proto::ImportSourcesResponse { operation: Some(convert::operation(&operation)) }))
    }

    async fn get_image(
        &self,
        request: Request<proto::GetImageRequest>,
    ) -> Result<Response<proto::GetImageResponse>, Status> {
        let request = request.into_inner();
        caller::reach(&request.collection)?;
        let image = convert::image_id("image_id", &request.image_id)?;
        let get = move |collection: Arc<Collection>| collection.image(&image, request.with_embedding);
        let view = on_collection(&self.0.engine, request.collection, get).await?;
        Ok(Response::new(proto::GetImageResponse { image: Some(convert::image(view)) }))
    }

    async fn list_images(
        &self,
        request: Request<proto::ListImagesRequest>,
    ) -> Result<Response<proto::ListImagesResponse>, Status> {
        let mut request = request.into_inner();
        caller::reach(&request.collection)?;
        let (size, token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
        let page = Page::of("ListImages", &request, size, &token)?;
        let filter = convert::filter_from(request.filter)?;
        let bounds = PageBounds {
            after: Generation(page.position.map_or(0, |position| position.after)),
            until: page.position.map(|position| Generation(position.generation)),
            images_max: page.size,
            bytes_max: PAGE_BYTES_MAX,
        };
        let list =
            move |collection: Arc<Collection>| collection.list(&filter, request.with_embeddings, bounds);
        let found = on_collection(&self.0.engine, request.collection, list).await?;
        let next = found.next.map(|after| Position { generation: found.generation.0, after: after.0 });
        Ok(Response::new(proto::ListImagesResponse {
            images: found.images.into_iter().map(convert::image).collect(),
            next_page_token: page.token(next),
            generation: found.generation.0,
        }))
    }

    async fn batch_get_thumbnails(
        &self,
        request: Request<proto::BatchGetThumbnailsRequest>,
    ) -> Result<Response<proto::BatchGetThumbnailsResponse>, Status> {
        let request = request.into_inner();
        caller::reach(&request.collection)?;
        let asked = request.image_ids.len();
        if asked > THUMBNAILS_MAX {
            return Err(invalid(
                "image_ids",
                format!("has {asked} entries, at most {THUMBNAILS_MAX} are allowed"),
            ));
        }
        let images: Vec<ImageId> = convert::image_ids("image_ids", &request.image_ids)?;
        let get = move |collection: Arc<Collection>| collection.thumbnails(&images, PAGE_BYTES_MAX);
        let (found, looked_at) = on_collection(&self.0.engine, request.collection, get).await?;
        let remaining_image_ids = request.image_ids.get(looked_at..).unwrap_or_default().to_vec();
        let thumbnail =
            |(image, jpeg): (ImageId, Vec<u8>)| proto::Thumbnail { image_id: image.to_string(), jpeg };
        let thumbnails = found.into_iter().map(thumbnail).collect();
        Ok(Response::new(proto::BatchGetThumbnailsResponse { thumbnails, remaining_image_ids }))
    }

    async fn delete_images(
        &self,
        request: Request<proto::DeleteImagesRequest>,
    ) -> Result<Response<proto::DeleteImagesResponse>, Status> {
        let request = request.into_inner();
        caller::reach(&request.collection)?;
        let key =
            RequestKey::of("DeleteImages", &request.request_id, &request.encode_to_vec()).map_err(status)?;
        let filter = convert::filter_from(request.filter)?;
        let (validate_only, actor) = (request.validate_only, caller::actor(request.actor));
        let delete = move |collection: Arc<Collection>| {
            collection.delete_images(&filter, validate_only, &actor, key.as_ref())
        };
        let deleted = on_collection(&self.0.engine, request.collection, delete).await?;
        Ok(Response::new(proto::DeleteImagesResponse { images: deleted.images, sources: deleted.sources }))
    }

    async fn find_neighbours(
        &self,
        request: Request<proto::FindNeighboursRequest>,
    ) -> Result<Response<proto::FindNeighboursResponse>, Status> {
        let request = request.into_inner();
        caller::reach(&request.collection)?;
        let collection = on_collection(&self.0.engine, request.collection, Ok).await?;
        let k = if request.k == 0 { 10 } else { request.k as usize };
        if k > NEIGHBOURS_MAX {
            return Err(invalid("k", format!("is {k}, at most {NEIGHBOURS_MAX} is allowed")));
        }
        let query = self.neighbour_query(&collection, request.query).await?;
        let found = blocking(move || collection.neighbours(&query, k, request.exact)).await?;
        let neighbours = found.neighbours.into_iter();
        let neighbour = |(image, distance): (ImageId, f32)| proto::Neighbour {
            image_id: image.to_string(),
            distance: distance.into(),
        };
        Ok(Response::new(proto::FindNeighboursResponse {
            neighbours: neighbours.map(neighbour).collect(),
            index: found.index.name().to_owned(),
            generation: found.generation.0,
        }))
    }

    async fn find_duplicates(
        &self,
        request: Request<proto::FindDuplicatesRequest>,
    ) -> Result<Response<proto::FindDuplicatesResponse>, Status> {
        Ok(Response::new(duplicates::find(&self.0.engine, request.into_inner()).await?))
    }
}

impl Images {
    async fn neighbour_query(
        &self,
        collection: &Collection,
        query: Option<proto::find_neighbours_request::Query>,
    ) -> Result<NeighbourQuery, Status> {
        use proto::find_neighbours_request::Query;
        match query {
            None => Err(invalid("query", "names neither an image nor bytes nor a vector")),
            Some(Query::ImageId(id)) => Ok(NeighbourQuery::Image(convert::image_id("image_id", &id)?)),
            Some(Query::Vector(vector)) => {
                let vector = Embedding::normalised(vector.values, collection.space().dim);
                let vector = vector.map_err(|error| invalid("vector", error.to_string()))?;
                Ok(NeighbourQuery::Vector(vector.as_slice().to_vec()))
            }
            Some(Query::Data(bytes)) => {
                self.0.engine.check_space(collection).map_err(status)?;
                let max = self.0.config.image_bytes_max;
                if bytes.len() as u64 > max {
                    return Err(invalid(
                        "data",
                        format!("has {} bytes, at most {max} are allowed", bytes.len()),
                    ));
                }
                let Some(room) = self.0.inflight.try_acquire(&caller::current().name, bytes.len()) else {
                    return Err(status(overloaded("too many bytes of images are in flight".to_owned())));
                };
                let (sender, receiver) = oneshot::channel();
                let gone = CancelOnDrop::default();
                // Nobody listens any more once the caller is gone.
                let done = Box::new(move |prepared| drop((sender.send(prepared), room)));
                self.0.engine.try_prepare(bytes.into(), Arc::clone(&gone.0), done).map_err(status)?;
                let prepared = receiver.await.map_err(|_| status(EngineError::Stopping))?;
                let prepared = prepared.map_err(|error| match error {
                    PrepareError::Stopped => status(EngineError::Stopping),
                    error => invalid("data", error.to_string()),
                })?;
                Ok(NeighbourQuery::Vector(prepared.embedding.as_slice().to_vec()))
            }
        }
    }
}

/// The id of bytes, where there are some.
pub(super) fn id_of(bytes: &[u8]) -> String {
    if bytes.is_empty() { String::new() } else { ImageId::of(bytes).to_string() }
}

fn overloaded(message: String) -> EngineError {
    EngineError::Exhausted { message, retry_after: Some(RETRY_AFTER) }
}

/// In a unary call overload, the end of the daemon and a misused request id are errors of the call; everything else is
/// an outcome of the image.
fn unless_refused(answer: Result<Added, AddError>) -> Result<Result<Added, AddError>, Status> {
    match answer {
        Err(AddError::Overloaded(message)) => Err(status(overloaded(message))),
        Err(AddError::Stopping) => Err(status(EngineError::Stopping)),
        Err(AddError::Engine(error @ EngineError::Exhausted { .. })) => Err(status(error)),
        Err(AddError::Engine(EngineError::Invalid { field, description })) if field == "request_id" => {
            Err(invalid(&field, description))
        }
        answer => Ok(answer),
    }
}

/// Gives a queued image up once its caller is gone, be it by its own deadline.
#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
