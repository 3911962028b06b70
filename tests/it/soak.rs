//! Twice what the daemon can do, for as long as is asked: `CULLD_SOAK_SECONDS=1800`. Without it a few seconds, so that
//! it can't rot.
//!
//! A third of the callers read slowly or give up, and add images of a bounded set; the others add new ones, each of
//! which is decoded, embedded and stored, and which are deleted some seconds later, so that what grows is no image. At
//! the end everything acknowledged and not deleted is there, also after `kill -9`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use culld::proto;
use culld::proto::AddStatus;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::durability::{Served, command};
use crate::support::{Api, header, image_message, picture};

const SECONDS: u64 = 6;
const CALLERS: u64 = 64;
/// Callers by which the sustainable rate is measured.
const WAITING: u64 = 24;
/// Calls at a time of each caller that adds under the load: it does not wait for its answers.
const IN_FLIGHT: usize = 24;
/// Different pictures; what is new of a new image is a number behind the file's end.
const IMAGES: u64 = 4000;
/// New images are told apart by when they came, and deleted when two such spans have passed.
const SPAN: Duration = Duration::from_secs(2);
/// Seconds after the load's end within which the daemon is as quick as before.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Counts {
    kept: Mutex<BTreeSet<String>>,
    /// Acknowledged new images by span; those of a span that is being deleted are out of it.
    new: Mutex<BTreeMap<u64, BTreeSet<String>>>,
    /// Spans before this one are deleted, or about to be.
    deleted_until: AtomicU64,
    added: AtomicU64,
    deleted: AtomicU64,
    refused: AtomicU64,
    abandoned: AtomicU64,
    reads: Mutex<Vec<Duration>>,
}

impl Counts {
    fn note(&self, outcome: &proto::AddOutcome) {
        assert!(matches!(outcome.status(), AddStatus::Added | AddStatus::AlreadyPresent), "{outcome:?}");
        self.added.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.kept.lock().unwrap();
        if !kept.contains(&outcome.image_id) {
            kept.insert(outcome.image_id.clone());
        }
    }

    fn note_new(&self, span: u64, outcome: proto::AddOutcome) {
        assert_eq!(outcome.status(), AddStatus::Added, "{outcome:?}");
        self.added.fetch_add(1, Ordering::Relaxed);
        let mut new = self.new.lock().unwrap();
        // What came before the deletion of its span and is told of after it: nobody knows whether it is there.
        if span >= self.deleted_until.load(Ordering::Relaxed) {
            new.entry(span).or_default().insert(outcome.image_id);
        }
    }

    fn forget_before(&self, span: u64) {
        let mut new = self.new.lock().unwrap();
        self.deleted_until.store(span, Ordering::Relaxed);
        *new = new.split_off(&span);
    }

    /// What has to be there.
    fn acknowledged(&self) -> BTreeSet<String> {
        let new = self.new.lock().unwrap();
        self.kept.lock().unwrap().iter().chain(new.values().flatten()).cloned().collect()
    }
}

/// The pictures, made before: what is measured is the daemon.
type Pictures = Arc<Vec<Vec<u8>>>;

/// When the load begins and ends.
#[derive(Clone, Copy)]
struct Load {
    begin: Instant,
    until: Instant,
}

/// How one caller adds: at most so many calls at a time, a new one after each pause.
#[derive(Clone, Copy)]
struct Pace {
    in_flight: usize,
    pause: Duration,
}

/// Adds new images at this pace.
async fn add(api: Api, counts: Arc<Counts>, pictures: Pictures, caller: u64, pace: Pace, load: Load) {
    let mut calls = JoinSet::new();
    let mut next = Instant::now();
    for turn in 0.. {
        if calls.len() >= pace.in_flight {
            calls.join_next().await.unwrap().unwrap();
        }
        next = (next + pace.pause).max(Instant::now());
        if next >= load.until {
            break;
        }
        tokio::time::sleep_until(next.into()).await;
        let mut picture = pictures[((caller + turn * (CALLERS + 1)) % IMAGES) as usize].clone();
        picture.extend_from_slice(&caller.to_le_bytes());
        picture.extend_from_slice(&turn.to_le_bytes());
        let span = (load.begin.elapsed().as_millis() / SPAN.as_millis()) as u64;
        let (api, counts) = (api.clone(), Arc::clone(&counts));
        calls.spawn(async move {
            match api.add(&format!("new/{span}/{caller}/{turn}"), picture).await {
                Ok(outcome) => counts.note_new(span, outcome),
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                    counts.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    calls.join_all().await;
}

/// Deletes the new images of all spans but the last two, as they end.
async fn delete(api: Api, counts: Arc<Counts>, load: Load) {
    for span in 0.. {
        let ends = load.begin + SPAN * (span as u32 + 2);
        if ends >= load.until {
            return;
        }
        tokio::time::sleep_until(ends.into()).await;
        counts.forget_before(span + 1);
        let filter = proto::ImageFilter { source_prefix: format!("new/{span}/"), ..Default::default() };
        let deleted = api.delete(filter).await.unwrap();
        counts.deleted.fetch_add(deleted.images, Ordering::Relaxed);
    }
}

/// Sends a stream of images, and hardly reads what becomes of them.
async fn read_slowly(api: Api, counts: Arc<Counts>, pictures: Pictures, first: u64, until: Instant) {
    while Instant::now() < until {
        let (sender, receiver) = mpsc::channel(1);
        let pictures = Arc::clone(&pictures);
        let sending = tokio::spawn(async move {
            drop(sender.send(header("")).await);
            for turn in first..first + 2000 {
                let item = (turn % IMAGES) as usize;
                if sender.send(image_message(&item.to_string(), pictures[item].clone())).await.is_err() {
                    break;
                }
            }
        });
        let mut stream = api.images().add_images(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        while Instant::now() < until {
            match stream.message().await.unwrap() {
                Some(answer) => counts.note(&answer.outcome.unwrap()),
                None => break,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(stream);
        sending.abort();
    }
}

/// Calls, and gives up before the answer.
async fn give_up(api: Api, counts: Arc<Counts>, pictures: Pictures, first: u64, until: Instant) {
    let mut turn = first;
    while Instant::now() < until {
        turn += 7;
        let item = (turn % IMAGES) as usize;
        let key = item.to_string();
        let call = api.add(&key, pictures[item].clone());
        match tokio::time::timeout(Duration::from_millis(turn % 5), call).await {
            Err(_) => drop(counts.abandoned.fetch_add(1, Ordering::Relaxed)),
            Ok(Ok(outcome)) => counts.note(&outcome),
            Ok(Err(_)) => drop(counts.refused.fetch_add(1, Ordering::Relaxed)),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads as the page does.
async fn read(api: Api, counts: Arc<Counts>, until: Instant) {
    while Instant::now() < until {
        let began = Instant::now();
        api.stats().await;
        let request = proto::ListImagesRequest { page_size: 50, ..Default::default() };
        api.images().list_images(request).await.unwrap();
        counts.reads.lock().unwrap().push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn resident_mib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn percentile(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort();
    let at = (times.len() as f64 * share) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Images a second that get in when callers wait for answers, without one that is refused.
async fn sustainable(served: &Served, pictures: &Pictures, seconds: u64) -> f64 {
    let counts = Arc::new(Counts::default());
    let begin = Instant::now();
    let load = Load { begin, until: begin + Duration::from_secs(seconds) };
    let mut callers = JoinSet::new();
    for caller in 0..WAITING {
        let (api, counts) = (Api::connect(&served.address).await, Arc::clone(&counts));
        let pace = Pace { in_flight: 1, pause: Duration::ZERO };
        // Numbers that the callers of the load don't have.
        callers.spawn(add(api, counts, Arc::clone(pictures), CALLERS + caller, pace, load));
    }
    callers.join_all().await;
    assert_eq!(counts.refused.load(Ordering::Relaxed), 0);
    let rate = counts.added.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    served
        .api
        .delete(proto::ImageFilter { source_prefix: "new/".into(), ..Default::default() })
        .await
        .unwrap();
    rate
}

/// The load: those who add ask for twice this rate, images a second.
async fn all_callers(
    address: &str,
    counts: &Arc<Counts>,
    pictures: &Pictures,
    rate: f64,
    load: Load,
) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (api, counts) = (Api::connect(address).await, Arc::clone(counts));
        let (pictures, first) = (Arc::clone(pictures), caller * 61);
        match caller % 6 {
            0 => drop(callers.spawn(read_slowly(api, counts, pictures, first, load.until))),
            1 => drop(callers.spawn(give_up(api, counts, pictures, first, load.until))),
            _ => {
                let pause = Duration::from_secs_f64(CALLERS as f64 * 4.0 / 6.0 / (2.0 * rate));
                let pace = Pace { in_flight: IN_FLIGHT, pause };
                drop(callers.spawn(add(api, counts, pictures, caller, pace, load)));
            }
        }
    }
    callers.spawn(read(Api::connect(address).await, Arc::clone(counts), load.until));
    callers.spawn(delete(Api::connect(address).await, Arc::clone(counts), load));
    callers
}

/// Shows a table, and writes it where it is wanted.
fn told(rows: &[(&str, String)]) -> String {
    let mut table = String::from("| what | |\n|---|---|\n");
    for (what, value) in rows {
        writeln!(table, "| {what} | {value} |").unwrap();
    }
    eprintln!("{table}");
    if let Some(path) = std::env::var_os("CULLD_TABLE") {
        std::fs::write(path, &table).unwrap();
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_the_load_is_borne() {
    let seconds = std::env::var("CULLD_SOAK_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let pictures: Pictures = Arc::new((0..IMAGES).map(|item| picture(item % 7, item)).collect());
    let mut served = Served::of(command(&data, "fsync")).await.unwrap();
    let rate = sustainable(&served, &pictures, (seconds / 6).clamp(1, 20)).await;
    let counts = Arc::new(Counts::default());
    let begin = Instant::now();
    let load = Load { begin, until: begin + Duration::from_secs(seconds) };
    let callers = all_callers(&served.address, &counts, &pictures, rate, load).await;
    let mut resident = vec![resident_mib(served.id())];
    while Instant::now() < load.until {
        tokio::time::sleep(Duration::from_secs(seconds).div_f64(10.0)).await;
        resident.push(resident_mib(served.id()));
    }
    callers.join_all().await;
    let ended = Instant::now();
    while served.api.stats().await.queued_images > 0 {
        tokio::task::yield_now().await;
    }
    served.api.add("after", pictures[0].clone()).await.unwrap();
    let recovery = ended.elapsed();
    served.kill();
    let again = Served::start(&data, "fsync").await;
    let stored: BTreeSet<String> = again.api.list().await.into_iter().map(|image| image.image_id).collect();
    let acknowledged = counts.acknowledged();
    let lost = acknowledged.difference(&stored).count();
    let reads = counts.reads.lock().unwrap().clone();
    let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let table = told(&[
        ("length", format!("{seconds} s")),
        ("callers", format!("{CALLERS}, of them a sixth slow readers and a sixth giving up, and one reader")),
        ("sustainable", format!("{rate:.0} images/s of {WAITING} callers who wait for each answer")),
        (
            "acknowledged under the load",
            format!("{:.0} images/s", number(&counts.added) as f64 / seconds as f64),
        ),
        ("deleted again", number(&counts.deleted).to_string()),
        ("refused with a time to retry", number(&counts.refused).to_string()),
        ("given up by their callers", number(&counts.abandoned).to_string()),
        ("resident memory, at the start and at every tenth, MiB", format!("{resident:?}")),
        (
            "reads (GetStats and a page of ListImages): number, p50, p99",
            format!(
                "{}, {:?}, {:?}",
                reads.len(),
                percentile(reads.clone(), 0.5),
                percentile(reads.clone(), 0.99)
            ),
        ),
        ("idle again after the load's end", format!("{recovery:?}")),
        ("acknowledged images lost, after kill -9", format!("{lost} of {}", acknowledged.len())),
    ]);
    assert_eq!(lost, 0, "{table}");
    assert!(recovery < RECOVERY_MAX, "{table}");
    // Flat: caches fill in the first half.
    let (half, last) = (resident[resident.len() / 2], resident[resident.len() - 1]);
    assert!(last <= half + half / 4 + 64, "{table}");
}
