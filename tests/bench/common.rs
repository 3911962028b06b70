//! What the benchmarks of density clustering share: vectors, and their peers.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

use culld::types::{ImageId, Vectors};
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
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
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
