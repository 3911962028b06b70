//! The log as callers read it: who, what, when, newest first.

use culld::proto;
use culld::proto::{EventKind, Side};
use tonic::Code;

use crate::support::{Api, TestDaemon, check_error, groups, id_of, ids_filter, k_means, picture};

async fn page(api: &Api, request: proto::ListEventsRequest) -> proto::ListEventsResponse {
    api.decisions().list_events(request).await.unwrap().into_inner()
}

async fn log(api: &Api) -> Vec<proto::LogEntry> {
    page(api, proto::ListEventsRequest::default()).await.events
}

fn sequences(entries: &[proto::LogEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.event.as_ref().unwrap().sequence).collect()
}

async fn judge(api: &Api, side: Side, id: &str, actor: &str, note: &str) {
    let target = proto::ImagesTarget { image_ids: vec![id.to_owned()] };
    let request = proto::SetVerdictRequest {
        side: side.into(),
        target: Some(proto::set_verdict_request::Target::Images(target)),
        actor: actor.into(),
        note: note.into(),
        ..Default::default()
    };
    api.decisions().set_verdict(request).await.unwrap();
}

/// A daemon whose log has one of everything.
async fn daemon() -> TestDaemon {
    let daemon = TestDaemon::start().await;
    assert!(log(&daemon).await.is_empty());
    daemon.add_new(groups(1..4, 5)).await;
    judge(&daemon, Side::Keep, &id_of(&picture(1, 0)), "alice", "sharp").await;
    daemon.recluster(k_means(3)).await;
    let cluster = daemon.cluster_of(&id_of(&picture(2, 0))).await;
    daemon.judge_cluster(Side::Discard, cluster, &[&id_of(&picture(2, 1))]).await.unwrap();
    let policy = Some(proto::Policy { standing_radius: Some(0.3), ..Default::default() });
    let request = proto::SetPolicyRequest { policy, actor: "bob".into(), ..Default::default() };
    daemon.collections().set_policy(request).await.unwrap();
    daemon.delete(ids_filter(&[&id_of(&picture(3, 0)), &id_of(&picture(3, 1))])).await.unwrap();
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_everything_newest_first() {
    let daemon = daemon().await;
    let entries = log(&daemon).await;
    assert_eq!(sequences(&entries), [5, 4, 3, 2, 1]);
    let kinds: Vec<_> = entries.iter().map(proto::LogEntry::kind).collect();
    let expected = [
        EventKind::Deletion,
        EventKind::Policy,
        EventKind::Verdict,
        EventKind::Activation,
        EventKind::Verdict,
    ];
    assert_eq!(kinds, expected);
    let named = |entry: &proto::LogEntry| {
        [entry.seen_images, entry.implied_images, entry.exception_images, entry.deleted_images]
    };
    let counts: Vec<_> = entries.iter().map(named).collect();
    assert_eq!(counts, [[0, 0, 0, 2], [0; 4], [0, 4, 1, 0], [0; 4], [1, 0, 0, 0]]);
    let first = entries[4].event.as_ref().unwrap();
    assert_eq!((first.actor.as_str(), first.note.as_str()), ("alice", "sharp"));
    assert_eq!(first.summary, "keep 1 images");
    let times: Vec<_> = entries
        .iter()
        .map(|entry| entry.event.as_ref().unwrap().time.unwrap())
        .map(|at| (at.seconds, at.nanos))
        .collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    let mut hashes: Vec<&str> = entries.iter().map(|entry| entry.hash.as_str()).collect();
    assert!(
        hashes.iter().all(|hash| hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
    );
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 5);
    assert!(entries.iter().all(|entry| entry.undone_by_sequence.is_none()));
    let before = log(&daemon).await;
    let daemon = daemon.restarted().await;
    assert_eq!(log(&daemon).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_filtered_and_paged() {
    let daemon = daemon().await;
    let entries = log(&daemon).await;
    let filtered = async |request: proto::ListEventsRequest| sequences(&page(&daemon, request).await.events);
    let by = |actor: &str| proto::ListEventsRequest { actor: actor.into(), ..Default::default() };
    assert_eq!(filtered(by("alice")).await, [1]);
    assert_eq!(filtered(by("bob")).await, [4]);
    assert!(filtered(by("eve")).await.is_empty());
    let kinds = vec![EventKind::Verdict.into(), EventKind::Activation.into()];
    assert_eq!(filtered(proto::ListEventsRequest { kinds, ..Default::default() }).await, [3, 2, 1]);
    let third = entries[2].event.as_ref().unwrap().time;
    let after = filtered(proto::ListEventsRequest { after: third, ..Default::default() }).await;
    let before = filtered(proto::ListEventsRequest { before: third, ..Default::default() }).await;
    assert_eq!([after.clone(), before].concat(), [5, 4, 3, 2, 1]);
    assert!(after.contains(&3));
    // Pages are stable, whatever is said meanwhile.
    let mut request = proto::ListEventsRequest { page_size: 2, ..Default::default() };
    let mut paged = Vec::new();
    loop {
        let page = page(&daemon, request.clone()).await;
        paged.extend(page.events);
        judge(&daemon, Side::Keep, &id_of(&picture(1, 1)), "alice", "").await;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(paged, entries);
    let list = async |request| daemon.decisions().list_events(request).await;
    let unspecified = proto::ListEventsRequest { kinds: vec![0], ..Default::default() };
    check_error(list(unspecified).await, Code::InvalidArgument, "INVALID_FIELD", "kinds");
    let foreign = proto::ListEventsRequest { actor: "bob".into(), ..request };
    check_error(list(foreign).await, Code::InvalidArgument, "INVALID_FIELD", "page_token");
    let nowhere = proto::ListEventsRequest { collection: "nowhere".into(), ..Default::default() };
    check_error(list(nowhere).await, Code::NotFound, "NOT_FOUND", "");
}
