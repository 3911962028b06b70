//! Following decisions: whoever applies what is told ends with what a full fetch gives, whatever happens meanwhile.

mod tokens;

use std::collections::BTreeMap;

use culld::proto;
use culld::proto::decision_service_client::DecisionServiceClient;
use culld::proto::{DecisionKind, RemovalReason, Side};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::durability::Served;
use crate::support::{
    Api, TestDaemon, check_error, dbscan, groups, id_of, ids_filter, k_means, new_image, picture,
};

const WATCHERS_MAX: usize = 64;

/// What is told of an image: kind, provisional side, reason, revision.
type Told = (i32, i32, i32, u64);

fn told(decision: &proto::Decision) -> Told {
    (decision.decision, decision.provisional_side, decision.reason, decision.revision)
}

/// One who follows decisions, and what it knows.
#[derive(Debug, Clone, Default)]
struct Follower {
    known: BTreeMap<String, Told>,
    /// The largest revision told of each image.
    revisions: BTreeMap<String, u64>,
    token: String,
    filter: Option<proto::ImageFilter>,
    messages: usize,
}

impl Follower {
    /// One who knows everything of now.
    async fn of_now(api: &Api) -> Self {
        let mut follower = Self::default();
        follower.fetch(api).await.unwrap();
        follower
    }

    fn request(&self, api: &Api) -> proto::FetchDecisionsRequest {
        proto::FetchDecisionsRequest {
            collection: api.collection.clone(),
            filter: self.filter.clone(),
            since: self.token.clone(),
            ..Default::default()
        }
    }

    /// Fetches what changed since what is known, or all; answers how many changes that were.
    async fn fetch(&mut self, api: &Api) -> Result<usize, Status> {
        let mut stream = api.decisions().fetch_decisions(self.request(api)).await?.into_inner();
        let mut changes = 0;
        while let Some(message) = stream.message().await? {
            changes += message.decisions.len() + message.removals.len();
            self.apply(&message.decisions, &message.removals);
            if !message.token.is_empty() {
                self.token = message.token;
            }
        }
        Ok(changes)
    }

    async fn watch(&self, api: &Api) -> Result<Streaming<proto::WatchDecisionsResponse>, Status> {
        let request = proto::WatchDecisionsRequest {
            collection: api.collection.clone(),
            filter: self.filter.clone(),
            since: self.token.clone(),
            ..Default::default()
        };
        Ok(api.decisions().watch_decisions(request).await?.into_inner())
    }

    fn apply(&mut self, decisions: &[proto::Decision], removals: &[proto::Removal]) {
        assert!(decisions.len() + removals.len() <= 500);
        let mut changes: Vec<(u64, &String, Option<Told>)> = Vec::new();
        changes.extend(decisions.iter().map(|one| (one.revision, &one.image_id, Some(told(one)))));
        changes.extend(removals.iter().map(|one| (one.revision, &one.image_id, None)));
        changes.sort();
        for (revision, image, now) in changes {
            let before = self.revisions.insert(image.clone(), revision);
            assert!(before.is_none_or(|before| before <= revision), "{image}: {before:?}, then {revision}");
            match now {
                Some(now) => self.known.insert(image.clone(), now),
                None => self.known.remove(image),
            };
        }
    }

    /// Reads a message; answers whether it told of this image.
    async fn read(
        &mut self,
        stream: &mut Streaming<proto::WatchDecisionsResponse>,
        image: &str,
    ) -> Result<bool, Status> {
        let message = stream.message().await?.expect("a watcher ends with a status");
        self.apply(&message.decisions, &message.removals);
        self.token = message.token;
        self.messages += 1;
        Ok(message.decisions.iter().any(|one| one.image_id == image)
            || message.removals.iter().any(|one| one.image_id == image))
    }

    /// Reads until it is told of this image; connects anew after so many messages.
    async fn read_until(&mut self, api: &Api, image: &str, messages: usize) -> Result<(), Status> {
        loop {
            let mut stream = self.watch(api).await?;
            for _ in 0..messages {
                if self.read(&mut stream, image).await? {
                    return Ok(());
                }
            }
        }
    }
}

/// All decisions there are, as they are told.
async fn all(api: &Api) -> BTreeMap<String, Told> {
    api.fetch().await.iter().map(|(image, decision)| (image.clone(), told(decision))).collect()
}

/// Adds a picture that nothing else adds: who is told of it knows everything before.
async fn add_mark(api: &Api, item: u64) -> String {
    api.add("mark", picture(99, item)).await.unwrap().image_id
}

/// Adds, judges, deletes, clusters and changes the policy, at random, until so much is done or the daemon is gone.
async fn act(api: Api, seed: u64, acts: usize) -> Result<(), Status> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..acts {
        let number = rng.random_range(0..60u64);
        let (bytes, id) = (picture(number % 5, number), id_of(&picture(number % 5, number)));
        let side = if rng.random() { Side::Keep } else { Side::Discard };
        let refused = match rng.random_range(0..12) {
            0..5 => {
                let image = Some(new_image(&number.to_string(), bytes));
                let request = proto::AddImageRequest { image, ..Default::default() };
                api.images().add_image(request).await.err()
            }
            5..8 => api.judge(side, &[&id]).await.err(),
            8..10 => api.delete(ids_filter(&[&id])).await.err(),
            10 => {
                let answer = if side == Side::Keep { DecisionKind::Keep } else { DecisionKind::Review };
                let policy = Some(proto::Policy {
                    standing_margin: Some(rng.random_range(0.0..0.2)),
                    answer_in_review: answer.into(),
                    ..Default::default()
                });
                let request = proto::SetPolicyRequest { policy, ..Default::default() };
                api.collections().set_policy(request).await.err()
            }
            _ => {
                let algorithm = if side == Side::Keep { k_means(3) } else { dbscan(0.05) };
                let parameters = Some(proto::Parameters { algorithm: Some(algorithm) });
                match api.start_recluster(parameters).await {
                    Ok(operation) => api.wait(&operation.name).await.err(),
                    Err(status) => Some(status),
                }
            }
        };
        // What is not there can't be judged, and one clustering runs at a time; all else is the daemon's end.
        let expected = [Code::NotFound, Code::FailedPrecondition, Code::InvalidArgument];
        if let Some(status) = refused.filter(|status| !expected.contains(&status.code())) {
            return Err(status);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_end_with_what_a_full_fetch_gives() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(0..5, 4)).await;
    let start = Follower::of_now(&daemon).await;
    assert_eq!(start.known, all(&daemon).await);
    let mark = id_of(&picture(99, 0));
    let keep = proto::ImageFilter { decisions: vec![DecisionKind::Keep.into()], ..Default::default() };
    let mut followers = tokio::task::JoinSet::new();
    // One that reads on, two that connect anew all the time, one that is interested in some.
    for (messages, filter) in [(usize::MAX, None), (1, None), (3, None), (usize::MAX, Some(keep))] {
        let (api, mark, mut follower) = (Api::clone(&daemon), mark.clone(), start.clone());
        follower.filter = filter;
        followers.spawn(async move {
            follower.read_until(&api, &mark, messages).await.unwrap();
            follower
        });
    }
    // And one that does not read until all is over.
    let mut late = start.clone();
    let mut unread = late.watch(&daemon).await.unwrap();
    let mut actors = tokio::task::JoinSet::new();
    for seed in 0..4 {
        actors.spawn(act(Api::clone(&daemon), seed, 60));
    }
    while let Some(ended) = actors.join_next().await {
        ended.unwrap().unwrap();
    }
    add_mark(&daemon, 0).await;
    let expected = all(&daemon).await;
    while !late.read(&mut unread, &mark).await.unwrap() {}
    assert_eq!(late.known, expected);
    while let Some(follower) = followers.join_next().await {
        let follower = follower.unwrap();
        let mut expected = expected.clone();
        if follower.filter.is_some() {
            expected.retain(|_, told| told.0 == i32::from(DecisionKind::Keep));
        }
        assert_eq!(follower.known, expected, "after {} messages", follower.messages);
    }
    let mut fetcher = start.clone();
    fetcher.fetch(&daemon).await.unwrap();
    assert_eq!(fetcher.known, expected);
    assert_eq!(fetcher.fetch(&daemon).await.unwrap(), 0, "nothing changed since");
}

/// What is told is what changed, and no more; confidence alone is no change.
#[tokio::test(flavor = "multi_thread")]
async fn only_changes_are_told() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..4, 5)).await;
    let (kept, gone) = (id_of(&picture(1, 0)), id_of(&picture(3, 0)));
    daemon.judge(Side::Keep, &[&kept]).await.unwrap();
    daemon.judge(Side::Discard, &[&id_of(&picture(2, 0))]).await.unwrap();
    // What the classifier makes of it is a change of its own.
    daemon.settle().await;
    let mut follower = Follower::of_now(&daemon).await;
    daemon.judge(Side::Keep, &[&kept]).await.unwrap();
    assert_eq!(follower.fetch(&daemon).await.unwrap(), 0, "it was kept before");
    daemon.delete(ids_filter(&[&gone])).await.unwrap();
    let outcome = daemon.add("new", picture(1, 9)).await.unwrap();
    let request = follower.request(&daemon);
    let mut stream = daemon.decisions().fetch_decisions(request).await.unwrap().into_inner();
    let message = stream.message().await.unwrap().unwrap();
    assert_eq!(message.decisions, [outcome.decision.unwrap()]);
    let [removal] = &message.removals[..] else { panic!("{message:?}") };
    assert_eq!((&removal.image_id, removal.reason()), (&gone, RemovalReason::Deleted));
    assert!(removal.revision < message.decisions[0].revision, "in the order of what happened");
    assert!(stream.message().await.unwrap().is_none());
    // Deleted and added again: the removal, and then the image.
    daemon.delete(ids_filter(&[&kept])).await.unwrap();
    daemon.add("again", picture(1, 0)).await.unwrap();
    follower.fetch(&daemon).await.unwrap();
    assert_eq!(follower.known, all(&daemon).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_order_tells_nothing_twice() {
    let mut daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..4, 10)).await;
    daemon.judge(Side::Keep, &[&id_of(&picture(1, 0))]).await.unwrap();
    daemon.judge(Side::Discard, &[&id_of(&picture(2, 0))]).await.unwrap();
    let early = Follower::of_now(&daemon).await;
    daemon.delete(ids_filter(&[&id_of(&picture(3, 0)), &id_of(&picture(3, 1))])).await.unwrap();
    daemon.add("new", picture(1, 20)).await.unwrap();
    let current = Follower::of_now(&daemon).await;
    for restart in 0..2 {
        daemon = daemon.restarted().await;
        let (mut early, mut current) = (early.clone(), current.clone());
        // Two that went, one that came, and what the classifier makes of it.
        assert!(early.fetch(&daemon).await.unwrap() >= 3, "restart {restart}");
        assert_eq!(current.fetch(&daemon).await.unwrap(), 0, "restart {restart}");
        assert_eq!((&early.known, &current.known), (&all(&daemon).await, &all(&daemon).await));
    }
    // What happens after the restart is told to those from before it.
    let mut current = current;
    daemon.delete(ids_filter(&[&id_of(&picture(3, 2))])).await.unwrap();
    assert_eq!(current.fetch(&daemon).await.unwrap(), 1);
    assert_eq!(current.known, all(&daemon).await);
}

/// Changes may be told twice after a kill, but none is lost: also not that of an image that changed and changed back.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_to_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::start(folder.path(), "process").await;
    served.api.add_new(groups(0..5, 4)).await;
    let first = id_of(&picture(0, 0));
    served.api.judge(Side::Keep, &[&first]).await.unwrap();
    served.terminate();
    assert!(served.ended().await.success());
    served = Served::start(folder.path(), "process").await;
    let mut follower = Follower::of_now(&served.api).await;
    served.api.judge(Side::Discard, &[&first]).await.unwrap();
    follower.fetch(&served.api).await.unwrap();
    assert_eq!(follower.known[&first].0, i32::from(DecisionKind::Discard));
    served.api.judge(Side::Keep, &[&first]).await.unwrap();
    for round in 0..8 {
        served.kill();
        served = Served::start(folder.path(), "process").await;
        follower.fetch(&served.api).await.unwrap();
        assert_eq!(follower.known, all(&served.api).await, "round {round}");
        let mut actors = tokio::task::JoinSet::new();
        for seed in 0..3 {
            actors.spawn(act(served.api.clone(), 10 * round + seed, usize::MAX));
        }
        let mut stream = follower.watch(&served.api).await.unwrap();
        for _ in 0..=round * 4 {
            follower.read(&mut stream, "").await.unwrap();
        }
        served.kill();
        while let Some(ended) = actors.join_next().await {
            ended.unwrap().unwrap_err();
        }
        served = Served::start(folder.path(), "process").await;
        let mark = add_mark(&served.api, round).await;
        follower.read_until(&served.api, &mark, usize::MAX).await.unwrap();
        assert_eq!(follower.known, all(&served.api).await, "round {round}");
    }
}

/// A connection whose streams take hardly anything before they are read.
async fn narrow(daemon: &TestDaemon) -> DecisionServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", daemon.address())).unwrap();
    DecisionServiceClient::new(endpoint.initial_stream_window_size(4096).connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_gets_the_latest_of_each_image() {
    const IMAGES: u64 = 1000;
    const FLIPS: u64 = 40;
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..5, IMAGES / 4)).await;
    let mut follower = Follower::of_now(&daemon).await;
    let request = proto::WatchDecisionsRequest { since: follower.token.clone(), ..Default::default() };
    let mut stream = narrow(&daemon).await.watch_decisions(request).await.unwrap().into_inner();
    for flip in 0..FLIPS {
        let answer = if flip % 2 == 0 { DecisionKind::Keep } else { DecisionKind::Review };
        let policy = Some(proto::Policy { answer_in_review: answer.into(), ..Default::default() });
        let request = proto::SetPolicyRequest { policy, ..Default::default() };
        daemon.collections().set_policy(request).await.unwrap();
    }
    let mark = add_mark(&daemon, 0).await;
    let mut changes = 0;
    loop {
        let message = stream.message().await.unwrap().unwrap();
        changes += message.decisions.len() as u64;
        follower.apply(&message.decisions, &message.removals);
        if message.decisions.iter().any(|one| one.image_id == mark) {
            break;
        }
    }
    assert_eq!(follower.known, all(&daemon).await);
    assert!(changes < IMAGES * FLIPS / 4, "{changes} of {} changes were told", IMAGES * FLIPS);
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_are_bounded_and_unread_ones_end() {
    let daemon = TestDaemon::with(|config| config.request_time_max = std::time::Duration::from_secs(3)).await;
    let start = Follower::of_now(&daemon).await;
    daemon.add_new(groups(1..5, 1000)).await;
    let mut client = narrow(&daemon).await;
    let mut open = async |since: &str| {
        let request = proto::WatchDecisionsRequest {
            since: since.to_owned(),
            view: proto::DecisionView::Full.into(),
            ..Default::default()
        };
        Ok::<_, Status>(client.watch_decisions(request).await?.into_inner())
    };
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS_MAX {
        watchers.push(open("").await.unwrap());
    }
    let refused = open("").await.unwrap_err();
    assert!(refused.get_error_details().retry_info().unwrap().retry_delay.is_some(), "{refused:?}");
    check_error(Err::<(), _>(refused), Code::ResourceExhausted, "LIMIT_REACHED", "");
    // Who has nothing to be told still hears that somebody is there, and each time with a newer token.
    let quiet = &mut watchers[0];
    let first = quiet.message().await.unwrap().unwrap();
    let second = quiet.message().await.unwrap().unwrap();
    assert_eq!((first.decisions.len(), second.decisions.len()), (0, 0));
    assert_ne!(first.token, second.token);
    watchers.clear();
    let mut unread = loop {
        match open(&start.token).await {
            Ok(stream) => break stream,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}"),
        }
    };
    // Nobody reads it until the others have been told twice that nothing happens, for far longer than it may wait.
    let mut quiet = open("").await.unwrap();
    for _ in 0..8 {
        quiet.message().await.unwrap();
    }
    let mut told = 0;
    let end = loop {
        match unread.message().await {
            Ok(Some(message)) => told += message.decisions.len(),
            Ok(None) => panic!("a watcher ends with a status"),
            Err(status) => break status,
        }
    };
    assert!(told < 4000, "{told} changes before it was cut off");
    check_error(Err::<(), _>(end), Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_end_with_their_collection_and_with_the_daemon() {
    let daemon = TestDaemon::start().await;
    let other = daemon.create("other").await;
    let mut follower = Follower::default();
    let mut gone = follower.watch(&other).await.unwrap();
    let mut left = follower.watch(&daemon).await.unwrap();
    // Each is told at once where it begins.
    follower.read(&mut gone, "").await.unwrap();
    follower.read(&mut left, "").await.unwrap();
    let request = proto::DeleteCollectionRequest { collection: "other".into(), ..Default::default() };
    daemon.collections().delete_collection(request).await.unwrap();
    check_error(gone.message().await, Code::NotFound, "NOT_FOUND", "");
    let ended = tokio::spawn(async move { left.message().await });
    daemon.stop().await;
    check_error(ended.await.unwrap(), Code::Unavailable, "STOPPING", "");
}
