//! A daemon inside this process, for commands that need one for as long as they run.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::client::Client;
use super::credentials::Credentials;
use super::error::CliError;
use crate::app::Daemon;
use crate::config::{Config, LogFormat, ModelSetting};
use crate::embed::load_runtime;
use crate::setup::{self, SetupError};
use crate::telemetry;

/// A daemon of this process, and a connection to it.
pub(super) struct TemporaryDaemon {
    daemon: Daemon,
    /// The connection, to the collection "default".
    pub(super) client: Client,
    /// Where it listens.
    pub(super) server: String,
}

impl TemporaryDaemon {
    /// Starts a daemon over a data folder, on a free loopback port. What it needs is fetched if it is not there.
    pub(super) async fn start(data: &Path) -> Result<Self, CliError> {
        telemetry::start(Some("warn"), LogFormat::Text, None)?;
        let mut config = Config::temporary(data);
        if config.model != ModelSetting::Fake && load_runtime(config.onnxruntime.as_deref()).is_err() {
            config.onnxruntime = Some(install_runtime().await?);
        }
        let daemon = Daemon::start(config).await?;
        let server = format!("http://{}", daemon.address());
        let client = Client::connect(&server, "", &Credentials::default()).await?;
        Ok(Self { daemon, client, server })
    }

    /// Stops the daemon once calls in flight are answered.
    pub(super) async fn stop(self) {
        drop(self.client);
        self.daemon.stop().await;
    }
}

/// A folder of its own under the system's temporary folder, removed in the end.
pub(super) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Makes the folder.
    pub(super) fn new() -> Result<Self, CliError> {
        let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let path = std::env::temp_dir().join(format!("culld-{}-{nanoseconds}", std::process::id()));
        // Not `create_dir_all`: a folder that somebody else made first is not ours.
        std::fs::create_dir(&path).map_err(CliError::file("make the folder", &path))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What can't be removed now is left to the system, as anything in its temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes sure that ONNX Runtime is there; what takes long is said on standard error.
pub(super) async fn install_runtime() -> Result<PathBuf, SetupError> {
    blocking(|progress| setup::install_runtime(progress)).await
}

/// Runs what blocks on a thread of its own, its progress lines on standard error.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&mut dyn FnMut(&str)) -> Result<T, SetupError> + Send + 'static,
) -> Result<T, SetupError> {
    let work = move || {
        work(&mut |line| {
            // Standard error may be closed; the work goes on.
            let _ = writeln!(io::stderr().lock(), "{line}");
        })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Answers once the process is told to stop: Ctrl-C, or SIGTERM where there is one.
pub(super) async fn stop_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// The folder of the demo's photographs, which are fetched if they are not there.
pub(super) async fn demo_pictures() -> Result<PathBuf, SetupError> {
    blocking(|progress| setup::fetch_demo_pictures(progress)).await
}
