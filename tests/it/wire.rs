//! The face of the API: what reflection tells, what every call answers, what every error carries.

use std::fs;
use std::path::PathBuf;

use culld::proto;
use prost::Message as _;
use tonic::client::Grpc;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{FileDescriptorResponse, ServerReflectionRequest};
use tonic_types::StatusExt as _;

use crate::support::{TestDaemon, check_error, groups, id_of, new_image, picture};

/// Services and their methods, as the descriptor has them.
fn services() -> Vec<(String, Vec<String>)> {
    let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTOR_SET).unwrap();
    let ours = set.file.into_iter().filter(|file| file.package() == "culld.v1");
    ours.flat_map(|file| file.service)
        .map(|service| {
            let methods = service.method.iter().map(|method| method.name().to_owned()).collect();
            (format!("culld.v1.{}", service.name()), methods)
        })
        .collect()
}

async fn reflect(daemon: &TestDaemon, question: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut client = ServerReflectionClient::new(daemon.channel.clone());
    let mut answers =
        client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap().message_response.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_tells_every_service() {
    let daemon = TestDaemon::start().await;
    let answer = reflect(&daemon, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(listed) = answer else { panic!("{answer:?}") };
    let mut listed: Vec<_> = listed.service.into_iter().map(|service| service.name).collect();
    listed.sort();
    let mut expected: Vec<_> = services().into_iter().map(|(name, _)| name).collect();
    expected.extend(["grpc.health.v1.Health".to_owned(), "grpc.reflection.v1.ServerReflection".to_owned()]);
    expected.sort();
    assert_eq!((listed.len(), &listed), (7, &expected));
    // Older clients ask by an older name, and are told as much.
    let mut older = tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient::new(
        daemon.channel.clone(),
    );
    let question = tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest::ListServices;
    let request = tonic_reflection::pb::v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question(String::new())),
    };
    let mut answers = older.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = format!("{:?}", answers.message().await.unwrap().unwrap());
    assert!(services().iter().all(|(name, _)| answer.contains(name)), "{answer}");
    for (service, _) in services() {
        let answer = reflect(&daemon, MessageRequest::FileContainingSymbol(service.clone())).await;
        let MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto }) =
            answer
        else {
            panic!("{service}: {answer:?}")
        };
        assert!(!file_descriptor_proto.is_empty());
    }
}

/// Calls a method with an empty request; all four kinds of call look the same on the wire.
async fn call(daemon: &TestDaemon, path: String) -> Result<(), Status> {
    let mut client = Grpc::new(daemon.channel.clone());
    client.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let request = Request::new(tokio_stream::iter([()]));
    let mut answers = client.streaming(request, path.parse().unwrap(), codec).await?.into_inner();
    answers.message().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_implemented() {
    let daemon = TestDaemon::start().await;
    let mut calls = 0;
    for (service, methods) in services() {
        for method in methods {
            let code = call(&daemon, format!("/{service}/{method}")).await.err().map(|status| status.code());
            let allowed =
                [None, Some(Code::InvalidArgument), Some(Code::NotFound), Some(Code::FailedPrecondition)];
            assert!(allowed.contains(&code), "{service}/{method}: {code:?}");
            calls += 1;
        }
    }
    assert!(calls >= 38, "{calls} calls");
    let unknown = call(&daemon, "/culld.v1.ImageService/NoSuchCall".into()).await;
    assert_eq!(unknown.unwrap_err().code(), Code::Unimplemented);
}

fn proto_files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto/culld/v1");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "proto")).collect()
}

#[test]
fn everything_in_the_proto_says_what_it_is() {
    let files = proto_files();
    assert_eq!(files.len(), 10);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            let preamble =
                ["syntax", "package", "import", "option"].iter().any(|word| line.starts_with(word));
            let defines = line.ends_with('{') || line.ends_with("{}") || line.ends_with(';');
            if defines && !preamble && !line.starts_with("//") {
                let said = number > 0 && lines[number - 1].starts_with("// ");
                assert!(said, "{}:{}: {line}", file.display(), number + 1);
            }
        }
        let long = lines.iter().find(|line| line.chars().count() > 120);
        assert_eq!(long, None, "{}", file.display());
    }
}

/// The kinds of error that a caller can meet, with what each carries beside its code.
#[tokio::test(flavor = "multi_thread")]
async fn errors_carry_details() {
    let daemon = TestDaemon::with(|config| config.collections_max = 1).await;
    daemon.add_new(groups(1..2, 2)).await;
    let create = async |collection: &str| {
        let request =
            proto::CreateCollectionRequest { collection: collection.to_owned(), ..Default::default() };
        daemon.collections().create_collection(request).await.unwrap_err()
    };
    let import = proto::ImportSourcesRequest { paths: vec!["/".into()], ..Default::default() };
    let unknown = id_of(b"unknown");
    let errors = [
        (daemon.image(&unknown).await.unwrap_err(), Code::NotFound, "NOT_FOUND"),
        (create("default").await, Code::AlreadyExists, "ALREADY_EXISTS"),
        (create("second").await, Code::ResourceExhausted, "LIMIT_REACHED"),
        (create("Capital").await, Code::InvalidArgument, "INVALID_FIELD"),
        (
            daemon.images().import_sources(import).await.unwrap_err(),
            Code::PermissionDenied,
            "PATH_NOT_ALLOWED",
        ),
        (
            daemon.judge_cluster(proto::Side::Keep, None, &[]).await.unwrap_err(),
            Code::FailedPrecondition,
            "NO_ACTIVE_CLUSTERING",
        ),
    ];
    for (status, code, reason) in &errors {
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(
            (status.code(), info.reason.as_str(), info.domain.as_str()),
            (*code, *reason, "culld.dev")
        );
        assert!(!status.message().is_empty());
        let resource = matches!(code, Code::NotFound | Code::AlreadyExists);
        assert_eq!(details.resource_info().is_some(), resource, "{status:?}");
        assert_eq!(details.bad_request().is_some(), *code == Code::InvalidArgument, "{status:?}");
        assert!(details.retry_info().is_none(), "waiting helps none of these: {status:?}");
    }
    let details = errors[0].0.get_error_details();
    let resource = details.resource_info().unwrap();
    assert_eq!((resource.resource_type.as_str(), &resource.resource_name), ("image", &unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_takes_too_long_says_so() {
    let daemon = TestDaemon::with(|config| config.request_time_max = std::time::Duration::ZERO).await;
    // What is answered by another thread is not there at the first look.
    let late = loop {
        match daemon.admin().get_stats(proto::GetStatsRequest::default()).await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    check_error(Err::<(), _>(late), Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_says_what_bounds_a_caller() {
    let daemon = TestDaemon::start().await;
    let info = daemon.admin().get_server_info(proto::GetServerInfoRequest {}).await.unwrap().into_inner();
    let limits = info.limits.unwrap();
    assert_eq!((limits.unread_outcomes_max, limits.page_size_max), (256, 1000));
    assert_eq!((limits.image_bytes_max, limits.image_pixels_max), (64 << 20, 100_000_000));
    assert_eq!((limits.image_side_px_max, limits.fetch_streams_max), (65_535, 32));
    assert_eq!(limits.watch_streams_max, 64);
    assert_eq!(limits.request_seconds_max, 310.0);
    assert_eq!(limits.duplicates_images_max, 50_000);
    assert_eq!((info.index.as_str(), info.durability.as_str(), info.workers), ("auto", "process", 2));
    let space = info.embedding_space.unwrap();
    assert_eq!((space.dimension, space.id.len()), (64, 64));
    // As large an image as is allowed gets an outcome, and one byte more does as well.
    let image = Some(new_image("large", vec![0; (64 << 20) + 1]));
    let request = proto::AddImageRequest { image, ..Default::default() };
    let outcome = daemon.images().add_image(request).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(outcome.cause(), proto::AddCause::TooLarge);
    assert_eq!(daemon.add("a", picture(1, 0)).await.unwrap().status(), proto::AddStatus::Added);
}
