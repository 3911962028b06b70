//! What comes and goes: memory and disk are given back, and nobody notices that the store is opened again meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use culld::store::{SledOptions, SledStore, Store, Write};

use super::contents;

const KEYS: u32 = 2000;

fn put(number: u32, round: u32, bytes: usize) -> Write {
    let value = [number, round].map(u32::to_le_bytes).concat().repeat(bytes / 8);
    Write::Put { key: number.to_be_bytes().to_vec(), value }
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
    store.apply((0..KEYS).map(|number| put(number, 0, 64)).collect()).unwrap();
    let done = AtomicBool::new(false);
    let read = || {
        let mut reads = 0;
        while !done.load(Ordering::Relaxed) {
            let number = reads % KEYS;
            // A read within a read, which holds up who waits for both.
            let visit = &mut |key: &[u8], value: &[u8]| {
                assert!(store.get(key).unwrap().is_some_and(|again| again[..4] == value[..4]));
                ControlFlow::Break(())
            };
            store.scan(&number.to_be_bytes(), visit).unwrap();
            reads += 1;
        }
        reads
    };
    let mut model = BTreeMap::new();
    thread::scope(|scope| {
        let readers = [(); 3].map(|()| scope.spawn(read));
        for round in 0..KEYS / 10 {
            let numbers = (0..100).map(|number| (round * 100 + number) % KEYS);
            let batch: Vec<Write> = numbers.map(|number| put(number, round, 1024)).collect();
            for write in &batch {
                let Write::Put { key, value } = write else { unreachable!() };
                model.insert(key.clone(), value.clone());
            }
            store.apply(batch).unwrap();
            store.sync().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert_ne!(reader.join().unwrap(), 0);
        }
    });
    assert!(store.reopened() >= 5, "{}", store.reopened());
    assert_eq!(contents(&store, b""), model.into_iter().collect::<Vec<_>>());
}

#[test]
fn what_does_not_open_again_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let options = SledOptions::within(0);
    let store = SledStore::open(folder.path(), &options).unwrap();
    store.apply(vec![put(1, 0, 64)]).unwrap();
    store.sync().unwrap();
    assert_eq!(store.reopened(), 1);
    assert!(store.stalled(Duration::ZERO).is_none());

    let (sled, elsewhere) = (folder.path().join("sled"), folder.path().join("elsewhere"));
    fs::rename(&sled, &elsewhere).unwrap();
    store.apply(vec![put(2, 0, 64)]).unwrap();
    // It is on the disk; that nothing more can be is known afterwards.
    store.sync().unwrap();
    for error in [store.get(b"x").unwrap_err(), store.sync().unwrap_err()] {
        let expected = "the last 2 of 2 syncs are lost";
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(store.stalled(Duration::ZERO).is_some());

    drop(store);
    fs::remove_dir_all(&sled).unwrap();
    fs::rename(&elsewhere, &sled).unwrap();
    let store = SledStore::open(folder.path(), &options).unwrap();
    assert_eq!(contents(&store, b"").len(), 2);
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
