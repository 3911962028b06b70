//! Whatever is not as it has to be is found and named: in a store by itself, and in a daemon that runs.

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use culld::engine::{Progress, VerifyReport, verify_store};
use culld::proto;
use culld::proto::Side;
use culld::store::{
    Batch, HexKey, Key, Keys, Kind, LogRecord, MemoryStore, SledOptions, SledStore, Store, Write, codec,
};
use tempfile::TempDir;

use crate::support::{TestDaemon, dbscan, groups, id_of, ids_filter, k_means, picture};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The folder of a daemon that has stopped in order, with records of every kind there is.
pub(crate) async fn full_folder() -> TempDir {
    let daemon = TestDaemon::start().await;
    let ids = daemon.add_new(groups(1..5, 6)).await;
    daemon.add("elsewhere", picture(1, 0)).await.unwrap();
    daemon.recluster(dbscan(0.1)).await;
    daemon.judge_cluster(Side::Keep, daemon.cluster_of(&ids["1/0"]).await, &[]).await.unwrap();
    daemon.judge(Side::Discard, &[&ids["2/0"]]).await.unwrap();
    daemon.delete(ids_filter(&[&ids["2/0"], &ids["3/0"]])).await.unwrap();
    let optics = proto::OpticsParameters { min_points: Some(3), ..Default::default() };
    daemon.recluster(proto::parameters::Algorithm::Optics(optics)).await;
    let policy = Some(proto::Policy { standing_radius: Some(0.3), ..Default::default() });
    let request = proto::SetPolicyRequest { policy, request_id: "once".into(), ..Default::default() };
    daemon.collections().set_policy(request).await.unwrap();
    let other = daemon.create("other").await;
    other.add_new(groups(1..3, 4)).await;
    other.recluster(k_means(2)).await;
    daemon.stopped().await
}

fn open(folder: &TempDir) -> SledStore {
    SledStore::open(&folder.path().join("data"), &SledOptions::default()).unwrap()
}

fn records(store: &dyn Store) -> Records {
    let mut records = Records::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        records.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    store.scan(&[], visit).unwrap();
    records
}

fn put(store: &dyn Store, key: &[u8], value: &[u8]) {
    store.apply(vec![Write::Put { key: key.to_vec(), value: value.to_vec() }]).unwrap();
}

fn delete(store: &dyn Store, key: &[u8]) {
    store.apply(vec![Write::Delete { key: key.to_vec() }]).unwrap();
}

fn memory(records: &Records) -> MemoryStore {
    let store = MemoryStore::new();
    records.iter().for_each(|(key, value)| put(&store, key, value));
    store
}

fn verify(store: &dyn Store) -> VerifyReport {
    verify_store(store, &Progress { tell: &|_, _, _| {}, cancelled: &|| false }).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    HexKey(bytes.to_vec()).to_string()
}

fn kind(key: &[u8]) -> Kind {
    Kind::from_byte(key[0]).unwrap()
}

/// Three records of each kind: the first, one in the middle, the last.
fn samples(records: &Records) -> Vec<(&Vec<u8>, &Vec<u8>)> {
    let mut samples = Vec::new();
    for kind in Kind::ALL {
        let of_kind: Vec<_> = records.iter().filter(|(key, _)| key[0] == kind as u8).collect();
        let Some(last) = of_kind.len().checked_sub(1) else { continue };
        samples.extend(BTreeSet::from([0, last / 2, last]).into_iter().map(|at| of_kind[at]));
    }
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_byte_is_found_and_named() {
    let folder = full_folder().await;
    let sled = open(&folder);
    let records = records(&sled);
    let kinds: BTreeSet<u8> = records.keys().map(|key| key[0]).collect();
    // No policy is kept apart from the log.
    let expected: BTreeSet<u8> =
        Kind::ALL.iter().filter(|kind| **kind != Kind::Policy).map(|kind| *kind as u8).collect();
    assert_eq!(kinds, expected);
    let store = memory(&records);
    let sound = verify(&store);
    assert_eq!((sound.problems, &sound.listed, &sound.skipped), (0, &vec![], &vec![]), "{sound:?}");
    assert_eq!(sound.records.iter().map(|(_, count)| *count).sum::<u64>(), records.len() as u64);
    for (key, value) in samples(&records) {
        for at in BTreeSet::from([0, 1.min(value.len() - 1), value.len() / 2, value.len() - 1]) {
            let mut damaged = value.clone();
            damaged[at] ^= 0x10;
            put(&store, key, &damaged);
            let found = verify(&store);
            let case = format!("byte {at} of {} {}: {found:?}", kind(key).name(), hex(key));
            assert_eq!(found.problems, 1, "{case}");
            let problem = &found.listed[0];
            assert_eq!((&problem.key, problem.kind.as_str()), (&hex(key), kind(key).name()), "{case}");
            assert!(problem.what.contains("checksum"), "{case}");
        }
        // Cut off, and under another's key.
        put(&store, key, &value[..value.len() - 1]);
        assert_eq!(verify(&store).problems, 1, "{}", hex(key));
        put(&store, key, value);
    }
    // And so it is on the disk.
    for kind in [Kind::Event, Kind::Image, Kind::Embedding] {
        let (key, value) = records.iter().find(|(key, _)| key[0] == kind as u8).unwrap();
        let mut damaged = value.clone();
        damaged[value.len() / 2] ^= 1;
        put(&sled, key, &damaged);
        sled.sync().unwrap();
        let found = verify(&sled);
        assert_eq!((found.problems, &found.listed[0].key), (1, &hex(key)), "{found:?}");
        put(&sled, key, value);
    }
    assert_eq!(verify(&sled).problems, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_too_much_is_found() {
    let folder = full_folder().await;
    let records = records(&open(&folder));
    let store = memory(&records);
    // What nothing else speaks of can go without a trace.
    let alone =
        [Kind::Request, Kind::Operation, Kind::Fingerprint, Kind::Measures, Kind::Revisions, Kind::Growth];
    for (key, value) in samples(&records) {
        delete(&store, key);
        let found = verify(&store);
        let expected = !alone.contains(&kind(key));
        assert_eq!(found.problems > 0, expected, "without {} {}: {found:?}", kind(key).name(), hex(key));
        put(&store, key, value);
    }
    // Records of an image that is not there, of a collection that is not there, and of no kind at all.
    let stranger = culld::types::ImageId([7; 32]);
    let mut batch = Batch::new();
    batch.put_embedding(&Keys::embedding(1, 9999, &stranger), &[1.0; 64]);
    batch.put_bytes(&Keys::thumbnail(1, 9999, &stranger), b"picture");
    batch.put(&Keys::image_at(1, "key", &stranger), &()).unwrap();
    batch.put(&Keys::image_at(77, "key", &stranger), &()).unwrap();
    store.apply(batch.into_writes()).unwrap();
    put(&store, &[200, 0, 0, 0, 1], b"what is this");
    put(&store, &[Kind::Embedding as u8, 0, 0, 0, 1, 5], b"and this");
    let found = verify(&store);
    let named = |kind: &str, words: &str| {
        found.listed.iter().any(|problem| problem.kind == kind && problem.what.contains(words))
    };
    assert!(named("embedding", "no image"), "{found:?}");
    assert!(named("embedding", "squared length"), "{found:?}");
    assert!(named("thumbnail", "no image"), "{found:?}");
    assert!(named("source", "no source"), "{found:?}");
    assert!(named("collection", "not there"), "{found:?}");
    assert!(named("unknown", "no kind"), "{found:?}");
    assert!(named("embedding", "bytes of its own"), "{found:?}");
    assert_eq!(found.problems, 7, "{found:?}");
}

/// Who can write checksums can't write a log.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_rewritten_is_found() {
    let folder = full_folder().await;
    let records = records(&open(&folder));
    let store = memory(&records);
    let events: Vec<(&Vec<u8>, LogRecord)> = records
        .iter()
        .filter(|(key, _)| key[0] == Kind::Event as u8 && key[4] == 1)
        .map(|(key, value)| (key, codec::decode(Kind::Event.version(), key, value).unwrap()))
        .collect();
    assert!(events.len() > 3);
    let sealed = |key: &Vec<u8>, entry: &LogRecord| codec::encode(Kind::Event.version(), key, entry).unwrap();
    let (key, entry) = &events[1];
    let mut cases: Vec<(&str, LogRecord)> = Vec::new();
    // The note of an event, with and without the hash that goes with it.
    let mut changed = entry.clone();
    *changed.payload.last_mut().unwrap() ^= 1;
    cases.push(("changed", changed.clone()));
    let rehashed = LogRecord::new(changed.seq, changed.previous, events[2].1.payload.clone());
    cases.push(("does not continue", rehashed));
    let mut moved = entry.clone();
    moved.seq += 1;
    cases.push(("belongs", moved));
    for (words, forged) in cases {
        put(&store, key, &sealed(key, &forged));
        let found = verify(&store);
        assert_eq!(found.problems, 1, "{words}: {found:?}");
        assert!(found.listed[0].what.contains(words) || words == "changed", "{words}: {found:?}");
        put(&store, key, &records[*key]);
    }
    // Cut off at its end, which no hash tells: but revisions were saved of more.
    let (last, _) = events.last().unwrap();
    delete(&store, last);
    let found = verify(&store);
    assert!(found.listed.iter().any(|problem| problem.what.contains("the log ends here")), "{found:?}");
    put(&store, last, &records[*last]);
    // A version that this culld does not read, and a record of another kind.
    let header: Key = Keys::image(1, &id_of(&picture(1, 0)).parse().unwrap());
    let payload = codec::open(1, header.as_bytes(), &records[header.as_bytes()]).unwrap();
    put(&store, header.as_bytes(), &codec::encode_bytes(9, header.as_bytes(), payload));
    let found = verify(&store);
    assert!(found.problems == 1 && found.listed[0].what.contains("version 9"), "{found:?}");
    put(&store, header.as_bytes(), &codec::encode_bytes(1, header.as_bytes(), b"no header"));
    let found = verify(&store);
    assert!(found.problems == 1 && found.listed[0].what.contains("not decodable"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_problems_are_counted_and_the_first_are_listed() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..5, 30)).await;
    let folder = daemon.stopped().await;
    let records = records(&open(&folder));
    let store = memory(&records);
    for (key, value) in records.iter().filter(|(key, _)| key[0] == Kind::Thumbnail as u8) {
        put(&store, key, &value[1..]);
    }
    let found = verify(&store);
    assert_eq!((found.problems, found.listed.len()), (120, 100));
    let cancelled = verify_store(&store, &Progress { tell: &|_, _, _| {}, cancelled: &|| true });
    assert!(cancelled.is_err());
}

fn culld(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_culld"));
    command.args(arguments).arg("--data").arg(data).output().unwrap()
}

/// The command line over a folder that no daemon has, or that none can open.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_verified_without_a_daemon() {
    let folder = full_folder().await;
    let data = folder.path().join("data");
    let run = |expected: i32| {
        let output = culld(&["verify", "--json"], &data);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(expected), "{output:?}");
        text.lines().last().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
    };
    let sound = run(0).unwrap();
    assert_eq!((&sound["problems"], &sound["collections"]), (&0.into(), &0.into()));
    assert!(sound["records"]["embedding"].as_u64().unwrap() > 20);
    let key = {
        let store = open(&folder);
        let records = records(&store);
        let (key, value) = records.iter().find(|(key, _)| key[0] == Kind::Event as u8).unwrap();
        let mut damaged = value.clone();
        damaged[value.len() / 2] ^= 4;
        put(&store, key, &damaged);
        store.sync().unwrap();
        assert!(culld(&["verify"], &data).status.code() == Some(1), "somebody has it open");
        key.clone()
    };
    let refused = culld(&["serve", "--model", "fake", "--listen", "127.0.0.1:0"], &data);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let found = run(1).unwrap();
    assert_eq!(found["problems"], 1);
    let problem = &found["listed"][0];
    assert_eq!((&problem["kind"], &problem["key"]), (&"event".into(), &hex(&key).into()));
    let nowhere = culld(&["verify"], &folder.path().join("nowhere"));
    assert_eq!(nowhere.status.code(), Some(2), "{nowhere:?}");
    assert!(!folder.path().join("nowhere").exists());
}

/// What a store's files hold, by their paths.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    all
}

/// A bit of the files themselves: what is not in use is nobody's loss, all else is found, and no look changes a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_of_the_files_is_found() {
    let daemon = TestDaemon::start().await;
    daemon.add_new(groups(1..5, 40)).await;
    let folder = daemon.stopped().await;
    let data = folder.path().join("data");
    let sound = contents(&data);
    let mut records: Vec<_> = contents(&data.join("sled/slabs")).into_iter().collect();
    records.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.len()));
    records.truncate(3);
    let logs = contents(&data.join("sled/metadata")).into_iter().filter(|(_, bytes)| bytes.len() > 64);
    let mut found = 0;
    for (path, bytes) in records.into_iter().chain(logs) {
        let mut damaged = sound.clone();
        damaged.get_mut(&path).unwrap()[bytes.len() / 3] ^= 8;
        std::fs::write(&path, &damaged[&path]).unwrap();
        let output = culld(&["verify", "--json"], &data);
        let code = output.status.code().unwrap();
        assert!(code <= 1, "{output:?}");
        found += code;
        assert!(contents(&data) == damaged, "the look changed a file");
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(found > 0);
    assert_eq!(culld(&["verify"], &data).status.code(), Some(0));
    assert!(contents(&data) == sound, "the look changed a file");
}
