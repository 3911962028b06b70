//! The clustering that follows adds and deletes: what one of them costs, against a batch run and against incdbscan.
//!
//! `cargo bench --bench live -- 10000 100000`: per size the batch run, then inserts and deletes one at a time with their
//! median and 99th percentile. `-- peer 10000` also times incdbscan on the same vectors (tests/bench/peers);
//! `-- split 50000` cuts a component of so many points in two.

#[path = "common.rs"]
mod common;

use std::fmt::Write as _;
use std::io::Write as _;

use common::{CHANGES, EPS, Following, MIN_POINTS, Outcome, generate, peer, quantile, write_npy};
use culld::types::PointOffset;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let what = arguments.first().map_or("", String::as_str);
    let sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10_000] } else { sizes };
    let mut out = std::io::stdout().lock();
    for points in sizes {
        if what == "split" {
            writeln!(out, "{}", split(points)?)?;
        } else {
            writeln!(out, "{}", changes(points, what == "peer")?)?;
        }
        out.flush()?;
    }
    Ok(())
}

fn changes(points: usize, with_peer: bool) -> Outcome<String> {
    let vectors = generate(points + CHANGES, 1);
    let npy = std::env::temp_dir().join(format!("culld-bench-{}.npy", std::process::id()));
    if with_peer {
        write_npy(&npy, &vectors)?;
    }
    let (mut bench, batch) = Following::new(vectors, points, EPS)?;
    let clusters = bench.live.components().count();
    let new = points as PointOffset..(points + CHANGES) as PointOffset;
    let insert: Vec<f64> =
        new.map(|row| bench.timed(|live, ranges| drop(live.insert(&[row], ranges)))).collect();
    let step = points / CHANGES;
    let old = (0..CHANGES).map(|place| (place * step) as PointOffset);
    let delete: Vec<f64> =
        old.map(|row| bench.timed(|live, ranges| drop(live.remove(&[row], ranges)))).collect();
    let mut line = format!(
        "{points} points, {clusters} clusters: batch {batch:.2} s; insert {}; delete {}; batch / p99 of insert {:.0}",
        figures(&insert),
        figures(&delete),
        1e3 * batch / quantile(&insert, 0.99)
    );
    if with_peer {
        let mean = insert.iter().sum::<f64>() / insert.len() as f64;
        for (name, seconds, said) in
            peer(&["incremental.py"], &npy, &[points.to_string(), EPS.to_string(), MIN_POINTS.to_string()])?
        {
            let theirs = 1e3 * seconds;
            write!(line, "; {name} {theirs:.2} ms an insert ({said}): {:.1} x", theirs / mean)?;
        }
        std::fs::remove_file(&npy)?;
    }
    Ok(line)
}

/// Two dense groups of half the points each that touch in one point, which goes.
fn split(points: usize) -> Outcome<String> {
    let vectors = common::dumbbell(points);
    let total = vectors.len();
    let (mut bench, batch) = Following::new(vectors, total, 0.2)?;
    let before = bench.live.components().count();
    let milliseconds = bench.timed(|live, ranges| drop(live.remove(&[total as PointOffset - 1], ranges)));
    let after = bench.live.components().count();
    Ok(format!(
        "{points} points in {before} component: batch {batch:.2} s; split into {after} in {:.2} s",
        milliseconds / 1e3
    ))
}

fn figures(milliseconds: &[f64]) -> String {
    format!("median {:.2} ms, p99 {:.2} ms", quantile(milliseconds, 0.5), quantile(milliseconds, 0.99))
}
