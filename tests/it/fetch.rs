//! Streams of decisions that nobody reads: they are bounded, hold up nobody, and end.

use std::time::Duration;

use culld::proto;
use culld::proto::decision_service_client::DecisionServiceClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::support::{TestDaemon, check_error, groups, id_of, picture};

const STREAMS_MAX: usize = 32;
/// More than the daemon makes ahead of a reader that takes nothing.
const IMAGES: u64 = 4000;

type Decisions = Streaming<proto::FetchDecisionsResponse>;

/// A daemon with many images, and a connection whose streams take hardly anything before they are read.
async fn daemon(unread_time_max: Duration) -> (TestDaemon, DecisionServiceClient<Channel>) {
    let daemon = TestDaemon::with(|config| config.request_time_max = unread_time_max).await;
    daemon.add_new(groups(1..5, IMAGES / 4)).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", daemon.address())).unwrap();
    let channel = endpoint.initial_stream_window_size(4096).connect().await.unwrap();
    (daemon, DecisionServiceClient::new(channel))
}

async fn open(client: &DecisionServiceClient<Channel>) -> Result<Decisions, Status> {
    let request =
        proto::FetchDecisionsRequest { view: proto::DecisionView::Full.into(), ..Default::default() };
    Ok(client.clone().fetch_decisions(request).await?.into_inner())
}

/// Reads a stream to its end; answers how many decisions came, and how it ended.
async fn read(mut stream: Decisions) -> (usize, Option<Status>) {
    let mut count = 0;
    loop {
        match stream.message().await {
            Ok(Some(message)) => count += message.decisions.len(),
            Ok(None) => return (count, None),
            Err(status) => return (count, Some(status)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_streams_are_bounded_and_hold_up_nobody() {
    let (daemon, client) = daemon(Duration::from_mins(5)).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS_MAX {
        streams.push(open(&client).await.unwrap());
    }
    let refused = open(&client).await.unwrap_err();
    assert!(refused.get_error_details().retry_info().unwrap().retry_delay.is_some(), "{refused:?}");
    check_error(Err::<(), _>(refused), Code::ResourceExhausted, "LIMIT_REACHED", "");
    daemon.add("while nobody reads", picture(9, 9)).await.unwrap();
    daemon.decision(&id_of(&picture(9, 9))).await;
    // One that leaves makes room, and the others go on with the generation that they began with.
    drop(streams.pop());
    let late = loop {
        match open(&client).await {
            Ok(stream) => break stream,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}"),
        }
    };
    let (count, end) = read(late).await;
    assert_eq!((count as u64, end.is_none()), (IMAGES + 1, true), "{end:?}");
    let (count, end) = read(streams.remove(0)).await;
    assert_eq!((count as u64, end.is_none()), (IMAGES, true), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_is_cut_off() {
    let (_daemon, client) = daemon(Duration::from_secs(1)).await;
    let mut unread = Vec::new();
    for _ in 0..STREAMS_MAX {
        unread.push(open(&client).await.unwrap());
    }
    // There is room again only once one of them is cut off.
    while open(&client).await.is_err() {}
    let mut cut_off = 0;
    for stream in unread {
        match read(stream).await {
            (count, None) => assert_eq!(count as u64, IMAGES),
            (count, Some(end)) => {
                assert!((count as u64) < IMAGES, "{count} decisions in a stream that was cut off");
                check_error(Err::<(), _>(end), Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "");
                cut_off += 1;
            }
        }
    }
    assert!(cut_off > 0);
}
