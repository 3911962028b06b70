//! The photographs that `culld demo` shows when it is given no folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::wheel::{no_python, python, tail};
use super::{SetupError, cache_folder, io_error};

/// Names its source and licences itself, checks a pinned digest, and does nothing when the pictures are there.
const SCRIPT: &str = include_str!("fetch_demo.py");

/// Makes sure that the demo's photographs are in the cache folder, and returns their folder. `progress` gets the
/// lines for people, the licences among them.
///
/// # Errors
/// No cache folder, no Python, or no way to the pictures.
pub fn fetch_demo_pictures(progress: &mut dyn FnMut(&str)) -> Result<PathBuf, SetupError> {
    let cache = cache_folder()?;
    let folder = cache.join("demo-pictures");
    let mut command = python(&["-"]);
    command.arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = command.spawn().map_err(|error| no_python(&error))?;
    let detail = run(child, progress).map_err(|error| io_error(&cache, &error))?;
    match detail {
        None => Ok(folder),
        Some(detail) => Err(SetupError::DemoPictures { detail }),
    }
}

/// Feeds the script, passes its lines on, and returns what it complained of if it failed.
fn run(mut child: Child, progress: &mut dyn FnMut(&str)) -> std::io::Result<Option<String>> {
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(SCRIPT.as_bytes())?;
    }
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            progress(&line?);
        }
    }
    let mut stderr = Vec::new();
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_end(&mut stderr)?;
    }
    let status = child.wait()?;
    Ok((!status.success()).then(|| tail(&stderr)))
}
