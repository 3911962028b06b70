//! A read of the store that never ends, as some damage makes of it: the daemon ends itself and says where.

use std::process::Stdio;

use culld::failpoint;
use culld::proto;
use culld::proto::Side;

use crate::durability::{Served, command};
use crate::support::{groups, picture};

/// Takes a minute for each, which is the longest that a read may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_never_ends_ends_the_daemon() {
    if !super::is_on() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let served = Served::start(&data, "fsync").await;
    let ids = served.api.add_new(groups(0..4, 4)).await;
    served.api.judge(Side::Keep, &[&ids["1/0"]]).await.unwrap();
    served.terminate();
    assert!(served.ended().await.success());
    // While it starts.
    let mut starting = command(&data, "fsync");
    starting.env(failpoint::VARIABLE, "read/next:3").stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || starting.output().unwrap()).await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("a read goes on for"), "{output:?}");
    // While it serves: what is looked at as it starts is far less.
    let mut serving = command(&data, "fsync");
    serving.env(failpoint::VARIABLE, "read/next:3000");
    let mut served = Served::of(serving).await.unwrap();
    served.api.add("new", picture(9, 9)).await.unwrap();
    // Each looks at every record, until one never ends.
    while let Ok(answer) = served.api.admin().verify(proto::VerifyRequest {}).await {
        if served.api.wait(&answer.into_inner().operation.unwrap().name).await.is_err() {
            break;
        }
    }
    assert_eq!(served.wait().code(), Some(1));
    // What was acknowledged is there.
    let served = Served::start(&data, "fsync").await;
    assert_eq!(served.api.stats().await.images, 17);
}
