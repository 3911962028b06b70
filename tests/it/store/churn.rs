//! What comes and goes: memory and disk are given back, and nobody notices that the store is opened again meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use culld::store::{SledOptions, SledStore, Store, Write};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{contents, open};

const KEYS: u32 = 2000;

/// How long opening again is waited for: the system's `sync` comes first, and other tests write.
const WAIT_MAX: Duration = Duration::from_mins(2);

fn put(number: u32, round: u32, bytes: usize) -> Write {
    let value = [number, round].map(u32::to_le_bytes).concat().repeat(bytes / 8);
    Write::Put { key: number.to_be_bytes().to_vec(), value }
}

fn entry(write: &Write) -> (Vec<u8>, Vec<u8>) {
    let Write::Put { key, value } = write else { unreachable!() };
    (key.clone(), value.clone())
}

fn delete(number: u32) -> Write {
    Write::Delete { key: number.to_be_bytes().to_vec() }
}

#[test]
fn what_came_and_went_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path(), &SledOptions::default()).unwrap();
    for round in 0..100 {
        // Other keys each time, as images have.
        let numbers = || (0..KEYS).map(|number| round * KEYS + number);
        store.apply(numbers().map(|number| put(number, round, 64)).collect()).unwrap();
        store.sync().unwrap();
        store.apply(numbers().map(delete).collect()).unwrap();
        store.sync().unwrap();
    }
    assert_eq!(contents(&store, b""), []);
    // Some 60 kB of logs; with the leaves that were emptied, a megabyte.
    let bytes = store.size_on_disk().unwrap();
    assert!(bytes < 200_000, "{bytes} bytes");
}

#[test]
fn opening_again_goes_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    let options = SledOptions { cache_bytes_max: 1 << 20, written_bytes_max: 1 << 20 };
    let store = SledStore::open(folder.path(), &options).unwrap();
    let mut model: BTreeMap<_, _> = (0..KEYS).map(|number| entry(&put(number, 0, 64))).collect();
    store.apply((0..KEYS).map(|number| put(number, 0, 64)).collect()).unwrap();
    let done = AtomicBool::new(false);
    let read = || {
        let mut reads = 0;
        while !done.load(Ordering::Relaxed) {
            let mut seen = false;
            // A read within a read, which holds up who waits for both.
            let visit = &mut |key: &[u8], value: &[u8]| {
                seen = store.get(key).unwrap().is_some_and(|again| again[..4] == value[..4]);
                ControlFlow::Break(())
            };
            store.scan(&(reads % KEYS).to_be_bytes(), visit).unwrap();
            assert!(seen);
            reads += 1;
        }
        reads
    };
    thread::scope(|scope| {
        let readers = [(); 3].map(|()| scope.spawn(read));
        let began = Instant::now();
        for round in 0.. {
            let numbers = (0..100).map(|number| (round * 100 + number) % KEYS);
            let batch: Vec<Write> = numbers.map(|number| put(number, round, 1024)).collect();
            model.extend(batch.iter().map(entry));
            store.apply(batch).unwrap();
            store.sync().unwrap();
            if store.reopened() >= 5 || began.elapsed() > WAIT_MAX {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert_ne!(reader.join().unwrap(), 0);
        }
    });
    assert!(store.reopened() >= 5);
    assert_eq!(contents(&store, b""), model.into_iter().collect::<Vec<_>>());
}

/// Writes until the store has been opened again, or could not be; few large records, so that sled begins no new log.
/// Answers the rounds.
fn write_until_reopened(store: &SledStore) -> u32 {
    let began = Instant::now();
    let before = store.reopened();
    for round in 1.. {
        store.apply(vec![put(1, round, 4 << 20)]).unwrap();
        store.sync().unwrap();
        if store.reopened() > before || store.stalled(Duration::ZERO).is_some() {
            return round;
        }
        assert!(began.elapsed() < WAIT_MAX);
    }
    unreachable!()
}

fn check_taken_away(part: &str) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = SledStore::open(&data, &SledOptions::within(0)).unwrap();
    write_until_reopened(&store);

    let taken = data.join(part);
    fs::rename(&taken, folder.path().join("elsewhere")).unwrap();
    let before = store.reopened();
    // Until sled begins a new log, which it can't.
    let written = (0..100_000)
        .take_while(|number| store.apply(vec![put(*number, 7, 64)]).and_then(|()| store.sync()).is_ok())
        .count();
    assert_ne!(written, 0);
    assert_eq!(store.reopened(), before);
    assert!(!taken.exists(), "nothing was begun in its place");
    assert!(contents(&store, b"").len() >= written);
}

#[test]
fn what_was_taken_away_is_not_begun_anew() {
    check_taken_away("sled");
    check_taken_away("");
}

#[test]
fn another_store_in_its_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [data, other, gone] = ["data", "other", "gone"].map(|name| folder.path().join(name));
    let options = SledOptions::within(0);
    for count in [1, 400] {
        let store = SledStore::open(&data, &options).unwrap();
        write_until_reopened(&store);
        let placed = SledStore::open(&other, &SledOptions::default()).unwrap();
        for number in 0..count {
            placed.apply(vec![put(number, 1, 64)]).unwrap();
            placed.sync().unwrap();
        }
        drop(placed);
        fs::rename(data.join("sled"), &gone).unwrap();
        fs::rename(other.join("sled"), data.join("sled")).unwrap();
        write_until_reopened(&store);
        let error = store.get(b"x").unwrap_err().to_string();
        assert!(error.contains("syncs are lost") || error.contains("another store"), "{error}");
        drop(store);
        for folder in [&data, &other, &gone] {
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

fn metadata(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("sled/metadata")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect()
}

/// As a crash leaves it that comes while sled opens: no log behind its snapshot, and perhaps the snapshot before beside.
fn check_crash_while_it_opens(is_old_there: bool) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop(open(folder));
    let store = open(folder);
    store.apply((0..KEYS).map(|number| put(number, 0, 64)).collect()).unwrap();
    store.sync().unwrap();
    let before = contents(&store, b"");
    drop(store);
    let old: Vec<(PathBuf, Vec<u8>)> = metadata(folder, "snapshot_")
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    drop(open(folder));
    for log in metadata(folder, "log_") {
        fs::remove_file(log).unwrap();
    }
    for (path, bytes) in old.into_iter().filter(|_| is_old_there) {
        assert!(!path.exists());
        fs::write(path, bytes).unwrap();
    }
    for round in 0..3 {
        let store = open(folder);
        assert!(contents(&store, b"") == before, "{round}");
        // So that a lost sync is not what is noticed.
        store.sync().unwrap();
        assert_eq!(metadata(folder, "snapshot_").len(), 1);
    }
}

#[test]
fn metadata_that_is_missing_is_not_written_over() {
    for part in ["snapshot_", "log_"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let store = open(folder);
        store.apply(vec![put(1, 0, 64)]).unwrap();
        store.sync().unwrap();
        drop(store);
        let [path] = metadata(folder, part).try_into().unwrap();
        if part == "log_" {
            // One that follows, but not at once.
            fs::rename(path, folder.join("sled/metadata/log_00000000000000ff")).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        let error = SledStore::open(folder, &SledOptions::default()).err().unwrap();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("is missing; restore a backup"), "{error}: {source}");
    }
}

#[test]
fn a_crash_while_it_opens_loses_nothing() {
    check_crash_while_it_opens(false);
    check_crash_while_it_opens(true);
}

#[test]
fn writers_who_delete_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path(), &SledOptions::default()).unwrap();
    thread::scope(|scope| {
        for writer in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..50 {
                    // Leaves of one are neighbours of leaves of the others.
                    let numbers = || (0..KEYS).filter(move |number| number / 32 % 4 == writer);
                    store.apply(numbers().map(|number| put(number, round, 64)).collect()).unwrap();
                    store.apply(numbers().map(delete).collect()).unwrap();
                }
            });
        }
    });
    assert_eq!(contents(&store, b""), []);
}

/// Of so many keys one stays; the others come and go.
const STAYS: u32 = 13;

fn stays(number: u32) -> bool {
    number.is_multiple_of(STAYS)
}

fn check_scan(store: &dyn Store) {
    let mut next = 0;
    let mut last = None;
    store
        .scan(b"", &mut |key, value| {
            let number = u32::from_be_bytes(key.try_into().unwrap());
            assert!(last.is_none_or(|last| last < number), "{last:?}, then {number}");
            last = Some(number);
            assert_eq!(value[..4], number.to_le_bytes());
            if stays(number) {
                assert_eq!(number, next, "skipped");
                next = number + STAYS;
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(next >= KEYS, "ended before {next}");
}

fn check_scans_beside_churn(options: SledOptions) {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path(), &options).unwrap();
    store
        .apply((0..KEYS).filter(|number| stays(*number)).map(|number| put(number, 0, 64)).collect())
        .unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    check_scan(&store);
                }
            });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for round in 0..200 {
            let from = rng.random_range(0..KEYS);
            let numbers = || (from..(from + 300).min(KEYS)).filter(|number| !stays(*number));
            let write = |number| if round % 2 == 1 { delete(number) } else { put(number, round, 512) };
            store.apply(numbers().map(write).collect()).unwrap();
            store.sync().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn scans_beside_churn_skip_nothing() {
    check_scans_beside_churn(SledOptions::default());
    check_scans_beside_churn(SledOptions::within(0));
}
