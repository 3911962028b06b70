//! Finding and loading ONNX Runtime's shared library, once per process.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::setup;

/// The oldest ONNX Runtime that will do, 1.x.
pub const RUNTIME_MINOR_MIN: u32 = ort::MINOR_VERSION;

/// ONNX Runtime can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ONNX Runtime was not found; run `culld setup` once to fetch it. Tried: {}", tried.join("; "))]
pub struct RuntimeError {
    /// Each place that was looked at, and what was wrong there.
    pub tried: Vec<String>,
}

/// The one environment that a process may have; it lives until the end.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads ONNX Runtime unless that has been done, and returns its environment. Looked for in this order: `explicit`
/// (then nowhere else), beside the executable, in culld's cache folder, on the system.
///
/// # Errors
/// No place has a library of version 1.[`RUNTIME_MINOR_MIN`] or later that can be loaded.
pub(super) fn environment(explicit: Option<&Path>) -> Result<Environment, RuntimeError> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = environment.as_ref() {
        return Ok(environment.clone());
    }
    let mut tried = Vec::new();
    for candidate in candidates(explicit) {
        match candidate.path.and_then(|path| load(&path)) {
            Ok(loaded) => {
                tracing::info!(place = candidate.place, build = ort::info(), "loaded ONNX Runtime");
                *environment = Some(loaded.clone());
                return Ok(loaded);
            }
            Err(reason) => tried.push(format!("{}: {reason}", candidate.place)),
        }
    }
    Err(RuntimeError { tried })
}

/// Loads ONNX Runtime as every model will; see [`RuntimeError`] for what is missing. Loading again does nothing.
///
/// # Errors
/// No usable library.
pub fn load_runtime(explicit: Option<&Path>) -> Result<(), RuntimeError> {
    environment(explicit).map(drop)
}

struct Candidate {
    place: String,
    path: Result<PathBuf, String>,
}

fn candidates(explicit: Option<&Path>) -> Vec<Candidate> {
    if let Some(path) = explicit {
        return vec![Candidate { place: path.display().to_string(), path: Ok(path.to_owned()) }];
    }
    let names = if cfg!(target_os = "macos") {
        ["libonnxruntime.dylib", "libonnxruntime.1.dylib"]
    } else {
        ["libonnxruntime.so", "libonnxruntime.so.1"]
    };
    let mut candidates = Vec::new();
    let folder = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    for path in names.iter().filter_map(|name| Some(folder.as_ref()?.join(name))) {
        let found = if path.is_file() { Ok(path.clone()) } else { Err("no such file".to_owned()) };
        candidates.push(Candidate { place: path.display().to_string(), path: found });
    }
    let cached = setup::installed_runtime().map_err(|error| error.to_string());
    candidates.push(Candidate { place: "culld's cache".to_owned(), path: cached });
    for name in names {
        candidates.push(Candidate { place: format!("the system's {name}"), path: Ok(PathBuf::from(name)) });
    }
    candidates
}

/// Opens the library and checks its version before anything is called in it: beyond that point `ort` panics where
/// the library is too old.
fn load(path: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(path).map_err(|error| reason(&error))?;
    let log = |level: LogLevel, category: &str, _: &str, _: &str, message: &str| match level {
        LogLevel::Fatal | LogLevel::Error => tracing::error!(category, message, "onnxruntime"),
        LogLevel::Warning => tracing::warn!(category, message, "onnxruntime"),
        LogLevel::Info | LogLevel::Verbose => tracing::trace!(category, message, "onnxruntime"),
    };
    let environment = builder
        .with_name("culld")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|error| error.to_string())?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// What the system's loader said, where it said anything.
fn reason(error: &ort::LoadDynamicError) -> String {
    let said = match error {
        ort::LoadDynamicError::Dlopen { error, .. } => error.source().map(ToString::to_string),
        _ => None,
    };
    said.unwrap_or_else(|| error.to_string())
}
