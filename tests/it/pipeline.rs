//! Images on their way in and out over the wire: adding, listing, neighbours, deleting. Every test runs over the exact
//! index and over the graph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use culld::config::ModelSetting;
use culld::proto;
use culld::proto::find_neighbours_request::Query;
use culld::proto::{AddCause, AddStatus, DecisionReason, Side};
use culld::types::cosine_distance;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::decode::{jpeg, scene};
use crate::support::{
    Api, TestDaemon, check_error, dbscan, groups, header, id_of, ids_filter, image_message, new_image,
    picture, png,
};

macro_rules! over_both_indexes {
    ($($name:ident),+ $(,)?) => {
        mod flat {
            use crate::support::TestDaemon;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(TestDaemon::start().await).await;
            })+
        }
        mod hnsw {
            use crate::support::TestDaemon;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(TestDaemon::with_hnsw().await).await;
            })+
        }
    };
}

over_both_indexes! {
    an_image_is_its_bytes,
    concurrent_adds_of_one_image_add_it_once,
    deleting_takes_sources_and_the_image_with_its_last,
    a_listing_shows_one_generation,
    thumbnails_are_small_pictures,
    neighbours_are_the_nearest,
    decisions_follow_whatever_the_index,
    a_reader_that_stops_stops_the_daemon_for_itself_only,
    an_abandoned_stream_loses_nothing_acknowledged,
    a_deleted_collection_takes_nothing_more,
}

fn source_keys(image: &proto::Image) -> Vec<&str> {
    image.sources.iter().map(|source| source.key.as_str()).collect()
}

async fn an_image_is_its_bytes(daemon: TestDaemon) {
    let bytes = png(&scene(40, 20, 3));
    let first = daemon.add("a", bytes.clone()).await.unwrap();
    assert_eq!(
        (first.status(), first.cause(), first.image_id.clone()),
        (AddStatus::Added, AddCause::Unspecified, id_of(&bytes))
    );
    assert_eq!(first.decision.unwrap().reason(), DecisionReason::NothingJudged);
    let second = daemon.add("b", bytes.clone()).await.unwrap();
    assert_eq!((second.status(), second.image_id), (AddStatus::AlreadyPresent, id_of(&bytes)));
    daemon.add("a", bytes.clone()).await.unwrap();
    let anonymous = daemon.add("", bytes.clone()).await.unwrap();
    assert_eq!((anonymous.status(), anonymous.key.as_str()), (AddStatus::AlreadyPresent, ""));
    let image = daemon.image(&id_of(&bytes)).await.unwrap();
    assert_eq!(source_keys(&image), ["b", "a", &id_of(&bytes)], "last seen last, one per key");
    assert_eq!((image.width_px, image.height_px, image.format.as_str()), (40, 20, "png"));
    assert_eq!(image.size_bytes, bytes.len() as u64);
    let norm: f64 = image.embedding.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    assert!((norm - 1.0).abs() < 1e-6, "{norm}");
    let stats = daemon.stats().await;
    assert_eq!((stats.images, stats.sources, stats.generation), (1, 3, 1));
    check_tags(&daemon).await;
}

/// The stream's tags and the image's own, and the caller's time and URI.
async fn check_tags(api: &Api) {
    let mut first = header("");
    let image = proto::NewImage {
        uri: "s3://bucket/c".into(),
        modify_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 }),
        tags: vec!["own".into()],
        ..new_image("c", picture(1, 0))
    };
    if let Some(proto::add_images_request::Message::Header(header)) = &mut first.message {
        header.tags = vec!["stream".into()];
    }
    let message =
        proto::AddImagesRequest { message: Some(proto::add_images_request::Message::Image(image.clone())) };
    let messages = tokio_stream::iter(vec![first, message]);
    let mut stream = api.images().add_images(messages).await.unwrap().into_inner();
    while stream.message().await.unwrap().is_some() {}
    let source = api.image(&id_of(&picture(1, 0))).await.unwrap().sources.remove(0);
    assert_eq!(source.tags, ["stream", "own"]);
    assert_eq!((source.uri, source.modify_time), (image.uri, image.modify_time));
}

async fn concurrent_adds_of_one_image_add_it_once(daemon: TestDaemon) {
    const CALLERS: usize = 24;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let api = daemon.at("");
        // Half of them by streams, three images each.
        callers.spawn(async move {
            if caller % 2 == 0 {
                vec![api.add(&format!("{caller}/0"), picture(1, 0)).await.unwrap()]
            } else {
                let images = (0..3).map(|item| (format!("{caller}/{item}"), picture(1, item))).collect();
                api.add_all(images).await.unwrap().into_values().collect()
            }
        });
    }
    let outcomes: Vec<proto::AddOutcome> = callers.join_all().await.into_iter().flatten().collect();
    for item in 0..3 {
        let of_item: Vec<_> =
            outcomes.iter().filter(|one| one.image_id == id_of(&picture(1, item))).collect();
        let added = of_item.iter().filter(|one| one.status() == AddStatus::Added).count();
        let present = of_item.iter().filter(|one| one.status() == AddStatus::AlreadyPresent).count();
        assert_eq!((added, added + present), (1, of_item.len()), "{of_item:?}");
    }
    let (stats, image) = (daemon.stats().await, daemon.image(&id_of(&picture(1, 0))).await.unwrap());
    assert_eq!((stats.images, stats.sources, image.sources.len()), (3, 48, CALLERS));
}

async fn deleting_takes_sources_and_the_image_with_its_last(daemon: TestDaemon) {
    let shared = id_of(&picture(1, 0));
    let images = [("x/1", 0), ("y/1", 0), ("x/2", 1), ("x/3", 2)];
    daemon.add_all(images.map(|(key, item)| (key.to_owned(), picture(1, item))).into()).await.unwrap();
    daemon.add_new(groups(5..7, 2)).await;
    let under_x = || proto::ImageFilter { source_prefix: "x/".into(), ..Default::default() };
    let request =
        proto::DeleteImagesRequest { filter: Some(under_x()), validate_only: true, ..Default::default() };
    let planned = daemon.images().delete_images(request).await.unwrap().into_inner();
    assert_eq!((planned.images, planned.sources), (2, 3));
    assert_eq!(daemon.stats().await.sources, 8, "validate_only only counts");
    assert_eq!(daemon.delete(under_x()).await.unwrap(), planned);
    assert_eq!(source_keys(&daemon.image(&shared).await.unwrap()), ["y/1"]);
    for item in [1, 2] {
        check_error(daemon.image(&id_of(&picture(1, item))).await, Code::NotFound, "NOT_FOUND", "");
    }
    let stats = daemon.stats().await;
    assert_eq!((stats.images, stats.sources), (5, 5));
    daemon.delete(ids_filter(&[&shared])).await.unwrap();
    check_error(daemon.image(&shared).await, Code::NotFound, "NOT_FOUND", "");
    let again = daemon.delete(ids_filter(&[&shared])).await.unwrap();
    assert_eq!((again.images, again.sources), (0, 0));
    let near = neighbours(&daemon, Query::ImageId(id_of(&picture(5, 0))), 10, false).await;
    assert_eq!(near.neighbours.len(), 3, "deleted images are nobody's neighbours");
    let daemon = daemon.restarted().await;
    let ids: BTreeSet<_> = daemon.list().await.into_iter().map(|image| image.image_id).collect();
    let expected: BTreeSet<_> = groups(5..7, 2).iter().map(|(_, bytes)| id_of(bytes)).collect();
    assert_eq!(ids, expected);
    assert_eq!(daemon.add("again", picture(1, 0)).await.unwrap().status(), AddStatus::Added);
}

async fn a_listing_shows_one_generation(daemon: TestDaemon) {
    let mut added = Vec::new();
    for (key, bytes) in groups(1..3, 5) {
        added.push(daemon.add(&key, bytes).await.unwrap().image_id);
    }
    let page = async |page_token: String, page_size| {
        let request = proto::ListImagesRequest { page_size, page_token, ..Default::default() };
        daemon.images().list_images(request).await.map(tonic::Response::into_inner)
    };
    let first = page(String::new(), 4).await.unwrap();
    assert_eq!((first.images.len(), first.generation), (4, 10));
    // What comes and goes while pages are turned.
    daemon.add_new(groups(8..10, 4)).await;
    daemon.delete(ids_filter(&[&added[1], &added[6]])).await.unwrap();
    let mut listed: Vec<_> = first.images.iter().map(|image| image.image_id.clone()).collect();
    let mut token = first.next_page_token.clone();
    while !token.is_empty() {
        let next = page(token, 3).await.unwrap();
        assert_eq!(next.generation, first.generation);
        listed.extend(next.images.iter().map(|image| image.image_id.clone()));
        token = next.next_page_token;
    }
    added.remove(6);
    assert_eq!(
        listed, added,
        "in the order they were added, those of the first page's generation, less the deleted"
    );
    let other = proto::ListImagesRequest {
        filter: Some(proto::ImageFilter { source_prefix: "1/".into(), ..Default::default() }),
        page_token: first.next_page_token,
        ..Default::default()
    };
    let refused = daemon.images().list_images(other).await;
    check_error(refused, Code::InvalidArgument, "INVALID_FIELD", "page_token");
}

async fn thumbnails_are_small_pictures(daemon: TestDaemon) {
    let bytes = jpeg(&scene(900, 300, 1), 90);
    let large = daemon.add("large", bytes).await.unwrap().image_id;
    let small = daemon.add("small", picture(1, 0)).await.unwrap().image_id;
    let image_ids = vec![small.clone(), id_of(b"unknown"), large.clone()];
    let request = proto::BatchGetThumbnailsRequest { image_ids, ..Default::default() };
    let found = daemon.images().batch_get_thumbnails(request).await.unwrap().into_inner().thumbnails;
    let sizes: Vec<_> = found
        .iter()
        .map(|one| {
            let picture = image::load_from_memory_with_format(&one.jpeg, image::ImageFormat::Jpeg).unwrap();
            (one.image_id.clone(), picture.width(), picture.height())
        })
        .collect();
    assert_eq!(sizes, [(small, 24, 24), (large.clone(), 320, 107)]);
    let request = proto::BatchGetThumbnailsRequest { image_ids: vec![large; 101], ..Default::default() };
    let refused = daemon.images().batch_get_thumbnails(request).await;
    check_error(refused, Code::InvalidArgument, "INVALID_FIELD", "image_ids");
}

async fn neighbours(api: &Api, query: Query, k: u32, exact: bool) -> proto::FindNeighboursResponse {
    let request = proto::FindNeighboursRequest { query: Some(query), k, exact, ..Default::default() };
    api.images().find_neighbours(request).await.unwrap().into_inner()
}

/// Ids and distances by brute force, nearest first, ties by id.
fn brute_force(images: &[proto::Image], query: &[f32], without: &str, k: usize) -> Vec<(String, f64)> {
    let mut all: Vec<(f32, &str)> = images
        .iter()
        .filter(|image| image.image_id != without)
        .map(|image| (cosine_distance(query, &image.embedding), image.image_id.as_str()))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    all.into_iter().take(k).map(|(distance, id)| (id.to_owned(), f64::from(distance))).collect()
}

async fn neighbours_are_the_nearest(daemon: TestDaemon) {
    daemon.add_new(groups(1..21, 6)).await;
    daemon.delete(ids_filter(&[&id_of(&picture(3, 3)), &id_of(&picture(4, 4))])).await.unwrap();
    let images = daemon.list().await;
    let (mut found_all, mut wanted_all) = (0, 0);
    for image in &images {
        let expected = brute_force(&images, &image.embedding, &image.image_id, 10);
        let exact = neighbours(&daemon, Query::ImageId(image.image_id.clone()), 10, true).await;
        assert_eq!(exact.index, "flat");
        check_near(&exact, &expected);
        let any = neighbours(&daemon, Query::ImageId(image.image_id.clone()), 10, false).await;
        let found: BTreeSet<_> = any.neighbours.iter().map(|one| &one.image_id).collect();
        assert!(!found.contains(&image.image_id), "an image is not its own neighbour");
        wanted_all += expected.len();
        found_all += expected.iter().filter(|(id, _)| found.contains(id)).count();
    }
    assert!(found_all * 100 >= wanted_all * 98, "{found_all} of {wanted_all} neighbours found");
    // Bytes that are not stored, and vectors of any length, which is made one.
    let (strange, scale) = (picture(7, 70), 3.0);
    let by_bytes = neighbours(&daemon, Query::Data(strange.clone()), 5, true).await;
    assert!(by_bytes.neighbours.iter().all(|one| one.distance < 0.05), "{by_bytes:?}");
    let values = images[5].embedding.iter().map(|value| value * scale).collect();
    let by_vector = neighbours(&daemon, Query::Vector(proto::Vector { values }), 3, true).await;
    assert_eq!(by_vector.neighbours[0].image_id, images[5].image_id, "a stored vector is nearest to itself");
    check_error(daemon.image(&id_of(&strange)).await, Code::NotFound, "NOT_FOUND", "");
    assert_eq!(neighbours(&daemon, Query::Data(strange), 0, true).await.neighbours.len(), 10, "0 means 10");
}

#[track_caller]
fn check_near(found: &proto::FindNeighboursResponse, expected: &[(String, f64)]) {
    let found: Vec<_> = found.neighbours.iter().map(|one| (one.image_id.clone(), one.distance)).collect();
    assert_eq!(found, expected);
}

async fn decisions_follow_whatever_the_index(daemon: TestDaemon) {
    daemon.add_new(groups(1..5, 8)).await;
    let clustering = daemon.recluster(dbscan(0.1)).await;
    assert_eq!((clustering.clusters, clustering.noise, clustering.images), (4, 0, 32));
    assert_eq!((clustering.approximate, clustering.neighbour_recall), (false, Some(1.0)));
    daemon.judge_cluster(Side::Keep, daemon.cluster_of(&id_of(&picture(1, 0))).await, &[]).await.unwrap();
    daemon.judge_cluster(Side::Discard, daemon.cluster_of(&id_of(&picture(2, 0))).await, &[]).await.unwrap();
    let arrived = daemon.add("new", picture(2, 99)).await.unwrap().decision.unwrap();
    assert_eq!(arrived.reason(), DecisionReason::StandingVerdict);
    let (before, stats) = (daemon.fetch().await, daemon.stats().await);
    let daemon = daemon.restarted().await;
    assert_eq!(daemon.fetch().await, before);
    let again = daemon.stats().await;
    assert_eq!(
        (again.index, again.generation, again.clusters),
        (stats.index, stats.generation, stats.clusters)
    );
}

/// 4,000 images are sent and no outcome is read: the stream must stop near 256 unread ones, whatever else goes on, and
/// must go on once it is read. Unary calls are the clock.
async fn a_reader_that_stops_stops_the_daemon_for_itself_only(daemon: TestDaemon) {
    const IMAGES: usize = 4000;
    // What the transport takes off the daemon's hands before it notices that nobody reads.
    const TRANSPORT: u64 = 1500;
    let endpoint = format!("http://{}", daemon.address());
    let endpoint = tonic::transport::Endpoint::from_shared(endpoint).unwrap();
    let channel = endpoint.initial_stream_window_size(4096).connect().await.unwrap();
    let (sender, receiver) = mpsc::channel(1);
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let sending = tokio::spawn(async move {
        sender.send(header("")).await.unwrap();
        for image in 0..IMAGES {
            sender
                .send(image_message(&format!("stream/{image}"), picture(1, image as u64 % 4)))
                .await
                .unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut images = proto::image_service_client::ImageServiceClient::new(channel);
    let mut stream = images.add_images(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    for call in 0..100 {
        daemon.add(&format!("unary/{call}"), picture(2, call)).await.unwrap();
    }
    let sources = daemon.stats().await.sources - 100;
    assert!(sources <= 256 + TRANSPORT, "{sources} images taken while nobody reads");
    assert!(!sending.is_finished());
    let mut statuses = BTreeMap::new();
    while let Some(response) = stream.message().await.unwrap() {
        *statuses.entry(response.outcome.unwrap().status().as_str_name()).or_insert(0) += 1;
    }
    assert_eq!(
        statuses,
        BTreeMap::from([("ADD_STATUS_ADDED", 4), ("ADD_STATUS_ALREADY_PRESENT", IMAGES - 4)])
    );
}

async fn an_abandoned_stream_loses_nothing_acknowledged(daemon: TestDaemon) {
    let all = groups(1..11, 10);
    let mut messages = vec![header("")];
    messages.extend(all.iter().map(|(key, bytes)| image_message(key, bytes.clone())));
    let mut stream = daemon.images().add_images(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let mut acknowledged = BTreeSet::new();
    for _ in 0..20 {
        acknowledged.insert(stream.message().await.unwrap().unwrap().outcome.unwrap().image_id);
    }
    drop(stream);
    let outcomes = daemon.add_all(all.clone()).await.unwrap();
    assert!(
        outcomes.values().all(|one| matches!(one.status(), AddStatus::Added | AddStatus::AlreadyPresent))
    );
    for outcome in outcomes.values().filter(|one| acknowledged.contains(&one.image_id)) {
        assert_eq!(outcome.status(), AddStatus::AlreadyPresent, "{outcome:?}");
    }
    let stats = daemon.stats().await;
    assert_eq!((stats.images, stats.sources, stats.queued_images, stats.inflight_bytes), (100, 100, 0, 0));
}

async fn a_deleted_collection_takes_nothing_more(daemon: TestDaemon) {
    let doomed = daemon.create("doomed").await;
    let (sender, receiver) = mpsc::channel(1);
    let mut stream = doomed.images().add_images(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    sender.send(header("doomed")).await.unwrap();
    sender.send(image_message("a", picture(1, 0))).await.unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap().outcome.unwrap().status(), AddStatus::Added);
    let request = || proto::DeleteCollectionRequest { collection: "doomed".into(), ..Default::default() };
    assert_eq!(daemon.collections().delete_collection(request()).await.unwrap().into_inner().images, 1);
    sender.send(image_message("b", picture(1, 1))).await.unwrap();
    let refused = stream.message().await.unwrap().unwrap().outcome.unwrap();
    assert_eq!(refused.status(), AddStatus::Failed, "{refused:?}");
    drop(sender);
    assert_eq!(stream.message().await.unwrap(), None);
    check_error(doomed.add_all(vec![]).await, Code::NotFound, "NOT_FOUND", "");
    check_error(daemon.collections().delete_collection(request()).await, Code::NotFound, "NOT_FOUND", "");
    // The name is free again, and nothing of before shows.
    let again = daemon.create("doomed").await;
    assert_eq!(again.stats().await.images, 0);
    assert_eq!(again.add("a", picture(1, 0)).await.unwrap().status(), AddStatus::Added);
    let default = proto::DeleteCollectionRequest::default();
    daemon.add_new(groups(1..2, 2)).await;
    assert_eq!(daemon.collections().delete_collection(default).await.unwrap().into_inner().images, 2);
    assert_eq!(daemon.stats().await.images, 0, "the default collection is emptied rather than removed");
    let daemon = daemon.restarted().await;
    assert_eq!((daemon.stats().await.images, daemon.at("doomed").stats().await.images), (0, 1));
}

/// A saved index holds embeddings: it goes with its collection, or at the next start where it could not.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_collection_leaves_no_index() {
    let daemon = TestDaemon::with_hnsw().await;
    daemon.add_new(groups(1..3, 4)).await;
    daemon.create("doomed").await.add_new(groups(1..3, 4)).await;
    // Indexes are saved when the daemon stops.
    let daemon = daemon.restarted().await;
    let indexes = daemon.folder().join("data/index");
    let saved = || {
        let mut names: Vec<_> = std::fs::read_dir(&indexes)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(saved(), ["1", "2"]);
    let request = proto::DeleteCollectionRequest { collection: "doomed".into(), ..Default::default() };
    daemon.collections().delete_collection(request).await.unwrap();
    assert_eq!(saved(), ["1"]);
    for name in ["77", "mine"] {
        std::fs::create_dir(indexes.join(name)).unwrap();
        std::fs::write(indexes.join(name).join("graph"), "embeddings").unwrap();
    }
    let daemon = daemon.restarted().await;
    assert_eq!(saved(), ["1", "mine"], "what culld did not put there is left alone");
    assert_eq!(daemon.stats().await.images, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_told_with_a_time_to_retry() {
    let daemon = TestDaemon::with(|config| {
        config.workers = 1;
        config.queue_images_max = 1;
    })
    .await;
    // Made before the first one calls, so that they call at once.
    let pictures: Vec<Vec<u8>> = (0..32).map(|caller| png(&scene(600, 600, caller))).collect();
    let mut callers = tokio::task::JoinSet::new();
    for (caller, bytes) in pictures.into_iter().enumerate() {
        let api = daemon.at("");
        callers.spawn(async move {
            let mut refusals = 0;
            loop {
                match api.add(&caller.to_string(), bytes.clone()).await {
                    Ok(outcome) => {
                        assert_eq!(outcome.status(), AddStatus::Added, "{outcome:?}");
                        return refusals;
                    }
                    Err(status) => {
                        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                        assert!(status.get_error_details().retry_info().unwrap().retry_delay.is_some());
                        refusals += 1;
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
    }
    let refusals: usize = callers.join_all().await.into_iter().sum();
    assert!(refusals > 0, "32 callers at once never found the queue of one image full");
    assert_eq!(daemon.stats().await.images, 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_of_two_spaces_are_never_compared() {
    culld::setup::install_runtime(&mut |_| {}).unwrap();
    let daemon = TestDaemon::start().await;
    let id = daemon.add("a", picture(1, 0)).await.unwrap().image_id;
    daemon.judge(Side::Keep, &[&id]).await.unwrap();
    let daemon = daemon.restarted_with(|config| config.model = ModelSetting::BuiltIn).await;
    let reason = "EMBEDDING_SPACE_MISMATCH";
    check_error(daemon.add("b", picture(1, 1)).await, Code::FailedPrecondition, reason, "");
    check_error(daemon.add_all(vec![]).await, Code::FailedPrecondition, reason, "");
    let query = Some(Query::Data(picture(1, 1)));
    let request = proto::FindNeighboursRequest { query, ..Default::default() };
    check_error(daemon.images().find_neighbours(request).await, Code::FailedPrecondition, reason, "");
    // What was said and decided stands, and a new collection lives in the new space.
    assert_eq!(daemon.decision(&id).await.reason(), DecisionReason::SeenLabel);
    let other = daemon.create("other").await;
    assert_eq!(other.add("b", picture(1, 1)).await.unwrap().status(), AddStatus::Added);
}
