//! Twice what the daemon can do, for as long as is asked: `CULLD_SOAK_SECONDS=1800`. Without it a few seconds, so that
//! it can't rot.
//!
//! A third of the callers read slowly or give up; all add images of a set that is bounded, so that what grows is no
//! image. At the end everything acknowledged is there, also after `kill -9`.

use std::collections::BTreeSet;
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
/// Different images of all callers.
const IMAGES: u64 = 4000;
/// Seconds after the load's end within which the daemon is as quick as before.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Counts {
    acknowledged: Mutex<BTreeSet<String>>,
    added: AtomicU64,
    refused: AtomicU64,
    abandoned: AtomicU64,
    reads: Mutex<Vec<Duration>>,
}

impl Counts {
    fn note(&self, outcome: &proto::AddOutcome) {
        assert!(matches!(outcome.status(), AddStatus::Added | AddStatus::AlreadyPresent), "{outcome:?}");
        self.added.fetch_add(1, Ordering::Relaxed);
        let mut acknowledged = self.acknowledged.lock().unwrap();
        if !acknowledged.contains(&outcome.image_id) {
            acknowledged.insert(outcome.image_id.clone());
        }
    }
}

/// The pictures, made before: what is measured is the daemon.
type Pictures = Arc<Vec<Vec<u8>>>;

/// Adds as fast as it may, at this pause between two calls.
async fn add(api: Api, counts: Arc<Counts>, pictures: Pictures, first: u64, pause: Duration, until: Instant) {
    let mut turn = first;
    while Instant::now() < until {
        turn += CALLERS + 1;
        let item = (turn % IMAGES) as usize;
        match api.add(&item.to_string(), pictures[item].clone()).await {
            Ok(outcome) => counts.note(&outcome),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                counts.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(pause).await;
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

/// Images a second that four callers get in, each after the other.
async fn sustainable(served: &Served, pictures: &Pictures, seconds: u64) -> f64 {
    let counts = Arc::new(Counts::default());
    let (began, until) = (Instant::now(), Instant::now() + Duration::from_secs(seconds));
    let mut callers = JoinSet::new();
    for caller in 0..4 {
        let (api, counts) = (served.api.clone(), Arc::clone(&counts));
        callers.spawn(add(api, counts, Arc::clone(pictures), caller * 1000, Duration::ZERO, until));
    }
    callers.join_all().await;
    counts.added.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
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
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (api, counts) = (Api::connect(&served.address).await, Arc::clone(&counts));
        let (pictures, first) = (Arc::clone(&pictures), caller * 61);
        match caller % 6 {
            0 => drop(callers.spawn(read_slowly(api, counts, pictures, first, until))),
            1 => drop(callers.spawn(give_up(api, counts, pictures, first, until))),
            _ => {
                // The forty-odd of these ask for twice what there is.
                let pause = Duration::from_secs_f64(CALLERS as f64 * 4.0 / 6.0 / (2.0 * rate));
                drop(callers.spawn(add(api, counts, pictures, first, pause, until)));
            }
        }
    }
    callers.spawn(read(Api::connect(&served.address).await, Arc::clone(&counts), until));
    let mut resident = vec![resident_mib(served.id())];
    while Instant::now() < until {
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
    let acknowledged = counts.acknowledged.lock().unwrap().clone();
    let lost = acknowledged.difference(&stored).count();
    let reads = counts.reads.lock().unwrap().clone();
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let table = told(&[
        ("length", format!("{seconds} s")),
        ("callers", format!("{CALLERS}, of them a sixth slow readers and a sixth giving up, and one reader")),
        ("sustainable, four callers", format!("{rate:.0} images/s")),
        (
            "acknowledged under the load",
            format!("{:.0} images/s", load(&counts.added) as f64 / seconds as f64),
        ),
        ("refused with a time to retry", load(&counts.refused).to_string()),
        ("given up by their callers", load(&counts.abandoned).to_string()),
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
