//! `culld neighbours`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::table::Table;
use super::{Outcome, words};
use crate::proto::FindNeighboursRequest;
use crate::proto::find_neighbours_request::Query;

/// Show the stored pictures most like one
///
/// Distances are cosine distances, from 0 (the same) to 2.
///
/// Example: culld neighbours --file new.jpg -k 5
#[derive(Debug, Args)]
pub(super) struct NeighboursArgs {
    /// A stored picture: its id or a source key
    #[arg(required_unless_present = "file", conflicts_with = "file", value_name = "IMAGE")]
    image: Option<String>,
    /// A picture that need not be stored, and won't be
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// How many, 1 to 1,000
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    k: u32,
    /// Scan all vectors even where an approximate index is in use
    #[arg(long)]
    exact: bool,
}

/// Finds neighbours.
pub(super) async fn run(
    args: NeighboursArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let query = match (args.file, args.image) {
        (Some(path), _) => Query::Data(std::fs::read(&path).map_err(CliError::file("read", &path))?),
        (None, image) => Query::ImageId(client.resolve(&image.unwrap_or_default()).await?),
    };
    let request = FindNeighboursRequest {
        collection: client.collection.clone(),
        k: args.k,
        exact: args.exact,
        query: Some(query),
    };
    let answer = client.images.find_neighbours(request).await?.into_inner();
    let ids = answer.neighbours.iter().map(|neighbour| neighbour.image_id.clone()).collect();
    let names = client.names(ids).await?;
    let mut table = Table::new(&[">distance", "image", "file"]);
    let mut neighbours = Vec::new();
    for neighbour in answer.neighbours {
        let file = names.get(&neighbour.image_id).cloned().unwrap_or_default();
        neighbours
            .push(json!({"image_id": neighbour.image_id, "distance": neighbour.distance, "file": file}));
        table.row([format!("{:.4}", neighbour.distance), neighbour.image_id, words::printable(&file)]);
    }
    out.table(&table);
    out.object(&json!({"neighbours": neighbours, "index": answer.index}));
    Ok(Outcome::Done)
}
