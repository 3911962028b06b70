//! The live DBSCAN against scikit-learn's, after every step.

use std::io::Write as _;
use std::process::Command;

use culld::types::cosine_distance;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::bench::Bench;
use super::{Step, bench, follow, step};
use crate::full::is_on;
use crate::full::other_tools::{project, python, run};

/// Steps that must be compared, at least.
const STEPS: usize = 10_000;

/// The distances between all rows that may be held, and what DBSCAN is to find among them.
fn space(bench: &Bench, min_points: u32) -> Value {
    let rows = 0..bench.space.len();
    let row = |a: usize| bench.space.vectors.row(a);
    let distances: Vec<Vec<f32>> = (rows.clone())
        .map(|a| rows.clone().map(|b| if a == b { 0.0 } else { cosine_distance(row(a), row(b)) }).collect())
        .collect();
    json!({"eps": bench.space.eps, "min_points": min_points, "distances": distances})
}

/// The rows held, and the cores and the label of each; noise has none.
fn state(bench: &Bench) -> Value {
    let rows = bench.rows(true);
    let core: Vec<bool> = rows.iter().map(|&row| bench.live.is_core(row)).collect();
    let labels: Vec<Option<u32>> = rows.iter().map(|&row| bench.live.label(row)).collect();
    json!({"rows": rows, "core": core, "labels": labels})
}

/// Made-up sequences, in which rows keep their numbers.
fn sequences() -> Vec<(Value, Vec<Value>)> {
    let plain = prop_oneof![20 => step().prop_filter("rows keep their numbers", |step| !matches!(step, Step::Compact))];
    let kinds = (any::<u64>(), 0u8..5, 8usize..64, 1u32..7, any::<bool>());
    let sequence = (kinds, prop::collection::vec(plain, 40..80));
    let mut runner = TestRunner::deterministic();
    let (mut all, mut steps) = (Vec::new(), 0);
    while steps < STEPS {
        let ((seed, kind, points, min_points, strict), taken) =
            sequence.new_tree(&mut runner).unwrap().current();
        let (mut bench, mut rng) = bench(seed, kind, points, min_points, strict);
        let space = space(&bench, min_points);
        let mut states = Vec::new();
        follow(&mut bench, &mut rng, &taken, |bench| states.push(state(bench)));
        steps += states.len();
        all.push((space, states));
    }
    all
}

#[test]
fn every_step_equals_scikit_learn() {
    if !is_on() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steps.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    for (space, states) in sequences() {
        writeln!(file, "{}", json!({"space": space, "states": states})).unwrap();
    }
    file.into_inner().unwrap();
    run(Command::new(python()).arg(project("tests/python/live_steps.py")).arg(&path));
}
