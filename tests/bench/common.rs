//! What the benchmarks of density clustering share: vectors, and their peers.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use culld::cluster::{ClusterInput, Density, Live, RowRanges, RunContext, Sketches, follow};
use culld::types::{ImageId, PointOffset, Vectors};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const DIM: usize = 1280;
const CLUSTERS: usize = 200;
const NOISE: f32 = 0.1;
pub(crate) const EPS: f32 = 0.3;
pub(crate) const MIN_POINTS: u32 = 8;
/// Inserts and deletes timed.
pub(crate) const CHANGES: usize = 500;

/// Distinct ids, ascending.
pub(crate) fn ids(count: usize) -> Vec<ImageId> {
    let mut ids: Vec<ImageId> = (0..count as u64).map(|i| ImageId::of(&i.to_le_bytes())).collect();
    ids.sort_unstable();
    ids
}

fn normal(rng: &mut ChaCha8Rng) -> f32 {
    StandardNormal.sample(rng)
}

fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= length);
    values
}

/// Two groups of half the points each, too far apart to touch, and last the point between them that is near to both.
pub(crate) fn dumbbell(points: usize) -> Vectors {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let middle = unit((0..DIM).map(|_| normal(&mut rng)).collect());
    let aside = unit((0..DIM).map(|_| normal(&mut rng)).collect());
    let centre = |sign: f32| unit(middle.iter().zip(&aside).map(|(m, a)| m + sign * 0.5 * a).collect());
    let (left, right) = (centre(-1.0), centre(1.0));
    let scale = 0.3 / (DIM as f32).sqrt();
    let mut rows: Vec<f32> = Vec::with_capacity((points + 1) * DIM);
    for point in 0..points {
        let centre = if point % 2 == 0 { &left } else { &right };
        rows.extend(unit(centre.iter().map(|centre| centre + scale * normal(&mut rng)).collect()));
    }
    rows.extend(middle);
    Vectors::from_rows(DIM, rows)
}

/// Unit vectors in clusters of unequal spread and about equal size, and noise spread evenly over the sphere.
pub(crate) fn generate(points: usize, seed: u64) -> Vectors {
    generate_in(DIM, points, seed)
}

/// As [`generate`], of so many dimensions.
pub(crate) fn generate_in(dim: usize, points: usize, seed: u64) -> Vectors {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let centres: Vec<(Vec<f32>, f32)> = (0..CLUSTERS)
        .map(|_| (unit((0..dim).map(|_| normal(&mut rng)).collect()), rng.random_range(0.3..0.6)))
        .collect();
    // In place: the memory of what is measured afterwards is not to be told from a second copy.
    let mut rows = vec![0.0; points * dim];
    rows.par_chunks_exact_mut(dim).enumerate().for_each(|(row, values)| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(row as u64 + 1);
        let noise: Vec<f32> = (0..dim).map(|_| normal(&mut rng)).collect();
        if rng.random::<f32>() < NOISE {
            return values.copy_from_slice(&unit(noise));
        }
        let (centre, spread) = &centres[rng.random_range(0..CLUSTERS)];
        let scale = spread / (dim as f32).sqrt();
        values.copy_from_slice(&unit(
            centre.iter().zip(&noise).map(|(centre, noise)| centre + scale * noise).collect(),
        ));
    });
    Vectors::from_rows(dim, rows)
}

/// A line of this process's status in MiB: `VmRSS` what it holds in memory, `VmHWM` the most it ever held.
pub(crate) fn memory_mib(line: &str) -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|other| other.starts_with(line)).ok_or("the system does not say")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0)
}

/// The load of the machine, the mean over a minute: timings are of little use where it is above the processors.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// A clustering with what it is asked with.
pub(crate) struct Following {
    vectors: Vectors,
    ids: Vec<ImageId>,
    sketches: Sketches,
    pub(crate) live: Live,
}

impl Following {
    /// Clusters the first `points` rows; answers how many seconds that took.
    pub(crate) fn new(vectors: Vectors, points: usize, eps: f32) -> Outcome<(Self, f64)> {
        let ids = ids(vectors.len());
        let first: Vec<PointOffset> = (0..points as PointOffset).collect();
        // A second copy only where it has to be: memory is told from here on.
        let rows = (points < vectors.len()).then(|| vectors.gather(&first));
        let rows = rows.as_ref().unwrap_or(&vectors);
        let input = ClusterInput { vectors: rows, ids: &ids[..points], candidates: None };
        let context = RunContext { seed: 0, progress: &|_| {}, cancelled: &|| false };
        let start = Instant::now();
        let (live, mut sketches) = follow(&input, Density { eps, min_points: MIN_POINTS }, &context)?;
        let seconds = start.elapsed().as_secs_f64();
        sketches.extend(&vectors);
        Ok((Self { vectors, ids, sketches, live }, seconds))
    }

    /// Milliseconds of one change.
    pub(crate) fn timed(&mut self, change: impl FnOnce(&mut Live, &RowRanges<'_>)) -> f64 {
        let id = |row: PointOffset| self.ids[row as usize];
        let ranges = RowRanges::new(&self.vectors, &self.sketches, &id);
        let start = Instant::now();
        change(&mut self.live, &ranges);
        start.elapsed().as_secs_f64() * 1e3
    }
}

pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}

/// What the peers of a script take: name, seconds, what they say of their result.
pub(crate) fn peer(script: &[&str], npy: &Path, arguments: &[String]) -> Outcome<Vec<(String, f64, String)>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let here = tests.join("bench/peers");
    let mut python = Command::new(tests.join("python/venv.sh"));
    let python = python.arg(here.join("requirements.txt")).output()?;
    let python = String::from_utf8(python.stdout)?;
    let mut run = Command::new(python.trim());
    run.args(script.iter().map(|script| here.join(script))).arg(npy).args(arguments);
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

pub(crate) fn write_npy(path: &Path, vectors: &Vectors) -> Outcome {
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
