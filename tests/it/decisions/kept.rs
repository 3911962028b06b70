//! What is kept on disk of what is nearest to each image: whatever was judged, came or went since, and whatever became of
//! the file, decisions are those that are worked out anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use culld::config::Config;
use culld::proto;
use culld::proto::Side;

use crate::support::{Api, TestDaemon, dbscan, groups, id_of, ids_filter, picture};

/// The file, where there is one.
fn file(data: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(data.join("index")).ok()?;
    folders.map(|folder| folder.unwrap().path().join("nearest")).find(|path| path.is_file())
}

/// Images without a label, with an implied one, and seen ones, of both sides.
async fn judged() -> TestDaemon {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..6, 6)).await;
    daemon.recluster(dbscan(0.1)).await;
    for (side, group) in [(Side::Keep, 1), (Side::Discard, 2)] {
        daemon.judge_cluster(side, daemon.cluster_of(&id_of(&picture(group, 0))).await, &[]).await.unwrap();
    }
    daemon.judge(Side::Keep, &[&id_of(&picture(3, 0)), &id_of(&picture(2, 5))]).await.unwrap();
    daemon
}

async fn decisions(api: &Api) -> BTreeMap<String, proto::Decision> {
    let mut decisions = api.fetch().await;
    // When it was told is another matter.
    decisions.values_mut().for_each(|decision| decision.revision = 0);
    decisions
}

/// Asserts that a start without the file changes nothing; answers the daemon that was started so.
async fn check_anew(daemon: TestDaemon) -> TestDaemon {
    let before = decisions(&daemon).await;
    let remove = |config: &mut Config| std::fs::remove_file(file(&config.data).unwrap()).unwrap();
    let daemon = daemon.restarted_with(remove).await;
    assert_eq!(decisions(&daemon).await, before);
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_as_nearest_is_brought_up_to_date() {
    let daemon = judged().await;
    let before = decisions(&daemon).await;
    let mut old = Vec::new();
    let read = |config: &mut Config| old = std::fs::read(file(&config.data).unwrap()).unwrap();
    let daemon = daemon.restarted_with(read).await;
    assert_eq!(decisions(&daemon).await, before);
    // As after a kill: the file is older than what is stored.
    let put_back = |config: &mut Config| std::fs::write(file(&config.data).unwrap(), &old).unwrap();
    daemon.add_new(groups([7], 4)).await;
    let daemon = check_anew(daemon.restarted_with(put_back).await).await;
    // A side changes, labels come and end, an implied one becomes a seen one.
    daemon.judge(Side::Discard, &[&id_of(&picture(3, 0)), &id_of(&picture(1, 2))]).await.unwrap();
    let judged = daemon.judge(Side::Keep, &[&id_of(&picture(4, 1))]).await.unwrap();
    let daemon = check_anew(daemon.restarted_with(put_back).await).await;
    let undo = proto::UndoEventRequest { event_sequence: judged.event_sequence, ..Default::default() };
    daemon.decisions().undo_event(undo).await.unwrap();
    let gone = [id_of(&picture(1, 0)), id_of(&picture(3, 0)), id_of(&picture(5, 0))];
    daemon.delete(ids_filter(&gone.each_ref().map(String::as_str))).await.unwrap();
    let daemon = check_anew(daemon.restarted_with(put_back).await).await;
    daemon.add_new(groups([5], 1)).await;
    check_anew(daemon.restarted_with(put_back).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_use_as_nearest_is_worked_out_anew() {
    let mut daemon = judged().await;
    let before = decisions(&daemon).await;
    let damages: [fn(&Path); 4] = [
        |path| {
            let mut bytes = std::fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(path, bytes).unwrap();
        },
        |path| std::fs::write(path, []).unwrap(),
        |path| {
            // Whole, of a later format.
            let mut bytes = std::fs::read(path).unwrap();
            bytes.truncate(bytes.len() - 32);
            bytes[0] += 1;
            bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
            std::fs::write(path, bytes).unwrap();
        },
        |path| {
            // Whole, but a distance is a little off.
            let mut bytes = std::fs::read(path).unwrap();
            bytes.truncate(bytes.len() - 32);
            // The last row's last distance, behind the mark that there is one and the image.
            let end = bytes.len();
            bytes[end - 4] ^= 1;
            bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
            std::fs::write(path, bytes).unwrap();
        },
    ];
    for damage in damages {
        daemon = daemon.restarted_with(|config| damage(&file(&config.data).unwrap())).await;
        assert_eq!(decisions(&daemon).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_image_is_soon_not_kept_as_a_row() {
    let daemon = judged().await;
    let data = daemon.folder().join("data");
    let gone = id_of(&picture(5, 0));
    let bytes: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&gone[2 * at..2 * at + 2], 16).unwrap()).collect();
    daemon.delete(ids_filter(&[&gone])).await.unwrap();
    let kept = || file(&data).map(|path| std::fs::read(path).unwrap());
    while kept().is_none_or(|kept| kept.windows(32).any(|window| window == bytes)) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    daemon.stop().await;
}
