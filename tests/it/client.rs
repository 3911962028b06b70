//! The crate's own client: what it tries again, and the streams it keeps up.

use std::ops::ControlFlow;
use std::time::Duration;

use culld::client::watch::{Change, Watched, snapshot, watch};
use culld::client::{Connection, Options, Retry, add, request_id};
use culld::proto;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::{TestDaemon, groups, new_image};

fn connection(daemon: &TestDaemon) -> Connection {
    Connection::new(&Options { address: format!("http://{}", daemon.address()), ..Options::default() })
        .unwrap()
}

async fn outcomes(
    connection: &Connection,
    collection: &str,
    images: Vec<proto::NewImage>,
) -> Result<Vec<proto::AddOutcome>, Box<Status>> {
    let mut told = Vec::new();
    let mut client = connection.images();
    add::add(
        connection.retry(),
        proto::AddImagesHeader { collection: collection.to_owned(), tags: Vec::new() },
        tokio_stream::iter(images),
        async |requests| client.add_images(requests).await,
        async |outcome| {
            told.push(outcome);
            ControlFlow::Continue(())
        },
    )
    .await?;
    Ok(told)
}

#[test]
fn only_what_passes_is_tried_again() {
    let retry = Retry::default();
    let exhausted = |delay: Option<Duration>| {
        let details = ErrorDetails::with_retry_info(delay);
        Status::with_error_details(Code::ResourceExhausted, "full", details)
    };
    let seconds = |status: &Status, failures| retry.delay(status, failures).map(|delay| delay.as_secs_f64());
    let first = seconds(&Status::unavailable("away"), 1).unwrap();
    assert!((0.1..=0.125).contains(&first), "{first}");
    let last = seconds(&Status::unavailable("away"), 9).unwrap();
    assert!((5.0..=6.25).contains(&last), "{last}");
    assert_eq!(seconds(&Status::unavailable("away"), 10), None, "ten tries in all");
    assert_eq!(
        seconds(&exhausted(Some(Duration::from_secs(30))), 1),
        Some(30.0),
        "not before the daemon says"
    );
    assert_eq!(seconds(&exhausted(None), 1), None, "waiting won't help");
    assert_eq!(seconds(&Status::internal("a bug"), 1), None);
    assert_ne!(request_id(), request_id());
}

#[test]
fn a_connection_needs_an_address_and_a_token_that_can_be_sent() {
    let options = |address: &str, token: Option<&str>| Options {
        address: address.to_owned(),
        token: token.map(str::to_owned),
        ..Options::default()
    };
    assert!(Connection::new(&options("", None)).is_err());
    assert!(Connection::new(&options("http://127.0.0.1:1", Some("two\nlines"))).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_added_and_decisions_followed() {
    let daemon = TestDaemon::start().await;
    let connection = connection(&daemon);
    let images: Vec<_> = groups(0..2, 4).into_iter().map(|(key, data)| new_image(&key, data)).collect();
    let told = outcomes(&connection, "", images.clone()).await.unwrap();
    let added = told.iter().filter(|outcome| outcome.status() == proto::AddStatus::Added).count();
    assert_eq!((told.len(), added), (8, 8));

    // Keys may repeat, and a picture without one is called by its id.
    let unnamed = proto::NewImage { key: String::new(), ..images[0].clone() };
    let again = vec![images[0].clone(), images[0].clone(), unnamed];
    let told = outcomes(&connection, "", again).await.unwrap();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|outcome| outcome.status() == proto::AddStatus::AlreadyPresent), "{told:?}");

    let refused = outcomes(&connection, "no-such", images).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);

    let (decisions, token) = snapshot(&connection, &Watched::default()).await.unwrap();
    assert_eq!(decisions.len(), 8);
    let (key, data) = groups(5..6, 1).remove(0);
    let later = outcomes(&connection, "", vec![new_image(&key, data)]).await.unwrap();
    let mut seen = Vec::new();
    let told = async |change| {
        let Change::Decision(decision) = change else { panic!("{change:?}") };
        seen.push(decision.image_id);
        if seen.contains(&later[0].image_id) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    watch(&connection, Watched::default(), token, told).await.unwrap();
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_with_its_deadline() {
    // Takes connections and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let connection = Connection::new(&Options { address, ..Options::default() }).unwrap();
    let mut admin = connection.admin();
    let call = async |request| admin.get_server_info(request).await;
    let timeout = Some(Duration::from_millis(50));
    let late = connection.call(proto::GetServerInfoRequest {}, timeout, call).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
}
