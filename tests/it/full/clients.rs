//! The clients in other languages, and the crate's own: each does what the conformance suite asks.

use std::process::Command;

use super::is_on;
use super::other_tools::{project, run};

#[test]
fn every_client_does_what_the_conformance_suite_asks() {
    if !is_on() {
        return;
    }
    let mut check = Command::new(project("clients/check"));
    run(check.arg(env!("CARGO_BIN_EXE_culld")));
}
