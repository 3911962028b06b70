//! Collections and their policies.

use std::sync::Arc;

use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};

use crate::engine::{Collection, RequestKey};
use crate::proto;
use crate::proto::collection_service_server::CollectionService;

use super::page::Page;
use super::status::{blocking, on_collection, status};
use super::{Shared, caller, convert, transfer};

/// The service over an engine.
pub(super) struct Collections(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl CollectionService for Collections {
    async fn create_collection(
        &self,
        request: Request<proto::CreateCollectionRequest>,
    ) -> Result<Response<proto::CreateCollectionResponse>, Status> {
        let (engine, request) = (Arc::clone(&self.0.engine), request.into_inner());
        caller::reach(&request.collection)?;
        let key = RequestKey::of("CreateCollection", &request.request_id, &request.encode_to_vec())
            .map_err(status)?;
        let made = blocking(move || engine.create_collection(&request.collection, key.as_ref())).await?;
        let collection = Some(convert::new_collection(made));
        Ok(Response::new(proto::CreateCollectionResponse { collection }))
    }

    async fn get_collection(
        &self,
        request: Request<proto::GetCollectionRequest>,
    ) -> Result<Response<proto::GetCollectionResponse>, Status> {
        let name = request.into_inner().collection;
        let collection = on_collection(&self.0.engine, name, |found| Ok(convert::collection(&found))).await?;
        Ok(Response::new(proto::GetCollectionResponse { collection: Some(collection) }))
    }

    async fn list_collections(
        &self,
        request: Request<proto::ListCollectionsRequest>,
    ) -> Result<Response<proto::ListCollectionsResponse>, Status> {
        let proto::ListCollectionsRequest { page_size, page_token } = request.into_inner();
        let bare = proto::ListCollectionsRequest::default();
        let page = Page::of("ListCollections", &bare, page_size, &page_token)?;
        let (engine, caller) = (Arc::clone(&self.0.engine), caller::current());
        let list = move || {
            let reached = engine.collections().into_iter().filter(|one| caller.reaches(one.name()));
            Ok(reached.map(|collection| convert::collection(&collection)).collect())
        };
        let all = blocking(list).await?;
        let (collections, next_page_token) = page.cut(0, all);
        Ok(Response::new(proto::ListCollectionsResponse { collections, next_page_token }))
    }

    async fn delete_collection(
        &self,
        request: Request<proto::DeleteCollectionRequest>,
    ) -> Result<Response<proto::DeleteCollectionResponse>, Status> {
        let (engine, request) = (Arc::clone(&self.0.engine), request.into_inner());
        caller::reach(&request.collection)?;
        let key = RequestKey::of("DeleteCollection", &request.request_id, &request.encode_to_vec())
            .map_err(status)?;
        let images = blocking(move || engine.delete_collection(&request.collection, key.as_ref())).await?;
        Ok(Response::new(proto::DeleteCollectionResponse { images }))
    }

    type ExportCollectionStream = transfer::Pieces;

    async fn export_collection(
        &self,
        request: Request<proto::ExportCollectionRequest>,
    ) -> Result<Response<transfer::Pieces>, Status> {
        Ok(Response::new(transfer::export(&self.0, request.into_inner()).await?))
    }

    type ImportCollectionStream = transfer::Answers;

    async fn import_collection(
        &self,
        request: Request<Streaming<proto::ImportCollectionRequest>>,
    ) -> Result<Response<transfer::Answers>, Status> {
        Ok(Response::new(transfer::import(&self.0, request.into_inner())?))
    }

    async fn get_policy(
        &self,
        request: Request<proto::GetPolicyRequest>,
    ) -> Result<Response<proto::GetPolicyResponse>, Status> {
        let name = request.into_inner().collection;
        let policy = on_collection(&self.0.engine, name, |collection| Ok(collection.policy())).await?;
        Ok(Response::new(proto::GetPolicyResponse { policy: Some(convert::policy(policy)) }))
    }

    async fn set_policy(
        &self,
        request: Request<proto::SetPolicyRequest>,
    ) -> Result<Response<proto::SetPolicyResponse>, Status> {
        let request = request.into_inner();
        caller::reach(&request.collection)?;
        let key =
            RequestKey::of("SetPolicy", &request.request_id, &request.encode_to_vec()).map_err(status)?;
        let change = convert::policy_from(&request.policy.unwrap_or_default())?;
        let actor = caller::actor(request.actor);
        let set = move |collection: Arc<Collection>| collection.set_policy(change, &actor, key.as_ref());
        let policy = on_collection(&self.0.engine, request.collection, set).await?;
        Ok(Response::new(proto::SetPolicyResponse { policy: Some(convert::policy(policy)) }))
    }
}
