//! `culld backup`, `culld restore` and `culld compact`

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::temporary::TemporaryFolder;
use super::verify::{look, show};
use super::{Outcome, progress, words};
use crate::engine::{Progress, verify_store};
use crate::proto::BackupRequest;
use crate::proto::operation::Result as OperationResult;
use crate::store::{self, SledOptions, StoreError};

/// Write all collections to one file, while the daemon goes on
///
/// The file is written on the daemon's machine, in the folder that `culld serve --backup-folder DIR` names, and holds the
/// store as it was at one moment: images' thumbnails, embeddings and sources, verdicts, the log, policies, clusterings.
/// The pictures themselves stay where they are, as ever.
///
/// Example: culld backup --name monday.backup
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The file's name [default: culld-, date and time, .backup]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    name: String,
}

/// Make a data folder of a backup
///
/// Needs no daemon. The store is built beside what is there, looked at as `culld verify` does, and put in its place in one
/// step: whenever it breaks off, the folder has what it had.
///
/// Example: culld restore backups/monday.backup --data ./culld-data
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data folder; made if it is not there
    #[arg(long, env = "CULLD_DATA", default_value = "culld-data", value_name = "DIR")]
    data: PathBuf,
    /// Give up the store that the folder holds
    #[arg(long)]
    replace: bool,
}

/// Write a store anew, without the holes that deleting left
///
/// Deleted images free their place for new ones, but the store's files shrink only in part. This copies what is there,
/// compares, and puts the copy in the store's place in one step: whenever it breaks off, nothing is lost. Needs the daemon
/// stopped, and as much free space as the records take.
///
/// Example: culld compact --data ./culld-data
#[derive(Debug, Args)]
pub(super) struct CompactArgs {
    /// The data folder
    #[arg(long, env = "CULLD_DATA", default_value = "culld-data", value_name = "DIR")]
    data: PathBuf,
}

/// Asks the daemon for a backup.
pub(super) async fn run(args: BackupArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let request = BackupRequest { name: args.name, request_id: String::new() };
    let answer = client.admin.backup(request).await?.into_inner();
    let operation = answer.operation.ok_or(CliError::Answer("the operation"))?;
    let OperationResult::Backup(report) = client.wait(operation).await? else {
        return Err(CliError::Answer("the report"));
    };
    out.line(format!(
        "{} records, {} bytes in {}",
        report.records,
        report.bytes,
        words::printable(&report.path)
    ));
    out.object(&json!({"path": report.path, "bytes": report.bytes, "records": report.records}));
    Ok(Outcome::Done)
}

/// Restores a backup.
pub(super) async fn restore(args: RestoreArgs, out: &mut Output) -> Result<Outcome, CliError> {
    let RestoreArgs { file, data, replace } = args;
    let folder = data.clone();
    let restored = offline(move || restore_to(&file, &folder, replace)).await?;
    out.line(format!("{restored} records restored to {}", words::printable(&data.to_string_lossy())));
    out.object(&json!({"records": restored, "data": data}));
    Ok(Outcome::Done)
}

fn restore_to(file: &Path, folder: &Path, replace: bool) -> Result<u64, CliError> {
    let bar = progress::counted(0, "Restore");
    let refused = |problem: String| StoreError::BadFile { path: file.to_path_buf(), problem };
    let check = &mut |store: &dyn store::Store| {
        let report = verify_store(store, &Progress { tell: &|_, _, _| {}, cancelled: &|| false });
        match report {
            Ok(report) if report.problems == 0 => Ok(()),
            Ok(report) => Err(refused(format!(
                "it has {} problems; `culld verify --backup` lists them",
                report.problems
            ))),
            Err(error) => Err(refused(error.to_string())),
        }
    };
    let restored = store::restore(file, folder, replace, &mut |records| bar.set_position(records), check)?;
    bar.finish_and_clear();
    Ok(restored)
}

/// Looks at a backup.
pub(super) async fn verify(file: PathBuf, out: &mut Output) -> Result<Outcome, CliError> {
    let (restored, scratch) = (TemporaryFolder::new()?, TemporaryFolder::new()?);
    let (folder, mirror) = (restored.path().to_path_buf(), scratch.path().to_path_buf());
    let report = offline(move || {
        store::restore(&file, &folder, false, &mut |_| {}, &mut |_| Ok(()))?;
        look(&folder, &mirror, &AtomicU64::new(0))
    })
    .await?;
    show(&report, out)
}

/// Compacts a store.
pub(super) async fn compact(args: CompactArgs, out: &mut Output) -> Result<Outcome, CliError> {
    let done = offline(move || {
        let bar = progress::counted(0, "Compact");
        let tell = &mut |records| bar.set_position(records);
        let done = store::compact(&args.data, &SledOptions::default(), tell)?;
        bar.finish_and_clear();
        Ok(done)
    })
    .await?;
    let (before, after) = (done.bytes_before, done.bytes_after);
    out.line(format!("{} records in {after} bytes, {before} before", done.records));
    out.object(&json!({"records": done.records, "bytes_before": before, "bytes_after": after}));
    Ok(Outcome::Done)
}

/// Works on files; the storage library may give up over damage.
async fn offline<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CliError> + Send + 'static,
) -> Result<T, CliError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| CliError::Unreadable)?
}
