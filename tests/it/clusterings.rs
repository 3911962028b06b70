//! Clusterings over the wire: every algorithm, activation, pruning, pages, and the operations that make them.

use std::collections::BTreeSet;
use std::time::Duration;

use culld::config::IndexSetting;
use culld::proto;
use culld::proto::operation::Result as Ended;
use culld::proto::parameters::Algorithm;
use tonic::Code;

use crate::support::{
    Api, TestDaemon, check_error, dbscan, groups, id_of, ids_filter, k_means, long_work, picture,
};

fn optics() -> Algorithm {
    let extraction = Some(proto::optics_parameters::Extraction::Eps(0.125));
    Algorithm::Optics(proto::OpticsParameters { min_points: Some(3), extraction, ..Default::default() })
}

/// Every algorithm, told as little as finds four groups of eight, in numbers that f32 holds exactly.
fn algorithms() -> [(&'static str, Algorithm); 6] {
    let medoids = proto::KMedoidsParameters { k: Some(4) };
    let birch = proto::BirchParameters { k: Some(4), ..Default::default() };
    let hdbscan = proto::HdbscanParameters { min_cluster_size: Some(5), ..Default::default() };
    [
        ("k-means", k_means(4)),
        ("k-medoids", Algorithm::KMedoids(medoids)),
        ("dbscan", dbscan(0.1)),
        ("optics", optics()),
        ("birch", Algorithm::Birch(birch)),
        ("hdbscan", Algorithm::Hdbscan(hdbscan)),
    ]
}

async fn four_groups() -> TestDaemon {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..5, 8)).await;
    daemon
}

async fn check_groups(api: &Api) {
    let clusters = api.clusters(0).await;
    let mut seen = BTreeSet::new();
    for cluster in &clusters {
        let members: BTreeSet<_> = api.members(Some(cluster.cluster_id)).await.into_iter().collect();
        assert_eq!(members.len() as u64, cluster.size);
        let group = (1..5).find(|&group| members.contains(&id_of(&picture(group, 0)))).unwrap();
        assert_eq!(members, groups([group], 8).iter().map(|(_, bytes)| id_of(bytes)).collect(), "{group}");
        assert!(members.contains(&cluster.medoid_image_id));
        assert_eq!(cluster.sample_image_ids[0], cluster.medoid_image_id, "the medoid comes first");
        assert!(cluster.sample_image_ids.iter().all(|sample| members.contains(sample)));
        assert!(cluster.radius > 0.0 && cluster.radius < 0.1, "{cluster:?}");
        seen.insert(group);
    }
    assert_eq!((clusters.len(), seen.len()), (4, 4));
    assert!(api.members(None).await.is_empty(), "no noise");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_finds_the_groups() {
    let daemon = four_groups().await;
    let mut ids = BTreeSet::new();
    for (name, algorithm) in algorithms() {
        let made = daemon.recluster(algorithm).await;
        assert_eq!((made.algorithm.as_str(), made.clusters, made.noise, made.active), (name, 4, 0, true));
        assert_eq!(made.requested.unwrap().algorithm, Some(algorithm), "what was asked for is told");
        check_groups(&daemon).await;
        ids.extend(daemon.clusters(0).await.iter().map(|cluster| cluster.cluster_id));
        let request = proto::GetClusteringRequest { clustering_id: made.clustering_id, ..Default::default() };
        let full =
            daemon.clusterings().get_clustering(request).await.unwrap().into_inner().clustering.unwrap();
        assert!(full.k_distances.is_sorted(), "{name}");
        assert_eq!((full.images, full.generation, full.approximate), (32, 32, false));
    }
    assert_eq!(ids.len(), 4, "the same groups keep their ids, whoever finds them: {ids:?}");
    let auto = daemon.recluster(Algorithm::Auto(proto::AutoParameters {})).await;
    assert_eq!(auto.clusters, 4, "{auto:?}");
    assert!(!auto.explanation.is_empty());
    let chosen = auto.parameters.unwrap().algorithm.unwrap();
    assert!(!matches!(chosen, Algorithm::Auto(_)), "what was chosen is told: {chosen:?}");
    check_groups(&daemon).await;
}

/// Algorithms told to find what is not there, so that their answers hang on every tie and draw.
fn unsettled() -> Vec<Algorithm> {
    let medoids = proto::KMedoidsParameters { k: Some(5) };
    let birch = proto::BirchParameters { k: Some(5), threshold: Some(0.1), branching: Some(3) };
    let hdbscan = proto::HdbscanParameters { min_cluster_size: Some(3), ..Default::default() };
    let unsettled = [k_means(5), k_means(11), Algorithm::KMedoids(medoids), Algorithm::Birch(birch)];
    let density = [dbscan(0.02), optics(), Algorithm::Hdbscan(hdbscan)];
    let auto = Algorithm::Auto(proto::AutoParameters {});
    unsettled.into_iter().chain(density).chain([auto]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_arrival_changes_no_cluster() {
    let mut found = Vec::new();
    for (workers, backwards) in [(1, false), (4, false), (1, true)] {
        let daemon = TestDaemon::with(|config| config.workers = workers).await;
        let mut pictures = groups(1..9, 6);
        if backwards {
            pictures.reverse();
        }
        daemon.add_new(pictures).await;
        let mut all = Vec::new();
        for algorithm in unsettled() {
            daemon.recluster(algorithm).await;
            let mut clusters = BTreeSet::new();
            for cluster in daemon.clusters(0).await {
                let mut members = daemon.members(Some(cluster.cluster_id)).await;
                members.sort();
                clusters.insert((members, cluster.medoid_image_id, cluster.radius.to_bits()));
            }
            all.push(clusters);
        }
        found.push(all);
    }
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0], found[2]);
}

/// The graph is searched by threads that cluster while others change it.
#[tokio::test(flavor = "multi_thread")]
async fn images_are_added_while_the_graph_proposes_neighbours() {
    let daemon = TestDaemon::with_hnsw().await;
    daemon.add_new(groups(1..100, 4)).await;
    for round in 0..8 {
        let hdbscan = proto::HdbscanParameters { min_cluster_size: Some(3), ..Default::default() };
        let algorithm = Some(proto::parameters::Algorithm::Hdbscan(hdbscan));
        let parameters = proto::Parameters { algorithm };
        let operation = daemon.start_recluster(Some(parameters)).await.unwrap();
        daemon.add_new(groups(200 + 10 * round..210 + 10 * round, 3)).await;
        let done = daemon.wait(&operation.name).await.unwrap();
        assert!(matches!(&done.result, Some(Ended::Clustering(made)) if made.approximate), "{done:?}");
    }
}

/// A graph of many images is built while an exact index answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_graph_of_many_images_is_built_behind() {
    let daemon = TestDaemon::start().await;
    let images = culld::index::BUILT_NOW_ROWS_MAX as u64 + 40;
    daemon.add_new(groups(1..=images / 4, 4)).await;
    let daemon = daemon.restarted_with(|config| config.index = IndexSetting::Hnsw).await;
    let found = async |image_id: String| {
        let query = Some(proto::find_neighbours_request::Query::ImageId(image_id));
        let request = proto::FindNeighboursRequest { query, k: 3, ..Default::default() };
        daemon.images().find_neighbours(request).await.unwrap().into_inner().neighbours
    };
    let exact = found(id_of(&picture(3, 1))).await;
    let gone = id_of(&picture(5, 2));
    daemon.delete(ids_filter(&[&gone])).await.unwrap();
    daemon.add_new(groups([5000], 4)).await;
    while daemon.stats().await.index != "hnsw" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(found(id_of(&picture(3, 1))).await, exact);
    let late = found(id_of(&picture(5000, 1))).await;
    assert!(late.iter().all(|near| near.distance < 0.1), "what came meanwhile is found: {late:?}");
    assert!(found(id_of(&picture(5, 1))).await.iter().all(|near| near.image_id != gone));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clustering_is_activated() {
    let daemon = four_groups().await;
    let first = daemon.recluster(dbscan(0.1)).await;
    let request = proto::ReclusterRequest {
        parameters: Some(proto::Parameters { algorithm: Some(k_means(2)) }),
        keep_active: true,
        actor: "ann".into(),
        ..Default::default()
    };
    let operation = daemon.clusterings().recluster(request).await.unwrap().into_inner().operation.unwrap();
    let Some(Ended::Clustering(second)) = daemon.wait(&operation.name).await.unwrap().result else {
        panic!("no clustering")
    };
    assert!(!second.active);
    assert_eq!(daemon.stats().await.active_clustering_id, first.clustering_id);
    assert_eq!(daemon.clusters(second.clustering_id).await.len(), 2);
    let activate = async |clustering_id| {
        let request = proto::ActivateClusteringRequest { clustering_id, ..Default::default() };
        let made = daemon.clusterings().activate_clustering(request).await?;
        Ok(made.into_inner().clustering.unwrap().active)
    };
    assert_eq!(activate(second.clustering_id).await.map_err(|_: tonic::Status| ()), Ok(true));
    assert_eq!(daemon.clusters(0).await.len(), 2);
    assert_eq!(activate(first.clustering_id).await.map_err(|_| ()), Ok(true));
    check_groups(&daemon).await;
    check_error(activate(99).await, Code::NotFound, "NOT_FOUND", "");
    let request = proto::ListClusteringsRequest::default();
    let listed = daemon.clusterings().list_clusterings(request).await.unwrap().into_inner().clusterings;
    let listed: Vec<_> = listed.iter().map(|one| (one.clustering_id, one.active)).collect();
    assert_eq!(listed, [(second.clustering_id, false), (first.clustering_id, true)], "newest first");
    let daemon = daemon.restarted().await;
    check_groups(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_clusterings_are_pruned_but_never_the_active_one() {
    let daemon = TestDaemon::with(|config| config.clusterings_kept = 2).await;
    daemon.add_new(groups(1..5, 4)).await;
    let active = daemon.recluster(k_means(4)).await.clustering_id;
    for k in 1..5 {
        let request = proto::ReclusterRequest {
            parameters: Some(proto::Parameters { algorithm: Some(k_means(k)) }),
            keep_active: true,
            ..Default::default()
        };
        let operation =
            daemon.clusterings().recluster(request).await.unwrap().into_inner().operation.unwrap();
        daemon.wait(&operation.name).await.unwrap();
    }
    let request = proto::ListClusteringsRequest::default();
    let kept = daemon.clusterings().list_clusterings(request).await.unwrap().into_inner().clusterings;
    let kept: Vec<_> = kept.iter().map(|one| one.clustering_id).collect();
    assert_eq!(kept, [active + 4, active + 3, active]);
    let request = proto::GetClusteringRequest { clustering_id: active + 1, ..Default::default() };
    let pruned = daemon.clusterings().get_clustering(request).await;
    check_error(pruned, Code::FailedPrecondition, "CLUSTERING_PRUNED", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_plots_come_in_pages() {
    let daemon = four_groups().await;
    daemon.recluster(optics()).await;
    let cluster = daemon.clusters(0).await.remove(0).cluster_id;
    let page = async |page_token, page_size| {
        let request = proto::ListMembersRequest {
            cluster_id: Some(cluster),
            page_size,
            page_token,
            ..Default::default()
        };
        daemon.clusterings().list_members(request).await.unwrap().into_inner()
    };
    let first = page(String::new(), 5).await;
    // The listing goes on with the clustering that it began with.
    daemon.recluster(k_means(1)).await;
    let second = page(first.next_page_token.clone(), 5).await;
    assert_eq!((first.members.len(), second.members.len(), second.next_page_token.as_str()), (5, 3, ""));
    let distances: Vec<_> = first.members.iter().chain(&second.members).map(|one| one.distance).collect();
    assert!(distances.is_sorted() && distances[0] == 0.0, "nearest to the medoid first: {distances:?}");
    let plot = async |clustering_id, page_token, page_size| {
        let request =
            proto::GetReachabilityRequest { clustering_id, page_token, page_size, ..Default::default() };
        daemon.clusterings().get_reachability(request).await.map(tonic::Response::into_inner)
    };
    let whole = plot(1, String::new(), 0).await.unwrap();
    let (mut points, mut token) = (Vec::new(), String::new());
    loop {
        let page = plot(1, token, 7).await.unwrap();
        points.extend(page.points);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((whole.points.len(), &whole.points), (32, &points));
    assert!(points[0].reachability.is_none(), "a component's start is undefined");
    let jumps =
        points.iter().filter(|point| point.reachability.is_none_or(|distance| distance > 0.1)).count();
    assert_eq!(jumps, 4, "one bar per group stands out");
    let images: BTreeSet<_> = points.iter().map(|point| &point.image_id).collect();
    assert_eq!(images.len(), 32);
    check_error(plot(0, String::new(), 0).await, Code::FailedPrecondition, "NO_REACHABILITY", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_images_are_members_of_nothing() {
    let daemon = four_groups().await;
    daemon.recluster(dbscan(0.1)).await;
    let gone = id_of(&picture(2, 3));
    let cluster = daemon.cluster_of(&gone).await;
    daemon.delete(ids_filter(&[&gone])).await.unwrap();
    let members = daemon.members(cluster).await;
    assert_eq!((members.len(), members.contains(&gone)), (7, false));
    let labelled = daemon.judge_cluster(proto::Side::Keep, cluster, &[]).await.unwrap().labelled;
    assert_eq!(labelled, 7);
}

/// A daemon with long work under way.
async fn busy() -> (TestDaemon, String) {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..301, 4)).await;
    let operation = daemon.start_recluster(Some(long_work())).await.unwrap();
    assert!(!operation.done);
    (daemon, operation.name)
}

async fn cancel(api: &Api, name: &str) {
    let request = proto::CancelOperationRequest { name: name.to_owned() };
    api.admin().cancel_operation(request).await.unwrap();
}

#[track_caller]
fn check_failed(operation: &proto::Operation, code: Code, reason: &str) {
    let Some(Ended::Error(error)) = &operation.result else { panic!("{operation:?}") };
    assert_eq!((error.code, error.reason.as_str()), (i32::from(code), reason), "{error:?}");
    assert!(operation.done && operation.end_time.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_recluster_runs_at_a_time_and_can_be_cancelled() {
    let (daemon, name) = busy().await;
    let second = daemon.start_recluster(None).await;
    check_error(second, Code::FailedPrecondition, "OPERATION_RUNNING", "");
    // Another collection is another world.
    let other = daemon.create("other").await;
    other.add_new(groups(1..3, 3)).await;
    assert_eq!(other.recluster(dbscan(0.1)).await.clusters, 2);
    // The daemon works on while it clusters.
    daemon.add_new(groups(400..401, 1)).await;
    cancel(&daemon, &name).await;
    check_failed(&daemon.wait(&name).await.unwrap(), Code::Cancelled, "CANCELLED");
    cancel(&daemon, &name).await;
    assert_eq!(daemon.stats().await.active_clustering_id, 0, "nothing of it is seen");
    assert_eq!(daemon.recluster(k_means(3)).await.clusters, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_listed_and_watched() {
    let (daemon, name) = busy().await;
    let request = proto::WatchOperationRequest { name: name.clone() };
    let mut watch = daemon.admin().watch_operation(request).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap().operation.unwrap();
    assert_eq!((first.name.as_str(), first.method.as_str(), first.done), (name.as_str(), "Recluster", false));
    cancel(&daemon, &name).await;
    let mut last = first;
    while let Some(look) = watch.message().await.unwrap() {
        assert!(!last.done, "the stream ends with the operation");
        last = look.operation.unwrap();
    }
    check_failed(&last, Code::Cancelled, "CANCELLED");
    let other = daemon.create("other").await;
    other.add_new(groups(1..3, 2)).await;
    for k in [1, 2] {
        other.recluster(k_means(k)).await;
    }
    let list = async |collection: &str, page_size, page_token| {
        let request =
            proto::ListOperationsRequest { collection: collection.to_owned(), page_size, page_token };
        let page = daemon.admin().list_operations(request).await.unwrap().into_inner();
        (page.operations.into_iter().map(|one| one.name).collect::<Vec<_>>(), page.next_page_token)
    };
    let newest_first = ["operations/3", "operations/2", "operations/1"];
    assert_eq!(list("", 0, String::new()).await.0, newest_first);
    assert_eq!(list("other", 0, String::new()).await.0, newest_first[..2]);
    let (page, token) = list("", 2, String::new()).await;
    assert_eq!(
        (page.as_slice(), list("", 2, token).await.0.as_slice()),
        (
            newest_first[..2].iter().map(ToString::to_string).collect::<Vec<_>>().as_slice(),
            ["operations/1".to_owned()].as_slice()
        )
    );
    let daemon = daemon.restarted().await;
    let request = proto::GetOperationRequest { name: "operations/3".into() };
    let kept = daemon.admin().get_operation(request).await.unwrap().into_inner().operation.unwrap();
    assert!(matches!(kept.result, Some(Ended::Clustering(_))), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_before_the_call_takes_too_long() {
    let (daemon, name) = busy().await;
    // Long enough for any other call here, and shorter than the work.
    let daemon = daemon.restarted_with(|config| config.request_time_max = Duration::from_secs(2)).await;
    check_failed(&daemon.wait(&name).await.unwrap(), Code::Cancelled, "CANCELLED");
    let name = daemon.start_recluster(Some(long_work())).await.unwrap().name;
    let timeout = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let request = proto::WaitOperationRequest { name: name.clone(), timeout };
    let operation = daemon.admin().wait_operation(request).await.unwrap().into_inner().operation.unwrap();
    assert!(!operation.done);
    cancel(&daemon, &name).await;
    daemon.wait(&name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_when_it_is_over() {
    let (daemon, name) = busy().await;
    let timeout = Some(prost_types::Duration { seconds: 0, nanos: 1 });
    let request = proto::WaitOperationRequest { name: name.clone(), timeout };
    let operation = daemon.admin().wait_operation(request).await.unwrap().into_inner().operation.unwrap();
    assert!(!operation.done);
    let timeout = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let request = proto::WaitOperationRequest { name: name.clone(), timeout };
    let refused = daemon.admin().wait_operation(request).await;
    check_error(refused, Code::InvalidArgument, "INVALID_FIELD", "timeout");
    // A stop in order cancels it, and says so after the restart.
    let daemon = daemon.restarted().await;
    check_failed(&daemon.wait(&name).await.unwrap(), Code::Cancelled, "CANCELLED");
}
