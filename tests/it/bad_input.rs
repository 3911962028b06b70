//! What people and programs get wrong: every row is answered with its code and cause, the daemon goes on serving, and
//! nothing that was acknowledged is lost.

mod few;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::pin::Pin;

use culld::proto;
use culld::proto::parameters::Algorithm;
use culld::proto::{AddCause, AddStatus, Side};
use image::{DynamicImage, ImageFormat, Luma, Rgb, RgbImage};
use tonic::{Code, Status};

use crate::decode;
use crate::support::{
    Api, TestDaemon, dbscan, encoded, facts, groups, header, image_message, k_means, new_image, picture, png,
};

/// One row: what is asked, and what is answered: code, reason, field. `Ok` is a row that is fine.
type Row<'a> = (&'static str, Call<'a>, (Code, &'static str, &'static str));
type Call<'a> = Pin<Box<dyn Future<Output = Result<(), Status>> + 'a>>;

const FINE: (Code, &str, &str) = (Code::Ok, "", "");
const NOT_FOUND: (Code, &str, &str) = (Code::NotFound, "NOT_FOUND", "");

fn invalid(field: &'static str) -> (Code, &'static str, &'static str) {
    (Code::InvalidArgument, "INVALID_FIELD", field)
}

fn precondition(reason: &'static str) -> (Code, &'static str, &'static str) {
    (Code::FailedPrecondition, reason, "")
}

fn call<'a, T>(answer: impl Future<Output = Result<T, Status>> + 'a) -> Call<'a> {
    Box::pin(async { answer.await.map(drop) })
}

/// A daemon with six pictures and two verdicts, which must outlive everything.
struct Held {
    daemon: TestDaemon,
    decisions: BTreeMap<String, proto::Decision>,
    sources: usize,
}

impl Held {
    async fn new() -> Self {
        let daemon = TestDaemon::with(|config| {
            let root = config.data.parent().unwrap().join("pictures");
            fs::create_dir_all(&root).unwrap();
            let proc = fs::canonicalize("/proc/self").ok();
            config.allowed_roots = [fs::canonicalize(root).unwrap()].into_iter().chain(proc).collect();
            config.image_bytes_max = 1 << 20;
            config.clusterings_kept = 1;
        })
        .await;
        let ids = daemon.add_new(groups(1..3, 3)).await;
        daemon.recluster(dbscan(0.1)).await;
        daemon.judge(Side::Keep, &[&ids["1/0"]]).await.unwrap();
        daemon.judge(Side::Discard, &[&ids["2/0"]]).await.unwrap();
        let (decisions, sources) = (daemon.fetch().await, 6);
        Self { daemon, decisions, sources }
    }

    async fn check_rows(&self, rows: Vec<Row<'_>>) {
        for (name, call, (code, reason, field)) in rows {
            let found = call
                .await
                .map_or_else(|status| facts(&status), |()| (Code::Ok, String::new(), String::new()));
            assert_eq!(found, (code, reason.to_owned(), field.to_owned()), "{name}");
            self.check_alive(name).await;
        }
    }

    async fn check_alive(&self, after: &str) {
        let known = self.daemon.add("1/0", picture(1, 0)).await.unwrap();
        assert_eq!(known.status(), AddStatus::AlreadyPresent, "after {after}: {known:?}");
        assert_eq!(self.daemon.fetch().await, self.decisions, "after {after}");
        assert_eq!(self.daemon.stats().await.sources, self.sources as u64, "after {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_answered() {
    let held = Held::new().await;
    let pictures = held.daemon.create("pictures").await;
    for (name, bytes, status, cause) in images() {
        check_image(&pictures, name, bytes, status, cause).await;
        held.check_alive(name).await;
    }
    held.check_rows(messages(&held.daemon)).await;
    held.check_rows(parameters(&held.daemon)).await;
    held.check_rows(names(&held.daemon)).await;
    held.check_rows(lists(&held.daemon)).await;
    check_files(&held).await;
    few::check_few_images(&held).await;
    check_old_clusterings(&held).await;
    check_repeated_requests(&held).await;
}

/// A PNG of a palette whose second entry is clear.
fn clear_palette() -> Vec<u8> {
    let chunks = [decode::png_chunk("PLTE", &[0, 0, 255, 255, 0, 0]), decode::png_chunk("tRNS", &[255, 0])];
    decode::png(4, 1, 8, 3, &chunks, &[0, 0, 1, 0, 1])
}

fn images() -> Vec<(&'static str, Vec<u8>, AddStatus, AddCause)> {
    let (added, rejected) = (AddStatus::Added, AddStatus::Rejected);
    let jpeg = decode::jpeg(&decode::scene(200, 100, 1), 90);
    let deep = image::ImageBuffer::from_fn(30, 20, |x, y| Luma([(x * 2000 + y * 100) as u16]));
    let deep = encoded(&DynamicImage::ImageLuma16(deep), ImageFormat::Png);
    let huge = decode::png(20_000, 20_000, 8, 2, &[], &[0; 9]);
    let flat = decode::png(100_000_000, 1, 8, 0, &[], &[0; 9]);
    let tall = decode::png(1, 100_000_000, 8, 0, &[], &[0; 9]);
    let mut bomb = b"GIF89a\xFF\xFF\xFF\xFF\0\0\0".to_vec();
    bomb.extend(b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;");
    vec![
        ("no bytes", Vec::new(), rejected, AddCause::Empty),
        ("HTML named .jpg", b"<!DOCTYPE html>".into(), rejected, AddCause::UnsupportedFormat),
        ("no picture at all", vec![7; 100], rejected, AddCause::UnsupportedFormat),
        ("a truncated JPEG", jpeg[..jpeg.len() / 2].to_vec(), rejected, AddCause::Corrupt),
        ("a decompression bomb", bomb, rejected, AddCause::TooManyPixels),
        ("20,000 x 20,000", huge, rejected, AddCause::TooManyPixels),
        ("100,000,000 x 1", flat, rejected, AddCause::TooManyPixels),
        ("1 x 100,000,000", tall, rejected, AddCause::TooManyPixels),
        ("a byte too many", vec![0; (1 << 20) + 1], rejected, AddCause::TooLarge),
        ("CMYK", decode::unhex(decode::CMYK_JPEG), added, AddCause::Unspecified),
        ("16 bits", deep, added, AddCause::Unspecified),
        ("a palette with alpha", clear_palette(), added, AddCause::Unspecified),
        ("one pixel", png(&RgbImage::from_pixel(1, 1, Rgb([9; 3]))), added, AddCause::Unspecified),
    ]
}

/// By stream and by unary call; what is refused leaves nothing behind.
async fn check_image(api: &Api, name: &str, bytes: Vec<u8>, status: AddStatus, cause: AddCause) {
    let before = api.stats().await.images;
    let key = format!("{name}.jpg");
    let streamed = api.add_all(vec![(key.clone(), bytes.clone())]).await.unwrap().remove(&key).unwrap();
    assert_eq!((streamed.status(), streamed.cause()), (status, cause), "{name}: {}", streamed.detail);
    assert_eq!(streamed.detail.is_empty(), cause == AddCause::Unspecified, "{name}");
    let unary = api.add(&key, bytes).await.unwrap();
    let again = if status == AddStatus::Added { AddStatus::AlreadyPresent } else { status };
    assert_eq!((unary.status(), unary.cause()), (again, cause), "{name}: {}", unary.detail);
    assert_eq!(api.stats().await.images, before + u64::from(status == AddStatus::Added), "{name}");
}

/// Sends messages to a stream and reads it to its end.
async fn stream(api: &Api, messages: Vec<proto::AddImagesRequest>) -> Result<(), Status> {
    let mut stream = api.images().add_images(tokio_stream::iter(messages)).await?.into_inner();
    while stream.message().await?.is_some() {}
    Ok(())
}

async fn refused_source(api: &Api, image: proto::NewImage) -> Result<(), Status> {
    let request = proto::AddImageRequest { image: Some(image), ..Default::default() };
    let outcome = api.images().add_image(request).await?.into_inner().outcome.unwrap();
    assert_eq!((outcome.status(), outcome.cause()), (AddStatus::Rejected, AddCause::InvalidSource));
    Ok(())
}

fn messages(api: &Api) -> Vec<Row<'_>> {
    let image = || image_message("1/0", picture(1, 0));
    let source = |key: &str| new_image(key, picture(9, 9));
    let tagged = |tags: Vec<String>| proto::NewImage { tags, ..source("tags") };
    let late = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    let dated = proto::NewImage { modify_time: Some(late), ..source("late") };
    let dated_in_stream =
        proto::AddImagesRequest { message: Some(proto::add_images_request::Message::Image(dated.clone())) };
    let dated = proto::AddImageRequest { image: Some(dated), ..Default::default() };
    vec![
        ("a stream of nothing", call(stream(api, vec![])), invalid("message")),
        ("a stream without header", call(stream(api, vec![image()])), invalid("message")),
        ("a header twice", call(stream(api, vec![header(""), image(), header("")])), invalid("message")),
        (
            "an empty message",
            call(stream(api, vec![header(""), proto::AddImagesRequest::default()])),
            invalid("message"),
        ),
        ("a stream to an unknown collection", call(stream(api, vec![header("none")])), NOT_FOUND),
        ("a header alone", call(stream(api, vec![header("")])), FINE),
        (
            "an add of nothing",
            call(async { api.images().add_image(proto::AddImageRequest::default()).await }),
            invalid("image"),
        ),
        ("a key of 4,097 bytes", call(refused_source(api, source(&"k".repeat(4097)))), FINE),
        ("33 tags", call(refused_source(api, tagged(vec!["t".into(); 33]))), FINE),
        ("a tag of 129 bytes", call(refused_source(api, tagged(vec!["t".repeat(129)]))), FINE),
        ("an empty tag", call(refused_source(api, tagged(vec![String::new()]))), FINE),
        ("a time out of range in a stream", call(stream(api, vec![header(""), dated_in_stream])), FINE),
        (
            "a time out of range",
            call(async move { api.images().add_image(dated).await }),
            invalid("image.modify_time"),
        ),
    ]
}

fn recluster(api: &Api, algorithm: Algorithm) -> Call<'_> {
    call(api.start_recluster(Some(proto::Parameters { algorithm: Some(algorithm) })))
}

fn parameters(api: &Api) -> Vec<Row<'_>> {
    let dense = |eps, min_points| Algorithm::Dbscan(proto::DbscanParameters { eps: Some(eps), min_points });
    let optics = |extraction| {
        Algorithm::Optics(proto::OpticsParameters { extraction: Some(extraction), ..Default::default() })
    };
    let birch = |threshold, branching| {
        Algorithm::Birch(proto::BirchParameters { threshold, branching, ..Default::default() })
    };
    let hdbscan = |min_cluster_size, min_samples| {
        Algorithm::Hdbscan(proto::HdbscanParameters { min_cluster_size, min_samples })
    };
    let medoids = |k| Algorithm::KMedoids(proto::KMedoidsParameters { k: Some(k) });
    let iterations = |max_iterations, restarts| {
        Algorithm::KMeans(proto::KMeansParameters { k: None, max_iterations, restarts, ..Default::default() })
    };
    vec![
        ("k = 0", recluster(api, k_means(0)), invalid("parameters.k")),
        ("k = 7 of 6 images", recluster(api, k_means(7)), invalid("parameters.k")),
        ("k-medoids, k = 0", recluster(api, medoids(0)), invalid("parameters.k")),
        ("k-medoids, k = 7 of 6", recluster(api, medoids(7)), invalid("parameters.k")),
        ("no iterations", recluster(api, iterations(Some(0), None)), invalid("parameters.max_iterations")),
        ("no restarts", recluster(api, iterations(None, Some(0))), invalid("parameters.restarts")),
        ("eps < 0", recluster(api, dense(-0.1, None)), invalid("parameters.eps")),
        ("eps is NaN", recluster(api, dense(f64::NAN, None)), invalid("parameters.eps")),
        ("eps is infinite", recluster(api, dense(f64::INFINITY, None)), invalid("parameters.eps")),
        ("eps > 2", recluster(api, dense(2.1, None)), invalid("parameters.eps")),
        ("min_points > n", recluster(api, dense(0.1, Some(7))), invalid("parameters.min_points")),
        ("min_points = 1", recluster(api, dense(0.1, Some(1))), invalid("parameters.min_points")),
        (
            "xi = 1",
            recluster(api, optics(proto::optics_parameters::Extraction::Xi(1.0))),
            invalid("parameters.extraction.xi"),
        ),
        (
            "a cut at NaN",
            recluster(api, optics(proto::optics_parameters::Extraction::Eps(f64::NAN))),
            invalid("parameters.extraction.eps"),
        ),
        ("threshold = 0", recluster(api, birch(Some(0.0), None)), invalid("parameters.threshold")),
        ("branching = 1", recluster(api, birch(None, Some(1))), invalid("parameters.branching")),
        ("clusters of one", recluster(api, hdbscan(Some(1), None)), invalid("parameters.min_cluster_size")),
        ("min_samples > n", recluster(api, hdbscan(None, Some(7))), invalid("parameters.min_samples")),
    ]
}

/// Things that are not there, and names that no thing has.
fn names(api: &Api) -> Vec<Row<'_>> {
    const NOBODY: &str = "00000000000000000000000000000000000000000000000000000000000000ff";
    let nowhere = api.at("nowhere");
    let create = |name: String| {
        let request = proto::CreateCollectionRequest { collection: name, ..Default::default() };
        call(async move { api.collections().create_collection(request).await })
    };
    let operation = |name: &'static str| {
        call(async move { api.admin().get_operation(proto::GetOperationRequest { name: name.into() }).await })
    };
    let stats = async move {
        let request = proto::GetStatsRequest { collection: nowhere.collection.clone() };
        nowhere.admin().get_stats(request).await
    };
    let operations = proto::ListOperationsRequest { collection: "nowhere".into(), ..Default::default() };
    let elsewhere = api.at("nowhere");
    let judge_elsewhere = async move { elsewhere.judge(Side::Keep, &[NOBODY]).await };
    vec![
        ("an unknown collection", call(stats), NOT_FOUND),
        (
            "operations of an unknown collection",
            call(async move { api.admin().list_operations(operations).await }),
            NOT_FOUND,
        ),
        ("a verdict in an unknown collection", call(judge_elsewhere), NOT_FOUND),
        ("an empty name", create(String::new()), invalid("collection")),
        ("a name with a slash", create("a/b".into()), invalid("collection")),
        ("a name of 65 characters", create("a".repeat(65)), invalid("collection")),
        ("a name that is taken", create("default".into()), (Code::AlreadyExists, "ALREADY_EXISTS", "")),
        ("an unknown image", call(api.image(NOBODY)), NOT_FOUND),
        ("no image id", call(api.image("xyz")), invalid("image_id")),
        ("63 digits", call(api.image(&NOBODY[1..])), invalid("image_id")),
        ("a verdict on an unknown image", call(api.judge(Side::Keep, &[NOBODY])), NOT_FOUND),
        ("a verdict on no image id", call(api.judge(Side::Keep, &["é"])), invalid("images.image_ids")),
        ("a verdict on no image", call(api.judge(Side::Keep, &[])), invalid("images.image_ids")),
        ("a verdict of no side", call(api.judge_cluster(Side::Unspecified, None, &[])), invalid("side")),
        ("an unknown cluster", call(api.judge_cluster(Side::Keep, Some(999), &[])), NOT_FOUND),
        ("an unknown exception", call(api.judge_cluster(Side::Keep, None, &[NOBODY])), NOT_FOUND),
        (
            "a verdict on nothing",
            call(async { api.decisions().set_verdict(verdict_on_nothing()).await }),
            invalid("target"),
        ),
        ("an unknown operation", operation("operations/999"), NOT_FOUND),
        ("no operation's name", operation("recluster"), invalid("name")),
    ]
}

fn verdict_on_nothing() -> proto::SetVerdictRequest {
    proto::SetVerdictRequest { side: Side::Keep.into(), ..Default::default() }
}

/// Pages, filters and numbers beyond their bounds.
fn lists(api: &Api) -> Vec<Row<'_>> {
    let list = |page_size, page_token: &str, filter| {
        let page_token = page_token.to_owned();
        let request = proto::ListImagesRequest { page_size, page_token, filter, ..Default::default() };
        call(async move { api.images().list_images(request).await })
    };
    let near = |query, k| {
        let request = proto::FindNeighboursRequest { query, k, ..Default::default() };
        call(async move { api.images().find_neighbours(request).await })
    };
    let policy = |policy| {
        let request = proto::SetPolicyRequest { policy: Some(policy), ..Default::default() };
        call(async move { api.collections().set_policy(request).await })
    };
    let vector = |values| Some(proto::find_neighbours_request::Query::Vector(proto::Vector { values }));
    let bytes = |data: &[u8]| Some(proto::find_neighbours_request::Query::Data(data.to_vec()));
    let bad_ids = proto::ImageFilter { image_ids: vec!["?".into()], ..Default::default() };
    let defects = proto::ImageFilter { defects: vec![0], ..Default::default() };
    let kinds = proto::ImageFilter { decisions: vec![0], ..Default::default() };
    let discard =
        proto::Policy { answer_in_review: proto::DecisionKind::Discard.into(), ..Default::default() };
    let nan = proto::Policy { standing_margin: Some(f64::NAN), ..Default::default() };
    let quorum = proto::Policy { inheritance_quorum: Some(0.0), ..Default::default() };
    vec![
        ("1,001 a page", list(1001, "", None), invalid("page_size")),
        ("a token of nobody's", list(0, "garbage", None), invalid("page_token")),
        ("a token of another list", list(0, &"ab".repeat(24), None), invalid("page_token")),
        ("a token that is no text of digits", list(0, &"é".repeat(24), None), invalid("page_token")),
        ("a filter by no id", list(0, "", Some(bad_ids)), invalid("filter.image_ids")),
        ("a filter by no decision", list(0, "", Some(kinds)), invalid("filter.decisions")),
        ("a filter by no defect", list(0, "", Some(defects)), invalid("filter.defects")),
        ("1,001 neighbours", near(bytes(&picture(1, 1)), 1001), invalid("k")),
        ("neighbours of nothing", near(None, 1), invalid("query")),
        ("neighbours of HTML", near(bytes(b"<html>"), 1), invalid("data")),
        ("neighbours of more than an image", near(bytes(&[1; (1 << 20) + 1]), 1), invalid("data")),
        ("a vector of another space", near(vector(vec![1.0; 3]), 1), invalid("vector")),
        ("a vector with NaN", near(vector(vec![f32::NAN; 64]), 1), invalid("vector")),
        ("a vector without direction", near(vector(vec![0.0; 64]), 1), invalid("vector")),
        ("a margin that is NaN", policy(nan), invalid("policy.standing_margin")),
        ("no quorum", policy(quorum), invalid("policy.inheritance_quorum")),
        ("discard in review", policy(discard), invalid("policy.answer_in_review")),
        ("deleting without a filter", call(api.delete(proto::ImageFilter::default())), invalid("filter")),
    ]
}

/// Files of this machine: folders without pictures, names of any bytes, paths that are none of culld's business.
async fn check_files(held: &Held) {
    let api = held.daemon.create("files").await;
    let root = held.daemon.folder().join("pictures");
    let outside = held.daemon.folder().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret.png"), picture(5, 5)).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let import = |path: String| {
        let api = api.clone();
        call(async move { api.import(vec![path]).await })
    };
    let refused = (Code::PermissionDenied, "PATH_NOT_ALLOWED", "");
    let rows = vec![
        ("a path outside the roots", import(text(&outside)), refused),
        ("the way out by ..", import(text(&root.join("../outside"))), refused),
        ("the way out by a link", import(text(&root.join("link"))), refused),
        ("a path that is not there", import(text(&root.join("none"))), refused),
        ("a relative path", import("pictures".into()), invalid("paths")),
        ("no path", call(api.import(vec![])), invalid("paths")),
    ];
    held.check_rows(rows).await;
    let empty = api.import(vec![text(&root)]).await.unwrap();
    assert_eq!(
        empty,
        proto::ImportResult::default(),
        "a link is not followed, and an empty folder is no error"
    );
    check_any_name(&api, &root).await;
    let mut deep = root.join("deep");
    deep.extend(std::iter::repeat_n("down", 65));
    fs::create_dir_all(&deep).unwrap();
    let buried = api.import(vec![text(&root.join("deep"))]).await.unwrap();
    assert_eq!((buried.files, buried.rejected), (1, 1), "what is not looked into is told: {buried:?}");
    assert!(buried.problems[0].detail.contains("deeper than 64"), "{buried:?}");
    if Path::new("/proc/self/mem").exists() {
        // Nobody, not even root, can read its first byte.
        let unreadable = api.import(vec!["/proc/self/mem".into()]).await.unwrap();
        assert_eq!((unreadable.files, unreadable.rejected), (1, 1), "{unreadable:?}");
        assert!(unreadable.problems[0].detail.contains("can't be read"), "{unreadable:?}");
    }
    held.check_alive("files").await;
}

/// Names of any bytes are as good as others: each file is an image of its own, found again by its URI.
async fn check_any_name(api: &Api, root: &Path) {
    use std::os::unix::ffi::OsStrExt as _;
    let names: [&[u8]; 5] = [b"a\nb.png", b"\xff.png", b"\xfe.png", b"100%41.png", b"plain.png"];
    for (item, name) in (0..).zip(names) {
        fs::write(root.join(std::ffi::OsStr::from_bytes(name)), picture(6, item)).unwrap();
    }
    fs::write(root.join("page.jpg"), "<html>").unwrap();
    let path = root.to_str().unwrap().to_owned();
    let first = api.import(vec![path.clone()]).await.unwrap();
    assert_eq!((first.files, first.added, first.rejected), (6, 5, 1), "{first:?}");
    let images = api.list().await;
    let uris: std::collections::BTreeSet<_> = images.iter().map(|image| &image.sources[0].uri).collect();
    let keys: std::collections::BTreeSet<_> = images.iter().map(|image| &image.sources[0].key).collect();
    assert_eq!((uris.len(), keys.len()), (5, 5), "{keys:?}");
    for (name, end) in [("newline", "/a%0Ab.png"), ("no UTF-8", "/%FF.png"), ("percent", "/100%2541.png")] {
        assert!(uris.iter().any(|uri| uri.ends_with(end)), "{name}: {uris:?}");
    }
    let again = api.import(vec![path]).await.unwrap();
    assert_eq!((again.files, again.already_present, again.rejected), (6, 5, 1), "{again:?}");
}

/// Verdicts on clusterings that are gone, of another generation, or never were.
async fn check_old_clusterings(held: &Held) {
    let api = held.daemon.create("pruned").await;
    let verdict = |clustering_id, generation, cluster_id| {
        let target = proto::ClusterTarget { clustering_id, cluster_id: Some(cluster_id), generation };
        let request = proto::SetVerdictRequest {
            collection: "pruned".into(),
            side: Side::Keep.into(),
            target: Some(proto::set_verdict_request::Target::Cluster(target)),
            ..Default::default()
        };
        let api = api.clone();
        call(async move { api.decisions().set_verdict(request).await })
    };
    let rows = vec![("no clustering yet", verdict(0, 0, 1), precondition("NO_ACTIVE_CLUSTERING"))];
    held.check_rows(rows).await;
    api.add_new(groups(1..4, 4)).await;
    for k in [3, 3, 3] {
        api.recluster(k_means(k)).await;
    }
    let cluster = api.clusters(0).await.remove(0);
    let (id, generation) = (cluster.cluster_id, cluster.generation);
    let rows = vec![
        ("a pruned clustering", verdict(1, 0, id), precondition("CLUSTERING_PRUNED")),
        ("a pruned clustering's generation", verdict(1, generation, id), precondition("CLUSTERING_PRUNED")),
        ("another generation", verdict(3, generation + 1, id), precondition("GENERATION_MISMATCH")),
        ("a clustering that never was", verdict(99, 0, id), NOT_FOUND),
        ("the generation that was seen", verdict(3, generation, id), FINE),
    ];
    held.check_rows(rows).await;
}

/// A repeated request id gets the first answer, or is refused where the request is another.
async fn check_repeated_requests(held: &Held) {
    let api = held.daemon.create("repeated").await;
    let add = |item, request_id: &str| {
        let image = Some(new_image("key", picture(7, item)));
        let request_id = request_id.to_owned();
        let request = proto::AddImageRequest { collection: "repeated".into(), image, request_id };
        let api = api.clone();
        async move { Ok(api.images().add_image(request).await?.into_inner().outcome.unwrap()) }
    };
    let first: proto::AddOutcome = add(1, "a").await.unwrap();
    assert_eq!(first.status(), AddStatus::Added);
    let again: proto::AddOutcome = add(1, "a").await.unwrap();
    assert_eq!(again, first, "a retry gets the first answer");
    let rows: Vec<Row<'_>> = vec![
        ("an id of another request", call(add(2, "a")), invalid("request_id")),
        ("an id of 129 characters", call(add(2, &"é".repeat(129))), invalid("request_id")),
        ("an id of 128 characters", call(add(2, &"é".repeat(128))), FINE),
    ];
    held.check_rows(rows).await;
}
