//! How good a review gets for how many judgements, on real pictures: bounds that one run must keep. Means over several
//! seeds are printed on demand, by `tests/python/review_table.py`.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::other_tools::{project, python, run};
use super::real_data::{json, text};
use crate::support::shared_data;

/// What one run may fall below the bounds for means.
const ONE_RUN: f64 = 0.02;

/// A set, the classes to keep, and what can be reached at all (`tests/python/ceilings.py` prints it).
struct Scenario {
    set: &'static str,
    keep: &'static str,
    ceiling: f64,
}

const EVERYDAY: [Scenario; 6] = [
    Scenario { set: "zoo", keep: "cat,dog,panda,horse", ceiling: 0.998 },
    Scenario { set: "zoo", keep: "pizza,icecream", ceiling: 0.996 },
    Scenario { set: "docs", keep: "receipt_scan,page_scan_synthetic", ceiling: 0.994 },
    Scenario { set: "docs", keep: "receipt_scan,page_scan_synthetic,page_clean_pdf", ceiling: 0.998 },
    Scenario { set: "docs", keep: "xray", ceiling: 1.0 },
    Scenario { set: "houses", keep: "frontal", ceiling: 0.996 },
];
const PAPER: Scenario = Scenario { set: "trashnet", keep: "paper,cardboard", ceiling: 0.947 };
const GLASS: Scenario = Scenario { set: "trashnet", keep: "glass", ceiling: 0.829 };
const FLOWERS: Scenario = Scenario { set: "flowers128", keep: "sunflower", ceiling: 0.781 };

fn simulate(data: &Path, scenario: &Scenario, more: &[&str]) -> Value {
    let Scenario { set, keep, .. } = scenario;
    let (labels, images) = (data.join(set).join("labels.csv"), data.join(set).join("images"));
    let arguments = ["simulate", "--labels", text(&labels), "--keep", keep, "--images", text(&images)];
    let report = json(&[&arguments[..], more].concat());
    eprintln!("simulate {set} {keep} {more:?}: {report}");
    report
}

fn metric(report: &Value, judgements: u64) -> f64 {
    let points = report["at"].as_array().unwrap();
    let point = points.iter().find(|point| point["judgements"] == judgements);
    point
        .and_then(|point| point["quality_metric"].as_f64())
        .unwrap_or_else(|| panic!("{judgements} in {report}"))
}

#[track_caller]
fn check(report: &Value, scenario: &Scenario, judgements: u64, below_ceiling: f64) {
    let (found, least) = (metric(report, judgements), scenario.ceiling - below_ceiling - ONE_RUN);
    let Scenario { set, keep, .. } = scenario;
    assert!(found >= least, "{set} {keep}: {found} after {judgements} judgements, at least {least} is due");
}

#[test]
fn few_judgements_reach_what_all_labels_would() {
    if !super::is_on() {
        return;
    }
    let Some(data) = shared_data() else { return };
    for scenario in &EVERYDAY {
        let report = simulate(&data, scenario, &["--judgements", "60"]);
        check(&report, scenario, 20, 0.02);
        check(&report, scenario, 40, 0.01);
        let stopped_at = report["stopped_at"].as_u64().unwrap_or_else(|| panic!("it never stops: {report}"));
        assert!(stopped_at <= 60, "{report}");
        let at_stop = report["stopped"]["quality_metric"].as_f64().unwrap();
        assert!(at_stop >= scenario.ceiling - 0.015 - ONE_RUN, "{report}");
    }
    check(&simulate(&data, &PAPER, &["--judgements", "40"]), &PAPER, 40, 0.02);
    for scenario in [GLASS, FLOWERS] {
        check(&simulate(&data, &scenario, &["--judgements", "80"]), &scenario, 80, 0.05);
    }
}

#[test]
fn what_comes_later_is_sorted_by_what_was_judged_before() {
    if !super::is_on() {
        return;
    }
    let Some(data) = shared_data() else { return };
    for scenario in &EVERYDAY {
        let report = simulate(&data, scenario, &["--judgements", "20", "--stream", "0.3"]);
        check(&report, scenario, 20, 0.03);
    }
}

/// The exchange is the API's: another client, in another language, gets the same figures.
#[test]
fn another_client_reviews_as_well() {
    if !super::is_on() {
        return;
    }
    let Some(data) = shared_data() else { return };
    let scenario = &EVERYDAY[5];
    let ours = simulate(&data, scenario, &["--judgements", "40", "--seed", "3"]);
    let folder = tempfile::tempdir().unwrap();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_culld"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--json", "--data"]).arg(folder.path().join("data"));
    let mut daemon = serve.stdout(Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(daemon.stdout.take().unwrap()));
    let ready = lines.map(Result::unwrap).find(|line| line.starts_with('{')).unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let address = ready["address"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let mut driver = Command::new(python());
    driver.arg(project("tests/python/review_driver.py")).arg(address).args(["--keep", scenario.keep]);
    driver.arg("--labels").arg(data.join(scenario.set).join("labels.csv"));
    driver.arg("--images").arg(data.join(scenario.set).join("images"));
    let printed = run(driver.args(["--judgements", "40", "--seed", "5"]));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let theirs: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    for judgements in [10, 20, 40] {
        let (ours, theirs) = (metric(&ours, judgements), metric(&theirs, judgements));
        assert!((ours - theirs).abs() <= 0.005, "{ours} and {theirs} after {judgements}");
    }
}
