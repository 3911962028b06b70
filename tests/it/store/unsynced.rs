//! An engine over a disk that keeps what was synced, and of the rest what it likes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use culld::decode::Limits;
use culld::embed::{Model, ModelSource, Pipeline, PipelineOptions};
use culld::engine::{Engine, EngineParts, IngestTask, NewSource, NewVerdict, Progress, Target, verify_store};
use culld::index::IndexChoice;
use culld::store::{Durability, MemoryStore, Store, StoreError, Visit, Write};
use culld::types::{ImageId, Side};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::support::picture;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// What becomes of batches that were not synced when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// The last ones are gone, each whole.
    Dropped,
    /// Any of them are gone, each whole.
    Reordered,
    /// Any of their writes are gone.
    Torn,
}

#[derive(Default)]
struct Disk {
    synced: Map,
    unsynced: Vec<Vec<Write>>,
    calls: usize,
    /// What was on the disk and what was not when the power went, and who had been answered by then.
    left: Option<(Map, Vec<Vec<Write>>, usize)>,
}

/// A store whose power goes at its so many-th call; it does not notice.
struct Unsynced {
    seen: MemoryStore,
    disk: Mutex<Disk>,
    fails_at: usize,
    answered: AtomicUsize,
}

fn apply(map: &mut Map, batch: &[Write]) {
    for write in batch {
        match write {
            Write::Put { key, value } => drop(map.insert(key.clone(), value.clone())),
            Write::Delete { key } => drop(map.remove(key)),
        }
    }
}

impl Unsynced {
    fn call(&self, disk: &mut Disk) {
        disk.calls += 1;
        if disk.calls == self.fails_at {
            let answered = self.answered.load(Ordering::SeqCst);
            disk.left = Some((disk.synced.clone(), disk.unsynced.clone(), answered));
        }
    }
}

impl Store for Unsynced {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.seen.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.seen.scan(prefix, visit)
    }

    fn apply(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        let mut disk = self.disk.lock().unwrap();
        self.call(&mut disk);
        disk.unsynced.push(batch.clone());
        self.seen.apply(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut disk = self.disk.lock().unwrap();
        self.call(&mut disk);
        let unsynced = std::mem::take(&mut disk.unsynced);
        unsynced.iter().for_each(|batch| apply(&mut disk.synced, batch));
        Ok(())
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

fn lose(rng: &mut ChaCha8Rng, loss: Loss, synced: Map, unsynced: &[Vec<Write>]) -> MemoryStore {
    let mut left = synced;
    let whole = rng.random_range(0..=unsynced.len());
    for (number, batch) in unsynced.iter().enumerate() {
        match loss {
            Loss::Dropped if number < whole => apply(&mut left, batch),
            Loss::Reordered if rng.random() => apply(&mut left, batch),
            Loss::Dropped | Loss::Reordered => {}
            Loss::Torn => {
                let kept: Vec<Write> = batch.iter().filter(|_| rng.random()).cloned().collect();
                apply(&mut left, &kept);
            }
        }
    }
    let store = MemoryStore::new();
    store.apply(left.into_iter().map(|(key, value)| Write::Put { key, value }).collect()).unwrap();
    store
}

fn engine(store: Arc<dyn Store>) -> Result<Engine, culld::engine::EngineError> {
    let model = Model::load(&ModelSource::Fake, None).unwrap();
    let options = PipelineOptions { workers: 1, queue_max: 4, limits: Limits::default() };
    Engine::open(EngineParts {
        store,
        durability: Durability::Fsync,
        pipeline: Arc::new(Pipeline::start(&model, &options).unwrap()),
        index: IndexChoice::Auto,
        index_folder: None,
        backup_folder: None,
        quota: culld::engine::Quota::default(),
        allowed_roots: Vec::new(),
        image_bytes_max: 1 << 20,
        collections_max: 10,
        lease_time: std::time::Duration::from_mins(10),
        clusterings_kept: 10,
    })
}

/// An act, and what it says of an image.
#[derive(Debug, Clone, Copy)]
enum Step {
    Add(u64),
    Judge(u64, Side),
}

fn id(item: u64) -> ImageId {
    ImageId::of(&picture(item % 3, item))
}

fn act(engine: &Engine, step: Step) {
    match step {
        Step::Add(item) => {
            let (sender, answer) = mpsc::channel();
            engine.ingest("").unwrap().add(IngestTask {
                bytes: picture(item % 3, item).into(),
                source: NewSource { key: item.to_string(), ..NewSource::default() },
                request: None,
                cancelled: None,
                reply: Box::new(move |result| drop(sender.send(result))),
            });
            answer.recv().unwrap().unwrap();
        }
        Step::Judge(item, side) => {
            let verdict = NewVerdict {
                side,
                target: Target::Images(vec![id(item)]),
                exceptions: Vec::new(),
                duplicate_of: None,
                note: String::new(),
                actor: String::new(),
            };
            engine.collection("").unwrap().set_verdict(&verdict, None).unwrap();
        }
    }
}

/// What was answered is there, whatever became of the rest; what does not fit together is refused or found, never
/// answered from.
fn check(loss: Loss, seed: u64) -> &'static str {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let steps: Vec<Step> = (0..12)
        .flat_map(|item| {
            let side = if item % 2 == 0 { Side::Keep } else { Side::Discard };
            [Some(Step::Add(item)), (item % 3 != 0).then_some(Step::Judge(item, side))]
        })
        .flatten()
        .collect();
    let store = Arc::new(Unsynced {
        seen: MemoryStore::new(),
        disk: Mutex::default(),
        fails_at: rng.random_range(3..44),
        answered: AtomicUsize::new(0),
    });
    let running = engine(Arc::clone(&store) as Arc<dyn Store>).unwrap();
    for &step in &steps {
        act(&running, step);
        store.answered.fetch_add(1, Ordering::SeqCst);
    }
    running.stop();
    drop(running);
    let left = store.disk.lock().unwrap().left.take();
    let Some((synced, unsynced, answered)) = left else { return "never" };
    let left: Arc<dyn Store> = Arc::new(lose(&mut rng, loss, synced, &unsynced));
    let report = verify_store(&*left, &Progress { tell: &|_, _, _| {}, cancelled: &|| false }).unwrap();
    let opened = engine(Arc::clone(&left));
    let case = format!("{loss:?}, seed {seed}, {answered} of {} answered: {report:?}", steps.len());
    let opened = match opened {
        Ok(opened) if report.problems == 0 => opened,
        _ => {
            assert_eq!(loss, Loss::Torn, "whole batches always fit together: {case}");
            return "refused or found";
        }
    };
    let collection = opened.collection("").unwrap();
    let stats = collection.stats();
    let mut labelled = [0; 2];
    for &step in &steps[..answered] {
        match step {
            Step::Add(item) => assert!(collection.contains(&id(item)), "lost image {item}: {case}"),
            Step::Judge(_, side) => labelled[usize::from(side == Side::Discard)] += 1,
        }
    }
    for side in [0, 1] {
        assert!(stats.labelled[side] >= labelled[side], "lost a verdict: {case}");
        assert!(stats.labelled[side] <= labelled[side] + 1, "a verdict from nowhere: {case}");
    }
    opened.stop();
    "whole"
}

#[test]
fn what_was_answered_outlives_what_was_not_synced() {
    for loss in [Loss::Dropped, Loss::Reordered, Loss::Torn] {
        let mut ends = BTreeMap::<&str, u32>::new();
        for seed in 0..40 {
            *ends.entry(check(loss, seed)).or_default() += 1;
        }
        eprintln!("{loss:?}: {ends:?}");
        assert!(ends.get("whole").is_some_and(|whole| *whole > 3), "{loss:?}: {ends:?}");
    }
}
