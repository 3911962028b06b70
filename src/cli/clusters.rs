//! `culld clusters` and `culld cluster`

mod live;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::sheets::{write_sheet, write_sheets};
use super::table::Table;
use super::{Outcome, words};
use crate::proto::{Cluster, GetClusterRequest};

/// File names shown per cluster.
const NAMES_SHOWN: usize = 3;
/// Characters of a file name shown.
const NAME_CHARACTERS_MAX: usize = 28;

/// List the clusters, largest first
///
/// Example: culld clusters --sheets ./sheets
#[derive(Debug, Args)]
pub(super) struct ClustersArgs {
    /// Of this clustering; 0 means the active one
    #[arg(long, default_value_t = 0, value_name = "ID")]
    clustering: u64,
    /// As adds and deletes since have left them; only an active clustering by DBSCAN is followed so
    #[arg(long, conflicts_with_all = ["clustering", "sheets"])]
    live: bool,
    /// Write a contact sheet per cluster into this folder
    #[arg(long, value_name = "DIR")]
    sheets: Option<PathBuf>,
}

/// Show one cluster
///
/// Example: culld cluster 7 --members --sheet seven.png
#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    /// Its id
    #[arg(value_name = "ID")]
    cluster: u64,
    /// In this clustering; 0 means the active one
    #[arg(long, default_value_t = 0, value_name = "ID")]
    clustering: u64,
    /// Write its contact sheet
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    /// List its members, nearest to the medoid first
    #[arg(long)]
    members: bool,
}

/// Lists clusters.
pub(super) async fn run_all(
    args: ClustersArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    if args.live {
        return live::run(client, out).await;
    }
    let clustering = client.clustering(args.clustering).await?;
    let clusters = client.all_clusters(clustering.clustering_id).await?;
    print_clusters(&mut client, &clusters, clustering.images, out).await?;
    out.line(format!(
        "noise: {} images ({})",
        clustering.noise,
        words::percent(clustering.noise, clustering.images)
    ));
    let mut object = json!({
        "clustering_id": clustering.clustering_id,
        "noise": clustering.noise,
        "clusters": clusters.iter().map(object).collect::<Vec<_>>(),
    });
    if let Some(folder) = &args.sheets {
        let written = write_sheets(&mut client, clustering.clustering_id, &clusters, folder).await?;
        out.line(format!("{written} contact sheets in {}", folder.display()));
        object["contact_sheets"] = written.into();
    }
    out.object(&object);
    Ok(Outcome::Done)
}

/// Shows one cluster.
pub(super) async fn run_one(
    args: ClusterArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let request = GetClusterRequest {
        collection: client.collection.clone(),
        clustering_id: args.clustering,
        cluster_id: args.cluster,
    };
    let answer = client.clusterings.get_cluster(request).await?.into_inner();
    let cluster = answer.cluster.ok_or(CliError::Answer("the cluster"))?;
    let images = client.clustering(cluster.clustering_id).await?.images;
    print_clusters(&mut client, std::slice::from_ref(&cluster), images, out).await?;
    out.line(format!("medoid: {}", cluster.medoid_image_id));
    for parent in &cluster.parents {
        out.line(format!("{} of its images were in cluster {}", parent.images, parent.cluster_id));
    }
    let mut object = object(&cluster);
    if args.sheet.is_some() || args.members {
        let members = client.all_members(cluster.clustering_id, Some(cluster.cluster_id)).await?;
        if let Some(path) = &args.sheet
            && write_sheet(&mut client, &members, path).await?
        {
            out.line(format!("contact sheet in {}", path.display()));
        }
        if args.members {
            let names = client.names(members.iter().map(|member| member.image_id.clone()).collect()).await?;
            let name = |id: &String| names.get(id).cloned().unwrap_or_default();
            let mut table = Table::new(&[">distance", "image", "file"]);
            for member in &members {
                let file = words::printable(&name(&member.image_id));
                table.row([format!("{:.4}", member.distance), member.image_id.clone(), file]);
            }
            out.table(&table);
            let member_object = |m: &crate::proto::Member| json!({"image_id": m.image_id, "distance": m.distance, "file": name(&m.image_id)});
            object["members"] = members.iter().map(member_object).collect::<Vec<_>>().into();
        }
    }
    out.object(&object);
    Ok(Outcome::Done)
}

/// A table of clusters with a few file names each.
pub(super) async fn print_clusters(
    client: &mut Client,
    clusters: &[Cluster],
    images: u64,
    out: &mut Output,
) -> Result<(), CliError> {
    if out.is_json() {
        return Ok(());
    }
    let sample =
        |cluster: &Cluster| cluster.sample_image_ids.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>();
    let names = client.names(clusters.iter().flat_map(sample).collect()).await?;
    let mut table = Table::new(&[">cluster", ">size", ">share", ">radius", "judged", "such as"]);
    for cluster in clusters {
        let shown: Vec<String> = sample(cluster)
            .iter()
            .filter_map(|id| names.get(id))
            .filter_map(|key| key.rsplit('/').next())
            .map(|name| words::shortened(&words::printable(name), NAME_CHARACTERS_MAX))
            .collect();
        table.row([
            cluster.cluster_id.to_string(),
            cluster.size.to_string(),
            words::percent(cluster.size, images),
            format!("{:.3}", cluster.radius),
            judged(cluster),
            shown.join(", "),
        ]);
    }
    out.table(&table);
    Ok(())
}

fn judged(cluster: &Cluster) -> String {
    match (cluster.labelled_keep, cluster.labelled_discard) {
        (0, 0) => String::new(),
        (keep, 0) => format!("keep {keep}"),
        (0, discard) => format!("discard {discard}"),
        (keep, discard) => format!("keep {keep}, discard {discard}"),
    }
}

/// A cluster for machines.
fn object(cluster: &Cluster) -> Value {
    let parent = |p: &crate::proto::ClusterParent| json!({"cluster_id": p.cluster_id, "images": p.images});
    json!({
        "cluster_id": cluster.cluster_id,
        "clustering_id": cluster.clustering_id,
        "size": cluster.size,
        "radius": cluster.radius,
        "medoid_image_id": cluster.medoid_image_id,
        "sample_image_ids": cluster.sample_image_ids,
        "parents": cluster.parents.iter().map(parent).collect::<Vec<_>>(),
        "labelled_keep": cluster.labelled_keep,
        "labelled_discard": cluster.labelled_discard,
    })
}
