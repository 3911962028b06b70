//! `culld stats`

use clap::Args;
use serde_json::Value;

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
pub(super) struct StatsArgs {}

/// Shows the figures of a collection.
pub(super) async fn run(mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let server = client.admin.get_server_info(GetServerInfoRequest {}).await?.into_inner();
    let request = GetStatsRequest { collection: client.collection.clone() };
    let stats = client.admin.get_stats(request).await?.into_inner();
    let space = server.embedding_space.unwrap_or_default();
    let figures: [(&str, Value); 29] = [
        ("version", server.version.into()),
        ("images", stats.images.into()),
        ("sources", stats.sources.into()),
        ("generation", stats.generation.into()),
        ("labelled_keep", stats.labelled_keep.into()),
        ("labelled_discard", stats.labelled_discard.into()),
        ("decided_keep", stats.decided_keep.into()),
        ("decided_discard", stats.decided_discard.into()),
        ("in_review", stats.in_review.into()),
        ("judgements", stats.judgements.into()),
        ("bulk_verdicts", stats.bulk_verdicts.into()),
        ("events", stats.events.into()),
        ("clusterings", stats.clusterings.into()),
        ("active_clustering_id", stats.active_clustering_id.into()),
        ("clustering_generation", stats.clustering_generation.into()),
        ("clusters", stats.clusters.into()),
        ("noise", stats.noise.into()),
        ("live_generation", stats.live_generation.into()),
        ("live_clusters", stats.live_clusters.into()),
        ("live_noise", stats.live_noise.into()),
        ("index", stats.index.into()),
        ("vector_bytes", stats.vector_bytes.into()),
        ("disk_bytes", stats.disk_bytes.into()),
        ("queued_images", stats.queued_images.into()),
        ("inflight_bytes", stats.inflight_bytes.into()),
        ("review_ready", stats.review_ready.into()),
        ("embedding_space", space.id.into()),
        ("dimension", space.dimension.into()),
        ("workers", server.workers.into()),
    ];
    let mut table = Table::new(&["figure", ">value"]);
    for (name, value) in &figures {
        let text = match (name.ends_with("_bytes"), value.as_u64()) {
            (true, Some(bytes)) => words::bytes(bytes),
            _ => value.as_str().map_or_else(|| value.to_string(), ToString::to_string),
        };
        table.row([name.replace('_', " "), text]);
    }
    out.table(&table);
    out.object(&figures.into_iter().map(|(name, value)| (name.to_string(), value)).collect());
    Ok(Outcome::Done)
}
