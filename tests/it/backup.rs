//! Backups of a daemon in use, what they are restored to, and stores that are written anew.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use culld::failpoint;
use culld::proto;
use culld::proto::Side;
use culld::store::backup::{BackupReader, BackupWriter};
use culld::store::{
    self, Batch, Keys, MemoryStore, SledOptions, SledStore, Store, StoreError, Watched, Write,
};
use culld::types::ImageId;
use tonic::Code;

use crate::durability::run;
use crate::support::{Api, TestDaemon, check_error, dbscan, groups, id_of, ids_filter, picture};

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn contents(store: &dyn Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    store
        .scan(&[], &mut |key, value| {
            all.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}

fn stored(folder: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    contents(&SledStore::open(folder, &SledOptions::default()).unwrap())
}

async fn back_up(daemon: &TestDaemon, name: &str) -> proto::BackupReport {
    let request = proto::BackupRequest { name: name.into(), request_id: name.into() };
    let operation = daemon.admin().backup(request).await.unwrap().into_inner().operation.unwrap();
    match daemon.wait(&operation.name).await.unwrap().result {
        Some(proto::operation::Result::Backup(report)) => report,
        other => panic!("{other:?}"),
    }
}

/// A daemon with records of most kinds, and a folder for backups.
pub(crate) async fn judged() -> TestDaemon {
    let folder = tempfile::tempdir().unwrap().keep();
    let daemon = TestDaemon::with(|config| config.backup_folder = Some(folder.join("backups"))).await;
    let ids = daemon.add_new(groups(1..7, 6)).await;
    daemon.recluster(dbscan(0.1)).await;
    daemon.judge_cluster(Side::Keep, daemon.cluster_of(&ids["1/0"]).await, &[]).await.unwrap();
    daemon.judge(Side::Discard, &[&ids["2/0"]]).await.unwrap();
    // Groups 1 and 2 are needed; six answers, of which one is taken back.
    daemon.review(3, 6).await;
    let events = daemon.stats().await.events;
    daemon.undo(events - 1).await.unwrap();
    daemon.delete(ids_filter(&[&ids["2/0"], &ids["3/0"], &ids["4/1"]])).await.unwrap();
    daemon.create("other").await.add_new(groups(1..3, 4)).await;
    daemon
}

/// Every decision in full, and the revisions apart: what was told is saved every 5 minutes and as the daemon stops, so
/// that a copy of a running one tells all of its images anew.
pub(crate) async fn decisions(api: &Api) -> (Vec<proto::Decision>, Vec<u64>) {
    let decided = api.fetch().await.into_values();
    decided.map(|decision| (proto::Decision { revision: 0, ..decision.clone() }, decision.revision)).unzip()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_the_collection_it_was_made_of() {
    let daemon = judged().await;
    let report = back_up(&daemon, "one.backup").await;
    let file = Path::new(&report.path).to_path_buf();
    assert_eq!(std::fs::metadata(&file).unwrap().len(), report.bytes);
    let ((decided, revisions), images) = (decisions(&daemon).await, daemon.list().await);
    let log = daemon.stats().await.events;
    // What comes later is not in it.
    daemon.add("late", picture(9, 9)).await.unwrap();
    daemon.judge(Side::Discard, &[&id_of(&picture(1, 1))]).await.unwrap();
    let verified = run(&["verify", "--backup", path(&file), "--json"]);
    assert!(verified.status.success(), "{verified:?}");

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let restored = run(&["restore", path(&file), "--data", path(&data)]);
    assert!(restored.status.success(), "{restored:?}");
    let copy = daemon.restarted_with(|config| config.data.clone_from(&data)).await;
    let (decided_there, revisions_there) = decisions(&copy).await;
    assert_eq!((decided_there, copy.list().await, copy.stats().await.events), (decided, images, log));
    // Whoever watched the other hears of these again, never of none.
    assert!(revisions_there.iter().zip(&revisions).all(|(there, here)| there >= here));
    assert_eq!(copy.at("other").stats().await.images, 8);
    // What was deleted and labelled is known again, and the folder is a data folder like any other.
    copy.add("again", picture(2, 0)).await.unwrap();
    assert_eq!(copy.decision(&id_of(&picture(2, 0))).await.provisional_side(), Side::Discard);
    copy.stop().await;

    let refused = |arguments: &[&str], words: &str| {
        let output = run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains(words), "{arguments:?}: {output:?}");
    };
    refused(&["restore", path(&file), "--data", path(&data)], "--replace");
    refused(&["restore", path(&folder.path().join("none")), "--data", path(&data)], "none");
    let foreign = folder.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letter"), "mine").unwrap();
    refused(&["restore", path(&file), "--data", path(&foreign), "--replace"], "no store");
    assert!(foreign.join("letter").is_file());
    let replaced = run(&["restore", path(&file), "--data", path(&data), "--replace"]);
    assert!(replaced.status.success(), "{replaced:?}");
    let verified = run(&["verify", "--data", path(&data)]);
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_asked_for_in_order() {
    let daemon = judged().await;
    let ask = async |name: &str, request_id: &str| {
        let request = proto::BackupRequest { name: name.into(), request_id: request_id.into() };
        daemon.admin().backup(request).await
    };
    let first = back_up(&daemon, "one.backup").await;
    let again = ask("one.backup", "one.backup").await.unwrap().into_inner().operation.unwrap();
    let Some(proto::operation::Result::Backup(report)) = again.result else { panic!("{again:?}") };
    assert_eq!(report, first, "a retry gets the first answer");
    check_error(ask("one.backup", "").await, Code::AlreadyExists, "ALREADY_EXISTS", "");
    for name in ["../one", ".one", "a/b", &"a".repeat(65), "\u{e9}"] {
        check_error(ask(name, "").await, Code::InvalidArgument, "INVALID_FIELD", "name");
    }
    // The time is a name, too.
    let timed = ask("", "").await.unwrap().into_inner().operation.unwrap();
    daemon.wait(&timed.name).await.unwrap();
    let daemon = daemon.restarted_with(|config| config.backup_folder = None).await;
    let refused = daemon.admin().backup(proto::BackupRequest::default()).await;
    check_error(refused, Code::FailedPrecondition, "NO_BACKUP_FOLDER", "");
}

/// Whatever is written meanwhile, a copy is the store between two batches.
#[test]
fn a_copy_is_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let sled = Arc::new(SledStore::open(folder.path(), &SledOptions::default()).unwrap());
    let watched = Watched::over(sled);
    let put = |key: u64, value: u64| Write::Put {
        key: key.to_be_bytes().to_vec(),
        value: [&value.to_be_bytes()[..], &[7; 3000]].concat(),
    };
    watched.apply((0..4000).map(|key| put(key, 0)).collect()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Every batch writes the first key, the last, one in the middle, and deletes and makes others.
            let mut turn = 0u64;
            while !done.load(Ordering::Relaxed) {
                turn += 1;
                let gone = Write::Delete { key: (4000 + turn % 50).to_be_bytes().to_vec() };
                let made = put(4000 + (turn + 25) % 50, turn);
                watched
                    .apply(vec![put(0, turn), put(1 + turn % 3998, turn), gone, made, put(3999, turn)])
                    .unwrap();
            }
        });
        for _ in 0..20 {
            let copy = MemoryStore::new();
            watched.copy(&mut |writes| copy.apply(writes)).unwrap();
            let value = |key: u64| {
                let value = copy.get(&key.to_be_bytes()).unwrap();
                value.map(|value| u64::from_be_bytes(*value.first_chunk().unwrap()))
            };
            let turn = value(0).unwrap();
            assert_eq!(value(3999), Some(turn));
            for before in turn.saturating_sub(3000).max(1)..=turn {
                assert_eq!(value(1 + before % 3998), Some(before), "at {turn}");
            }
            if turn > 50 {
                assert_eq!((value(4000 + turn % 50), value(4000 + (turn + 25) % 50)), (None, Some(turn)));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    // One at a time, and one that fails leaves nothing behind.
    let error = watched.copy(&mut |_| {
        assert!(matches!(watched.copy(&mut |_| Ok(())), Err(StoreError::Busy)));
        Err(StoreError::Closed)
    });
    assert!(matches!(error, Err(StoreError::Closed)));
    watched.copy(&mut |_| Ok(())).unwrap();
}

fn read(bytes: &[u8]) -> Result<u64, StoreError> {
    let mut reader = BackupReader::over(bytes, Path::new("backup"))?;
    let mut records = 0;
    while let Some(writes) = reader.next_piece()? {
        records += writes.len() as u64;
    }
    Ok(records)
}

#[test]
fn a_damaged_backup_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b");
    let mut writer = BackupWriter::create(&file, 5).unwrap();
    let put = |key: u8| Write::Put { key: vec![key], value: vec![key; 20] };
    writer.push(&[put(1), put(2), Write::Delete { key: vec![1] }]).unwrap();
    writer.push(&[put(3)]).unwrap();
    assert!(!file.exists(), "it is there once it is whole");
    assert_eq!(writer.finish().unwrap().records, 4);
    assert!(BackupWriter::create(&file, 5).is_err(), "it is never overwritten");
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(read(&bytes).unwrap(), 4);
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "cut off at {length}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        assert!(read(&damaged).is_err(), "damaged at {at}");
    }
    assert!(read(&[&bytes[..], b"x"].concat()).is_err(), "more than there should be");
    // One that was given up leaves nothing.
    let given_up = folder.path().join("c");
    drop(BackupWriter::create(&given_up, 5).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn at_place(arguments: &[&str], place: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_culld"));
    command.args(arguments).env(failpoint::VARIABLE, place).output().unwrap()
}

/// Wherever compacting and restoring break off, the folder has a whole store: the old one or the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_breaks_off_loses_nothing() {
    let daemon = judged().await;
    let file = back_up(&daemon, "one.backup").await.path;
    daemon.add("late", picture(9, 9)).await.unwrap();
    let folder = daemon.stopped().await;
    let data = folder.path().join("data");
    let before = stored(&data);
    for place in ["swap/filled", "swap/closed", "swap/moved-out", "swap/moved-in"] {
        let output = at_place(&["compact", "--data", path(&data)], place);
        assert_eq!(output.status.code(), None, "{place}: {output:?}");
        assert_eq!(stored(&data), before, "{place}");
        assert!(!data.join("incoming").exists(), "{place}");
    }
    let compacted = run(&["compact", "--data", path(&data), "--json"]);
    assert!(compacted.status.success(), "{compacted:?}");
    assert_eq!(stored(&data), before);
    // Of a restore over it the old or the new; into an empty folder nothing that looks like a store, or the new.
    let whole = folder.path().join("whole");
    assert!(run(&["restore", &file, "--data", path(&whole)]).status.success());
    let restored = stored(&whole);
    assert_ne!(restored, before);
    for place in ["swap/filled", "swap/closed", "swap/moved-out", "swap/moved-in"] {
        let output = at_place(&["restore", &file, "--data", path(&data), "--replace"], place);
        assert_eq!(output.status.code(), None, "{place}: {output:?}");
        let expected = if place == "swap/moved-in" { &restored } else { &before };
        assert!(stored(&data) == *expected, "{place}");
        let empty = folder.path().join(place.replace('/', "-"));
        let output = at_place(&["restore", &file, "--data", path(&empty)], place);
        assert_eq!(output.status.code(), None, "{place}: {output:?}");
        if place == "swap/moved-in" {
            assert!(stored(&empty) == restored);
            continue;
        }
        let error = SledStore::open(&empty, &SledOptions::default()).err().unwrap().to_string();
        assert!(error.contains("broke off"), "{place}: {error}");
        assert!(run(&["restore", &file, "--data", path(&empty)]).status.success(), "{place}");
        assert!(stored(&empty) == restored, "{place}");
    }
}

/// Bytes of a store of so many images, after so many more were deleted.
fn size_of(folder: &Path, images: u64, deleted: u64) -> u64 {
    let store = SledStore::open(folder, &SledOptions::default()).unwrap();
    let id = |number: u64| ImageId::of(&number.to_le_bytes());
    // Nothing of it compresses, as with real ones.
    let noise = |number: u64, bytes: usize| -> Vec<u8> {
        let mut noise = vec![0; bytes];
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut noise);
        noise
    };
    let all = images + deleted;
    for first in (0..all).step_by(64) {
        let mut batch = Batch::new();
        for number in first..all.min(first + 64) {
            batch.put_bytes(&Keys::image(1, &id(number)), &noise(number, 300));
            batch.put_bytes(&Keys::embedding(1, number, &id(number)), &noise(number, 5120));
            batch.put_bytes(&Keys::thumbnail(1, number, &id(number)), &noise(number, 10_000));
        }
        store.apply(batch.into_writes()).unwrap();
        store.sync().unwrap();
    }
    // Five of six go, all over the store.
    let gone: Vec<u64> = (0..all).filter(|number| deleted > 0 && number * images % all >= images).collect();
    for some in gone.chunks(1000) {
        let mut batch = Batch::new();
        for &number in some {
            batch.delete(&Keys::image(1, &id(number)));
            batch.delete(&Keys::embedding(1, number, &id(number)));
            batch.delete(&Keys::thumbnail(1, number, &id(number)));
        }
        store.apply(batch.into_writes()).unwrap();
        store.sync().unwrap();
    }
    drop(store);
    let sled = folder.join("sled");
    let mut folders = vec![sled];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let data = entry.metadata().unwrap();
            if data.is_dir() { folders.push(entry.path()) } else { bytes += data.len() }
        }
    }
    bytes
}

/// `CULLD_COMPACT_IMAGES=120000` is the full size.
#[test]
fn a_compacted_store_is_as_small_as_a_fresh_one() {
    let images = std::env::var("CULLD_COMPACT_IMAGES").map_or(6000, |images| images.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (used, fresh) = (folder.path().join("used"), folder.path().join("fresh"));
    let deleted = size_of(&used, images / 6, images - images / 6);
    let fresh = size_of(&fresh, images / 6, 0);
    let mut told = 0;
    let done = store::compact(&used, &SledOptions::default(), &mut |records| told = records).unwrap();
    assert_eq!((done.records, told, done.bytes_before), (images / 6 * 3, images / 6 * 3, deleted));
    eprintln!(
        "{images} images, five of six deleted: {deleted} bytes, compacted {}, a fresh store of the rest {fresh}",
        done.bytes_after
    );
    assert!(done.bytes_after as f64 <= 1.3 * fresh as f64, "{} of {fresh}", done.bytes_after);
}
