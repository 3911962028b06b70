//! Density clustering against its peers, on the same vectors in the same run.
//!
//! `cargo bench --bench density -- batch 5000 20000`: DBSCAN, HDBSCAN and (up to 5,000 points) OPTICS against
//! scikit-learn, and DBSCAN against what hnswlib takes to build and query its graph. The peers need
//! tests/bench/peers/requirements.txt, which tests/bench/peers/venv.sh installs once. A ratio says how many times as
//! fast as the peer; `-- ours` in front of the sizes leaves the peers out.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use culld::cluster::{self, ClusterInput, Extraction, Parameters, RunContext};
use culld::types::{ImageId, Vectors};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const DIM: usize = 1280;
const CLUSTERS: usize = 200;
const NOISE: f32 = 0.1;
const EPS: f32 = 0.3;
const MIN_POINTS: u32 = 8;
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
        for (name, parameters) in algorithms(points) {
            let (seconds, clusters, noise) = ours(&vectors, parameters)?;
            write!(out, "{points} {name}: {seconds:.2} s, {clusters} clusters, {noise} noise")?;
            if peers {
                for (peer, theirs, said) in peer_seconds(&npy, name)? {
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

/// Unit vectors in clusters of unequal spread and about equal size, and noise spread evenly over the sphere.
fn generate(points: usize, seed: u64) -> Vectors {
    let normal = |rng: &mut ChaCha8Rng| -> f32 { StandardNormal.sample(rng) };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let unit = |mut values: Vec<f32>| {
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.iter_mut().for_each(|value| *value /= length);
        values
    };
    let centres: Vec<(Vec<f32>, f32)> = (0..CLUSTERS)
        .map(|_| (unit((0..DIM).map(|_| normal(&mut rng)).collect()), rng.random_range(0.3..0.6)))
        .collect();
    let rows: Vec<Vec<f32>> = (0..points)
        .into_par_iter()
        .map(|row| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(row as u64 + 1);
            let noise: Vec<f32> = (0..DIM).map(|_| normal(&mut rng)).collect();
            if rng.random::<f32>() < NOISE {
                return unit(noise);
            }
            let (centre, spread) = &centres[rng.random_range(0..CLUSTERS)];
            let scale = spread / (DIM as f32).sqrt();
            unit(centre.iter().zip(&noise).map(|(centre, noise)| centre + scale * noise).collect())
        })
        .collect();
    Vectors::from_rows(DIM, rows.concat())
}

fn ours(vectors: &Vectors, parameters: Parameters) -> Outcome<(f64, usize, usize)> {
    let mut ids: Vec<ImageId> = (0..vectors.len() as u64).map(|i| ImageId::of(&i.to_le_bytes())).collect();
    ids.sort_unstable();
    let input = ClusterInput { vectors, ids: &ids, candidates: None };
    let context = RunContext { seed: 0, progress: &|_| {}, cancelled: &|| false };
    let start = Instant::now();
    let outcome = cluster::run(&parameters.check(ids.len())?, &input, &context)?;
    Ok((start.elapsed().as_secs_f64(), outcome.clusters(), outcome.noise()))
}

/// What the peers take: name, seconds, what they say of their result.
fn peer_seconds(npy: &Path, algorithm: &str) -> Outcome<Vec<(String, f64, String)>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/peers");
    let python = Command::new(here.join("venv.sh")).output()?;
    let python = String::from_utf8(python.stdout)?;
    let mut run = Command::new(python.trim());
    run.arg(here.join("density.py")).arg(npy).arg(algorithm);
    run.args([EPS.to_string(), MIN_POINTS.to_string()]);
    // A machine's advice for old builds of OpenBLAS would slow the peer's newer one.
    let output = run.env_remove("OPENBLAS_CORETYPE").env_remove("OPENBLAS_L2_SIZE").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let lines = String::from_utf8(output.stdout)?;
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (name, seconds) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        Some((name, seconds, words.next().unwrap_or_default().to_owned()))
    };
    Ok(lines.lines().filter_map(line).collect())
}

fn write_npy(path: &Path, vectors: &Vectors) -> Outcome {
    let mut file = BufWriter::new(File::create(path)?);
    let (rows, dim) = (vectors.len(), vectors.dim());
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&(padded as u16).to_le_bytes())?;
    writeln!(file, "{header:<width$}", width = padded - 1)?;
    for value in vectors.as_slice() {
        file.write_all(&value.to_le_bytes())?;
    }
    Ok(file.flush()?)
}
