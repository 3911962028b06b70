//! Tokens that can't be gone on from, and filters that can't be followed.

use culld::proto;
use tonic::{Code, Status};

use super::{Follower, all};
use crate::support::{Api, TestDaemon, check_error, groups, id_of, ids_filter, picture};

async fn watch(api: &Api, token: &str) -> Result<(), Status> {
    let follower = Follower { token: token.to_owned(), ..Follower::default() };
    follower.watch(api).await.map(drop)
}

async fn fetch(api: &Api, token: &str) -> Result<(), Status> {
    let mut follower = Follower { token: token.to_owned(), ..Follower::default() };
    follower.fetch(api).await.map(drop)
}

async fn check_refused(api: &Api, token: &str, code: Code, reason: &str, field: &str) {
    check_error(watch(api, token).await, code, reason, field);
    check_error(fetch(api, token).await, code, reason, field);
}

/// A token as the daemon makes them, but given out so many milliseconds earlier.
fn aged(token: &str, collection: &str, ms: i64) -> String {
    let byte = |at: usize| u8::from_str_radix(&token[at..at + 2], 16).unwrap();
    let mut bytes: Vec<u8> = (0..token.len()).step_by(2).map(byte).collect();
    let given = i64::from_le_bytes(bytes[24..32].try_into().unwrap());
    bytes[24..32].copy_from_slice(&(given - ms).to_le_bytes());
    let checked = [b"decisions\0", collection.as_bytes(), b"\0", &bytes[8..]].concat();
    bytes[..8].copy_from_slice(&blake3::hash(&checked).as_bytes()[..8]);
    culld::store::HexKey(bytes).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_say_when_they_are_of_no_use() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 3)).await;
    let token = Follower::of_now(&daemon).await.token;
    let invalid = async |token: &str| {
        check_refused(&daemon, token, Code::InvalidArgument, "INVALID_FIELD", "since").await;
    };
    invalid("garbage").await;
    invalid(&"ö".repeat(72)).await;
    invalid(&token[1..]).await;
    invalid(&format!("{token}00")).await;
    for at in [0, 17, 40, 60, token.len() - 1] {
        let flipped = if &token[at..=at] == "0" { "1" } else { "0" };
        invalid(&format!("{}{flipped}{}", &token[..at], &token[at + 1..])).await;
    }
    let other = daemon.create("other").await;
    invalid(&Follower::of_now(&other).await.token).await;
    // Seven days are fine, a minute more is not.
    let day = 24 * 60 * 60 * 1000;
    watch(&daemon, &aged(&token, "default", 7 * day - 60_000)).await.unwrap();
    let old = aged(&token, "default", 7 * day + 60_000);
    check_refused(&daemon, &old, Code::OutOfRange, "TOKEN_EXPIRED", "").await;
    // The same name, and another world.
    let before = Follower::of_now(&other).await.token;
    let request = proto::DeleteCollectionRequest { collection: "other".into(), ..Default::default() };
    daemon.collections().delete_collection(request).await.unwrap();
    let anew = daemon.create("other").await;
    check_refused(&anew, &before, Code::OutOfRange, "TOKEN_EXPIRED", "").await;
    // The hint works.
    let hint = watch(&daemon, &old).await.unwrap_err();
    assert!(hint.message().contains("fetch all decisions"), "{hint:?}");
    let mut follower = Follower::of_now(&daemon).await;
    assert_eq!(follower.known, all(&daemon).await);
    daemon.delete(ids_filter(&[&id_of(&picture(1, 0))])).await.unwrap();
    assert_eq!(follower.fetch(&daemon).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_go_with_changes_is_no_filter_for_them() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..3, 3)).await;
    let token = Follower::of_now(&daemon).await.token;
    let unfit = [
        ("filter.source_prefix", proto::ImageFilter { source_prefix: "a".into(), ..Default::default() }),
        ("filter.tags", proto::ImageFilter { tags: vec!["a".into()], ..Default::default() }),
        ("filter.cluster_ids", proto::ImageFilter { cluster_ids: vec![1], ..Default::default() }),
        ("filter.noise", proto::ImageFilter { noise: true, ..Default::default() }),
    ];
    for (field, filter) in unfit {
        let mut follower =
            Follower { token: token.clone(), filter: Some(filter.clone()), ..Follower::default() };
        let (code, reason) = (Code::InvalidArgument, "INVALID_FIELD");
        check_error(follower.watch(&daemon).await, code, reason, field);
        check_error(follower.fetch(&daemon).await, code, reason, field);
        let request = proto::FetchDecisionsRequest { filter: Some(filter), ..Default::default() };
        daemon.decisions().fetch_decisions(request).await.unwrap();
    }
    // Images by name are followed like all.
    let (one, other) = (id_of(&picture(1, 0)), id_of(&picture(1, 1)));
    let mut follower = Follower { token, filter: Some(ids_filter(&[&one])), ..Follower::default() };
    daemon.judge(proto::Side::Keep, &[&one, &other]).await.unwrap();
    follower.fetch(&daemon).await.unwrap();
    assert_eq!(follower.known.keys().collect::<Vec<_>>(), [&one]);
}
