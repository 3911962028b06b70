//! Where the exact index and the graph cross.
//!
//! `cargo bench --bench index -- 5000 20000 50000`: one line per number of rows, 1280-d clustered vectors.

use std::io::Write as _;
use std::time::Instant;

use culld::index::{FlatIndex, HnswIndex, HnswParams, VectorIndex};
use culld::types::{Embedding, Neighbour, PointOffset, Vectors};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const DIM: usize = 1280;
const QUERIES: usize = 256;
const K: usize = 10;

fn main() -> Outcome {
    let sizes: Vec<usize> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .map(|n| n.parse())
        .collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() { vec![5_000, 20_000] } else { sizes };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "rows | flat: single ms, batch of 64 ms/query, insert 64 ms/row | hnsw: build ms/row, single ms, batch ms/query, \
         insert 64 ms/row, recall@{K}, unreachable"
    )?;
    for rows in sizes {
        writeln!(out, "{}", measure(rows)?)?;
        out.flush()?;
    }
    Ok(())
}

fn measure(rows: usize) -> Outcome<String> {
    let vectors = clustered(rows + QUERIES)?;
    let offsets: Vec<PointOffset> = (0..rows as PointOffset).collect();
    let (bulk, last) = offsets.split_at(rows - 64);
    let queries: Vec<PointOffset> = (rows..rows + QUERIES).map(|row| row as PointOffset).collect();
    let queries = vectors.gather(&queries);

    let mut flat = FlatIndex::new(DIM);
    flat.insert(&vectors, bulk)?;
    let (flat_insert, _) = timed_ms(|| flat.insert(&vectors, last));
    let (flat_single, flat_batch, exact) = query(&flat, &vectors, &queries)?;

    let mut hnsw = HnswIndex::new(DIM, HnswParams::default().check()?);
    let (build, _) = timed_ms(|| hnsw.insert(&vectors, bulk));
    let (hnsw_insert, _) = timed_ms(|| hnsw.insert(&vectors, last));
    let (hnsw_single, hnsw_batch, found) = query(&hnsw, &vectors, &queries)?;
    let hits: usize = exact.iter().zip(&found).map(|(exact, found)| common(exact, found)).sum();

    Ok(format!(
        "{rows} | {flat_single:.2}, {flat_batch:.3}, {:.4} | {:.3}, {hnsw_single:.2}, {hnsw_batch:.3}, {:.3}, {:.4}, {}",
        flat_insert / 64.0,
        build / bulk.len() as f64,
        hnsw_insert / 64.0,
        hits as f64 / (QUERIES * K) as f64,
        hnsw.unreachable(),
    ))
}

/// ms per query alone and in batches of 64, and the answers.
fn query(
    index: &dyn VectorIndex,
    vectors: &Vectors,
    queries: &Vectors,
) -> Outcome<(f64, f64, Vec<Vec<Neighbour>>)> {
    let (single_ms, singles) = timed_ms(|| {
        (0..QUERIES)
            .map(|row| index.search(vectors, queries.row(row), K, &|_| false))
            .collect::<Result<Vec<_>, _>>()
    });
    let blocks: Vec<Vectors> = (0..QUERIES as PointOffset)
        .step_by(64)
        .map(|first| queries.gather(&(first..first + 64).collect::<Vec<_>>()))
        .collect();
    let (batch_ms, batches) = timed_ms(|| {
        blocks
            .iter()
            .map(|block| index.search_batch(vectors, block, K, &|_, _| false))
            .collect::<Result<Vec<_>, _>>()
    });
    let singles = singles?;
    if singles != batches?.concat() {
        return Err("single and batched answers differ".into());
    }
    Ok((single_ms / QUERIES as f64, batch_ms / QUERIES as f64, singles))
}

fn timed_ms<T>(act: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = act();
    (start.elapsed().as_secs_f64() * 1e3, result)
}

fn common(exact: &[Neighbour], found: &[Neighbour]) -> usize {
    found.iter().filter(|neighbour| exact.contains(neighbour)).count()
}

/// 200 clusters of unequal size in 20 groups, with noise of 20 dimensions each, as in image embeddings, and a little
/// in all dimensions.
fn clustered(rows: usize) -> Outcome<Vectors> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut noise = |scale: f32| -> Vec<f32> {
        (0..DIM).map(|_| (0..4).map(|_| rng.random_range(-1.0..1.0f32)).sum::<f32>() * scale).collect()
    };
    let groups: Vec<Vec<f32>> = (0..20).map(|_| noise(1.0)).collect();
    let centres: Vec<Vec<f32>> = (0..200).map(|centre| sum(&groups[centre % 20], &noise(0.7))).collect();
    let directions: Vec<Vec<f32>> = (0..400).map(|_| noise(0.2)).collect();
    let mut vectors = Vectors::new(DIM);
    let mut pick = ChaCha8Rng::seed_from_u64(8);
    for _ in 0..rows {
        // The square makes a few clusters large and many small.
        let cluster = (pick.random_range(0.0..1.0f32).powi(2) * 200.0) as usize;
        let mut row = sum(&centres[cluster], &noise(0.1));
        for axis in 0..20 {
            let scale = (0..4).map(|_| pick.random_range(-1.0..1.0f32)).sum::<f32>();
            let direction = &directions[(cluster * 20 + axis) % 400];
            row.iter_mut().zip(direction).for_each(|(value, along)| *value += along * scale);
        }
        vectors.push(Embedding::normalised(row, DIM)?.as_slice())?;
    }
    Ok(vectors)
}

fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
