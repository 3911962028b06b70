//! Data folders and backups of every format there ever was: they open for ever, and answer as they did.
//!
//! `tests/fixtures/NAME` is never changed. When the format grows, `CULLD_MAKE_FIXTURE=store-2` makes the next one.

use std::fs;
use std::path::{Path, PathBuf};

use culld::proto;
use culld::store::{SledOptions, restore};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Api, TestDaemon};
use crate::verify::full_folder;

const NAMES: [&str; 1] = ["store-1"];

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.metadata().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of a data folder, which may be written.
pub(crate) fn unpacked(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    copy_folder(&fixture(name).join("data"), &data);
    // Empty folders are not kept by git.
    fs::create_dir_all(data.join("sled/slabs")).unwrap();
    (folder, data)
}

/// What callers see.
async fn answers(api: &Api) -> Value {
    let mut decisions = serde_json::Map::new();
    for (id, decision) in api.fetch().await {
        let one = json!([decision.decision, decision.provisional_side, decision.reason]);
        decisions.insert(id, one);
    }
    let stats = api.stats().await;
    let policy = api.collections().get_policy(proto::GetPolicyRequest::default()).await.unwrap().into_inner();
    let sources: Vec<Value> =
        api.list().await.iter().map(|image| json!([image.image_id, image.sources.len()])).collect();
    json!({
        "decisions": decisions,
        "sources": sources,
        "events": stats.events,
        "clusterings": stats.clusterings,
        "clusters": stats.clusters,
        "labelled": [stats.labelled_keep, stats.labelled_discard],
        "standing_radius": policy.policy.unwrap().standing_radius,
    })
}

async fn check(data: PathBuf, expected: &Value, name: &str) {
    let daemon = TestDaemon::with(|config| config.data = data).await;
    assert_eq!(&answers(&daemon).await, expected, "{name}");
    let operation =
        daemon.admin().verify(proto::VerifyRequest {}).await.unwrap().into_inner().operation.unwrap();
    match daemon.wait(&operation.name).await.unwrap().result {
        Some(proto::operation::Result::Verify(report)) => {
            assert_eq!(report.problems, 0, "{name}: {report:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_opens_for_ever() {
    if let Some(name) = std::env::var_os("CULLD_MAKE_FIXTURE") {
        make(name.to_str().unwrap()).await;
    }
    for name in NAMES {
        let expected: Value =
            serde_json::from_str(&fs::read_to_string(fixture(name).join("expected.json")).unwrap()).unwrap();
        let (_folder, data) = unpacked(name);
        check(data, &expected, name).await;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        restore(&fixture(name).join("one.backup"), &data, false, &mut |_| {}, &mut |_| Ok(())).unwrap();
        check(data, &expected, &format!("the backup of {name}")).await;
    }
}

async fn make(name: &str) {
    let made = full_folder().await;
    let data = made.path().join("data");
    culld::store::compact(&data, &SledOptions::default(), &mut |_| {}).unwrap();
    let to = fixture(name);
    fs::create_dir_all(&to).unwrap();
    copy_folder(&data, &to.join("data"));
    drop(fs::remove_dir_all(to.join("data/index")));
    let backups = to.clone();
    let daemon = TestDaemon::with(|config| {
        config.data = data;
        config.backup_folder = Some(backups);
    })
    .await;
    let expected = answers(&daemon).await;
    fs::write(to.join("expected.json"), serde_json::to_string_pretty(&expected).unwrap() + "\n").unwrap();
    let request = proto::BackupRequest { name: "one.backup".into(), request_id: String::new() };
    let operation = daemon.admin().backup(request).await.unwrap().into_inner().operation.unwrap();
    daemon.wait(&operation.name).await.unwrap();
}
