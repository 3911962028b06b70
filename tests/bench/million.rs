//! A million vectors of 128 dimensions: the last twentieth inserted into a clustering of the others, a few of them one by
//! one, then all of them clustered anew. Both are exact.
//!
//! `cargo bench --bench million` takes a quarter of an hour on two cores and prints tests/bench/measured/million.md; `-- 100000`
//! does as much with fewer. The clustering that followed the inserts has to be the batch run's, image by image. Which
//! neighbours it knows is measured on a sample against distances computed one by one, whole and in f64: the engine's
//! `neighbour_recall` of an exact run, not taken on trust.
//!
//! It ends with an error where a bound does not hold: 60 minutes, 6 GiB, recall 0.98, clusters within 2 %.

#[path = "common.rs"]
mod common;

use std::io::Write as _;
use std::time::Instant;

use common::{EPS, MIN_POINTS, Outcome, generate_in, ids, load, memory_mib};
use culld::cluster::{ClusterInput, Density, Live, Ranges as _, RowRanges, RunContext, Sketches, follow};
use culld::types::{ImageId, PointOffset, Vectors};
use rayon::prelude::*;

const DIM: usize = 128;
const POINTS: usize = 1_000_000;
/// One row in so many is inserted into a clustering of the others.
const INSERTED_SHARE: usize = 20;
/// Rows inserted at a time, as many as the engine commits in a group.
const STEP_ROWS: usize = 64;
/// Inserts timed one by one once all others are in.
const SINGLE: usize = 100;
/// Rows whose neighbours are all looked up again.
const SAMPLE: usize = 500;

const MINUTES_MAX: f64 = 60.0;
const MEMORY_GIB_MAX: f64 = 6.0;
const RECALL_MIN: f64 = 0.98;
const CLUSTERS_OFF_MAX: f64 = 0.02;

fn main() -> Outcome {
    let points = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(POINTS);
    let density = Density { eps: EPS, min_points: MIN_POINTS };
    let mut out = std::io::stdout().lock();
    let vectors = generate_in(DIM, points, 1);
    let ids = ids(points);
    writeln!(
        out,
        "{points} vectors of {DIM} dimensions, eps {EPS}, min_points {MIN_POINTS}; load {}",
        load()
    )?;
    out.flush()?;

    let context = RunContext { seed: 0, progress: &|_| {}, cancelled: &|| false };
    let cluster = |vectors: &Vectors| {
        let began = Instant::now();
        let input = ClusterInput { vectors, ids: &ids[..vectors.len()], candidates: None };
        let (live, sketches) = follow(&input, density, &context)?;
        Ok::<_, Box<dyn std::error::Error>>((live, sketches, began.elapsed().as_secs_f64()))
    };
    let first: Vec<PointOffset> = (0..(points - points / INSERTED_SHARE) as PointOffset).collect();
    let stored = vectors.gather(&first);
    let (live, sketches, seconds) = cluster(&stored)?;
    writeln!(out, "{} clustered: {seconds:.0} s, {}; load {}", stored.len(), counted(&live), load())?;
    out.flush()?;

    let began = Instant::now();
    let grown = grow(&vectors, &ids, stored, sketches, live, &mut out)?;
    let inserting = began.elapsed().as_secs_f64();
    let inserted = points / INSERTED_SHARE;
    let each = 1e3 * inserting / inserted as f64;
    writeln!(
        out,
        "{inserted} inserted: {inserting:.0} s, {each:.1} ms each, {}; load {}",
        counted(&grown),
        load()
    )?;
    out.flush()?;

    let (batch, sketches, reclustering) = cluster(&vectors)?;
    let (found, exact) = (grown.components().count() as f64, batch.components().count() as f64);
    writeln!(out, "{points} clustered anew: {reclustering:.0} s, {}; load {}", counted(&batch), load())?;
    out.flush()?;

    let different = different(&grown, &batch, points);
    let id = |row: PointOffset| ids[row as usize];
    let recall = recall(&RowRanges::new(&vectors, &sketches, &id), &vectors, &[&grown, &batch])?;
    let minutes = (seconds + inserting + reclustering) / 60.0;
    let gib = memory_mib("VmHWM")? / 1024.0;
    let off = (found - exact).abs() / exact;
    writeln!(out, "in all: {minutes:.1} minutes; most memory {gib:.2} GiB, with the vectors")?;
    writeln!(out, "neighbour_recall {recall:.6}, on {SAMPLE} rows; clusters off by {:.2} %", 100.0 * off)?;
    writeln!(out, "images labelled otherwise than by the batch run: {different}")?;
    let bounds = [
        (minutes <= MINUTES_MAX, "minutes"),
        (gib <= MEMORY_GIB_MAX, "memory"),
        (recall >= RECALL_MIN, "recall"),
        (off <= CLUSTERS_OFF_MAX, "clusters"),
        (different == 0, "labels"),
    ];
    match bounds.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(format!("out of bounds: {what}").into()),
        None => Ok(()),
    }
}

fn counted(live: &Live) -> String {
    format!("{} clusters, {} noise", live.components().count(), live.counts().noise())
}

/// Inserts the rows that are not stored yet as a daemon would: appended, sketched, and compared with what is there.
fn grow(
    vectors: &Vectors,
    ids: &[ImageId],
    mut stored: Vectors,
    mut sketches: Sketches,
    mut live: Live,
    out: &mut impl std::io::Write,
) -> Outcome<Live> {
    let points = vectors.len();
    let id = |row: PointOffset| ids[row as usize];
    let mut single_ms = Vec::new();
    while stored.len() < points {
        let first = stored.len();
        let count = if first + SINGLE < points { STEP_ROWS.min(points - SINGLE - first) } else { 1 };
        let began = Instant::now();
        (first..first + count).try_for_each(|row| stored.push(vectors.row(row)))?;
        sketches.extend(&stored);
        let rows: Vec<PointOffset> = (first as PointOffset..).take(count).collect();
        live.insert(&rows, &RowRanges::new(&stored, &sketches, &id));
        if count == 1 {
            single_ms.push(1e3 * began.elapsed().as_secs_f64());
        }
    }
    single_ms.sort_by(f64::total_cmp);
    let (median, slowest) = (single_ms[SINGLE / 2], single_ms[SINGLE - 1]);
    writeln!(out, "one inserted, of the last {SINGLE}: median {median:.1} ms, slowest {slowest:.1} ms")?;
    Ok(live)
}

/// How many rows are in other company: components may be numbered differently.
fn different(a: &Live, b: &Live, points: usize) -> usize {
    let mut number = std::collections::HashMap::new();
    let mut back = std::collections::HashMap::new();
    let same = |row: &PointOffset| match (a.label(*row), b.label(*row)) {
        (None, None) => true,
        (Some(a), Some(b)) => *number.entry(a).or_insert(b) == b && *back.entry(b).or_insert(a) == a,
        _ => false,
    };
    points - (0..points as PointOffset).filter(same).count()
}

/// The share of the true neighbours of sampled rows that range queries find; both clusterings have to count them so.
fn recall(ranges: &RowRanges<'_>, vectors: &Vectors, clusterings: &[&Live]) -> Outcome<f64> {
    let rows: Vec<PointOffset> =
        (0..SAMPLE).map(|place| (place * vectors.len() / SAMPLE) as PointOffset).collect();
    clusterings.iter().try_for_each(|live| live.probe(&rows, ranges))?;
    let found = ranges.within(EPS, &rows, None);
    let near = |a: usize, b: usize| {
        let pairs = vectors.row(a).iter().zip(vectors.row(b));
        1.0 - pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() <= f64::from(EPS)
    };
    let shares: Vec<(usize, usize)> = rows
        .par_iter()
        .zip(found)
        .map(|(&row, found)| {
            let found: std::collections::HashSet<PointOffset> =
                found.into_iter().map(|neighbour| neighbour.offset).collect();
            let others = (0..vectors.len()).filter(|&other| other != row as usize);
            let wanted: Vec<PointOffset> =
                others.filter(|&other| near(row as usize, other)).map(|other| other as PointOffset).collect();
            (wanted.iter().filter(|other| found.contains(other)).count(), wanted.len())
        })
        .collect();
    let (found, wanted) = shares.iter().fold((0, 0), |sum, share| (sum.0 + share.0, sum.1 + share.1));
    Ok(found as f64 / wanted.max(1) as f64)
}
