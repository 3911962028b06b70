//! Both indexes against brute force, and what a snapshot must not do.

use std::collections::BTreeSet;
use std::path::Path;

use culld::index::{
    FlatIndex, HNSW_ROWS_MIN, HnswIndex, HnswParams, HnswValidParams, IndexChoice, IndexError, IndexKind,
    NEIGHBOURS_MAX, SnapshotKey, VectorIndex,
};
use culld::types::{Embedding, Generation, ImageId, Neighbour, PointOffset, Vectors, cosine_distance};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `rows` unit vectors around `rows / 25 + 1` centres.
fn clustered(dim: usize, rows: usize, seed: u64) -> Vectors {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut noise = |scale: f32| -> Vec<f32> { (0..dim).map(|_| rng.random_range(-scale..scale)).collect() };
    let centres: Vec<Vec<f32>> = (0..=rows / 25).map(|_| noise(1.0)).collect();
    let mut vectors = Vectors::new(dim);
    for row in 0..rows {
        let sum = centres[row * 7919 % centres.len()].iter().zip(noise(0.4)).map(|(a, b)| a + b).collect();
        vectors.push(Embedding::normalised(sum, dim).unwrap().as_slice()).unwrap();
    }
    vectors
}

fn all(vectors: &Vectors) -> Vec<PointOffset> {
    (0..vectors.len() as PointOffset).collect()
}

fn params() -> HnswValidParams {
    HnswParams::default().check().unwrap()
}

fn both(dim: usize) -> [Box<dyn VectorIndex>; 2] {
    [Box::new(FlatIndex::new(dim)), Box::new(HnswIndex::new(dim, params()))]
}

/// The answer by the definition.
fn brute_force(
    vectors: &Vectors,
    query: &[f32],
    k: usize,
    wanted: impl Fn(PointOffset) -> bool,
) -> Vec<Neighbour> {
    let mut found: Vec<Neighbour> = all(vectors)
        .into_iter()
        .filter(|&offset| wanted(offset))
        .map(|offset| Neighbour { offset, distance: cosine_distance(query, vectors.row(offset as usize)) })
        .collect();
    found.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.offset.cmp(&b.offset)));
    found.truncate(k);
    found
}

fn recall(exact: &[Neighbour], found: &[Neighbour]) -> f64 {
    found.iter().filter(|neighbour| exact.contains(neighbour)).count() as f64 / exact.len().max(1) as f64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn flat_is_exact_alone_and_in_batches(
        dim in 1usize..40, rows in 1usize..90, seed: u64, k in 0usize..30, removed in prop::collection::btree_set(0u32..90, 0..30), step in 2u32..5
    ) {
        let vectors = clustered(dim, rows, seed);
        let mut index = FlatIndex::new(dim);
        index.insert(&vectors, &all(&vectors)).unwrap();
        let removed: BTreeSet<u32> = removed.into_iter().filter(|&offset| (offset as usize) < rows).collect();
        for &offset in &removed {
            index.remove(offset).unwrap();
        }
        prop_assert_eq!(index.len(), rows - removed.len());
        let answers = index.search_batch(&vectors, &vectors, k, &|query, offset| (query as u32 + offset).is_multiple_of(step)).unwrap();
        for (query, answer) in (0u32..).zip(&answers) {
            let row = vectors.row(query as usize);
            let expected = brute_force(&vectors, row, k, |offset| !removed.contains(&offset) && !(query + offset).is_multiple_of(step));
            prop_assert_eq!(answer, &expected);
            let alone = index.search(&vectors, row, k, &|offset| (query + offset).is_multiple_of(step)).unwrap();
            prop_assert_eq!(&alone, &expected);
        }
    }
}

#[test]
fn flat_spans_tiles_and_blocks() {
    let vectors = clustered(24, 5_000, 1);
    let mut index = FlatIndex::new(24);
    index.insert(&vectors, &all(&vectors)).unwrap();
    let queries = vectors.gather(&(0..150).map(|query| query * 33).collect::<Vec<_>>());
    let answers = index.search_batch(&vectors, &queries, 20, &|_, _| false).unwrap();
    for (query, answer) in answers.iter().enumerate() {
        assert_eq!(answer, &brute_force(&vectors, queries.row(query), 20, |_| true));
    }
}

/// The failure budget: mean recall@10 at least 0.98, no query below 0.5, every row found by itself.
#[test]
fn hnsw_agrees_with_flat() {
    for (dim, rows, seed) in [(8, 2_000, 1), (32, 2_000, 2), (128, 1_500, 3), (1280, 600, 4)] {
        let vectors = clustered(dim, rows, seed);
        let mut index = HnswIndex::new(dim, params());
        for batch in all(&vectors).chunks(64) {
            index.insert(&vectors, batch).unwrap();
        }
        for offset in (0..rows as PointOffset).step_by(4) {
            index.remove(offset).unwrap();
        }
        let wanted = |offset: PointOffset| !offset.is_multiple_of(4);
        let answers = index.search_batch(&vectors, &vectors, 10, &|_, _| false).unwrap();
        let mut sum = 0.0;
        for (query, answer) in answers.iter().enumerate() {
            let exact = brute_force(&vectors, vectors.row(query), 10, wanted);
            let recall = recall(&exact, answer);
            assert!(recall >= 0.5, "dim {dim}, query {query}: {recall}");
            assert!(
                !wanted(query as u32) || answer[0].distance <= exact[0].distance,
                "dim {dim}, row {query} is lost"
            );
            assert!(answer.is_sorted_by(|a, b| (a.distance, a.offset) < (b.distance, b.offset)));
            sum += recall;
        }
        assert!(sum / rows as f64 >= 0.98, "dim {dim}: {}", sum / rows as f64);
    }
}

#[test]
fn the_same_inserts_give_the_same_answers() {
    let vectors = clustered(32, 1_500, 5);
    let answers = || {
        let mut index =
            HnswIndex::new(32, HnswParams { m: 8, ef_construction: 32, ef_search: 8 }.check().unwrap());
        index.insert(&vectors, &all(&vectors)).unwrap();
        index.search_batch(&vectors, &vectors, 5, &|_, _| false).unwrap()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(answers(), pool.install(answers));
}

#[test]
fn fewer_than_k_are_all_of_them() {
    let vectors = clustered(16, 700, 6);
    for mut index in both(16) {
        assert_eq!(index.search(&vectors, vectors.row(0), 3, &|_| false).unwrap(), []);
        index.insert(&vectors, &all(&vectors)).unwrap();
        assert_eq!(index.search(&vectors, vectors.row(0), 0, &|_| false).unwrap(), []);
        assert_eq!(index.search(&vectors, vectors.row(0), 9_000, &|_| false).unwrap().len(), 700);
        // A filter that leaves five rows far apart, which no neighbourhood contains together.
        let few = index.search(&vectors, vectors.row(0), 10, &|offset| offset % 150 != 7).unwrap();
        assert_eq!(few, brute_force(&vectors, vectors.row(0), 10, |offset| offset % 150 == 7));
        for offset in 0..698 {
            index.remove(offset).unwrap();
        }
        let offsets: BTreeSet<u32> = index
            .search(&vectors, vectors.row(0), 10, &|_| false)
            .unwrap()
            .iter()
            .map(|neighbour| neighbour.offset)
            .collect();
        assert_eq!(offsets, BTreeSet::from([698, 699]));
        assert_eq!(index.is_stale(), index.kind() == IndexKind::Hnsw);
    }
}

#[test]
fn duplicates_are_all_found_in_order() {
    let one = clustered(64, 1, 7);
    let mut vectors = clustered(64, 1_000, 8);
    (0..300).for_each(|_| vectors.push(one.row(0)).unwrap());
    for mut index in both(64) {
        index.insert(&vectors, &all(&vectors)).unwrap();
        let found = index.search(&vectors, one.row(0), 20, &|_| false).unwrap();
        let own = cosine_distance(one.row(0), one.row(0));
        assert_eq!(found.len(), 20);
        assert!(found.iter().all(|neighbour| neighbour.distance == own && neighbour.offset >= 1_000));
        assert!(found.is_sorted_by_key(|neighbour| neighbour.offset));
    }
    let same = Vectors::from_rows(64, one.row(0).repeat(400));
    for mut index in both(64) {
        index.insert(&same, &all(&same)).unwrap();
        assert_eq!(index.search(&same, one.row(0), 400, &|_| false).unwrap().len(), 400);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let vectors = clustered(4, 10, 9);
    let mut with_nan = Vectors::new(4);
    with_nan.push(&[f32::NAN, 0.0, 0.0, 1.0]).unwrap();
    with_nan.push(&[0.5, 0.0, 0.0, 0.0]).unwrap();
    for mut index in both(4) {
        index.insert(&vectors, &[1, 3]).unwrap();
        let refused = [
            (index.insert(&vectors, &[4, 3]), IndexError::Inserted { offset: 3 }),
            (index.insert(&vectors, &[4, 4]), IndexError::Inserted { offset: 4 }),
            (index.insert(&vectors, &[4, 10]), IndexError::NoRow { offset: 10, rows: 10 }),
            (index.insert(&Vectors::new(5), &[]), IndexError::Dimension { expected: 4, received: 5 }),
            (index.insert(&with_nan, &[1]), IndexError::NotUnit { squared_length: 0.25 }),
            (index.remove(2), IndexError::Absent { offset: 2 }),
            (index.remove(99), IndexError::Absent { offset: 99 }),
        ];
        for (result, error) in refused {
            assert_eq!(result, Err(error));
        }
        assert!(matches!(index.insert(&with_nan, &[0]), Err(IndexError::NotUnit { .. })));
        assert_eq!(index.len(), 2);
        index.remove(1).unwrap();
        assert_eq!(index.insert(&vectors, &[1]), Err(IndexError::Inserted { offset: 1 }));
        index.insert(&vectors, &[4]).unwrap();
        assert_eq!(index.len(), 2);
    }
}

#[test]
fn queries_that_do_not_fit_are_refused() {
    let vectors = clustered(4, 10, 9);
    for mut index in both(4) {
        index.insert(&vectors, &[1, 3]).unwrap();
        let search = |query: &[f32], k| index.search(&vectors, query, k, &|_| false);
        assert_eq!(search(&[1.0], 1), Err(IndexError::Dimension { expected: 4, received: 1 }));
        assert!(matches!(search(&[f32::INFINITY, 0.0, 0.0, 0.0], 1), Err(IndexError::NotUnit { .. })));
        let k = NEIGHBOURS_MAX + 1;
        assert_eq!(search(vectors.row(0), k), Err(IndexError::TooMany { k, k_max: NEIGHBOURS_MAX }));
        let short = index.search(&Vectors::new(4), vectors.row(0), 1, &|_| false);
        assert_eq!(short, Err(IndexError::NoRow { offset: 3, rows: 0 }));
        assert_eq!(search(vectors.row(1), 9).unwrap().len(), 2);
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let ok = HnswParams { m: 16, ef_construction: 200, ef_search: 64 };
    for (params, expected) in [
        (ok, None),
        (HnswParams { m: 2, ef_construction: 2, ef_search: 1 }, None),
        (HnswParams { m: 128, ef_construction: 4096, ef_search: 4096 }, None),
        (HnswParams { m: 0, ..ok }, Some("m")),
        (HnswParams { m: 1, ..ok }, Some("m")),
        (HnswParams { m: 129, ..ok }, Some("m")),
        (HnswParams { m: 256, ..ok }, Some("m")),
        (HnswParams { m: usize::MAX, ..ok }, Some("m")),
        (HnswParams { ef_construction: 15, ..ok }, Some("ef_construction")),
        (HnswParams { ef_construction: 4097, ..ok }, Some("ef_construction")),
        (HnswParams { ef_search: 0, ..ok }, Some("ef_search")),
        (HnswParams { ef_search: 4097, ..ok }, Some("ef_search")),
    ] {
        let found = params.check().err().map(|error| match error {
            IndexError::Param { name, .. } => name,
            other => unreachable!("{other}"),
        });
        assert_eq!(found, expected, "{params:?}");
    }
}

#[test]
fn auto_takes_hnsw_for_many_rows() {
    assert_eq!(IndexChoice::Auto.kind(HNSW_ROWS_MIN - 1), IndexKind::Flat);
    assert_eq!(IndexChoice::Auto.kind(HNSW_ROWS_MIN), IndexKind::Hnsw);
    assert_eq!(IndexChoice::Flat.kind(usize::MAX), IndexKind::Flat);
    assert_eq!(IndexChoice::Hnsw.kind(0), IndexKind::Hnsw);
    // What is built stays until a tenth is gone.
    let stays = |kind, rows| IndexChoice::Auto.allows(kind, rows);
    assert!(stays(IndexKind::Hnsw, HNSW_ROWS_MIN - 1) && stays(IndexKind::Hnsw, HNSW_ROWS_MIN / 10 * 9));
    assert!(!stays(IndexKind::Hnsw, HNSW_ROWS_MIN / 10 * 9 - 1) && !stays(IndexKind::Flat, HNSW_ROWS_MIN));
    assert!(!IndexChoice::Flat.allows(IndexKind::Hnsw, usize::MAX));
}

// --- snapshots ---

fn key(generation: u64, rows: &Vectors) -> SnapshotKey {
    let rows = all(rows).into_iter().map(|offset| (offset, ImageId::of(&offset.to_le_bytes())));
    SnapshotKey::new(Generation(generation), "space", rows)
}

fn saved(folder: &Path, vectors: &Vectors) -> HnswIndex {
    let mut index = HnswIndex::new(vectors.dim(), params());
    index.insert(vectors, &all(vectors)).unwrap();
    (0..30).for_each(|offset| index.remove(offset * 3).unwrap());
    index.save(folder, &key(1, vectors)).unwrap();
    index
}

#[test]
fn a_snapshot_answers_as_the_index_did() {
    let folder = tempfile::tempdir().unwrap();
    let mut vectors = clustered(32, 1_200, 10);
    let index = saved(folder.path(), &vectors);
    let mut loaded = HnswIndex::load(folder.path(), &key(1, &vectors), 32, params()).unwrap();
    assert_eq!(loaded.len(), index.len());
    let answers = |index: &HnswIndex| index.search_batch(&vectors, &vectors, 10, &|_, _| false).unwrap();
    assert_eq!(answers(&loaded), answers(&index));

    let more = clustered(32, 50, 11);
    (0..50).for_each(|row| vectors.push(more.row(row)).unwrap());
    loaded.insert(&vectors, &(1_200..1_250).collect::<Vec<_>>()).unwrap();
    for offset in 1_200..1_250 {
        let found = loaded.search(&vectors, vectors.row(offset), 1, &|_| false).unwrap();
        assert_eq!(found[0].offset, offset as PointOffset);
    }
}

#[test]
fn a_snapshot_that_differs_in_anything_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vectors = clustered(16, 300, 12);
    saved(folder, &vectors);
    let right = key(1, &vectors);
    let check = |key: &SnapshotKey, dim, params, reason: &str| {
        let error = HnswIndex::load(folder, key, dim, params).err().unwrap().to_string();
        assert!(error.contains(reason), "{error}");
    };
    check(&key(2, &vectors), 16, params(), "of other rows");
    check(&key(1, &clustered(16, 299, 12)), 16, params(), "of other rows");
    check(&right, 17, params(), "of another dimension");
    let other = HnswParams { m: 8, ..HnswParams::default() }.check().unwrap();
    check(&right, 16, other, "of other parameters");

    for name in ["manifest", "graph.hnsw.graph", "graph.hnsw.data"] {
        let path = folder.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 4;
        for damaged in [&flipped[..], &whole[..whole.len() / 2], &[]] {
            std::fs::write(&path, damaged).unwrap();
            assert!(
                matches!(HnswIndex::load(folder, &right, 16, params()), Err(IndexError::Snapshot { .. })),
                "{name}"
            );
        }
        std::fs::remove_file(&path).unwrap();
        assert!(
            matches!(HnswIndex::load(folder, &right, 16, params()), Err(IndexError::Snapshot { .. })),
            "{name}"
        );
        std::fs::write(&path, whole).unwrap();
    }
    HnswIndex::load(folder, &right, 16, params()).unwrap();
}

#[test]
fn without_a_usable_snapshot_the_index_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let vectors = clustered(16, 300, 13);
    let open = |key: &SnapshotKey| {
        IndexChoice::Hnsw.load_or_build(&vectors, &all(&vectors), params(), folder.path(), key).unwrap()
    };
    let built = open(&key(1, &vectors));
    assert_eq!((built.len(), built.kind()), (300, IndexKind::Hnsw));
    saved(folder.path(), &vectors);
    // The one saved lacks the 30 rows that were removed.
    assert_eq!(open(&key(1, &vectors)).len(), 270);
    assert_eq!(open(&key(2, &vectors)).len(), 300);
    let folder = tempfile::tempdir().unwrap();
    FlatIndex::new(16).save(folder.path(), &key(1, &vectors)).unwrap();
    HnswIndex::new(16, params()).save(folder.path(), &key(1, &vectors)).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
