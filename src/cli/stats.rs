//! `culld stats`

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::table::Table;
use super::{Outcome, words};
use crate::proto::{GetServerInfoRequest, GetStatsRequest};

/// Show what the store holds and how far the judging is
///
/// Example: culld stats --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct StatsArgs {}

/// Shows the figures of a collection.
pub(super) async fn run(mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let server = client
        .admin
        .get_server_info(GetServerInfoRequest {})
        .await?
        .into_inner();
    let request = GetStatsRequest {
        collection: client.collection.clone(),
    };
    let stats = client.admin.get_stats(request).await?.into_inner();
    let space = server.embedding_space.unwrap_or_default();
    let object = json!({
        "version": server.version,
        "images": stats.images,
        "sources": stats.sources,
        "generation": stats.generation,
        "labelled_keep": stats.labelled_keep,
        "labelled_discard": stats.labelled_discard,
        "decided_keep": stats.decided_keep,
        "decided_discard": stats.decided_discard,
        "in_review": stats.in_review,
        "judgements": stats.judgements,
        "bulk_verdicts": stats.bulk_verdicts,
        "events": stats.events,
        "clusterings": stats.clusterings,
        "active_clustering_id": stats.active_clustering_id,
        "clustering_generation": stats.clustering_generation,
        "clusters": stats.clusters,
        "noise": stats.noise,
        "index": stats.index,
        "vector_bytes": stats.vector_bytes,
        "disk_bytes": stats.disk_bytes,
        "queued_images": stats.queued_images,
        "inflight_bytes": stats.inflight_bytes,
        "embedding_space": space.id,
        "dimension": space.dimension,
        "workers": server.workers,
    });
    let mut table = Table::new(&["figure", ">value"]);
    for (name, value) in object.as_object().into_iter().flatten() {
        let text = match (name.ends_with("_bytes"), value.as_u64()) {
            (true, Some(bytes)) => words::bytes(bytes),
            _ => value
                .as_str()
                .map_or_else(|| value.to_string(), ToString::to_string),
        };
        table.row([name.replace('_', " "), text]);
    }
    out.table(&table);
    out.object(&object);
    Ok(Outcome::Done)
}
