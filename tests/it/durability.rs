//! The real binary, stopped in order and not: what was acknowledged is there again, as it was.

mod faults;
mod killed;
mod others;
mod synced;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use culld::proto;
use culld::proto::{AddStatus, Side};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{
    Api, TestDaemon, dbscan, facts, groups, header, id_of, ids_filter, image_message, k_means, long_work,
    picture,
};

/// `culld serve` in a process of its own, killed in the end if it still runs.
pub(crate) struct Served {
    child: Child,
    pub(crate) api: Api,
    pub(crate) address: String,
}

pub(crate) fn command(data: &Path, durability: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_culld"));
    let ours =
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("CULLD_")));
    for (name, _) in ours {
        command.env_remove(name);
    }
    let arguments = ["serve", "--json", "--listen", "127.0.0.1:0", "--model", "fake", "--workers", "2"];
    command.args(arguments).args(["--durability", durability, "--data"]).arg(data);
    command
}

fn command_beside_backups(data: &Path, durability: &str) -> Command {
    let mut command = command(data, durability);
    command.arg("--backup-folder").arg(data.with_file_name("backups"));
    command
}

/// Runs `culld` to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_culld")).args(arguments).output().unwrap()
}

impl Served {
    pub(crate) async fn start(data: &Path, durability: &str) -> Self {
        Self::of(command_beside_backups(data, durability)).await.unwrap()
    }

    /// Starts one that ends at a named place, if any; `None` where that was before it served. With a store memory of 0
    /// its store is opened again after every write.
    pub(crate) async fn try_start(
        data: &Path,
        durability: &str,
        store_memory_mib: u32,
        place: Option<String>,
    ) -> Option<Self> {
        let mut command = command_beside_backups(data, durability);
        command.args(["--store-memory-mib", &store_memory_mib.to_string()]);
        if let Some(place) = place {
            command.env(culld::failpoint::VARIABLE, place);
        }
        Self::of(command).await
    }

    /// Starts what prints its address as `culld serve --json` does; `None` where it ends first.
    pub(crate) async fn of(mut command: Command) -> Option<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            child.wait().unwrap();
            return None;
        }
        let address: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = address["address"].as_str().unwrap().to_owned();
        let api = Api::try_connect(&address).await;
        let Ok(api) = api else {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        };
        Some(Self { child, api, address })
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        tokio::task::block_in_place(|| self.child.wait().unwrap())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) async fn ended(mut self) -> ExitStatus {
        tokio::task::spawn_blocking(move || self.child.wait().unwrap()).await.unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        drop((self.child.kill(), self.child.wait()));
    }
}

/// Everything that callers see.
async fn everything(api: &Api) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut stats = api.stats().await;
    // Deleted images leave rows and pages behind until something sweeps them up, such as a restart.
    (stats.disk_bytes, stats.vector_bytes, stats.review_ready) = (0, 0, false);
    let clusters = api.clusters(0).await;
    let operations = api.admin().list_operations(proto::ListOperationsRequest::default()).await.unwrap();
    let policy = api.collections().get_policy(proto::GetPolicyRequest::default()).await.unwrap();
    let clusterings =
        api.clusterings().list_clusterings(proto::ListClusteringsRequest::default()).await.unwrap();
    let lists = (operations.into_inner(), clusterings.into_inner(), policy.into_inner());
    (stats, api.list().await, api.fetch().await, clusters, lists)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_order_changes_nothing() {
    for hnsw in [false, true] {
        let daemon = if hnsw { TestDaemon::with_hnsw().await } else { TestDaemon::start().await };
        daemon.add_new(groups(1..6, 5)).await;
        daemon.recluster(dbscan(0.1)).await;
        daemon.judge_cluster(Side::Keep, daemon.cluster_of(&id_of(&picture(1, 0))).await, &[]).await.unwrap();
        daemon.judge(Side::Discard, &[&id_of(&picture(2, 0))]).await.unwrap();
        daemon.delete(ids_filter(&[&id_of(&picture(2, 0)), &id_of(&picture(3, 1))])).await.unwrap();
        daemon.add("late", picture(2, 9)).await.unwrap();
        daemon.recluster(k_means(4)).await;
        let policy = Some(proto::Policy { standing_radius: Some(0.3), ..Default::default() });
        let request = proto::SetPolicyRequest { policy, ..Default::default() };
        daemon.collections().set_policy(request).await.unwrap();
        let before = everything(&daemon).await;
        let daemon = daemon.restarted().await;
        assert_eq!(everything(&daemon).await, before, "hnsw: {hnsw}");
        let daemon = daemon.restarted().await;
        assert_eq!(everything(&daemon).await, before, "hnsw: {hnsw}, twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let first = Served::start(folder.path(), "process").await;
    let second = command(folder.path(), "process").output().unwrap();
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
    first.api.add_new(groups(1..2, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_a_kill_interrupts_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::start(folder.path(), "process").await;
    served.api.add_new(groups(1..301, 4)).await;
    let done = served.api.recluster(k_means(3)).await;
    let name = served.api.start_recluster(Some(long_work())).await.unwrap().name;
    served.kill();
    let served = Served::start(folder.path(), "process").await;
    let operation = served.api.wait(&name).await.unwrap();
    let Some(proto::operation::Result::Error(error)) = operation.result else { panic!("{operation:?}") };
    assert_eq!((error.code, error.reason.as_str()), (i32::from(Code::Aborted), "INTERRUPTED"));
    assert_eq!(served.api.stats().await.active_clustering_id, done.clustering_id);
    assert_eq!(served.api.recluster(k_means(2)).await.clusters, 2, "the next one may start");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_brings_no_deleted_collection_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::start(folder.path(), "process").await;
    served.api.add_new(groups(1..3, 4)).await;
    for name in ["kept", "gone"] {
        served.api.create(name).await.add_new(groups(1..41, 5)).await;
    }
    let mut collections = served.api.collections();
    for name in ["gone", ""] {
        let request = proto::DeleteCollectionRequest { collection: name.into(), ..Default::default() };
        collections.delete_collection(request).await.unwrap();
    }
    served.kill();
    let served = Served::start(folder.path(), "process").await;
    let request = proto::ListCollectionsRequest::default();
    let listed = served.api.collections().list_collections(request).await.unwrap().into_inner().collections;
    let listed: Vec<_> = listed.iter().map(|one| (one.name.as_str(), one.images)).collect();
    assert_eq!(listed, [("default", 0), ("kept", 200)]);
    let again = served.api.create("gone").await;
    assert_eq!((again.stats().await.images, again.stats().await.events), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_streams_with_their_outcomes() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), "fsync").await;
    let mut health = HealthClient::new(served.api.channel.clone());
    let request = HealthCheckRequest { service: "culld.v1.ImageService".into() };
    let mut watch = health.watch(request).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    let (sender, receiver) = mpsc::channel(1);
    let sending = tokio::spawn(async move {
        // Until the daemon reads no more.
        drop(sender.send(header("")).await);
        for item in 0..100_000u64 {
            if sender.send(image_message(&item.to_string(), picture(item % 5, item))).await.is_err() {
                break;
            }
        }
    });
    let mut stream =
        served.api.images().add_images(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let mut outcomes = 0;
    while outcomes < 100 {
        let outcome = stream.message().await.unwrap().unwrap().outcome.unwrap();
        assert_eq!(outcome.status(), AddStatus::Added);
        outcomes += 1;
    }
    served.terminate();
    let end = loop {
        match stream.message().await {
            Ok(Some(_)) => outcomes += 1,
            Ok(None) => panic!("the stream must end with a status"),
            Err(status) => break status,
        }
    };
    assert_eq!(facts(&end), (Code::Unavailable, "STOPPING".into(), String::new()), "{end:?}");
    let last = watch.message().await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    drop((watch, stream));
    sending.abort();
    assert!(served.ended().await.success());
    let served = Served::start(folder.path(), "fsync").await;
    let stats = served.api.stats().await;
    assert_eq!((stats.images, stats.sources), (outcomes, outcomes), "what was stored was told, and no more");
}
