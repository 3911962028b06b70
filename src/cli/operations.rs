//! `culld operations`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, PAGE_SIZE, all_pages};
use super::error::CliError;
use super::output::Output;
use super::table::Table;
use super::{Outcome, words};
use crate::proto::operation::Result as OperationResult;
use crate::proto::{CancelOperationRequest, GetOperationRequest, ListOperationsRequest, Operation};

/// List long work, look at it, wait for it or cancel it
///
/// Example: culld operations wait operations/7
#[derive(Debug, Args)]
pub(super) struct OperationsArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the operations of the collection, newest first (the default)
    List,
    /// Show one operation
    Show {
        /// Its name, such as operations/7, or its number
        name: String,
    },
    /// Ask an operation to stop
    Cancel {
        /// Its name, such as operations/7, or its number
        name: String,
    },
    /// Wait until an operation is done
    Wait {
        /// Its name, such as operations/7, or its number
        name: String,
    },
}

/// Minds operations.
pub(super) async fn run(
    args: OperationsArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let missing = CliError::Answer("the operation");
    let operation = match args.action.unwrap_or(Action::List) {
        Action::List => {
            let operations = all(&mut client).await?;
            out.table(&table(&operations));
            out.object(&json!({"operations": operations.iter().map(object).collect::<Vec<_>>()}));
            return Ok(Outcome::Done);
        }
        Action::Show { name } => get(&mut client, full_name(name)).await?,
        Action::Cancel { name } => {
            let request = CancelOperationRequest { name: full_name(name) };
            client.admin.cancel_operation(request).await?.into_inner().operation.ok_or(missing)?
        }
        Action::Wait { name } => {
            let operation = get(&mut client, full_name(name)).await?;
            let name = operation.name.clone();
            client.wait(operation).await?;
            get(&mut client, name).await?
        }
    };
    out.table(&table(std::slice::from_ref(&operation)));
    out.object(&object(&operation));
    Ok(Outcome::Done)
}

fn full_name(name: String) -> String {
    if name.starts_with("operations/") { name } else { format!("operations/{name}") }
}

async fn get(client: &mut Client, name: String) -> Result<Operation, CliError> {
    let answer = client.admin.get_operation(GetOperationRequest { name }).await?.into_inner();
    answer.operation.ok_or(CliError::Answer("the operation"))
}

async fn all(client: &mut Client) -> Result<Vec<Operation>, CliError> {
    let collection = client.collection.clone();
    all_pages(async |page_token| {
        let request =
            ListOperationsRequest { collection: collection.clone(), page_size: PAGE_SIZE, page_token };
        let page = client.admin.list_operations(request).await?.into_inner();
        Ok((page.operations, page.next_page_token))
    })
    .await
}

/// How far it is, or how it ended.
fn state(operation: &Operation) -> String {
    match &operation.result {
        None => format!("{} {}/{}", operation.phase, operation.work_done, operation.work_total),
        Some(OperationResult::Error(error)) => format!("{}: {}", error.reason, error.message),
        Some(OperationResult::Clustering(clustering)) => format!(
            "clustering {}: {}, {} clusters, {} noise",
            clustering.clustering_id, clustering.algorithm, clustering.clusters, clustering.noise
        ),
        Some(OperationResult::Backup(report)) => format!("{} bytes in {}", report.bytes, report.path),
        Some(OperationResult::Verify(report)) => format!("{} problems", report.problems),
        Some(OperationResult::Import(import)) => format!(
            "{} files: {} added, {} already present, {} rejected, {} failed",
            import.files, import.added, import.already_present, import.rejected, import.failed
        ),
    }
}

fn table(operations: &[Operation]) -> Table {
    let mut table = Table::new(&["operation", "call", "collection", "started", "state"]);
    for operation in operations {
        table.row([
            operation.name.clone(),
            operation.method.clone(),
            operation.collection.clone(),
            words::time(operation.create_time.as_ref()),
            words::printable(&state(operation)),
        ]);
    }
    table
}

/// An operation for machines.
pub(super) fn object(operation: &Operation) -> Value {
    json!({
        "name": operation.name,
        "collection": operation.collection,
        "method": operation.method,
        "create_time": words::time(operation.create_time.as_ref()),
        "end_time": words::time(operation.end_time.as_ref()),
        "phase": operation.phase,
        "work_done": operation.work_done,
        "work_total": operation.work_total,
        "done": operation.done,
        "state": state(operation),
    })
}
