//! What an operator sees: metrics, request ids, traces, logs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use culld::access::Role;
use culld::proto;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::access::{Token, by, closed, write_tokens};
use crate::support::{Api, TestDaemon, dbscan, groups, new_image, picture};
use crate::web::{call, get};

async fn scrape(daemon: &TestDaemon) -> String {
    let reply = get(daemon.address(), "/metrics", &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.head);
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    String::from_utf8(reply.body).unwrap()
}

/// The value of the sample that starts so.
#[track_caller]
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{sample} is not in\n{text}")).parse().unwrap()
}

/// Names of culld's metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("culld_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_happened() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(0..3, 10)).await;
    daemon.add("broken", b"no picture".to_vec()).await.unwrap();
    daemon.add("again", picture(0, 0)).await.unwrap();
    daemon.recluster(dbscan(0.3)).await;
    daemon.image("no id").await.unwrap_err();
    let text = scrape(&daemon).await;
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    for (sample, expected) in [
        ("culld_images{collection=\"default\"}", 30.0),
        ("culld_sources{collection=\"default\"}", 31.0),
        ("culld_decided_images{collection=\"default\",kind=\"review\"}", 30.0),
        ("culld_images_handled_total{outcome=\"added\"}", 30.0),
        ("culld_images_handled_total{outcome=\"already_present\"}", 1.0),
        ("culld_images_handled_total{outcome=\"rejected\"}", 1.0),
        ("culld_calls_total{method=\"ImageService/AddImages\",code=\"OK\"}", 1.0),
        ("culld_calls_total{method=\"ImageService/AddImage\",code=\"OK\"}", 2.0),
        ("culld_calls_total{method=\"ImageService/GetImage\",code=\"INVALID_ARGUMENT\"}", 1.0),
        ("culld_call_seconds_count{method=\"ImageService/AddImages\"}", 1.0),
        ("culld_calls_under_way{method=\"ImageService/AddImage\"}", 0.0),
        ("culld_operations_running", 0.0),
        ("culld_queue_images", 0.0),
    ] {
        assert_eq!(value(&text, sample), expected, "{sample}");
    }
    let recall = text.lines().find(|line| line.starts_with("culld_neighbour_recall{")).unwrap();
    assert!(recall.contains("generation=\"") && recall.ends_with(" 1.0"), "{recall}");
    assert!(value(&text, "culld_disk_bytes") > 0.0 && value(&text, "culld_resident_memory_bytes") > 1e6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_and_the_alerts_name_what_is_there() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(0..3, 10)).await;
    daemon.recluster(dbscan(0.3)).await;
    let there = named(&scrape(&daemon).await);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/monitoring");
    let dashboard = fs::read_to_string(folder.join("dashboard.json")).unwrap();
    let parsed: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() > 10);
    let alerts = fs::read_to_string(folder.join("alerts.yaml")).unwrap();
    assert!(alerts.matches("- alert: ").count() > 5);
    for (name, text) in [("dashboard", dashboard), ("alerts", alerts)] {
        let asked = named(&text);
        assert!(!asked.is_empty());
        let missing: Vec<_> = asked.difference(&there).collect();
        assert!(missing.is_empty(), "the {name} asks for {missing:?}; there is {there:?}");
    }
    // Nothing is measured that nobody looks at: the dashboard has every family.
    let shown = named(&fs::read_to_string(folder.join("dashboard.json")).unwrap());
    let ends = ["_count", "_sum", "_bucket"];
    let unseen: Vec<_> = there
        .iter()
        .filter(|name| !shown.contains(*name) && !ends.iter().any(|end| name.ends_with(end)))
        .filter(|name| {
            !shown.contains(&format!("{name}_total")) && !shown.contains(&format!("{name}_bucket"))
        })
        .collect();
    assert!(unseen.len() <= 4, "{unseen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_those_who_may_see_all() {
    let all = Token::new("all", &[Role::Read], &["*"]);
    let one = Token::new("one", &[Role::Admin], &["default"]);
    let adds = Token::new("adds", &[Role::Add], &["*"]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = closed(&[&all, &one, &adds], folder.path()).await;
    assert_eq!(get(daemon.address(), "/metrics", &[]).await.status, 401);
    for (token, expected) in [(&all, 200), (&one, 403), (&adds, 403)] {
        let header = token.header();
        let reply = get(daemon.address(), "/metrics", &[("authorization", &header)]).await;
        assert_eq!(reply.status, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_make_no_labels() {
    let daemon = TestDaemon::start().await;
    for name in 0..20 {
        call(daemon.address(), &format!("Made{name}/Up"), &[], &proto::GetStatsRequest::default()).await;
    }
    let text = scrape(&daemon).await;
    assert!(!text.contains("Made"));
    assert_eq!(value(&text, "culld_calls_total{method=\"other\",code=\"UNIMPLEMENTED\"}"), 20.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_come_back() {
    let daemon = TestDaemon::start().await;
    let stats = proto::GetStatsRequest::default();
    for (given, is_kept) in [("abc-123", true), ("", false), ("a b", false), (&"x".repeat(129), false)] {
        let headers = [("x-request-id", given)];
        let reply = call(daemon.address(), "AdminService/GetStats", &headers, &stats).await;
        let said = reply.header("x-request-id").unwrap();
        assert_eq!(said == given, is_kept, "{given}: {said}");
        assert!(!said.is_empty());
        assert!(get(daemon.address(), "/", &headers).await.header("x-request-id").is_some());
    }
    let first = daemon.admin().get_stats(stats.clone()).await.unwrap();
    let second = daemon.admin().get_stats(stats).await.unwrap();
    let id = |metadata: &tonic::metadata::MetadataMap| {
        metadata.get("x-request-id").unwrap().to_str().unwrap().to_owned()
    };
    assert_ne!(id(first.metadata()), id(second.metadata()));
}

/// Where traces are sent.
struct Collector(mpsc::UnboundedSender<Span>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|one| one.scope_spans);
        scopes.flat_map(|scope| scope.spans).for_each(|span| drop(self.0.send(span)));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A daemon as a process of its own, whose log can be read when it has ended.
struct Process {
    child: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_culld"));
        command
            .env("CULLD_MODEL", "fake")
            .env("CULLD_LOG", "culld=trace,info")
            .args(["serve", "--json", "--data"]);
        command.arg(data.path()).args(["--listen", "127.0.0.1:0"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Self { child, address: said["address"].as_str().unwrap().to_owned(), _data: data }
    }

    /// Ends it in order; answers its log.
    fn log(mut self) -> String {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.child.wait().unwrap().success(), "{log}");
        log
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_reach_a_collector() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut spans) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let process = Process::start(&["--otlp-endpoint", &endpoint]);
    let api = Api::connect(&process.address).await;
    let mut request = Request::new(proto::GetStatsRequest::default());
    request.metadata_mut().insert("x-request-id", "traced-7".parse().unwrap());
    api.admin().get_stats(request).await.unwrap();
    // What is not sent yet is sent at the end.
    tokio::task::spawn_blocking(move || process.log()).await.unwrap();
    let mut found = Vec::new();
    while let Ok(span) = spans.try_recv() {
        found.push(span);
    }
    let span = found.iter().find(|span| format!("{:?}", span.attributes).contains("traced-7"));
    let text = format!("{:?}", span.unwrap_or_else(|| panic!("{found:?}")));
    assert!(
        text.contains("AdminService/GetStats") && text.contains("request_id") && text.contains("OK"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_hold_no_token_and_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let (token, wrong) =
        (Token::new("ana", &[Role::Admin], &["*"]), Token::new("bob", &[Role::Admin], &["*"]));
    write_tokens(&path, &[&token]);
    let process = Process::start(&["--log-format", "json", "--tokens", path.to_str().unwrap()]);
    let api = Api::connect(&process.address).await;
    let bytes = picture(1, 0);
    let marks: Vec<String> = [&bytes[8..24], &bytes[bytes.len() / 2..][..16]]
        .iter()
        .flat_map(|part| {
            let hex = blake3::Hash::from_slice(&part.repeat(2)).unwrap().to_hex();
            [format!("{part:?}"), hex[..32].to_owned()]
        })
        .collect();
    for who in [&token, &wrong] {
        for data in [bytes.clone(), bytes[..bytes.len() / 2].to_vec()] {
            let request = proto::AddImageRequest { image: Some(new_image("a", data)), ..Default::default() };
            drop(api.images().add_image(by(Some(&who.secret), request)).await);
        }
    }
    let log = tokio::task::spawn_blocking(move || process.log()).await.unwrap();
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["timestamp"].is_string() && entry["level"].is_string(), "{line}");
    }
    assert!(log.contains("\"caller\":\"ana\"") && log.contains("ImageService/AddImage"), "{log}");
    for secret in marks.iter().chain([&token.secret, &wrong.secret]) {
        assert!(!log.contains(secret.as_str()), "{secret} is in\n{log}");
        assert!(!log.contains(secret.trim_matches(['[', ']'])), "{secret} is in\n{log}");
    }
}
