//! A reviewer who answers every cluster once: the study's own way.

use super::{Point, evaluate, needed};
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::progress;
use crate::cli::recluster::recluster;
use crate::proto::set_verdict_request::Target;
use crate::proto::{ClusterTarget, ReclusterRequest, SetVerdictRequest, Side, TrueLabel};

/// Clusters and judges; answers how good the decisions are.
pub(super) async fn judge(client: &mut Client, seed: u64, labels: Vec<TrueLabel>) -> Result<Point, CliError> {
    let request = ReclusterRequest { seed, ..ReclusterRequest::default() };
    let clustering = recluster(client, request).await?;
    let judgements = answer(client, clustering.clustering_id, &labels).await?;
    let measured = evaluate(client, labels, judgements, true).await?;
    Ok(Point { judgements, measured, estimate: None })
}

/// Answers every cluster once by the true majority of its members, ties by keep. Answers how many there were.
async fn answer(client: &mut Client, clustering_id: u64, labels: &[TrueLabel]) -> Result<u64, CliError> {
    let needed = needed(labels);
    let clusters = client.all_clusters(clustering_id).await?;
    let bar = progress::counted(clusters.len() as u64, "judging");
    for cluster in &clusters {
        let members = client.all_members(clustering_id, Some(cluster.cluster_id)).await?;
        let balance: i64 = members
            .iter()
            .filter_map(|member| needed.get(member.image_id.as_str()))
            .map(|&needed| if needed { 1 } else { -1 })
            .sum();
        let side = if balance >= 0 { Side::Keep } else { Side::Discard };
        let target = ClusterTarget { clustering_id, cluster_id: Some(cluster.cluster_id), generation: 0 };
        let request = SetVerdictRequest {
            side: side.into(),
            target: Some(Target::Cluster(target)),
            actor: "simulate".into(),
            ..SetVerdictRequest::default()
        };
        client.decisions.set_verdict(request).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(clusters.len() as u64)
}
