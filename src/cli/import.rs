//! `culld import`

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::{Outcome, progress, words};
use crate::client::transfer;
use crate::proto::{ImportCollectionHeader, ImportCollectionResponse};

/// Make a collection of what `culld export FILE.tar` wrote
///
/// The daemon has to have the model that the embeddings were made with. The collection gets the name that --collection
/// says, whatever it was called before; there must be none of that name, or one that holds nothing and in which nothing
/// was said yet. The same decisions come out, and the log with the same hashes. Whatever breaks off leaves nothing behind.
///
/// Pictures are added with `culld add`.
///
/// Example: culld import cars.tar --collection cars
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// What was exported
    #[arg(value_name = "FILE.tar")]
    file: PathBuf,
}

/// Imports.
pub(super) async fn run(args: ImportArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let done = import(&mut client, &args.file).await?;
    let collection = done.collection.unwrap_or_default();
    out.line(format!(
        "{} images and {} log entries imported into {}",
        done.images,
        done.events,
        words::printable(&collection.name)
    ));
    out.object(&json!({"collection": collection.name, "images": done.images, "events": done.events}));
    Ok(Outcome::Done)
}

async fn import(client: &mut Client, path: &Path) -> Result<ImportCollectionResponse, CliError> {
    let size = std::fs::metadata(path).map_err(CliError::file("read", path))?.len();
    let bar = progress::counted(size, "importing");
    let header = ImportCollectionHeader { collection: client.collection.clone(), request_id: String::new() };
    let sent = bar.clone();
    let open = async |requests| client.collections.import_collection(requests).await;
    let made = transfer::import(path, header, open, move |bytes| sent.set_position(bytes)).await;
    bar.finish_and_clear();
    made.map_err(CliError::transfer("read"))
}
