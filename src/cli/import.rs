//! `culld import`

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::{Outcome, progress, words};
use crate::proto::import_collection_request::Message;
use crate::proto::{ImportCollectionHeader, ImportCollectionRequest, ImportCollectionResponse};

/// Bytes of a piece; the most that the daemon takes.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces read and not yet sent at most.
const PIECES_WAITING_MAX: usize = 4;

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
    let mut file = File::open(path).map_err(CliError::file("read", path))?;
    let size = file.metadata().map_err(CliError::file("read", path))?.len();
    let bar = progress::counted(size, "importing");
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let header = ImportCollectionHeader { collection: client.collection.clone(), request_id: String::new() };
    let first = ImportCollectionRequest { message: Some(Message::Header(header)) };
    let sent = bar.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut piece = Some(first);
        while let Some(message) = piece {
            if sender.blocking_send(message).is_err() {
                // The daemon said why it reads no more.
                return Ok(());
            }
            let mut data = Vec::with_capacity(PIECE_BYTES);
            let count = file.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut data)?;
            sent.inc(count as u64);
            piece = (count > 0).then_some(ImportCollectionRequest { message: Some(Message::Data(data)) });
        }
        Ok(())
    });
    let answered = async {
        let mut answers =
            client.collections.import_collection(ReceiverStream::new(receiver)).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            if answer.collection.is_some() {
                return Ok(answer);
            }
        }
        Err(CliError::Answer("the collection"))
    };
    let answered = answered.await;
    bar.finish_and_clear();
    let read = reading.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    read.map_err(CliError::file("read", path))?;
    answered
}
