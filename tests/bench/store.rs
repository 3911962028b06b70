//! What the disk store does under kill -9, under churn, per second, and as it grows beyond its memory.
//!
//! `cargo bench --bench store -- crash 30`, `-- churn 20000`, `-- throughput 8000` or `-- memory 100000`; no argument runs
//! the first three.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use culld::store::{
    Batch, CommitOptions, CommitQueue, ImageRecord, Keys, LogRecord, SledOptions, SledStore, SourceRecord,
    Store, read, read_bytes, read_embedding,
};
use culld::types::ImageId;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

// As the daemon allocates.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const COLLECTION: u32 = 1;
const GROUP: u64 = 64;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["child", folder, first] => write_until_killed(folder.as_ref(), first.parse()?),
        ["crash", rounds] => crash(rounds.parse()?),
        ["churn", images] => churn(images.parse()?),
        ["throughput", images] => throughput(images.parse()?),
        ["memory", images] => memory(images.parse()?),
        [] => crash(30).and_then(|()| churn(20_000)).and_then(|()| throughput(8_000)),
        _ => Err("crash ROUNDS, churn IMAGES, throughput IMAGES, memory IMAGES, or nothing".into()),
    }
}

fn open(folder: &Path) -> Outcome<Arc<dyn Store>> {
    Ok(Arc::new(SledStore::open(folder, &SledOptions::default())?))
}

/// Bytes that don't compress, and repeat for a seed.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut noise);
    noise
}

fn image_id(image: u64) -> ImageId {
    ImageId::of(&image.to_le_bytes())
}

fn embedding(image: u64, round: u64) -> Vec<f32> {
    let bytes = noise(image ^ (round << 40), 5120);
    bytes.as_chunks::<4>().0.iter().map(|&component| u32::from_le_bytes(component) as f32).collect()
}

/// The records of one image: header of about 300 B, embedding, thumbnail, log entry.
fn put_image(batch: &mut Batch, image: u64, round: u64) -> Outcome {
    let id = image_id(image);
    let source = SourceRecord {
        key: format!("photos/2026/11/{image:08}.jpg"),
        uri: format!("file:///srv/pictures/photos/2026/11/{image:08}.jpg"),
        size: 2_345_678,
        mtime_ms: 1_790_000_000_000,
        first_seen_ms: 1_790_000_000_000,
        last_seen_ms: 1_790_000_000_000 + round,
        tags: vec!["holiday".into(), "unsorted".into(), "camera-2".into()],
    };
    let record = ImageRecord {
        added_ms: 1_790_000_000_000,
        width: 4000,
        height: 3000,
        format: "jpeg".into(),
        bytes: 2_345_678,
        sources: vec![source],
    };
    batch.put(&Keys::image(COLLECTION, &id), &record)?;
    batch.put_embedding(&Keys::embedding(COLLECTION, image, &id), &embedding(image, round));
    batch.put_bytes(&Keys::thumbnail(COLLECTION, image, &id), &noise(image + round, 10_000));
    batch.put(&Keys::event(COLLECTION, image), &LogRecord::after(None, noise(image, 60)))?;
    Ok(())
}

fn group(group: u64, round: u64) -> Outcome<Batch> {
    let mut batch = Batch::new();
    for image in group * GROUP..(group + 1) * GROUP {
        put_image(&mut batch, image, round)?;
    }
    batch.put(&Keys::meta(COLLECTION, "generation"), &group)?;
    Ok(batch)
}

// --- crash ---

/// Says "ready" when open, then the number of each group once it is durable.
fn write_until_killed(folder: &Path, first: u64) -> Outcome {
    let store = open(folder)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    for number in first.. {
        store.apply(group(number, 0)?.into_writes())?;
        store.sync()?;
        writeln!(out, "{number}")?;
        out.flush()?;
    }
    Ok(())
}

fn crash(rounds: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut acked, mut found_unacked, mut missing, mut torn) = (0u64, 0u32, 0u64, 0u32);
    let (mut open_ms, mut open_ms_max) = (0.0, 0.0f64);
    let mut next = 0;
    for _ in 0..rounds {
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "child",
                folder.path().to_str().ok_or("a temporary folder that is not UTF-8")?,
                &next.to_string(),
            ])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        lines.read_line(&mut String::new())?;
        std::thread::sleep(Duration::from_micros(rng.random_range(0..300_000)));
        child.kill()?;
        child.wait()?;
        let mut rest = String::new();
        lines.read_to_string(&mut rest)?;
        let acked_groups = rest.matches('\n').count() as u64;

        let start = Instant::now();
        let store = open(folder.path())?;
        open_ms = start.elapsed().as_secs_f64() * 1e3;
        open_ms_max = open_ms_max.max(open_ms);
        acked += acked_groups;
        for number in 0..next + acked_groups {
            missing += u64::from(present(&*store, number)? < GROUP);
        }
        next += acked_groups;
        // The group that was on its way: all of it or nothing.
        match present(&*store, next)? {
            0 => {}
            GROUP => {
                found_unacked += 1;
                next += 1;
            }
            _ => torn += 1,
        }
    }
    report(
        "crash",
        &[
            ("rounds", rounds as f64),
            ("groups acked", acked as f64),
            ("acked but missing", missing as f64),
            ("torn", f64::from(torn)),
            ("whole, not acked", f64::from(found_unacked)),
            ("last open ms", open_ms),
            ("slowest open ms", open_ms_max),
            ("disk MB", bytes_mb(&*open(folder.path())?)?),
            ("payload MB", next as f64 * GROUP as f64 * 15_500.0 / 1e6),
        ],
    )
}

/// How many images of a group are there with all four records, right to the byte.
fn present(store: &dyn Store, number: u64) -> Outcome<u64> {
    let mut whole = 0;
    for image in number * GROUP..(number + 1) * GROUP {
        let id = image_id(image);
        let header: Option<ImageRecord> = read(store, &Keys::image(COLLECTION, &id))?;
        let event: Option<LogRecord> = read(store, &Keys::event(COLLECTION, image))?;
        let components = read_embedding(store, &Keys::embedding(COLLECTION, image, &id))?;
        let thumbnail = read_bytes(store, &Keys::thumbnail(COLLECTION, image, &id))?;
        let parts = [header.is_some(), event.is_some(), components.is_some(), thumbnail.is_some()];
        match parts.iter().filter(|part| **part).count() {
            0 => {}
            4 => {
                let right =
                    thumbnail == Some(noise(image, 10_000)) && components == Some(embedding(image, 0));
                whole += u64::from(right);
            }
            // Some but not all of one image: a torn batch whatever the rest says.
            _ => return Ok(1),
        }
    }
    Ok(whole)
}

// --- churn ---

fn churn(images: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let groups = images / GROUP;
    let mut steps = Vec::new();
    let mut step = |name: &'static str, store: &dyn Store| -> Outcome {
        steps.push((name, bytes_mb(store)?));
        Ok(())
    };
    let store = open(folder.path())?;
    for (round, name) in ["filled", "overwritten once", "overwritten twice"].into_iter().enumerate() {
        fill(&*store, 0..groups, round as u64)?;
        step(name, &*store)?;
    }
    for number in (0..groups).filter(|number| number % 10 != 0) {
        let mut batch = Batch::new();
        for image in number * GROUP..(number + 1) * GROUP {
            let id = image_id(image);
            batch.delete(&Keys::image(COLLECTION, &id));
            batch.delete(&Keys::embedding(COLLECTION, image, &id));
            batch.delete(&Keys::thumbnail(COLLECTION, image, &id));
        }
        store.apply(batch.into_writes())?;
        store.sync()?;
    }
    step("90 % deleted", &*store)?;
    drop(store);
    let start = Instant::now();
    let store = open(folder.path())?;
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    step("reopened", &*store)?;
    fill(&*store, (0..groups).filter(|number| number % 10 != 0).map(|number| number + groups), 0)?;
    step("refilled", &*store)?;
    drop(store);
    step("closed", &*open(folder.path())?)?;
    steps.push(("open ms", open_ms));
    steps.push(("payload MB", images as f64 * 15_500.0 / 1e6));
    steps.push(("RSS MB", resident_mb()));
    report("churn, disk MB", &steps)
}

fn fill(store: &dyn Store, groups: impl Iterator<Item = u64>, round: u64) -> Outcome {
    for number in groups {
        store.apply(group(number, round)?.into_writes())?;
        store.sync()?;
    }
    Ok(())
}

// --- throughput ---

fn throughput(images: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let store = open(folder.path())?;
    let groups = (0..images / GROUP).map(|number| group(number, 0)).collect::<Outcome<Vec<_>>>()?;
    let start = Instant::now();
    for batch in groups {
        store.apply(batch.into_writes())?;
        store.sync()?;
    }
    let per_s = images as f64 / start.elapsed().as_secs_f64();

    let mut single_ms = Vec::new();
    for number in 0..300u64 {
        let mut batch = Batch::new();
        batch.put(&Keys::event(2, number), &LogRecord::after(None, noise(number, 60)))?;
        let start = Instant::now();
        store.apply(batch.into_writes())?;
        store.sync()?;
        single_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    single_ms.sort_by(f64::total_cmp);

    let queue = CommitQueue::start(Arc::clone(&store), CommitOptions::default())?;
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..16u64 {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0..100 {
                    let mut batch = Batch::new();
                    let event = LogRecord::after(None, noise(number, 60));
                    if batch.put(&Keys::event(3, thread << 32 | number), &event).is_ok() {
                        let _ = queue.commit(batch.into_writes());
                    }
                }
            });
        }
    });
    let joined_per_s = 1600.0 / start.elapsed().as_secs_f64();

    let start = Instant::now();
    let mut scanned = 0;
    store.scan(Keys::embeddings(COLLECTION).as_bytes(), &mut |_, _| {
        scanned += 1;
        ControlFlow::Continue(())
    })?;
    report(
        "throughput",
        &[
            ("images/s, groups of 64", per_s),
            ("MB/s", per_s * 0.0155),
            ("one record p50 ms", single_ms[150]),
            ("one record p99 ms", single_ms[297]),
            ("16 threads, commits/s", joined_per_s),
            ("embeddings scanned/s", f64::from(scanned) / start.elapsed().as_secs_f64()),
            ("disk MB", bytes_mb(&*store)?),
            ("payload MB", images as f64 * 15_500.0 / 1e6),
            ("RSS MB", resident_mb()),
        ],
    )
}

// --- memory ---

/// Fills a store with images while somebody reads thumbnails of those that are there, one after the other.
fn memory(images: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let store = SledStore::open(folder.path(), &SledOptions::default())?;
    let (filled, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let groups = images / GROUP;
    let (mut resident, mut slowest_sync_ms) = (Vec::new(), 0.0f64);
    let mut reads_ms = std::thread::scope(|scope| -> Outcome<Vec<f64>> {
        let reader = scope.spawn(|| read_until(&store, &filled, &done));
        for number in 0..groups {
            store.apply(group(number, 0)?.into_writes())?;
            let start = Instant::now();
            store.sync()?;
            slowest_sync_ms = slowest_sync_ms.max(start.elapsed().as_secs_f64() * 1e3);
            filled.store((number + 1) * GROUP, Ordering::Relaxed);
            if (number + 1) % (groups / 10).max(1) == 0 {
                resident.push(resident_mb());
            }
        }
        done.store(true, Ordering::Relaxed);
        Ok(reader.join().map_err(|_| "the reader panicked")?)
    })?;
    reads_ms.sort_by(f64::total_cmp);
    let slowest = |back: usize| reads_ms.iter().rev().nth(back).copied().unwrap_or(0.0);
    let mut rows = vec![
        ("payload MB", images as f64 * 15_500.0 / 1e6),
        ("opened again", store.reopened() as f64),
        ("slowest sync ms", slowest_sync_ms),
        ("reads beside", reads_ms.len() as f64),
        ("p99 of reads ms", slowest(reads_ms.len() / 100)),
        ("slowest read ms", slowest(0)),
    ];
    rows.extend(resident.into_iter().map(|mb| ("RSS MB after a tenth more", mb)));
    report("memory", &rows)
}

fn read_until(store: &SledStore, filled: &AtomicU64, done: &AtomicBool) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut times_ms = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let there = filled.load(Ordering::Relaxed);
        if there == 0 {
            std::thread::yield_now();
            continue;
        }
        let image = rng.random_range(0..there);
        let start = Instant::now();
        let read = read_bytes(store, &Keys::thumbnail(COLLECTION, image, &image_id(image)));
        times_ms.push(start.elapsed().as_secs_f64() * 1e3);
        assert!(matches!(read, Ok(Some(_))), "a thumbnail is missing");
        // A pause, so that it is the writer who is timed.
        std::thread::sleep(Duration::from_millis(1));
    }
    times_ms
}

// --- report ---

fn report(title: &str, rows: &[(&str, f64)]) -> Outcome {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{title}")?;
    for (name, value) in rows {
        writeln!(out, "  {name:<26} {value:>10.1}")?;
    }
    Ok(())
}

fn bytes_mb(store: &dyn Store) -> Outcome<f64> {
    Ok(store.size_on_disk()? as f64 / 1e6)
}

/// Resident memory of this process; 0 where the system does not say.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1e3
}
