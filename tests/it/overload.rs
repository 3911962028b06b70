//! More than the daemon can do, and less than it needs: everybody gets a turn, what nobody waits for is dropped, and
//! what runs out is told.

mod limits;

use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};
use std::time::Duration;

use culld::grpc;
use culld::proto;
use culld::proto::AddStatus;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::codegen::http::Request;
use tonic::codegen::{Body as _, Service as _};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::decode::scene;
use crate::durability::{Served, command};
use crate::support::{Api, TestDaemon, check_error, facts, groups, header, image_message, picture, png};

/// Who sends a few images waits about as long as they take, however many somebody else sends.
/// Images that come beside a stream of many.
const FEW: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_small_stream_is_not_behind_a_large_one() {
    let daemon = TestDaemon::with(|config| {
        config.workers = 1;
        config.queue_images_max = 8;
    })
    .await;
    let (sender, receiver) = mpsc::channel(1);
    let sending = tokio::spawn(async move {
        drop(sender.send(header("")).await);
        for item in 0..100_000u64 {
            if sender.send(image_message(&item.to_string(), picture(1, item))).await.is_err() {
                break;
            }
        }
    });
    let mut large = daemon.images().add_images(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let mut answered = 0;
    while answered < 50 {
        large.message().await.unwrap().unwrap();
        answered += 1;
    }
    let few = groups(2..3, FEW);
    let api = daemon.at("");
    let mut small = tokio::spawn(async move { api.add_all(few).await });
    let before = answered;
    loop {
        tokio::select! {
            done = &mut small => {
                assert_eq!(done.unwrap().unwrap().len() as u64, FEW);
                break;
            }
            message = large.message() => {
                message.unwrap().unwrap();
                answered += 1;
            }
        }
    }
    // One for one, what was queued before, and what came while the small one began and ended.
    assert!(
        answered - before < 500,
        "{} images of the large stream before {FEW} of the small one",
        answered - before
    );
    drop(large);
    sending.abort();
}

/// What a caller gave up is not embedded, unless its turn had come.
#[tokio::test(flavor = "multi_thread")]
async fn abandoned_calls_leave_the_queue() {
    let daemon = TestDaemon::with(|config| config.workers = 1).await;
    let large: Vec<Vec<u8>> = (0..8).map(|seed| png(&scene(3000, 2000, seed))).collect();
    let count = large.len() as u64;
    let mut busy = tokio::task::JoinSet::new();
    for (number, bytes) in large.into_iter().enumerate() {
        let api = daemon.at("");
        busy.spawn(async move { api.add(&number.to_string(), bytes).await.unwrap() });
    }
    while daemon.stats().await.queued_images < 3 {
        assert!(daemon.stats().await.images < count, "they were done before they waited");
    }
    let mut given_up = tokio::task::JoinSet::new();
    for item in 0..10 {
        let api = daemon.at("");
        given_up.spawn(async move { api.add(&item.to_string(), picture(1, item)).await });
    }
    let mut request = tonic::Request::new(proto::AddImageRequest {
        image: Some(proto::NewImage { data: picture(2, 0), key: "late".into(), ..Default::default() }),
        ..Default::default()
    });
    // A deadline of the caller's own does the same.
    request.set_timeout(Duration::from_millis(1));
    let late = daemon.images().add_image(request).await.unwrap_err();
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late:?}");
    given_up.shutdown().await;
    while let Some(done) = busy.join_next().await {
        assert_eq!(done.unwrap().status(), AddStatus::Added);
    }
    while daemon.stats().await.queued_images > 0 || daemon.stats().await.inflight_bytes > 0 {
        tokio::task::yield_now().await;
    }
    let images = daemon.stats().await.images;
    assert!(images < count + 10, "{images}: all that was given up was embedded");
}

/// A message of which the first half came.
struct Half(Option<Vec<u8>>);

impl http_body::Body for Half {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        self.0
            .take()
            .map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(http_body::Frame::data(bytes.into())))))
    }
}

/// Half a message is held for as long as a call may take, be it in a stream, which may be silent between messages.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_message_ends_its_stream() {
    let daemon = TestDaemon::with(|config| config.request_time_max = Duration::from_secs(1)).await;
    let framed = |message: &proto::AddImagesRequest| {
        let bytes = prost::Message::encode_to_vec(message);
        [&[0][..], &(bytes.len() as u32).to_be_bytes(), &bytes].concat()
    };
    let image = framed(&image_message("half", picture(1, 1)));
    let sent = [&framed(&header(""))[..], &image[..image.len() / 2]].concat();
    let request = Request::post(format!("http://{}/culld.v1.ImageService/AddImages", daemon.address()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(Half(Some(sent))))
        .unwrap();
    let mut channel = daemon.channel.clone();
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let mut answer = channel.call(request).await.unwrap();
    let trailers = loop {
        let frame = std::future::poll_fn(|context| Pin::new(answer.body_mut()).poll_frame(context)).await;
        if let Ok(trailers) = frame.unwrap().unwrap().into_trailers() {
            break trailers;
        }
    };
    let status = tonic::Status::from_header_map(&trailers).unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("whole"), "{status:?}");
}

/// Anyone may ask after the daemon's health, and so say no more than a name.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_after_health_is_short() {
    let daemon = TestDaemon::start().await;
    for (length, code) in [(1_000, Code::NotFound), (5_000, Code::OutOfRange)] {
        let request = HealthCheckRequest { service: "x".repeat(length) };
        let refused = HealthClient::new(daemon.channel.clone()).check(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
    }
}

async fn health_of(address: &str, service: &str) -> ServingStatus {
    let channel =
        tonic::transport::Endpoint::from_shared(address.to_owned()).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: service.into() };
    HealthClient::new(channel).check(request).await.unwrap().into_inner().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_starts_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let starting = grpc::Starting::on(listener, None).await.unwrap();
    for service in ["", "culld.v1.ImageService", "culld.v1.AdminService"] {
        assert_eq!(health_of(&address, service).await, ServingStatus::NotServing, "{service}");
    }
    let api = Api::connect(&address).await;
    check_error(api.add("a", picture(1, 1)).await, Code::Unavailable, "STARTING", "");
    // It holds nobody up.
    drop(starting.end().await.unwrap());
    let daemon = TestDaemon::start().await;
    assert_eq!(health_of(&format!("http://{}", daemon.address()), "").await, ServingStatus::Serving);
}

/// The daemon with limits of the system's that a shell sets.
async fn limited(data: &Path, limits: &str) -> Served {
    let daemon = command(data, "fsync");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")])
        .arg(daemon.get_program())
        .args(daemon.get_args());
    for (name, value) in daemon.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Served::of(shell).await.unwrap()
}

async fn is_sound(api: &Api) {
    let operation =
        api.admin().verify(proto::VerifyRequest {}).await.unwrap().into_inner().operation.unwrap();
    match api.wait(&operation.name).await.unwrap().result {
        Some(proto::operation::Result::Verify(report)) => assert_eq!(report.problems, 0, "{report:?}"),
        other => panic!("{other:?}"),
    }
}

/// Files that may not grow any more, as on a full disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // In units of 512 bytes; without the trap the signal ends the process.
    let served = limited(&data, "trap '' XFSZ; ulimit -f 1000").await;
    let mut acknowledged = Vec::new();
    let refused = loop {
        let item = acknowledged.len() as u64;
        let bytes = png(&scene(320, 320, item as u32));
        match served.api.add(&item.to_string(), bytes.clone()).await {
            Ok(outcome) if outcome.status() == AddStatus::Added => acknowledged.push(outcome.image_id),
            Ok(outcome) => break outcome.detail,
            Err(status) => break format!("{:?}", facts(&status)),
        }
        assert!(item < 5000, "the limit does not hold");
    };
    eprintln!("after {} images: {refused}", acknowledged.len());
    assert!(
        refused.to_lowercase().contains("full")
            || refused.contains("STORAGE_FULL")
            || refused.contains("large"),
        "{refused}"
    );
    // Nothing more is written until somebody has seen to it.
    served.api.judge(proto::Side::Keep, &[&acknowledged[0]]).await.unwrap_err();
    drop(served);
    let served = Served::start(&data, "fsync").await;
    let stored: Vec<String> = served.api.list().await.into_iter().map(|image| image.image_id).collect();
    assert!(acknowledged.iter().all(|id| stored.contains(id)), "an acknowledged image is lost");
    is_sound(&served.api).await;
    served.api.add("later", picture(1, 1)).await.unwrap();
}

/// With more connections than files, some wait; the daemon goes on.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_wait() {
    let folder = tempfile::tempdir().unwrap();
    let served = limited(&folder.path().join("data"), "ulimit -n 150").await;
    let address = {
        // The channel knows it, and nobody else.
        let stats = std::fs::read_to_string(format!("/proc/{}/limits", served.id())).unwrap();
        assert!(
            stats.lines().any(|line| line.starts_with("Max open files") && line.contains("150")),
            "{stats}"
        );
        served.address.strip_prefix("http://").unwrap().to_owned()
    };
    let mut connections = Vec::new();
    // More than files are left, less than the system keeps waiting.
    for _ in 0..170 {
        connections.push(TcpStream::connect(&address).await.unwrap());
    }
    drop(connections);
    let late = Api::connect(&served.address).await;
    late.add("a", picture(1, 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_can_not_be_written_is_named() {
    // Nobody can make a folder there, not even root.
    let output = command(Path::new("/proc/culld"), "fsync").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && error.contains("/proc/culld"), "{output:?}");
}
