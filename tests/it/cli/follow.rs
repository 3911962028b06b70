//! Following decisions, the log and verification from the command line.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::{Daemon, culld, two_colours};

#[test]
fn changes_are_lines() {
    let (_folder, images) = two_colours();
    let daemon = Daemon::start();
    daemon.add(&images).code(0);
    let first = daemon.run(["decisions"]).code(0).json();
    let token = first["token"].as_str().unwrap().to_owned();
    let nothing = daemon.run(["decisions", "--since", &token]).code(0).json();
    assert_eq!(nothing["changes"].as_array().unwrap().len(), 0);
    let mut command = culld();
    command.args(["decisions", "--watch", "--json", "--server", &daemon.server]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    // It says where it begins.
    assert!(next()["token"].is_string());
    daemon.run(["keep", "--image", "red-0.png"]).code(0);
    let mut told = Vec::new();
    let last = loop {
        let line = next();
        match &line["token"] {
            Value::String(token) if told.len() == 12 => break token.clone(),
            Value::String(_) => {}
            _ => told.push(line),
        }
    };
    let kept = told.iter().find(|line| line["source_keys"][0] == "red-0.png").unwrap();
    assert_eq!((&kept["decision"], &kept["reason"]), (&"keep".into(), &"seen-label".into()));
    child.kill().unwrap();
    child.wait().unwrap();
    daemon.run(["delete", "--image", "red-1.png"]).code(0);
    let since = daemon.run(["decisions", "--since", &last]).code(0).json();
    let changes = since["changes"].as_array().unwrap();
    assert_eq!((changes.len(), &changes[0]["removed"]), (1, &"deleted".into()));
    assert_eq!(
        daemon.run(["decisions", "--since", &token]).code(0).json()["changes"].as_array().unwrap().len(),
        12
    );
    daemon.run(["decisions", "--since", "garbage"]).code(2);
    daemon.run(["decisions", "--watch", "--csv", "file"]).code(2);
}

#[test]
fn the_log_is_a_table_and_a_store_is_verified() {
    let (_folder, images) = two_colours();
    let daemon = Daemon::start();
    daemon.add(&images).code(0);
    daemon.run(["keep", "--image", "red-0.png", "--note", "sharp"]).code(0);
    daemon.run(["policy", "set", "--standing-radius", "0.3"]).code(0);
    let log = daemon.run(["log"]).code(0).json();
    let kinds: Vec<&str> =
        log["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["policy", "verdict"]);
    assert_eq!(
        (&log["events"][1]["note"], &log["events"][1]["images"]["seen"]),
        (&"sharp".into(), &1.into())
    );
    assert!(log["events"][1]["undone_by"].is_null());
    let one = daemon.run(["log", "--limit", "1", "--kind", "verdict,deletion"]).code(0).json();
    assert_eq!(one["events"].as_array().unwrap().len(), 1);
    assert_eq!(one["events"][0]["sequence"], 1);
    let found = daemon.run(["verify"]).code(0).json();
    assert_eq!((&found["problems"], &found["collections"]), (&0.into(), &1.into()));
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_is_no_error() {
    let (_folder, images) = two_colours();
    let daemon = Daemon::start();
    daemon.add(&images).code(0);
    let mut command = culld();
    command.args(["decisions", "--server", &daemon.server]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
