//! What can go wrong in a command, in plain words, and the exit code it ends with.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::labels::LabelsError;
use super::words::printable;
use crate::access::AccessError;
use crate::app::AppError;
use crate::client::transfer::TransferError;
use crate::config::ConfigError;
use crate::decode::ContactSheetError;
use crate::engine::EngineError;
use crate::grpc::TlsError;
use crate::plot::PlotError;
use crate::setup::SetupError;
use crate::store::StoreError;
use crate::telemetry::TelemetryError;

/// The command failed.
const EXIT_FAILED: u8 = 1;
/// The command was not understood.
const EXIT_USAGE: u8 = 2;
/// Some images were rejected or could not be handled.
pub(super) const EXIT_PARTLY: u8 = 3;
/// The daemon can't be reached.
const EXIT_UNREACHABLE: u8 = 4;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// Flags that don't fit together, or a value that can't be used.
    #[error("{0}")]
    Usage(String),
    /// No daemon answers.
    #[error(
        "no daemon answers at {server} ({cause}); start one with `culld serve`, or name it with --server"
    )]
    Unreachable {
        /// The address tried.
        server: String,
        /// What went wrong.
        cause: String,
    },
    /// The daemon refused a call.
    #[error("{}", plain(.0))]
    Call(Box<Status>),
    /// The stream of images ended before all had their outcome.
    #[error("{cause}\n  {stored} images are stored; run it again for the others")]
    Interrupted {
        /// Images that the daemon acknowledged.
        stored: u64,
        /// Why it ended.
        cause: Box<CliError>,
    },
    /// The daemon answered something that the API does not allow.
    #[error("the daemon's answer lacks {0}")]
    Answer(&'static str),
    /// Long work ended without a result.
    #[error("{name} failed: {message} ({reason})")]
    Operation {
        /// The operation.
        name: String,
        /// Why, in words.
        message: String,
        /// A constant for programs.
        reason: String,
    },
    /// A file of this machine can't be used.
    #[error("can't {action} {}: {source}", printable(&path.to_string_lossy()))]
    File {
        /// What was tried, such as "read".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A CSV file can't be written.
    #[error("can't write {}: {source}", printable(&path.to_string_lossy()))]
    Csv {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: csv::Error,
    },
    /// The labels file can't be used.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// A folder holds what another program, or another command, put there.
    #[error("{} is not empty and was not made by `culld demo`: name another folder with --out", printable(&path.to_string_lossy()))]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Standard output can't be written.
    #[error("can't write to standard output: {0}")]
    Output(std::io::Error),
    /// The process can't start its threads.
    #[error("can't start: {0}")]
    Runtime(std::io::Error),
    /// Ctrl-C, or the like.
    #[error("stopped")]
    Stopped,
    /// Settings can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Tokens or certificates can't be used.
    #[error(transparent)]
    Access(AccessError),
    /// TLS can't be spoken.
    #[error(transparent)]
    Tls(TlsError),
    /// Traces can't be sent.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The daemon can't start.
    #[error(transparent)]
    App(#[from] AppError),
    /// A store's folder is in use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What a store holds can't be used.
    #[error(transparent)]
    Engine(EngineError),
    /// A verification found something.
    #[error("{0} problems found")]
    Problems(u64),
    /// The storage library gave up over what it read.
    #[error("the store's files are damaged: reading them broke off; restore a backup")]
    Unreadable,
    /// What the daemon needs can't be fetched.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A plot can't be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A contact sheet can't be made.
    #[error(transparent)]
    Sheet(#[from] ContactSheetError),
}

impl CliError {
    /// The exit code that `culld --help` documents.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Labels(_) => EXIT_USAGE,
            Self::Unreachable { .. } => EXIT_UNREACHABLE,
            Self::Call(status) if status.code() == Code::Unavailable || is_broken(status) => EXIT_UNREACHABLE,
            Self::Call(status) if is_misuse(status) => EXIT_USAGE,
            Self::Interrupted { cause, .. } => cause.exit_code(),
            _ => EXIT_FAILED,
        }
    }

    /// Whether the daemon refused a call for what it asks, and would again.
    pub(super) fn is_refusal(&self) -> bool {
        let refusals = [Code::NotFound, Code::FailedPrecondition, Code::PermissionDenied];
        matches!(self, Self::Call(status) if refusals.contains(&status.code()))
    }

    /// A closure for `map_err` that names the file.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { action, path: path.to_path_buf(), source }
    }

    /// A closure for `map_err` that says what was done to the file.
    pub(super) fn transfer(action: &'static str) -> impl FnOnce(TransferError) -> Self {
        move |error| match error {
            TransferError::Call(status) => Self::Call(status),
            TransferError::File { path, source } => Self::File { action, path, source },
            TransferError::Incomplete => Self::Answer("the collection"),
        }
    }

    /// A closure for `map_err` that names the CSV file.
    pub(super) fn csv(path: &Path) -> impl FnOnce(csv::Error) -> Self {
        move |source| Self::Csv { path: path.to_path_buf(), source }
    }
}

impl From<Status> for CliError {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

/// Whether the connection broke: what the daemon says comes without a source.
fn is_broken(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Whether the daemon names the value that is out of range.
fn is_misuse(status: &Status) -> bool {
    status.code() == Code::InvalidArgument && status.get_details_bad_request().is_some()
}

/// A status with its details as a person reads it.
fn plain(status: &Status) -> String {
    let details = status.get_error_details();
    let message = status.message();
    let mut text = match status.code() {
        _ if is_broken(status) => format!("the connection to the daemon broke: {message}"),
        Code::Unavailable => format!("the daemon can't be reached, or is stopping: {message}"),
        Code::DeadlineExceeded => format!("the daemon took too long: {message}"),
        Code::ResourceExhausted => format!("the daemon is at a limit: {message}"),
        Code::Internal | Code::Unknown => format!("the daemon failed: {message}"),
        Code::Unimplemented => {
            format!("the daemon does not know this call (is it older than this command?): {message}")
        }
        _ if message.is_empty() => status.code().description().to_string(),
        _ => message.to_string(),
    };
    // Writing to a string does not fail.
    for violation in details.bad_request().iter().flat_map(|request| &request.field_violations) {
        if !message.contains(&violation.description) {
            let _ = write!(text, "\n  {}: {}", violation.field, violation.description);
        }
    }
    if status.code() == Code::NotFound
        && let Some(missing) = details.resource_info().filter(|info| info.resource_type == "collection")
    {
        let name = printable(&missing.resource_name);
        let _ =
            write!(text, "\n  `culld collections` lists them, `culld collections create {name}` makes it");
    }
    if status.code() == Code::Unauthenticated {
        let _ = write!(
            text,
            "\n  give a token by CULLD_TOKEN or --token-file, or a certificate by --client-cert"
        );
    }
    if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
        let _ = write!(text, "\n  try again in {:.1} s", delay.as_secs_f64());
    }
    if let Some(info) = details.error_info() {
        let _ = write!(text, " ({})", info.reason);
    }
    text
}
