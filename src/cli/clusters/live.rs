//! `culld clusters --live`

use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::cli::table::Table;
use crate::cli::{Outcome, words};
use crate::proto::{
    LineageChange, LineageEvent, ListLiveClustersRequest, ListLiveClustersResponse, LiveCluster,
};

/// Entries of a page: the most that the daemon gives.
const PAGE_SIZE: u32 = 1000;
/// Changes shown to a person, the last ones.
const EVENTS_SHOWN: usize = 20;

/// Lists the clusters of now, and what happened to them.
pub(super) async fn run(mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let mut answer = page(&mut client, String::new()).await?;
    let mut token = std::mem::take(&mut answer.next_page_token);
    while !token.is_empty() {
        let next = page(&mut client, token).await?;
        answer.clusters.extend(next.clusters);
        token = next.next_page_token;
    }
    let images = answer.noise + answer.clusters.iter().map(|cluster| cluster.size).sum::<u64>();
    let mut table = Table::new(&[">cluster", ">size", ">share"]);
    for LiveCluster { cluster_id, size } in &answer.clusters {
        table.row([cluster_id.to_string(), size.to_string(), words::percent(*size, images)]);
    }
    out.table(&table);
    out.line(format!(
        "clustering {} at generation {}: {} clusters of {images} images, {} noise ({})",
        answer.clustering_id,
        answer.generation,
        answer.clusters.len(),
        answer.noise,
        words::percent(answer.noise, images)
    ));
    let first = answer.lineage.len().saturating_sub(EVENTS_SHOWN);
    for event in &answer.lineage[first..] {
        out.line(format!("{}  {}", words::time(event.time.as_ref()), sentence(event)));
    }
    out.object(&json!({
        "clustering_id": answer.clustering_id,
        "generation": answer.generation,
        "noise": answer.noise,
        "clusters": answer.clusters.iter().map(|c| json!({"cluster_id": c.cluster_id, "size": c.size})).collect::<Vec<_>>(),
        "lineage": answer.lineage.iter().map(object).collect::<Vec<_>>(),
    }));
    Ok(Outcome::Done)
}

async fn page(client: &mut Client, page_token: String) -> Result<ListLiveClustersResponse, CliError> {
    let request =
        ListLiveClustersRequest { collection: client.collection.clone(), page_size: PAGE_SIZE, page_token };
    Ok(client.clusterings.list_live_clusters(request).await?.into_inner())
}

fn sentence(event: &LineageEvent) -> String {
    let (cluster, other) = (event.cluster_id, event.other_cluster_id.unwrap_or_default());
    match event.change() {
        LineageChange::Appeared | LineageChange::Unspecified => format!("cluster {cluster} appeared"),
        LineageChange::Vanished => format!("cluster {cluster} vanished"),
        LineageChange::Merged => format!("cluster {cluster} went into cluster {other}"),
        LineageChange::Split => format!("cluster {cluster} came off cluster {other}"),
    }
}

fn object(event: &LineageEvent) -> Value {
    json!({
        "generation": event.generation,
        "time": words::time(event.time.as_ref()),
        "cluster_id": event.cluster_id,
        "change": words::lineage_change(event.change()),
        "other_cluster_id": event.other_cluster_id,
    })
}
