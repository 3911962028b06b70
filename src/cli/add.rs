//! `culld add`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::walk::Walk;
use super::{Outcome, progress, upload, words};
use crate::proto::operation::Result as OperationResult;
use crate::proto::{ImportResult, ImportSourcesRequest};

/// Add pictures to the store
///
/// Walks directories (hidden entries are skipped, links followed) and sends every file; one that is no picture comes
/// back as rejected, with the cause. Adding a picture again changes nothing but where it was seen.
///
/// Example: culld add --tag spring ~/pictures
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Files and directories; a picture's source key is its path below the directory named. Pictures of one key in
    /// different places are kept apart
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Tag for every picture's source; may be repeated
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Let the daemon read the paths itself; they must lie under its --allowed-root
    #[arg(long)]
    server_side: bool,
}

/// Adds files, and says what became of them.
pub(super) async fn run(args: AddArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    if args.server_side {
        return import(args, client, out).await;
    }
    let bar = progress::counted(upload::count(Walk::new(&args.paths)).await, "adding");
    let summary = upload::add(&mut client, Walk::new(&args.paths), args.tag, &bar).await?;
    bar.finish_and_clear();
    summary.print(out);
    out.object(&summary.json());
    Ok(Outcome::partly_if(summary.rejected + summary.failed > 0))
}

async fn import(args: AddArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let canonical = |path: &PathBuf| {
        let path = std::fs::canonicalize(path).map_err(CliError::file("find", path))?;
        let text = path.to_str().map(ToString::to_string);
        text.ok_or_else(|| {
            CliError::Usage(format!("{} is not Unicode: add it without --server-side", path.display()))
        })
    };
    let paths = args.paths.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
    let request = ImportSourcesRequest {
        collection: client.collection.clone(),
        paths,
        tags: args.tag,
        request_id: String::new(),
    };
    let answer = client.images.import_sources(request).await?.into_inner();
    let operation = answer.operation.ok_or(CliError::Answer("the operation"))?;
    let OperationResult::Import(result) = client.wait(operation).await? else {
        return Err(CliError::Answer("what became of the files"));
    };
    print_import(&result, out);
    Ok(Outcome::partly_if(result.rejected + result.failed > 0))
}

fn print_import(result: &ImportResult, out: &mut Output) {
    out.line(format!(
        "{} files: {} added, {} already present, {} rejected, {} failed",
        result.files, result.added, result.already_present, result.rejected, result.failed
    ));
    for problem in &result.problems {
        out.line(format!("  {}: {}", words::printable(&problem.path), words::printable(&problem.detail)));
    }
    let problem = |p: &crate::proto::ImportProblem| json!({"key": p.path, "detail": p.detail});
    out.object(&json!({
        "images": result.added + result.already_present + result.rejected,
        "added": result.added,
        "already_present": result.already_present,
        "rejected": result.rejected,
        "failed": result.failed,
        "problems": result.problems.iter().map(problem).collect::<Vec<_>>(),
    }));
}
