//! `culld setup`: fetches ONNX Runtime's shared library once, into culld's cache folder; and the demo's pictures.
//!
//! The library comes out of the `onnxruntime` wheel of the Python package index, by way of `python3 -m pip download`,
//! so that the user's own index, mirror and proxy settings hold. Nothing of the wheel is run. Its SHA-256 is pinned
//! here; the library's BLAKE3 is written beside it and checked whenever it is loaded.

mod demo;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub use self::demo::fetch_demo_pictures;
use self::wheel::{VERSION, Wheel};

/// Name of the file beside the library that holds its BLAKE3 in hex.
const DIGEST_FILE: &str = "blake3";

/// Why ONNX Runtime is not there or can't be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// Neither `CULLD_CACHE`, `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no cache folder: set CULLD_CACHE")]
    NoCacheFolder,
    /// There is no pinned wheel for this system.
    #[error("no ONNX Runtime is pinned for {os} on {arch}: install it and pass --onnxruntime")]
    Platform {
        /// Operating system.
        os: &'static str,
        /// Processor.
        arch: &'static str,
    },
    /// It has not been fetched yet.
    #[error("{folder} holds no ONNX Runtime yet")]
    NotInstalled {
        /// Where it would be.
        folder: String,
    },
    /// The library is not the one that was installed.
    #[error("{path} was changed or damaged after it was installed")]
    Changed {
        /// The library.
        path: String,
    },
    /// There is no `python3`.
    #[error("python3 can't be started: {detail}; install Python 3 with pip")]
    NoPython {
        /// What the system said.
        detail: String,
    },
    /// Python has no pip.
    #[error("python3 has no pip; install it (on Debian: apt install python3-pip)")]
    NoPip,
    /// pip could not fetch the wheel.
    #[error("pip could not fetch {wheel}: {detail}")]
    Download {
        /// The wheel's file name.
        wheel: String,
        /// The last lines that pip wrote.
        detail: String,
    },
    /// The wheel is not the pinned one.
    #[error("{wheel} has SHA-256 {found}, expected {expected}")]
    Digest {
        /// The wheel's file name.
        wheel: String,
        /// The pinned digest.
        expected: String,
        /// The digest of what came.
        found: String,
    },
    /// The wheel can't be unpacked.
    #[error("{wheel} can't be unpacked: {detail}")]
    Unpack {
        /// The wheel's file name.
        wheel: String,
        /// The last lines that Python wrote.
        detail: String,
    },
    /// The demo's photographs could not be fetched.
    #[error("the demo's pictures could not be fetched: {detail}; name a folder of your own: culld demo DIR")]
    DemoPictures {
        /// The last lines that the script wrote.
        detail: String,
    },
    /// A file or folder of the cache can't be read or written.
    #[error("{path}: {detail}")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        detail: String,
    },
}

fn io_error(path: &Path, error: &std::io::Error) -> SetupError {
    SetupError::Io { path: path.display().to_string(), detail: error.to_string() }
}

/// culld's cache folder: `$CULLD_CACHE`, else `$XDG_CACHE_HOME/culld`, else `~/.cache/culld`. It may not exist yet.
///
/// # Errors
/// None of the variables is set.
pub fn cache_folder() -> Result<PathBuf, SetupError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CULLD_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("culld")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/culld")))
        .ok_or(SetupError::NoCacheFolder)
}

/// The library in the cache folder, checked against its digest.
///
/// # Errors
/// It is not there, or not as it was installed.
pub fn installed_runtime() -> Result<PathBuf, SetupError> {
    let wheel = Wheel::for_this_system()?;
    verify(&cache_folder()?.join(wheel.folder()), wheel)
}

/// Makes sure that the library is in the cache folder, and returns its path. Does nothing when it is there; several
/// processes may do this at once. `progress` gets a line for people now and then.
///
/// # Errors
/// Everything that [`SetupError`] lists; the cache folder is then as it was.
pub fn install_runtime(progress: &mut dyn FnMut(&str)) -> Result<PathBuf, SetupError> {
    let wheel = Wheel::for_this_system()?;
    let cache = cache_folder()?;
    let folder = cache.join(wheel.folder());
    if let Ok(library) = verify(&folder, wheel) {
        progress(&format!("ONNX Runtime {VERSION} is in place: {}", library.display()));
        return Ok(library);
    }
    let work = WorkFolder::create(&cache)?;
    wheel.fetch(&work.0, progress)?;
    progress("unpacking");
    let staged = work.0.join("staged");
    wheel.unpack(&work.0, &staged)?;
    let library = staged.join(wheel.library());
    let digest = digest(&library)?;
    let note = staged.join(DIGEST_FILE);
    fs::write(&note, digest).map_err(|error| io_error(&note, &error))?;
    let library = publish(&staged, &folder, wheel)?;
    progress(&format!("ONNX Runtime {VERSION} installed: {}", library.display()));
    Ok(library)
}

/// Moves the finished folder to its place in one step, over a damaged one but never over a sound one.
fn publish(staged: &Path, folder: &Path, wheel: &Wheel) -> Result<PathBuf, SetupError> {
    const ATTEMPTS: usize = 3;
    for _ in 0..ATTEMPTS {
        if fs::rename(staged, folder).is_ok() {
            return verify(folder, wheel);
        }
        // Another process may have been faster.
        if let Ok(library) = verify(folder, wheel) {
            return Ok(library);
        }
        // What is there is damaged. It is moved aside first, so that no one finds half a folder.
        let aside = staged.with_extension("aside");
        if fs::rename(folder, &aside).is_ok() {
            let _ = fs::remove_dir_all(&aside);
        }
    }
    fs::rename(staged, folder).map_err(|error| io_error(folder, &error))?;
    verify(folder, wheel)
}

fn verify(folder: &Path, wheel: &Wheel) -> Result<PathBuf, SetupError> {
    let library = folder.join(wheel.library());
    let Ok(expected) = fs::read_to_string(folder.join(DIGEST_FILE)) else {
        return Err(SetupError::NotInstalled { folder: folder.display().to_string() });
    };
    if digest(&library)? == expected {
        Ok(library)
    } else {
        Err(SetupError::Changed { path: library.display().to_string() })
    }
}

fn digest(path: &Path) -> Result<String, SetupError> {
    let bytes = fs::read(path).map_err(|error| io_error(path, &error))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

/// A folder of this process alone within the cache, removed with all that is left in it.
struct WorkFolder(PathBuf);

impl WorkFolder {
    fn create(cache: &Path) -> Result<Self, SetupError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let folder = cache.join(format!("setup-{}-{now}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| io_error(&folder, &error))?;
        Ok(Self(folder))
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "cannot remove a temporary folder");
        }
    }
}
