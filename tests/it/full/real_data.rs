//! The main job on real pictures, by the real binary: what a stranger's first run does, and how good it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::shared_data;

/// Runs a command of the binary and answers the object on its last line.
#[track_caller]
pub(super) fn json(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_culld")).args(arguments).arg("--json").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "culld {arguments:?}: {}\n{stderr}", output.status);
    let stdout = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn count(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("{key} in {report}"))
}

fn demo(data: &Path, set: &str) -> (Value, tempfile::TempDir) {
    let out = tempfile::tempdir().unwrap();
    let images = data.join(set).join("images");
    let report = json(&["demo", text(&images), "--out", text(&out.path().join("demo"))]);
    eprintln!("demo {set}: {report}");
    let parts = ["added", "already_present", "rejected"].map(|key| count(&report, key));
    assert_eq!(count(&report, "images"), parts.iter().sum::<u64>(), "{report}");
    let sheets = std::fs::read_dir(out.path().join("demo/sheets")).unwrap();
    let sheets: Vec<PathBuf> = sheets.map(|entry| entry.unwrap().path()).collect();
    let of_clusters = sheets.iter().filter(|path| !text(path).contains("noise")).count() as u64;
    assert_eq!(of_clusters, count(&report, "clusters"), "a contact sheet for each cluster: {sheets:?}");
    assert_eq!(count(&report, "contact_sheets"), count(&report, "clusters"));
    (report, out)
}

#[test]
fn demo_sorts_every_set() {
    if !super::is_on() {
        return;
    }
    let Some(data) = shared_data() else { return };
    for set in ["zoo", "docs", "houses", "trashnet"] {
        let (report, out) = demo(&data, set);
        let clusters = count(&report, "clusters");
        assert!((2..=100).contains(&clusters), "{set}: {clusters} clusters");
        assert!(report["noise_share"].as_f64().unwrap() <= 0.4, "{set}: {report}");
        assert_eq!(count(&report, "rejected"), 0, "{set}");
        let decisions = std::fs::read_to_string(out.path().join("demo/decisions.csv")).unwrap();
        assert_eq!(
            decisions.lines().count() as u64,
            count(&report, "added") + 1,
            "a decision for every picture"
        );
    }
}

#[test]
fn demo_names_the_cause_of_every_broken_file() {
    if !super::is_on() {
        return;
    }
    let Some(data) = shared_data() else { return };
    let labels = std::fs::read_to_string(data.join("quality/labels.csv")).unwrap();
    let corrupt = labels.lines().filter(|line| line.ends_with(",corrupt")).count() as u64;
    let (report, _out) = demo(&data, "quality");
    assert_eq!(count(&report, "rejected"), corrupt, "{report}");
    let causes = report["causes"].as_object().unwrap();
    assert_eq!(causes.values().map(|n| n.as_u64().unwrap()).sum::<u64>(), corrupt, "{report}");
}

#[test]
fn whole_clusters_of_auto_reach_the_study() {
    if !super::is_on() {
        return;
    }
    let Some(data) = shared_data() else { return };
    let check = |set: &str, keep: &str| {
        let (labels, images) = (data.join(set).join("labels.csv"), data.join(set).join("images"));
        let arguments = ["simulate", "--labels", text(&labels), "--keep", keep, "--images", text(&images)];
        let report = json(&[&arguments[..], &["--reviewer", "whole-clusters", "--seed", "7"]].concat());
        eprintln!("simulate {set} {keep}: {report}");
        let last = report["at"].as_array().unwrap().last().unwrap();
        assert!(count(last, "judgements") <= 40, "{set}: {last}");
        assert!(last["quality_metric"].as_f64().unwrap() >= 0.98, "{set} {keep}: {last}");
    };
    check("docs", "receipt_scan,page_scan_synthetic");
    check("docs", "xray");
    check("zoo", "cat,dog,panda,horse");
    check("zoo", "pizza,icecream");
    check("houses", "frontal");
}
