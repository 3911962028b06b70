//! The active clustering by DBSCAN follows adds and deletes: at every generation it is what a batch run finds.

mod kept;

use std::collections::BTreeSet;

use culld::proto;
use culld::proto::operation::Result as Ended;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::Code;

use crate::support::{Api, TestDaemon, check_error, dbscan, groups, id_of, ids_filter, k_means, picture};

/// Clusters by their members, and the noise.
type Partition = (BTreeSet<BTreeSet<String>>, BTreeSet<String>);

async fn live_clusters(api: &Api) -> Result<proto::ListLiveClustersResponse, tonic::Status> {
    let request = proto::ListLiveClustersRequest {
        collection: api.collection.clone(),
        page_size: 1000,
        ..Default::default()
    };
    Ok(api.clusterings().list_live_clusters(request).await?.into_inner())
}

async fn live_members(api: &Api, cluster_id: Option<u64>) -> BTreeSet<String> {
    let request = proto::ListLiveMembersRequest {
        collection: api.collection.clone(),
        cluster_id,
        page_size: 1000,
        ..Default::default()
    };
    api.clusterings().list_live_members(request).await.unwrap().into_inner().image_ids.into_iter().collect()
}

async fn live_partition(api: &Api) -> Partition {
    let mut clusters = BTreeSet::new();
    let listed = live_clusters(api).await.unwrap();
    for cluster in listed.clusters {
        let members = live_members(api, Some(cluster.cluster_id)).await;
        assert_eq!(members.len() as u64, cluster.size);
        clusters.insert(members);
    }
    let noise = live_members(api, None).await;
    assert_eq!(noise.len() as u64, listed.noise);
    (clusters, noise)
}

async fn batch_members(api: &Api, clustering_id: u64, cluster_id: Option<u64>) -> BTreeSet<String> {
    let request = proto::ListMembersRequest {
        collection: api.collection.clone(),
        clustering_id,
        cluster_id,
        page_size: 1000,
        ..Default::default()
    };
    let members = api.clusterings().list_members(request).await.unwrap().into_inner().members;
    members.into_iter().map(|member| member.image_id).collect()
}

/// Clusters all images of now with the parameters of the active clustering, which stays the active one.
async fn batch_partition(api: &Api, parameters: proto::Parameters) -> Partition {
    let request = proto::ReclusterRequest {
        collection: api.collection.clone(),
        parameters: Some(parameters),
        keep_active: true,
        ..Default::default()
    };
    let operation = api.clusterings().recluster(request).await.unwrap().into_inner().operation.unwrap();
    let done = api.wait(&operation.name).await.unwrap();
    let Some(Ended::Clustering(made)) = done.result else { panic!("{done:?}") };
    let mut clusters = BTreeSet::new();
    for cluster in api.clusters(made.clustering_id).await {
        clusters.insert(batch_members(api, made.clustering_id, Some(cluster.cluster_id)).await);
    }
    (clusters, batch_members(api, made.clustering_id, None).await)
}

/// Asserts that what is followed is what a batch run finds, once it is followed again after a start.
pub(crate) async fn check_live(api: &Api) {
    let request = proto::GetClusteringRequest { collection: api.collection.clone(), clustering_id: 0 };
    let Ok(active) = api.clusterings().get_clustering(request).await else { return };
    let active = active.into_inner().clustering.unwrap();
    if active.algorithm != "dbscan" || api.stats().await.images < 3 {
        return;
    }
    while api.stats().await.live_generation == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let stats = api.stats().await;
    assert_eq!(stats.live_generation, stats.generation);
    let live = live_partition(api).await;
    assert_eq!((stats.live_clusters as usize, stats.live_noise as usize), (live.0.len(), live.1.len()));
    assert_eq!(live, batch_partition(api, active.parameters.unwrap()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_adds_and_deletes_leave_what_a_batch_run_finds() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let daemon = TestDaemon::with(|config| config.clusterings_kept = 2).await;
    daemon.add_new(groups(1..7, 4)).await;
    daemon.recluster(dbscan(0.012)).await;
    let mut absent: Vec<(u64, u64)> =
        (1..9).flat_map(|group| (0..14).map(move |item| (group, item))).collect();
    let mut present: Vec<(u64, u64)> =
        (1..7).flat_map(|group| (0..4).map(move |item| (group, item))).collect();
    absent.retain(|one| !present.contains(one));
    for step in 0..40 {
        let adding = rng.random_bool(0.55);
        let (from, to) = if adding { (&mut absent, &mut present) } else { (&mut present, &mut absent) };
        let count = rng.random_range(1..12).min(from.len());
        let moved: Vec<_> = (0..count).map(|_| from.swap_remove(rng.random_range(0..from.len()))).collect();
        to.extend(&moved);
        if adding {
            let pictures: Vec<_> = moved
                .iter()
                .map(|&(group, item)| (format!("{group}/{item}"), picture(group, item)))
                .collect();
            let outcomes = daemon.add_all(pictures).await.unwrap();
            for outcome in outcomes.values() {
                let members = live_members(&daemon, outcome.cluster_id).await;
                // Others of its batch may have come after it and changed the clusters once more.
                assert!(count > 1 || members.contains(&outcome.image_id), "step {step}: {outcome:?}");
            }
        } else {
            let ids: Vec<String> = moved.iter().map(|&(group, item)| id_of(&picture(group, item))).collect();
            daemon.delete(ids_filter(&ids.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
        }
        check_live(&daemon).await;
    }
    let before = live_partition(&daemon).await;
    let daemon = daemon.restarted().await;
    check_live(&daemon).await;
    assert_eq!(live_partition(&daemon).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_keep_their_ids_and_what_happens_to_them_is_told() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..4, 6)).await;
    daemon.recluster(dbscan(0.1)).await;
    let ids = |answer: &proto::ListLiveClustersResponse| -> BTreeSet<u64> {
        answer.clusters.iter().map(|cluster| cluster.cluster_id).collect()
    };
    let first = live_clusters(&daemon).await.unwrap();
    let batch: BTreeSet<u64> = daemon.clusters(0).await.iter().map(|cluster| cluster.cluster_id).collect();
    assert_eq!((ids(&first), first.lineage.len()), (batch, 0), "the clusters of the clustering");
    let outcomes = daemon.add_all(groups([9], 5)).await.unwrap();
    let second = live_clusters(&daemon).await.unwrap();
    let new: Vec<u64> = ids(&second).difference(&ids(&first)).copied().collect();
    assert_eq!(new.len(), 1, "{second:?}");
    let told: Vec<_> = second.lineage.iter().map(|event| (event.cluster_id, event.change())).collect();
    assert_eq!(told, [(new[0], proto::LineageChange::Appeared)]);
    let last = outcomes.values().filter(|outcome| outcome.cluster_id == Some(new[0])).count();
    assert!(last >= 1, "the answer to an add says which cluster it is in: {outcomes:?}");
    assert_eq!(daemon.image(&id_of(&picture(9, 0))).await.unwrap().cluster_id, Some(new[0]));
    let listed = daemon.clusters(0).await.len();
    assert_eq!(listed, 3, "the clustering itself stays as it was made");
    let gone: Vec<String> = (0..4).map(|item| id_of(&picture(9, item))).collect();
    daemon.delete(ids_filter(&gone.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
    let third = live_clusters(&daemon).await.unwrap();
    assert_eq!((ids(&third), third.noise), (ids(&first), 1));
    let last = third.lineage.last().unwrap();
    assert_eq!((last.cluster_id, last.change()), (new[0], proto::LineageChange::Vanished));
    assert!(last.time.is_some() && last.generation == third.generation);
    // A cluster's id is never given out again.
    daemon.add_new(groups([11], 5)).await;
    let fourth = live_clusters(&daemon).await.unwrap();
    assert!(!ids(&fourth).contains(&new[0]) && ids(&fourth).len() == 4, "{fourth:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_active_clustering_by_dbscan_is_followed() {
    let daemon = TestDaemon::start().await;
    check_error(live_clusters(&daemon).await, Code::FailedPrecondition, "NOT_LIVE", "");
    let outcomes = daemon.add_all(groups(1..4, 5)).await.unwrap();
    assert!(outcomes.values().all(|outcome| outcome.cluster_id.is_none()));
    let dense = daemon.recluster(dbscan(0.1)).await;
    assert_eq!(daemon.stats().await.live_generation, 15);
    daemon.recluster(k_means(2)).await;
    check_error(live_clusters(&daemon).await, Code::FailedPrecondition, "NOT_LIVE", "");
    assert_eq!(daemon.stats().await.live_generation, 0);
    // What came while another was active is caught up with.
    daemon.add_new(groups([7], 5)).await;
    let request =
        proto::ActivateClusteringRequest { clustering_id: dense.clustering_id, ..Default::default() };
    daemon.clusterings().activate_clustering(request).await.unwrap();
    check_live(&daemon).await;
    let request = proto::ListLiveMembersRequest { cluster_id: Some(999), ..Default::default() };
    let unknown = daemon.clusterings().list_live_members(request).await;
    check_error(unknown, Code::NotFound, "NOT_FOUND", "");
    // A listing goes on with the generation that it began with, or not at all.
    let page = async |page_token| {
        let request = proto::ListLiveClustersRequest { page_size: 2, page_token, ..Default::default() };
        daemon.clusterings().list_live_clusters(request).await.map(tonic::Response::into_inner)
    };
    let first = page(String::new()).await.unwrap();
    assert_eq!(page(first.next_page_token.clone()).await.unwrap().clusters.len(), 2);
    daemon.add_new(groups([8], 1)).await;
    check_error(page(first.next_page_token).await, Code::FailedPrecondition, "GENERATION_MISMATCH", "");
    // Nor with another clustering of the same generation.
    let dense = daemon.recluster(dbscan(0.1)).await;
    let first = page(String::new()).await.unwrap();
    assert!(!first.next_page_token.is_empty());
    assert_ne!(daemon.recluster(dbscan(0.1)).await.clustering_id, dense.clustering_id);
    check_error(page(first.next_page_token).await, Code::FailedPrecondition, "GENERATION_MISMATCH", "");
}

/// Rows of deleted images are dropped once they are most of all.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_rows_change_nothing() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..261, 4)).await;
    daemon.recluster(dbscan(0.02)).await;
    let gone: Vec<String> =
        (1..200).flat_map(|group| (0..4).map(move |item| id_of(&picture(group, item)))).collect();
    daemon.delete(ids_filter(&gone.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
    check_live(&daemon).await;
    daemon
        .add_new(
            groups(250..270, 6).into_iter().filter(|(key, _)| !key.ends_with(['0', '1', '2', '3'])).collect(),
        )
        .await;
    check_live(&daemon).await;
}
