//! `culld collections`

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::table::Table;
use super::{Outcome, words};
use crate::proto::{Collection, CreateCollectionRequest, DeleteCollectionRequest, ListCollectionsRequest};

/// List, create or delete collections
///
/// Collections are separate worlds, each with its own pictures, policy, clusterings and verdicts.
///
/// Example: culld collections create winter
#[derive(Debug, Args)]
pub(super) struct CollectionsArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show all collections (the default)
    List,
    /// Make an empty collection
    Create {
        /// 1 to 64 characters of a-z, 0-9, '-' and '_'
        name: String,
    },
    /// Delete a collection with its pictures, verdicts and log; not undoable, your files are never touched
    Delete {
        /// Its name; "default" is emptied rather than removed
        name: String,
    },
}

/// Minds collections.
pub(super) async fn run(
    args: CollectionsArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(&mut client, out).await?,
        Action::Create { name } => {
            let request = CreateCollectionRequest { collection: name.clone(), request_id: String::new() };
            client.collections.create_collection(request).await?;
            out.line(format!("created {name}"));
            out.object(&json!({"created": name}));
        }
        Action::Delete { name } => {
            let request = DeleteCollectionRequest { collection: name.clone(), request_id: String::new() };
            let images = client.collections.delete_collection(request).await?.into_inner().images;
            out.line(format!("deleted {name} with {images} images"));
            out.object(&json!({"deleted": name, "images": images}));
        }
    }
    Ok(Outcome::Done)
}

async fn list(client: &mut Client, out: &mut Output) -> Result<(), CliError> {
    let collections = all(client).await?;
    let mut table = Table::new(&["collection", ">images", ">generation", ">active clustering", "created"]);
    for collection in &collections {
        table.row([
            collection.name.clone(),
            collection.images.to_string(),
            collection.generation.to_string(),
            collection.active_clustering_id.to_string(),
            words::time(collection.create_time.as_ref()),
        ]);
    }
    out.table(&table);
    let object = |c: &Collection| {
        json!({
            "name": c.name,
            "images": c.images,
            "generation": c.generation,
            "active_clustering_id": c.active_clustering_id,
            "create_time": words::time(c.create_time.as_ref()),
        })
    };
    out.object(&json!({"collections": collections.iter().map(object).collect::<Vec<_>>()}));
    Ok(())
}

async fn all(client: &mut Client) -> Result<Vec<Collection>, CliError> {
    super::client::all_pages(async |page_token| {
        let request = ListCollectionsRequest { page_size: super::client::PAGE_SIZE, page_token };
        let page = client.collections.list_collections(request).await?.into_inner();
        Ok((page.collections, page.next_page_token))
    })
    .await
}
