//! What is kept of a followed clustering for the next start: clusters keep their ids and their past, whatever came and
//! went since, and what can't be believed is built anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use culld::proto;

use super::{check_live, live_clusters, live_members};
use crate::support::{Api, TestDaemon, dbscan, groups, id_of, ids_filter, picture};

/// The file, where there is one.
fn file(data: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(data.join("index")).ok()?;
    folders.map(|folder| folder.unwrap().path().join("followed")).find(|path| path.is_file())
}

async fn await_live(api: &Api) {
    while api.stats().await.live_generation == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The members of each cluster by its id, and what happened to clusters.
async fn seen(api: &Api) -> (BTreeMap<u64, BTreeSet<String>>, Vec<(u64, proto::LineageChange)>) {
    await_live(api).await;
    let listed = live_clusters(api).await.unwrap();
    let mut clusters = BTreeMap::new();
    for cluster in &listed.clusters {
        clusters.insert(cluster.cluster_id, live_members(api, Some(cluster.cluster_id)).await);
    }
    let told = listed.lineage.iter().map(|event| (event.cluster_id, event.change())).collect();
    (clusters, told)
}

/// Three clusters of the clustering, and one that was born since.
async fn grown() -> TestDaemon {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..4, 6)).await;
    daemon.recluster(dbscan(0.1)).await;
    daemon.add_new(groups([9], 5)).await;
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_born_since_the_clustering_keep_their_ids_and_their_past() {
    let daemon = grown().await;
    let before = seen(&daemon).await;
    assert_eq!((before.0.len(), before.1.len()), (4, 1));
    let daemon = daemon.restarted().await;
    assert_eq!(seen(&daemon).await, before);
    check_live(&daemon).await;
    // It goes on being followed, and ids go on.
    daemon.add_new(groups([12], 5)).await;
    let after = seen(&daemon).await;
    assert_eq!((after.0.len(), after.1.len()), (5, 2));
    assert!(before.0.keys().all(|id| after.0.contains_key(id)));
    check_live(&daemon).await;
}

/// As after a kill: what is kept is older than what is stored.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_since_it_was_kept_is_taken_in() {
    let daemon = grown().await;
    let before = seen(&daemon).await;
    let mut old = Vec::new();
    let daemon =
        daemon.restarted_with(|config| old = std::fs::read(file(&config.data).unwrap()).unwrap()).await;
    await_live(&daemon).await;
    daemon.add_new(groups([14], 5)).await;
    daemon.add_new(vec![("one more".to_owned(), picture(2, 40))]).await;
    let put_back = |config: &mut culld::config::Config| {
        std::fs::write(file(&config.data).unwrap(), &old).unwrap();
    };
    let daemon = daemon.restarted_with(put_back).await;
    let after = seen(&daemon).await;
    assert_eq!(after.0.len(), 5);
    assert!(before.0.keys().all(|id| after.0.contains_key(id)), "{before:?} {after:?}");
    assert_eq!(after.1.len(), 2, "what came with the tail is told: {after:?}");
    check_live(&daemon).await;
    // Deleted images took along what it would take to follow; the ids stay all the same.
    let gone: Vec<String> = (0..2).map(|item| id_of(&picture(9, item))).collect();
    daemon.delete(ids_filter(&gone.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
    let daemon = daemon.restarted_with(put_back).await;
    let last = seen(&daemon).await;
    assert!(before.0.keys().all(|id| last.0.contains_key(id)), "{before:?} {last:?}");
    check_live(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_believed_is_built_anew() {
    let mut daemon = grown().await;
    let damages: [fn(&Path); 5] = [
        |path| {
            let mut bytes = std::fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(path, bytes).unwrap();
        },
        |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 3]).unwrap();
        },
        |path| std::fs::write(path, []).unwrap(),
        |path| std::fs::remove_file(path).unwrap(),
        |path| {
            // Whole, of a later format.
            let mut bytes = std::fs::read(path).unwrap();
            bytes.truncate(bytes.len() - 32);
            bytes[0] += 1;
            bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
            std::fs::write(path, bytes).unwrap();
        },
    ];
    for damage in damages {
        daemon = daemon.restarted_with(|config| damage(&file(&config.data).unwrap())).await;
        await_live(&daemon).await;
        check_live(&daemon).await;
        assert_eq!(seen(&daemon).await.0.len(), 4);
    }
    // What is of another clustering is not of this one.
    let mut old = Vec::new();
    daemon = daemon.restarted_with(|config| old = std::fs::read(file(&config.data).unwrap()).unwrap()).await;
    await_live(&daemon).await;
    daemon.recluster(dbscan(0.012)).await;
    daemon = daemon.restarted_with(|config| std::fs::write(file(&config.data).unwrap(), &old).unwrap()).await;
    await_live(&daemon).await;
    check_live(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_soon_kept_and_leaves_no_trace() {
    let daemon = grown().await;
    let data = daemon.folder().join("data");
    let gone = id_of(&picture(9, 0));
    daemon.delete(ids_filter(&[&gone])).await.unwrap();
    let bytes: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&gone[2 * at..2 * at + 2], 16).unwrap()).collect();
    let kept = |data: &Path| file(data).map(|path| std::fs::read(path).unwrap());
    loop {
        if kept(&data).is_some_and(|kept| !kept.windows(32).any(|window| window == bytes)) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    daemon.stop().await;
}
