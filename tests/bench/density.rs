//! Density clustering against its peers, on the same vectors in the same run.
//!
//! `cargo bench --bench density -- 5000 20000`: DBSCAN, HDBSCAN and (up to 5,000 points) OPTICS against scikit-learn,
//! and DBSCAN against what hnswlib takes to build and query its graph. The peers are those of
//! tests/bench/peers/requirements.txt, installed once. A ratio says how many times as fast as the peer; `ours` in front
//! of the sizes leaves the peers out, and the names of algorithms leave out all others.

#[path = "common.rs"]
mod common;

use std::io::Write as _;
use std::time::Instant;

use common::{EPS, MIN_POINTS, Outcome, generate, ids, peer, write_npy};
use culld::cluster::{self, ClusterInput, Extraction, Parameters, RunContext};
use culld::types::Vectors;

/// scikit-learn's OPTICS takes minutes beyond this.
const OPTICS_POINTS_MAX: usize = 5_000;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let peers = arguments.first().is_none_or(|what| what != "ours");
    let sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![5_000, 20_000] } else { sizes };
    let mut out = std::io::stdout().lock();
    for points in sizes {
        let vectors = generate(points, 1);
        let folder = std::env::temp_dir().join(format!("culld-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let npy = folder.join("vectors.npy");
        if peers {
            write_npy(&npy, &vectors)?;
        }
        let asked = |name: &str| arguments.iter().any(|argument| argument == name);
        let some = ["dbscan", "hdbscan", "optics"].into_iter().any(asked);
        for (name, parameters) in algorithms(points) {
            if some && !asked(name) {
                continue;
            }
            let (seconds, clusters, noise) = ours(&vectors, parameters)?;
            write!(out, "{points} {name}: {seconds:.2} s, {clusters} clusters, {noise} noise")?;
            if peers {
                let numbers = [name.to_owned(), EPS.to_string(), MIN_POINTS.to_string()];
                for (peer, theirs, said) in peer(&["density.py"], &npy, &numbers)? {
                    write!(out, "; {peer} {theirs:.2} s ({said}): {:.1} x", theirs / seconds)?;
                }
            }
            writeln!(out)?;
            out.flush()?;
        }
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

fn algorithms(points: usize) -> Vec<(&'static str, Parameters)> {
    let mut all = vec![
        ("dbscan", Parameters::Dbscan { eps: Some(EPS), min_points: Some(MIN_POINTS) }),
        ("hdbscan", Parameters::Hdbscan { min_cluster_size: Some(10), min_samples: Some(MIN_POINTS) }),
    ];
    if points <= OPTICS_POINTS_MAX {
        let extraction = Extraction::Xi(0.05);
        all.push(("optics", Parameters::Optics { min_points: Some(MIN_POINTS), max_eps: None, extraction }));
    }
    all
}

fn ours(vectors: &Vectors, parameters: Parameters) -> Outcome<(f64, usize, usize)> {
    let ids = ids(vectors.len());
    let input = ClusterInput { vectors, ids: &ids, candidates: None };
    let context = RunContext { seed: 0, progress: &|_| {}, cancelled: &|| false };
    let start = Instant::now();
    let outcome = cluster::run(&parameters.check(ids.len())?, &input, &context)?;
    Ok((start.elapsed().as_secs_f64(), outcome.clusters(), outcome.noise()))
}
