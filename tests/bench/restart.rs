//! How soon `culld serve` answers when it is started again on many stored embeddings.
//!
//! `cargo bench --bench restart -- 100000` prints tests/bench/measured/restart.md: a store of so many images is made, with
//! embeddings of 1,280 dimensions in 200 clusters and a tenth of noise; they are clustered by DBSCAN, which is followed
//! from then on, and some clusters and images are judged. Then it is started again after a clean stop, after `kill -9` right behind
//! adds and deletes, and without any snapshot. `-- 100000 flat` does without the graph, which takes most of the time to
//! build; `-- 100000 auto FOLDER` keeps the store there, or takes the one that is there.
//!
//! It ends with an error where a bound does not hold: 10 s for everything after a clean stop, 10 s for all but the live
//! clusters after a kill, and decisions that are not what they were.

#[path = "common.rs"]
mod common;
#[path = "stored.rs"]
mod stored;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{Outcome, load};
use culld::proto::Side;
use stored::{Decisions, Served, fill, snapshots};

/// Images added, and images deleted, right before the kill.
const TAIL: usize = 64;
/// Clusters judged, alternately kept and discarded.
const JUDGED: usize = 8;
const SECONDS_MAX: f64 = 10.0;
/// Longest wait for the graph to be built.
const GRAPH_TIME_MAX: Duration = Duration::from_mins(45);

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let images = arguments.next().map_or(Ok(100_000), |images| images.parse())?;
    let index = arguments.next().unwrap_or_else(|| "auto".to_owned());
    let folder = arguments.next().map(PathBuf::from);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(images, &index, folder))
}

async fn run(images: usize, index: &str, folder: Option<PathBuf>) -> Outcome {
    let temporary = tempfile::tempdir()?;
    let data = folder.unwrap_or_else(|| temporary.path().join("data"));
    let mut broken = Vec::new();
    if !data.exists() {
        let began = Instant::now();
        fill(&data, images).await?;
        said(&format!("{images} images stored in {:.0} s", began.elapsed().as_secs_f64()))?;
    }
    let served = Served::start(&data, index).await?;
    said(&format!("clustered by DBSCAN and followed in {:.1} s", served.api.cluster().await?))?;
    let clusters = served.api.clusters().await?;
    for (cluster, side) in clusters.iter().take(JUDGED).zip([Side::Keep, Side::Discard].into_iter().cycle()) {
        served.api.judge(cluster.cluster_id, side).await?;
    }
    let samples: Vec<String> = clusters
        .iter()
        .skip(JUDGED)
        .flat_map(|cluster| cluster.sample_image_ids.iter().take(2).cloned())
        .collect();
    let (kept, discarded) = samples.split_at(samples.len() / 2);
    served.api.judge_images(kept.to_vec(), Side::Keep).await?;
    served.api.judge_images(discarded.to_vec(), Side::Discard).await?;
    graph(&served, images, index).await?;
    // What it takes to tell the decisions after the verdicts is not a restart's.
    served.api.next_review().await?;
    let before = served.api.decisions().await?;
    let seen = before.keys().next().ok_or("no images")?.clone();
    let mut number = images as u64 + 1_000_000;

    let stopping = served.stop()?;
    let served = Served::start(&data, index).await?;
    let (seconds, after) = served.answers(number, &seen).await?;
    said(&format!("\nAfter a clean stop, which took {stopping:.1} s; load {}:\n", load()))?;
    broken.extend(table(&seconds, &served, |_| true)?);
    broken.extend(same(&before, &after, 0)?);

    let gone: Vec<String> = after.keys().step_by(after.len() / TAIL).take(TAIL).cloned().collect();
    number += 1;
    served.api.add(number..number + TAIL as u64, 224).await?;
    served.api.delete(gone.clone()).await?;
    // Deletions may change what is decided of others, so this is what has to be there again; then one more of each.
    let last = served.api.decisions().await?;
    number += TAIL as u64;
    served.api.add(number..number + 1, 224).await?;
    let seen = last.keys().next_back().ok_or("no images")?;
    let one = last.keys().next().ok_or("no images")?;
    served.api.delete(vec![one.clone()]).await?;
    served.kill()?;
    number += 1;
    let served = Served::start(&data, index).await?;
    let (seconds, killed) = served.answers(number, seen).await?;
    said(&format!(
        "\nAfter kill -9, right behind {TAIL} adds and then {TAIL} deletions; load {}:\n",
        load()
    ))?;
    broken.extend(table(&seconds, &served, |name| name != "ListLiveClusters")?);
    broken.extend(same(&last, &killed, 1)?);

    served.stop()?;
    std::fs::remove_dir_all(snapshots(&data))?;
    let served = Served::start(&data, index).await?;
    let (seconds, bare) = served.answers(number + 1, seen).await?;
    said(&format!("\nWithout any snapshot; load {}:\n", load()))?;
    table(&seconds, &served, |_| false)?;
    broken.extend(same(&killed, &bare, 0)?);
    verify(served, &data)?;
    if broken.is_empty() { Ok(()) } else { Err(broken.join("; ").into()) }
}

/// Waits until the index is the one that the collection keeps.
async fn graph(served: &Served, images: usize, index: &str) -> Outcome {
    let began = Instant::now();
    loop {
        let stats = served.api.stats().await?;
        if index == "flat" || images < culld::index::HNSW_ROWS_MIN || stats.index == "hnsw" {
            return said(&format!("index {}, built in {:.0} s", stats.index, began.elapsed().as_secs_f64()));
        }
        if began.elapsed() > GRAPH_TIME_MAX {
            return Err("the graph was not built in time".into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn said(line: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Prints when each answer came; answers which of those that are bounded came late.
fn table(
    seconds: &[(&'static str, f64)],
    served: &Served,
    is_bounded: impl Fn(&str) -> bool,
) -> Outcome<Vec<String>> {
    said("| answered | seconds after the start |\n|---|---|")?;
    let mut late = Vec::new();
    for &(name, seconds) in seconds {
        said(&format!("| {name} | {seconds:.2} |"))?;
        if is_bounded(name) && seconds > SECONDS_MAX {
            late.push(format!("{name} took {seconds:.1} s"));
        }
    }
    said(&format!("\nProcessors were busy for {:.1} s of the daemon by then.", served.processor_seconds()?))?;
    Ok(late)
}

/// Compares the decisions of the images that were there before; `gone` were deleted.
fn same(before: &Decisions, after: &Decisions, gone: usize) -> Outcome<Option<String>> {
    let missing = before.keys().filter(|image| !after.contains_key(*image)).count();
    let other =
        before.iter().filter(|(image, said)| after.get(*image).is_some_and(|now| now != *said)).count();
    said(&format!(
        "\n{} decisions as before, {other} others, {missing} images gone",
        before.len() - other - missing
    ))?;
    let wrong = other > 0 || missing != gone;
    Ok(wrong.then(|| format!("{other} decisions changed, {missing} images are gone instead of {gone}")))
}

/// Looks at the whole store.
fn verify(served: Served, data: &Path) -> Outcome {
    served.stop()?;
    let mut verify = std::process::Command::new(env!("CARGO_BIN_EXE_culld"));
    let output = verify.arg("verify").arg("--data").arg(data).output()?;
    let said_last = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    said(&format!("\n`culld verify`: {said_last}"))?;
    if output.status.success() { Ok(()) } else { Err("the store is not sound".into()) }
}
