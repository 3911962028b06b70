//! The pinned wheels, and how one is fetched and unpacked.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::{SetupError, io_error};

/// The release that `ort` was made for.
pub(super) const VERSION: &str = "1.31.1";
/// Any Python's wheel will do, since only the library is taken; this one's is pinned.
const PYTHON: &str = "3.12";
const ABI: &str = "cp312";

/// How often a download shows that it is alive.
const REPORT_EVERY: Duration = Duration::from_secs(5);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// How much of what a failed command wrote is shown, in bytes.
const DETAIL_BYTES_MAX: usize = 2000;

/// Written beside the library: its licence asks for it.
const NOTICES: [&str; 2] = ["onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"];

/// One system's wheel.
#[derive(Debug)]
pub(super) struct Wheel {
    os: &'static str,
    arch: &'static str,
    /// The platform tag, as pip takes it.
    platform: &'static str,
    sha256: &'static str,
    /// Path of the library within the wheel.
    member: &'static str,
    megabytes: u32,
}

static WHEELS: [Wheel; 3] = [
    Wheel {
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        megabytes: 24,
    },
    Wheel {
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        megabytes: 21,
    },
    Wheel {
        os: "macos",
        arch: "aarch64",
        platform: "macosx_14_0_arm64",
        sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
        member: "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
        megabytes: 21,
    },
];

impl Wheel {
    pub(super) fn for_this_system() -> Result<&'static Self, SetupError> {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let wheel = WHEELS.iter().find(|wheel| (wheel.os, wheel.arch) == (os, arch));
        wheel.ok_or(SetupError::Platform { os, arch })
    }

    /// Name of the folder in the cache.
    pub(super) fn folder(&self) -> String {
        format!("onnxruntime-{VERSION}-{}", self.arch)
    }

    /// Name of the library in that folder.
    pub(super) fn library(&self) -> &'static str {
        self.member.rsplit('/').next().unwrap_or(self.member)
    }

    fn file(&self) -> String {
        format!("onnxruntime-{VERSION}-{ABI}-{ABI}-{}.whl", self.platform)
    }

    /// Lets pip download the wheel into `folder`, and checks its digest.
    pub(super) fn fetch(&self, folder: &Path, progress: &mut dyn FnMut(&str)) -> Result<(), SetupError> {
        let probe = python(&["-m", "pip", "--version"]).output().map_err(|error| no_python(&error))?;
        if !probe.status.success() {
            return Err(SetupError::NoPip);
        }
        progress(&format!("fetching ONNX Runtime {VERSION} with pip, {} MB", self.megabytes));
        let mut command = python(&["-m", "pip", "--disable-pip-version-check", "--no-input", "download"]);
        command.args(["--no-deps", "--only-binary", ":all:", "--progress-bar", "off", "--quiet"]);
        command.args(["--implementation", "cp", "--python-version", PYTHON, "--abi", ABI]);
        command.args(["--platform", self.platform, "--dest"]).arg(folder);
        command.arg(format!("onnxruntime=={VERSION}"));
        let child = command.spawn().map_err(|error| no_python(&error))?;
        let output = wait(child, progress).map_err(|error| io_error(folder, &error))?;
        let wheel = self.file();
        if !output.status.success() {
            return Err(SetupError::Download { wheel, detail: tail(&output.stderr) });
        }
        let path = folder.join(&wheel);
        let found = sha256(&path).map_err(|error| io_error(&path, &error))?;
        if found != self.sha256 {
            return Err(SetupError::Digest { wheel, expected: self.sha256.to_owned(), found });
        }
        Ok(())
    }

    /// Takes the library and its notices out of the wheel in `folder` and puts them into `staged`.
    pub(super) fn unpack(&self, folder: &Path, staged: &Path) -> Result<(), SetupError> {
        const SCRIPT: &str =
            "import sys, zipfile\nzipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2], sys.argv[3:])";
        let unpacked = folder.join("unpacked");
        let mut command = python(&["-c", SCRIPT]);
        command.arg(folder.join(self.file())).arg(&unpacked).arg(self.member).args(NOTICES);
        let output = command.output().map_err(|error| no_python(&error))?;
        if !output.status.success() {
            return Err(SetupError::Unpack { wheel: self.file(), detail: tail(&output.stderr) });
        }
        fs::create_dir(staged).map_err(|error| io_error(staged, &error))?;
        for member in NOTICES.iter().chain([&self.member]) {
            let name = member.rsplit('/').next().unwrap_or(member);
            fs::rename(unpacked.join(member), staged.join(name)).map_err(|error| io_error(staged, &error))?;
        }
        Ok(())
    }
}

pub(super) fn python(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

pub(super) fn no_python(error: &std::io::Error) -> SetupError {
    SetupError::NoPython { detail: error.to_string() }
}

/// Waits for a command that writes little, reporting now and then.
fn wait(mut child: Child, progress: &mut dyn FnMut(&str)) -> std::io::Result<Output> {
    let started = Instant::now();
    let mut reported = started;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            progress(&format!("still fetching after {} s", started.elapsed().as_secs()));
        }
        thread::sleep(POLL_EVERY);
    };
    let mut stderr = Vec::new();
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_end(&mut stderr)?;
    }
    Ok(Output { status, stdout: Vec::new(), stderr })
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut hex = String::new();
    for byte in Sha256::digest(fs::read(path)?) {
        // Writing to a string can't fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

pub(super) fn tail(stderr: &[u8]) -> String {
    let start = stderr.len().saturating_sub(DETAIL_BYTES_MAX);
    String::from_utf8_lossy(&stderr[start..]).trim().to_owned()
}
