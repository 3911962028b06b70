//! `culld verify`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::table::Table;
use super::temporary::TemporaryFolder;
use super::{Outcome, progress, words};
use crate::engine::{Progress, VerifyProblem, VerifyReport, verify_store};
use crate::proto::operation::Result as OperationResult;
use crate::proto::{self, VerifyRequest};
use crate::store::{SledOptions, SledStore};

/// How long a look at a store that no daemon has may go on without a step.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Look at every record, and whether all fits together
///
/// Asks the daemon, which also compares what it holds in memory. With --data it looks at the store of a daemon that does
/// not run, such as one that refuses to open it. Changes nothing, and exits with 1 where it finds a problem.
///
/// Example: culld verify
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Look at this data folder, without a daemon
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Look at this backup: restores it into the system's temporary folder, which takes as much space as it holds
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub(super) backup: Option<PathBuf>,
}

/// Asks the daemon to verify.
pub(super) async fn run(mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let answer = client.admin.verify(VerifyRequest {}).await?.into_inner();
    let operation = answer.operation.ok_or(CliError::Answer("the operation"))?;
    match client.wait(operation).await? {
        OperationResult::Verify(report) => show(&from_proto(report), out),
        _ => Err(CliError::Answer("the report")),
    }
}

/// Verifies a store that no daemon has.
pub(super) async fn offline(data: PathBuf, out: &mut Output) -> Result<Outcome, CliError> {
    let steps = Arc::new(AtomicU64::new(0));
    let (tell, mut told) = oneshot::channel();
    let counted = Arc::clone(&steps);
    let scratch = TemporaryFolder::new()?;
    let mirror = scratch.path().to_path_buf();
    // The storage library may give up over damage, or read it again and again for ever: then nobody waits for it.
    std::thread::spawn(move || tell.send(look(&data, &mirror, &counted)));
    let mut before = 0;
    loop {
        if let Ok(ended) = tokio::time::timeout(SILENCE_MAX, &mut told).await {
            return show(&ended.map_err(|_| CliError::Unreadable)??, out);
        }
        let now = steps.load(Ordering::Relaxed);
        if now == before {
            return Err(CliError::Unreadable);
        }
        before = now;
    }
}

/// Looks at a store by way of an empty folder; each step is counted.
pub(super) fn look(data: &Path, scratch: &Path, steps: &AtomicU64) -> Result<VerifyReport, CliError> {
    if !SledStore::is_at(data) {
        return Err(CliError::Usage(format!("{} holds no store", words::printable(&data.to_string_lossy()))));
    }
    let store = SledStore::open_to_look(data, scratch, &SledOptions::default())?;
    let bar = progress::counted(0, "Verify");
    let tell = |phase: &str, done: u64, total: u64| {
        steps.fetch_add(1, Ordering::Relaxed);
        bar.set_message(phase.to_owned());
        progress::set_total(&bar, total);
        bar.set_position(done);
    };
    let cancelled = || {
        steps.fetch_add(1, Ordering::Relaxed);
        false
    };
    let report = verify_store(&store, &Progress { tell: &tell, cancelled: &cancelled });
    bar.finish_and_clear();
    report.map_err(CliError::Engine)
}

fn from_proto(report: proto::VerifyReport) -> VerifyReport {
    let problem = |problem: proto::VerifyProblem| VerifyProblem {
        collection: problem.collection,
        kind: problem.kind,
        key: problem.key,
        what: problem.detail,
    };
    VerifyReport {
        records: report.records.into_iter().map(|record| (record.kind, record.count)).collect(),
        collections: report.collections,
        problems: report.problems,
        listed: report.listed.into_iter().map(problem).collect(),
        skipped: report.skipped,
    }
}

pub(super) fn show(report: &VerifyReport, out: &mut Output) -> Result<Outcome, CliError> {
    let mut table = Table::new(&["collection", "record", "key", "problem"]);
    for VerifyProblem { collection, kind, key, what } in &report.listed {
        table.row([
            words::printable(collection),
            kind.clone(),
            words::printable(key),
            words::printable(what),
        ]);
    }
    if report.problems > 0 {
        out.table(&table);
    }
    let unlisted = report.problems - report.listed.len() as u64;
    if unlisted > 0 {
        out.line(format!("and {unlisted} more"));
    }
    report.skipped.iter().for_each(|skipped| out.line(words::printable(skipped)));
    let records: u64 = report.records.iter().map(|(_, count)| count).sum();
    let memory = match report.collections {
        0 => String::new(),
        collections => format!(", and what is held in memory of {collections} collections"),
    };
    out.line(format!("{records} records looked at{memory}: {} problems", report.problems));
    out.object(&object(report));
    if report.problems == 0 { Ok(Outcome::Done) } else { Err(CliError::Problems(report.problems)) }
}

fn object(report: &VerifyReport) -> Value {
    let records: serde_json::Map<String, Value> =
        report.records.iter().map(|(kind, count)| (kind.clone(), (*count).into())).collect();
    let listed: Vec<Value> = report
        .listed
        .iter()
        .map(|VerifyProblem { collection, kind, key, what }| {
            json!({"collection": collection, "kind": kind, "key": key, "problem": what})
        })
        .collect();
    json!({
        "problems": report.problems,
        "listed": listed,
        "records": records,
        "collections": report.collections,
        "skipped": report.skipped,
    })
}
