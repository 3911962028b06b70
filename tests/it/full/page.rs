//! The review page in a real browser: Debian's Chromium, driven by the script beside the page's sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::is_on;
use super::other_tools::{project, run};
use crate::support::shared_data;

/// Node's major version that the page is built and tested with, as `clients/web/.nvmrc` names it.
fn node_major() -> String {
    std::fs::read_to_string(project("clients/web/.nvmrc")).unwrap().trim().to_owned()
}

/// Whether Node and what npm installs are there. Their absence is said aloud, and is no option in CI.
fn tools_are_there(needs_browser: bool) -> bool {
    let version = Command::new("node").arg("--version").output();
    let version =
        version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let has_node = version.starts_with(&format!("v{}.", node_major()));
    let has_browser = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .into_iter()
        .map(PathBuf::from)
        .chain(std::env::var_os("CULLD_BROWSER").map(PathBuf::from))
        .any(|path| path.exists());
    if has_node && (has_browser || !needs_browser) {
        return true;
    }
    assert!(std::env::var("CI").is_err(), "CI needs Node {} and Debian's chromium", node_major());
    eprintln!("skipped: no Node {} here, or no Chromium (Debian's chromium)", node_major());
    false
}

/// Installs exactly what the lock file names.
fn install(page: &Path) {
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(page));
}

#[test]
fn the_page_does_the_whole_job_in_a_browser() {
    if !is_on() || !tools_are_there(true) {
        return;
    }
    let Some(data) = shared_data() else { return };
    let page = project("clients/web");
    // The committed page is what the sources give, before it is tried.
    install(&page);
    run(&mut Command::new(page.join("check.sh")));
    let folder = tempfile::tempdir().unwrap();
    let mut script = Command::new("node");
    script
        .arg(page.join("test/page.mjs"))
        .env("CULLD_BINARY", env!("CARGO_BIN_EXE_culld"))
        .env("CULLD_PICTURES", data.join("zoo"))
        .env("CULLD_FOLDER", folder.path());
    run(&mut script);
}
