//! Clusterings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::engine::{
    Collection, Engine, EngineError, LiveView, MemberRecord, ReachabilityRecord, ReclusterRequest, RequestKey,
};
use crate::proto;
use crate::proto::clustering_service_server::ClusteringService;
use crate::types::{ClusterId, PointOffset};

use super::convert;
use super::page::{PAGE_SIZE_MAX, Page, Position};
use super::status::{blocking, invalid, on_collection, status};

/// The service over an engine.
pub(super) struct Clusterings(pub(super) Arc<Engine>);

#[tonic::async_trait]
impl ClusteringService for Clusterings {
    async fn recluster(
        &self,
        request: Request<proto::ReclusterRequest>,
    ) -> Result<Response<proto::ReclusterResponse>, Status> {
        let (engine, request) = (Arc::clone(&self.0), request.into_inner());
        let key =
            RequestKey::of("Recluster", &request.request_id, &request.encode_to_vec()).map_err(status)?;
        let recluster = ReclusterRequest {
            parameters: convert::parameters_from(request.parameters),
            seed: request.seed,
            exact: request.exact,
            activate: !request.keep_active,
            actor: request.actor,
        };
        let operation =
            blocking(move || engine.recluster(&request.collection, recluster, key.as_ref())).await?;
        let operation = convert::operation(&operation.status());
        Ok(Response::new(proto::ReclusterResponse { operation: Some(operation) }))
    }

    async fn suggest_parameters(
        &self,
        request: Request<proto::SuggestParametersRequest>,
    ) -> Result<Response<proto::SuggestParametersResponse>, Status> {
        let request = request.into_inner();
        let given_up = GivenUp::default();
        let cancelled = Arc::clone(&given_up.0);
        let suggest = move |collection: Arc<Collection>| {
            let cancelled = || cancelled.load(Ordering::Relaxed);
            collection.suggest_parameters(request.min_points, request.exact, request.seed, &cancelled)
        };
        let card = Some(convert::parameter_card(on_collection(&self.0, request.collection, suggest).await?));
        Ok(Response::new(proto::SuggestParametersResponse { card }))
    }

    async fn list_clusterings(
        &self,
        request: Request<proto::ListClusteringsRequest>,
    ) -> Result<Response<proto::ListClusteringsResponse>, Status> {
        let proto::ListClusteringsRequest { collection, page_size, page_token } = request.into_inner();
        let bare = proto::ListClusteringsRequest { collection, ..Default::default() };
        let page = Page::of("ListClusterings", &bare, page_size, &page_token)?;
        let list = |collection: Arc<Collection>| {
            let (heads, active) = collection.clusterings();
            Ok(heads.iter().map(|head| convert::clustering(head, Some(head.id) == active, false)).collect())
        };
        let all = on_collection(&self.0, bare.collection, list).await?;
        let (clusterings, next_page_token) = page.cut(0, all);
        Ok(Response::new(proto::ListClusteringsResponse { clusterings, next_page_token }))
    }

    async fn get_clustering(
        &self,
        request: Request<proto::GetClusteringRequest>,
    ) -> Result<Response<proto::GetClusteringResponse>, Status> {
        let request = request.into_inner();
        let get = move |collection: Arc<Collection>| {
            let head = collection.clustering(request.clustering_id)?;
            let (_, active) = collection.clusterings();
            Ok(convert::clustering(&head, Some(head.id) == active, true))
        };
        let clustering = Some(on_collection(&self.0, request.collection, get).await?);
        Ok(Response::new(proto::GetClusteringResponse { clustering }))
    }

    async fn activate_clustering(
        &self,
        request: Request<proto::ActivateClusteringRequest>,
    ) -> Result<Response<proto::ActivateClusteringResponse>, Status> {
        let request = request.into_inner();
        let key = RequestKey::of("ActivateClustering", &request.request_id, &request.encode_to_vec())
            .map_err(status)?;
        let (id, actor) = (request.clustering_id, request.actor);
        let activate = move |collection: Arc<Collection>| collection.activate(id, &actor, key.as_ref());
        let head = on_collection(&self.0, request.collection, activate).await?;
        let clustering = Some(convert::clustering(&head, true, false));
        Ok(Response::new(proto::ActivateClusteringResponse { clustering }))
    }

    async fn list_clusters(
        &self,
        request: Request<proto::ListClustersRequest>,
    ) -> Result<Response<proto::ListClustersResponse>, Status> {
        let mut request = request.into_inner();
        let (size, token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
        let page = Page::of("ListClusters", &request, size, &token)?;
        // A listing of the active clustering goes on with the one it began with.
        let id = page.position.map_or(request.clustering_id, |position| position.generation);
        let look = move |collection: Arc<Collection>| {
            let head = collection.clustering(id)?;
            let counts = collection.label_counts(&head)?;
            Ok((head, counts))
        };
        let (head, counts) = on_collection(&self.0, request.collection, look).await?;
        let count = |id: &ClusterId| counts.get(id).copied().unwrap_or_default();
        let all = head
            .clusters
            .iter()
            .map(|cluster| convert::cluster(&head, cluster, count(&cluster.id)))
            .collect();
        let (clusters, next_page_token) = page.cut(head.id, all);
        let (clustering_id, noise) = (head.id, head.noise);
        Ok(Response::new(proto::ListClustersResponse { clusters, next_page_token, clustering_id, noise }))
    }

    async fn get_cluster(
        &self,
        request: Request<proto::GetClusterRequest>,
    ) -> Result<Response<proto::GetClusterResponse>, Status> {
        let request = request.into_inner();
        let id = ClusterId(request.cluster_id);
        let cluster = on_collection(&self.0, request.collection, move |collection| {
            let head = collection.clustering(request.clustering_id)?;
            let counts = collection.label_counts(&head)?;
            let cluster = head.cluster(id).ok_or_else(|| EngineError::not_found("cluster", id.0))?;
            Ok(convert::cluster(&head, cluster, counts.get(&id).copied().unwrap_or_default()))
        });
        Ok(Response::new(proto::GetClusterResponse { cluster: Some(cluster.await?) }))
    }

    async fn list_members(
        &self,
        request: Request<proto::ListMembersRequest>,
    ) -> Result<Response<proto::ListMembersResponse>, Status> {
        let mut request = request.into_inner();
        let (size, token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
        let page = Page::of("ListMembers", &request, size, &token)?;
        let id = page.position.map_or(request.clustering_id, |position| position.generation);
        let cluster = request.cluster_id.map(ClusterId);
        let list = move |collection: Arc<Collection>| {
            let head = collection.clustering(id)?;
            Ok((head.id, collection.members(&head, cluster)?))
        };
        let (clustering, all) = on_collection(&self.0, request.collection, list).await?;
        let (members, next_page_token) = page.cut(clustering, all);
        let members = members.into_iter().map(member).collect();
        Ok(Response::new(proto::ListMembersResponse { members, next_page_token }))
    }

    async fn list_live_clusters(
        &self,
        request: Request<proto::ListLiveClustersRequest>,
    ) -> Result<Response<proto::ListLiveClustersResponse>, Status> {
        let mut request = request.into_inner();
        let (size, token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
        let page = Page::of("ListLiveClusters", &request, size, &token)?;
        let view = on_collection(&self.0, request.collection, |collection| collection.live()).await?;
        check_moment(&page, &view)?;
        let mut all: Vec<_> =
            view.sizes.iter().map(|(id, &size)| proto::LiveCluster { cluster_id: id.0, size }).collect();
        all.sort_by_key(|cluster| (std::cmp::Reverse(cluster.size), cluster.cluster_id));
        let (clusters, next_page_token) = page.cut(moment(&view), all);
        let lineage = if page.position.is_none() {
            view.lineage.iter().map(convert::lineage_event).collect()
        } else {
            Vec::new()
        };
        Ok(Response::new(proto::ListLiveClustersResponse {
            clusters,
            next_page_token,
            clustering_id: view.clustering,
            generation: view.generation.0,
            noise: view.noise,
            lineage,
        }))
    }

    async fn list_live_members(
        &self,
        request: Request<proto::ListLiveMembersRequest>,
    ) -> Result<Response<proto::ListLiveMembersResponse>, Status> {
        let mut request = request.into_inner();
        let (size, token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
        let page = Page::of("ListLiveMembers", &request, size, &token)?;
        let cluster = request.cluster_id.map(ClusterId);
        let list = move |collection: Arc<Collection>| collection.live_members(cluster);
        let (view, all) = on_collection(&self.0, request.collection, list).await?;
        check_moment(&page, &view)?;
        let (members, next_page_token) = page.cut(moment(&view), all);
        let image_ids = members.iter().map(ToString::to_string).collect();
        let generation = view.generation.0;
        Ok(Response::new(proto::ListLiveMembersResponse { image_ids, next_page_token, generation }))
    }

    async fn get_reachability(
        &self,
        request: Request<proto::GetReachabilityRequest>,
    ) -> Result<Response<proto::GetReachabilityResponse>, Status> {
        let mut request = request.into_inner();
        let (size, token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
        let page = Page::with_default("GetReachability", &request, size, &token, PAGE_SIZE_MAX)?;
        let id = page.position.map_or(request.clustering_id, |position| position.generation);
        let list = move |collection: Arc<Collection>| {
            let head = collection.clustering(id)?;
            Ok((head.id, collection.reachability(&head)?))
        };
        let (clustering, all) = on_collection(&self.0, request.collection, list).await?;
        let (points, next_page_token) = page.cut(clustering, all);
        let points = points.into_iter().map(bar).collect();
        Ok(Response::new(proto::GetReachabilityResponse { points, next_page_token }))
    }

    async fn get_map(
        &self,
        request: Request<proto::GetMapRequest>,
    ) -> Result<Response<proto::GetMapResponse>, Status> {
        let mut request = request.into_inner();
        let (size, token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
        let afresh = std::mem::take(&mut request.refresh);
        if afresh && !token.is_empty() {
            return Err(invalid("refresh", "goes with the first page only"));
        }
        let page = Page::with_default("GetMap", &request, size, &token, PAGE_SIZE_MAX)?;
        let from = page.position.map(|position| (position.generation, position.after as PointOffset));
        let list = move |collection: Arc<Collection>| collection.map(from, page.size, afresh);
        let part = on_collection(&self.0, request.collection, list).await?;
        let next = part.next.map(|next| Position { generation: part.layout, after: u64::from(next) });
        Ok(Response::new(proto::GetMapResponse {
            points: part.points.iter().map(convert::map_point).collect(),
            next_page_token: page.token(next),
            generation: part.generation.0,
            images: part.images,
        }))
    }
}

/// Notices that a caller is gone: a call that nobody waits for any more is dropped, and this with it.
#[derive(Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A listing of what changes all the time goes on only with the clustering and the generation that it began with.
fn check_moment(page: &Page, view: &LiveView) -> Result<(), Status> {
    match page.position {
        Some(position) if position.generation != moment(view) => Err(status(EngineError::Precondition {
            reason: "GENERATION_MISMATCH",
            message: format!(
                "the listing began with another clustering or generation, it is generation {} of clustering {} now: \
                 begin again",
                view.generation.0, view.clustering
            ),
        })),
        _ => Ok(()),
    }
}

/// Tells the generations of all clusterings apart.
fn moment(view: &LiveView) -> u64 {
    view.clustering.rotate_left(40) ^ view.generation.0
}

fn member(member: MemberRecord) -> proto::Member {
    proto::Member { image_id: member.image.to_string(), distance: f64::from(member.distance) }
}

fn bar(bar: ReachabilityRecord) -> proto::ReachabilityPoint {
    let defined = |distance: f32| distance.is_finite().then(|| f64::from(distance));
    proto::ReachabilityPoint {
        image_id: bar.image.to_string(),
        cluster_id: bar.cluster.map(|cluster| cluster.0),
        reachability: defined(bar.reachability),
        core_distance: defined(bar.core_distance),
    }
}
