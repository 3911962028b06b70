//! Request ids: a retry of any mutation gets the first answer and does nothing twice, also across a restart.

use std::pin::Pin;

use culld::proto;
use culld::proto::Side;
use culld::proto::set_verdict_request::Target;
use tonic::{Code, Status};

use crate::support::{Api, TestDaemon, check_error, groups, id_of, ids_filter, k_means, new_image, picture};

const ID: &str = "a request of ours";

/// Asks with [`ID`], one request or another; answers what the daemon says, as text.
type Mutation = fn(Api, bool) -> Pin<Box<dyn Future<Output = Result<String, Status>> + Send>>;

fn said<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, Status>) -> Result<String, Status> {
    answer.map(|answer| format!("{:?}", answer.into_inner()))
}

fn operation(operation: Option<proto::Operation>) -> String {
    operation.unwrap().name
}

const MUTATIONS: [(&str, Mutation); 9] = [
    ("AddImage", |api, other| {
        Box::pin(async move {
            let image = Some(new_image("retried", picture(9, other.into())));
            let request = proto::AddImageRequest { image, request_id: ID.into(), ..Default::default() };
            let outcome = api.images().add_image(request).await?.into_inner().outcome.unwrap();
            // Its decision is the one of the moment.
            Ok(format!("{:?}", proto::AddOutcome { decision: None, ..outcome }))
        })
    }),
    ("SetVerdict", |api, other| {
        Box::pin(async move {
            let target = proto::ImagesTarget { image_ids: vec![id_of(&picture(1, 0))] };
            let request = proto::SetVerdictRequest {
                side: if other { Side::Keep } else { Side::Discard }.into(),
                target: Some(Target::Images(target)),
                request_id: ID.into(),
                ..Default::default()
            };
            said(api.decisions().set_verdict(request).await)
        })
    }),
    ("SetPolicy", |api, other| {
        Box::pin(async move {
            let margin = if other { 0.2 } else { 0.1 };
            let policy = Some(proto::Policy { standing_margin: Some(margin), ..Default::default() });
            let request = proto::SetPolicyRequest { policy, request_id: ID.into(), ..Default::default() };
            said(api.collections().set_policy(request).await)
        })
    }),
    ("Recluster", |api, other| {
        Box::pin(async move {
            let parameters = Some(proto::Parameters { algorithm: Some(k_means(2)) });
            let (seed, request_id) = (other.into(), ID.into());
            let request = proto::ReclusterRequest { parameters, seed, request_id, ..Default::default() };
            let started = operation(api.clusterings().recluster(request).await?.into_inner().operation);
            api.wait(&started).await?;
            Ok(started)
        })
    }),
    ("ActivateClustering", |api, other| {
        Box::pin(async move {
            let (clustering_id, request_id) = (1 + u64::from(other), ID.into());
            let request =
                proto::ActivateClusteringRequest { clustering_id, request_id, ..Default::default() };
            said(api.clusterings().activate_clustering(request).await)
        })
    }),
    ("DeleteImages", |api, other| {
        Box::pin(async move {
            let filter = Some(ids_filter(&[&id_of(&picture(2, other.into()))]));
            let request = proto::DeleteImagesRequest { filter, request_id: ID.into(), ..Default::default() };
            said(api.images().delete_images(request).await)
        })
    }),
    ("ImportSources", |api, other| {
        Box::pin(async move {
            let request = proto::GetServerInfoRequest {};
            let root = api.admin().get_server_info(request).await?.into_inner().allowed_roots.remove(0);
            let tags = vec![other.to_string()];
            let (paths, request_id) = (vec![root], ID.into());
            let request = proto::ImportSourcesRequest { paths, tags, request_id, ..Default::default() };
            let started = operation(api.images().import_sources(request).await?.into_inner().operation);
            api.wait(&started).await?;
            Ok(started)
        })
    }),
    ("CreateCollection", |api, _| {
        Box::pin(async move {
            let request = proto::CreateCollectionRequest { collection: "new".into(), request_id: ID.into() };
            said(api.collections().create_collection(request).await)
        })
    }),
    ("DeleteCollection", |api, other| {
        Box::pin(async move {
            let collection = if other { "default" } else { "old" }.into();
            let request = proto::DeleteCollectionRequest { collection, request_id: ID.into() };
            said(api.collections().delete_collection(request).await)
        })
    }),
];

async fn events(api: &Api) -> (u64, u64, u64, usize) {
    let stats = api.stats().await;
    let collections = api.collections().list_collections(proto::ListCollectionsRequest::default()).await;
    (stats.events, stats.generation, stats.sources, collections.unwrap().into_inner().collections.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_gets_the_first_answer() {
    let mut daemon = TestDaemon::with(|config| {
        let root = config.data.parent().unwrap().join("pictures");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("one.png"), picture(8, 0)).unwrap();
        config.allowed_roots = vec![std::fs::canonicalize(root).unwrap()];
    })
    .await;
    daemon.add_new(groups(1..4, 3)).await;
    daemon.recluster(k_means(2)).await;
    daemon.recluster(k_means(3)).await;
    daemon.create("old").await.add_new(groups(1..2, 2)).await;
    let mut answers = Vec::new();
    for (name, mutate) in MUTATIONS {
        let first = mutate(daemon.at(""), false).await.unwrap();
        let before = events(&daemon).await;
        assert_eq!(mutate(daemon.at(""), false).await.unwrap(), first, "{name}");
        if name != "CreateCollection" {
            let other = mutate(daemon.at(""), true).await;
            check_error(other, Code::InvalidArgument, "INVALID_FIELD", "request_id");
        }
        assert_eq!(events(&daemon).await, before, "{name} happened twice");
        answers.push(first);
    }
    daemon = daemon.restarted().await;
    let before = events(&daemon).await;
    for ((name, mutate), first) in MUTATIONS.into_iter().zip(&answers) {
        assert_eq!(&mutate(daemon.at(""), false).await.unwrap(), first, "{name} after a restart");
    }
    assert_eq!(events(&daemon).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_at_the_same_time_get_one_answer() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..4, 3)).await;
    for (name, mutate) in &MUTATIONS[..4] {
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..16 {
            callers.spawn(mutate(daemon.at(""), false));
        }
        let mut answers = callers.join_all().await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
        answers.dedup();
        assert_eq!(answers.len(), 1, "{name}: {answers:?}");
    }
    let stats = daemon.stats().await;
    assert_eq!((stats.images, stats.sources, stats.bulk_verdicts, stats.clusterings), (10, 10, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_making_a_collection_is_answered_once_it_is_gone() {
    let daemon = TestDaemon::start().await;
    let (_, create) = MUTATIONS[7];
    let first = create(daemon.at(""), false).await.unwrap();
    daemon.at("new").add_new(groups(1..2, 1)).await;
    assert_eq!(create(daemon.at(""), false).await.unwrap(), first, "with an image in it");
    let request = proto::DeleteCollectionRequest { collection: "new".into(), ..Default::default() };
    daemon.collections().delete_collection(request).await.unwrap();
    assert_eq!(create(daemon.at(""), false).await.unwrap(), first, "once it is gone");
    let listed = daemon.collections().list_collections(proto::ListCollectionsRequest::default()).await;
    assert_eq!(listed.unwrap().into_inner().collections.len(), 1, "nothing is made by a retry");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_answered_whatever_became_of_the_data() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 2)).await;
    let (_, recluster) = MUTATIONS[3];
    let first = recluster(daemon.at(""), false).await.unwrap();
    daemon.delete(proto::ImageFilter { source_prefix: "1/".into(), ..Default::default() }).await.unwrap();
    daemon.delete(proto::ImageFilter { source_prefix: "2/".into(), ..Default::default() }).await.unwrap();
    assert_eq!(recluster(daemon.at(""), false).await.unwrap(), first);
}
