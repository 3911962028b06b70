//! Collections that are clustered anew as their policy says.

use culld::proto;
use tonic::Code;

use crate::support::{Api, TestDaemon, check_error, dbscan, groups, k_means};

async fn set(api: &Api, policy: proto::Policy) -> Result<proto::Policy, tonic::Status> {
    let request = proto::SetPolicyRequest {
        collection: api.collection.clone(),
        policy: Some(policy),
        ..Default::default()
    };
    Ok(api.collections().set_policy(request).await?.into_inner().policy.unwrap())
}

/// The clustering that becomes active after this one.
async fn next_active(api: &Api, before: u64) -> proto::Clustering {
    while api.stats().await.active_clustering_id == before {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let request = proto::GetClusteringRequest { collection: api.collection.clone(), clustering_id: 0 };
    api.clusterings().get_clustering(request).await.unwrap().into_inner().clustering.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_and_noise_cluster_anew_with_what_was_asked_for() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..4, 4)).await;
    let first = daemon.recluster(k_means(3)).await;
    let policy = set(&daemon, proto::Policy { recluster_growth: Some(0.5), ..Default::default() });
    assert_eq!(policy.await.unwrap().recluster_growth, Some(0.5));
    daemon.add_new(groups(5..7, 4)).await;
    let second = next_active(&daemon, first.clustering_id).await;
    assert_eq!((second.requested, second.images, second.active), (first.requested, 20, true));
    assert_eq!(second.clustering_id, first.clustering_id + 1, "once is enough");
    let other = daemon.create("other").await;
    set(&other, proto::Policy { recluster_noise: Some(0.3), ..Default::default() }).await.unwrap();
    other.add_new(groups(1..3, 5)).await;
    let dense = other.recluster(dbscan(0.1)).await;
    assert_eq!(dense.noise, 0);
    // Six strangers of sixteen images are in no cluster.
    other.add_new(groups(20..26, 1)).await;
    let again = next_active(&other, dense.clustering_id).await;
    assert_eq!((again.images, again.noise), (16, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_makes_no_sense_is_refused() {
    let daemon = TestDaemon::start().await;
    let refused = [
        ("policy.recluster_growth", proto::Policy { recluster_growth: Some(-1.0), ..Default::default() }),
        ("policy.recluster_noise", proto::Policy { recluster_noise: Some(1.5), ..Default::default() }),
        ("policy.recluster_hours", proto::Policy { recluster_hours: Some(f64::NAN), ..Default::default() }),
    ];
    for (field, policy) in refused {
        check_error(set(&daemon, policy).await, Code::InvalidArgument, "INVALID_FIELD", field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_clustered_anew_while_somebody_looks_at_an_item() {
    let daemon = TestDaemon::start().await;
    let growth = || proto::Policy { recluster_growth: Some(0.5), ..Default::default() };
    // Looked at in this order.
    let (busy, idle) = (daemon.create("a").await, daemon.create("b").await);
    let mut before = Vec::new();
    for api in [&busy, &idle] {
        api.add_new(groups(1..4, 4)).await;
        before.push(api.recluster(k_means(3)).await.clustering_id);
    }
    let item = busy.next_item().await;
    for api in [&busy, &idle] {
        api.add_new(groups(5..7, 4)).await;
        set(api, growth()).await.unwrap();
    }
    next_active(&idle, before[1]).await;
    assert_eq!(busy.stats().await.active_clustering_id, before[0], "it was passed over");
    busy.answer(&item, proto::ReviewAnswer::Keep, &[]).await.unwrap();
    next_active(&busy, before[0]).await;
}
