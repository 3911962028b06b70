//! The store against a model, under damage, and shared by threads.

mod churn;
mod commit;
mod unsynced;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use culld::store::codec::{self, Damage};
use culld::store::{
    Batch, ChainError, DirectoryLock, FORMAT_VERSION, ImageRecord, Key, Keys, Kind, LogRecord, MemoryStore,
    Poison, RequestRecord, SledOptions, SledStore, SourceRecord, Store, StoreError, Write, read, read_bytes,
    read_embedding, scan, scan_embeddings, verify_chain,
};
use culld::types::ImageId;
use proptest::prelude::*;

fn open(folder: &Path) -> SledStore {
    SledStore::open(folder, &SledOptions::default()).unwrap()
}

fn contents(store: &dyn Store, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    store
        .scan(prefix, &mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    entries
}

fn put(key: &[u8], value: &[u8]) -> Write {
    Write::Put { key: key.to_vec(), value: value.to_vec() }
}

// --- against a model ---

#[derive(Debug, Clone)]
enum Step {
    Apply(Vec<Write>),
    Sync,
    Reopen,
}

/// Few keys, so that they meet again; some are prefixes of others.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0u8, 1, 0x7f, 0xff]), 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    let write = prop_oneof![
        2 => (key(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(key, value)| Write::Put { key, value }),
        1 => key().prop_map(|key| Write::Delete { key }),
    ];
    prop_oneof![
        8 => prop::collection::vec(write, 0..30).prop_map(Step::Apply),
        2 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_equal_a_map(steps in prop::collection::vec(step(), 1..25), probes in prop::collection::vec(key(), 8)) {
        let folder = tempfile::tempdir().unwrap();
        let (mut sled, memory) = (open(folder.path()), MemoryStore::new());
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Apply(batch) => {
                    sled.apply(batch.clone()).unwrap();
                    memory.apply(batch.clone()).unwrap();
                    for write in batch {
                        match write {
                            Write::Put { key, value } => model.insert(key, value),
                            Write::Delete { key } => model.remove(&key),
                        };
                    }
                }
                Step::Sync => sled.sync().unwrap(),
                Step::Reopen => {
                    sled.sync().unwrap();
                    drop(sled);
                    sled = open(folder.path());
                }
            }
            for probe in &probes {
                prop_assert_eq!(sled.get(probe).unwrap(), model.get(probe).cloned());
                prop_assert_eq!(memory.get(probe).unwrap(), model.get(probe).cloned());
            }
        }
        for prefix in probes.iter().chain([&Vec::new()]) {
            let expected: Vec<_> =
                model.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect();
            prop_assert_eq!(&contents(&sled, prefix), &expected);
            prop_assert_eq!(&contents(&memory, prefix), &expected);
        }
    }

    #[test]
    fn records_survive_encoding(key in prop::collection::vec(any::<u8>(), 0..50), value: (String, u64, Vec<u8>), version: u8) {
        let bytes = codec::encode(version, &key, &value).unwrap();
        prop_assert_eq!(codec::decode::<(String, u64, Vec<u8>)>(version, &key, &bytes), Ok(value));
    }

    #[test]
    fn embeddings_keep_their_bits(bits in prop::collection::vec(any::<u32>(), 0..50)) {
        let components: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
        let decoded = codec::decode_embedding(1, b"key", &codec::encode_embedding(1, b"key", &components)).unwrap();
        prop_assert_eq!(decoded.iter().map(|component| component.to_bits()).collect::<Vec<_>>(), bits);
    }

    #[test]
    fn any_flipped_bit_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..60), bit: prop::sample::Index) {
        let mut bytes = codec::encode_bytes(1, b"key", &payload);
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(codec::decode_bytes(1, b"key", &bytes), Err(Damage::Checksum));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        prop_assert!(codec::decode::<ImageRecord>(1, b"key", &bytes).is_err());
        // Also where the checksum holds.
        let sealed = codec::encode_bytes(1, b"key", &bytes);
        let _ = codec::decode::<ImageRecord>(1, b"key", &sealed);
        let _ = codec::decode_embedding(1, b"key", &sealed);
    }
}

// --- codec and records ---

#[test]
fn a_record_belongs_to_its_key_and_version() {
    let bytes = codec::encode(1, b"one", &7u64).unwrap();
    assert_eq!(codec::decode::<u64>(1, b"two", &bytes), Err(Damage::Checksum));
    assert_eq!(codec::decode::<u64>(2, b"one", &bytes), Err(Damage::Version { found: 1, expected: 2 }));
    assert_eq!(codec::decode::<u64>(1, b"one", &bytes[..5]), Err(Damage::Short { bytes: 5 }));
    assert!(matches!(
        codec::decode::<u8>(1, b"one", &codec::encode_bytes(1, b"one", &[1, 2])),
        Err(Damage::Payload { .. })
    ));
}

fn image() -> ImageRecord {
    let source = SourceRecord {
        key: "a/b.jpg".into(),
        uri: "file:///a/b.jpg".into(),
        size: 12,
        mtime_ms: 3,
        first_seen_ms: 4,
        last_seen_ms: 5,
        tags: vec!["red".into()],
    };
    let sources = vec![source];
    ImageRecord { added_ms: 1, width: 2, height: 3, format: "jpeg".into(), bytes: 12, sources }
}

#[test]
fn typed_records_are_read_back() {
    let store = MemoryStore::new();
    let ids: Vec<ImageId> = (0..3u8).map(|byte| ImageId::of(&[byte])).collect();
    let answer = RequestRecord { response: vec![1, 2], at_ms: 9 };
    let mut batch = Batch::new();
    for (added_ms, id) in (0..).zip(&ids) {
        batch.put(&Keys::image(1, id), &image()).unwrap();
        batch.put_embedding(&Keys::embedding(1, added_ms, id), &[added_ms as f32, -0.0]);
        batch.put_bytes(&Keys::thumbnail(1, added_ms, id), b"jpeg");
    }
    batch.put(&Keys::request(1, &[7; 32]), &answer).unwrap();
    batch.put(&Keys::image(2, &ids[0]), &image()).unwrap();
    store.apply(batch.into_writes()).unwrap();

    assert_eq!(read(&store, &Keys::image(1, &ids[0])).unwrap(), Some(image()));
    assert_eq!(read::<ImageRecord>(&store, &Keys::image(3, &ids[0])).unwrap(), None);
    assert_eq!(read(&store, &Keys::request(1, &[7; 32])).unwrap(), Some(answer));
    assert_eq!(read::<RequestRecord>(&store, &Keys::request(1, &[8; 32])).unwrap(), None);
    assert_eq!(read_bytes(&store, &Keys::thumbnail(1, 2, &ids[2])).unwrap(), Some(b"jpeg".to_vec()));
    let bits = read_embedding(&store, &Keys::embedding(1, 2, &ids[2])).unwrap().unwrap();
    assert_eq!(bits.iter().map(|c| c.to_bits()).collect::<Vec<_>>(), [2.0f32.to_bits(), (-0.0f32).to_bits()]);

    let mut seen = Vec::new();
    scan(&store, &Keys::images(1), |suffix, record: ImageRecord| {
        assert_eq!(record, image());
        seen.extend(Keys::image_id(suffix));
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(seen, sorted);

    let mut arrived = Vec::new();
    scan_embeddings(&store, &Keys::embeddings(1), |suffix, _| {
        arrived.extend(Keys::arrival(suffix));
        if arrived.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(arrived, [(0, ids[0]), (1, ids[1])]);
}

#[test]
fn all_of_a_collection_is_under_its_prefixes() {
    let id = ImageId::of(b"x");
    let keys = |collection| -> Vec<Key> {
        vec![
            Keys::collection(collection),
            Keys::policy(collection, 1),
            Keys::image(collection, &id),
            Keys::embedding(collection, 5, &id),
            Keys::thumbnail(collection, 5, &id),
            Keys::fingerprint(collection, &id),
            Keys::event(collection, 1),
            Keys::clustering(collection, 1),
            Keys::operation(collection, 1),
            Keys::request(collection, &[0; 32]),
            Keys::meta(collection, "n"),
            Keys::members(collection, 1, 2),
            Keys::reachability(collection, 1, 2),
            Keys::image_at(collection, "a/b.jpg", &id),
            Keys::measures(collection, &id),
            Keys::revisions(collection, 1),
            Keys::growth(collection),
        ]
    };
    let under =
        |key: &Key| Keys::all_of(1).iter().any(|prefix| key.as_bytes().starts_with(prefix.as_bytes()));
    assert!(keys(1).iter().all(under));
    assert!(!keys(256).iter().any(under));
    let kinds: Vec<Kind> = keys(1).iter().map(Key::kind).collect();
    assert_eq!(kinds, Kind::ALL);
    assert!(kinds.iter().all(|kind| Kind::from_byte(*kind as u8) == Some(*kind)));
}

#[test]
fn a_damaged_record_is_named() {
    let store = MemoryStore::new();
    let key = Keys::event(3, 7);
    let mut batch = Batch::new();
    batch.put(&key, &LogRecord::after(None, b"event".to_vec())).unwrap();
    store.apply(batch.into_writes()).unwrap();
    let mut bytes = store.get(key.as_bytes()).unwrap().unwrap();
    bytes[3] ^= 0x10;
    store.apply(vec![put(key.as_bytes(), &bytes)]).unwrap();

    let expected = "record event at key 07000000030000000000000007: checksum mismatch";
    assert_eq!(read::<LogRecord>(&store, &key).unwrap_err().to_string(), expected);
    let error = scan(&store, &Keys::events(3), |_, _: LogRecord| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_log_chain_notices_every_change() {
    let mut log: Vec<LogRecord> = Vec::new();
    for payload in ["a", "b", "c", "d"] {
        log.push(LogRecord::after(log.last(), payload.into()));
    }
    assert_eq!(verify_chain(&log), Ok(log[3].hash));
    assert_eq!(verify_chain(&[]), Ok([0; 32]));

    let check = |change: &dyn Fn(&mut Vec<LogRecord>), expected| {
        let mut changed = log.clone();
        change(&mut changed);
        assert_eq!(verify_chain(&changed), Err(expected));
    };
    check(&|log| log[1].payload = b"B".to_vec(), ChainError::Changed { seq: 1 });
    check(&|log| drop(log.remove(1)), ChainError::Gap { expected: 1, found: 2 });
    check(&|log| log.swap(0, 1), ChainError::Gap { expected: 0, found: 1 });
    check(
        &|log| log[2] = LogRecord { seq: 2, ..LogRecord::after(None, b"c".to_vec()) },
        ChainError::Broken { seq: 2 },
    );
    let forged = LogRecord::after(Some(&log[0]), b"B".to_vec());
    check(&|log| log[1] = forged.clone(), ChainError::Broken { seq: 2 });
}

// --- on disk ---

#[test]
fn synced_batches_are_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let value = vec![7; 200_000];
    store.apply(vec![put(b"a", b"1"), put(b"b", &value), Write::Delete { key: b"a".to_vec() }]).unwrap();
    store.sync().unwrap();
    assert!(store.size_on_disk().unwrap() > 0);
    drop(store);
    assert_eq!(contents(&open(folder.path()), b""), [(b"b".to_vec(), value)]);
}

#[test]
fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let error = SledStore::open(folder.path(), &SledOptions::default()).err().unwrap();
    assert!(matches!(&error, StoreError::Locked { folder: named } if named == folder.path()));
    assert!(error.to_string().contains("in use by another culld"), "{error}");
    drop(store);
    drop(open(folder.path()));
    drop(DirectoryLock::acquire(folder.path()).unwrap());
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let format = folder.path().join("format");
    std::fs::write(&format, "2\n").unwrap();
    let error = SledStore::open(folder.path(), &SledOptions::default()).err().unwrap();
    assert!(matches!(error, StoreError::NewerFormat { found: 2, supported: FORMAT_VERSION, .. }), "{error}");
    for (content, problem) in [("", "not a format number"), ("0", "format 0 never existed")] {
        std::fs::write(&format, content).unwrap();
        let error = SledStore::open(folder.path(), &SledOptions::default()).err().unwrap();
        assert!(error.to_string().ends_with(problem), "{error}");
    }
    std::fs::remove_file(&format).unwrap();
    assert!(matches!(
        SledStore::open(folder.path(), &SledOptions::default()),
        Err(StoreError::BadFile { .. })
    ));
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.metadata().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn lost_syncs_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, saved) = (folder.path().join("store"), folder.path().join("saved"));
    let sync = |times| {
        let store = open(&folder);
        for time in 0..times {
            store.apply(vec![put(b"a", &[time])]).unwrap();
            store.sync().unwrap();
        }
    };
    sync(3);
    copy_folder(&folder.join("sled"), &saved);
    sync(2);
    std::fs::remove_dir_all(folder.join("sled")).unwrap();
    copy_folder(&saved, &folder.join("sled"));
    let error = SledStore::open(&folder, &SledOptions::default()).err().unwrap();
    assert!(error.to_string().contains("the last 2 of 5 syncs are lost"), "{error}");
    // The count alone, damaged, says nothing of the store.
    std::fs::write(folder.join("synced"), b"?").unwrap();
    assert_eq!(open(&folder).get(b"a").unwrap(), Some(vec![2]));
}

#[test]
fn readers_and_a_writer_share_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let store: &dyn Store = &store;
    let written = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=200u64 {
                // Two keys far apart: readers must never see one without the other having been there.
                let value = number.to_be_bytes();
                store.apply(vec![put(b"a", &value), put(&[&b"b"[..], &value].concat(), &[9; 3000])]).unwrap();
                if number % 8 == 0 {
                    store.sync().unwrap();
                }
                written.store(number, Ordering::Release);
            }
        });
        for _ in 0..3 {
            scope.spawn(|| {
                while written.load(Ordering::Acquire) < 200 {
                    let least = written.load(Ordering::Acquire) as usize;
                    assert!(contents(store, b"b").len() >= least);
                    let latest = store.get(b"a").unwrap();
                    assert!(
                        latest.is_some_and(|value| value >= (least as u64).to_be_bytes().to_vec())
                            || least == 0
                    );
                }
            });
        }
    });
}

/// sled writes by rayon, and a commit must not wait for a clustering.
#[test]
fn a_busy_thread_pool_holds_up_no_sync() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            rayon::broadcast(|_| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        });
        let (done, finished) = mpsc::channel();
        let store = &store;
        scope.spawn(move || {
            store.apply(vec![put(b"a", b"1")]).unwrap();
            store.sync().unwrap();
            done.send(()).unwrap();
        });
        let synced = finished.recv_timeout(Duration::from_secs(20));
        stop.store(true, Ordering::Relaxed);
        busy.join().unwrap();
        synced.unwrap();
    });
}

#[test]
fn what_is_too_large_changes_nothing() {
    let store = MemoryStore::new();
    let refused = store.apply(vec![put(b"a", b"1"), put(&[0; 300], b"")]);
    assert!(matches!(refused, Err(StoreError::TooLarge { what: "key", bytes: 300, .. })));
    assert_eq!(store.get(b"a").unwrap(), None);
}

#[test]
fn a_failure_poisons_and_so_does_a_panic() {
    let poison = Poison::default();
    poison.guard(|| Ok(())).unwrap();
    assert!(matches!(poison.guard(|| Err::<(), _>(StoreError::Closed)), Err(StoreError::Closed)));
    let refused = poison.guard(|| Ok(())).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Poisoned { cause } if **cause == *"the commit queue is closed"),
        "{refused}"
    );

    let poison = Poison::default();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        poison.guard(|| -> Result<(), StoreError> { std::panic::panic_any("a bug") })
    }));
    assert!(panicked.is_err());
    assert!(matches!(poison.check(), Err(StoreError::Poisoned { .. })));
}
