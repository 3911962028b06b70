//! `culld clusterings`, and the parameter card of a clustering.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::table::Table;
use super::{Outcome, words};
use crate::proto::{ActivateClusteringRequest, Clustering};

/// List the clusterings that are kept, look at one, or make one the active one
///
/// Example: culld clusterings activate 3
#[derive(Debug, Args)]
pub(super) struct ClusteringsArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show all, newest first (the default)
    List,
    /// Show one: its parameters, why they were chosen, and what to beware of
    Show {
        /// Its id; 0 means the active one
        #[arg(default_value_t = 0)]
        id: u64,
    },
    /// Make another the active one; labels stay as they are
    Activate {
        /// Its id
        id: u64,
    },
}

/// Minds clusterings.
pub(super) async fn run(
    args: ClusteringsArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    match args.action.unwrap_or(Action::List) {
        Action::List => {
            let clusterings = client.all_clusterings().await?;
            print_all(&clusterings, out);
            out.object(&json!({"clusterings": clusterings.iter().map(object).collect::<Vec<_>>()}));
        }
        Action::Show { id } => {
            let clustering = client.clustering(id).await?;
            print_card(&clustering, out);
            out.object(&object(&clustering));
        }
        Action::Activate { id } => {
            let request = ActivateClusteringRequest {
                collection: client.collection.clone(),
                clustering_id: id,
                request_id: String::new(),
                actor: client.actor.clone(),
            };
            let answer = client.clusterings.activate_clustering(request).await?.into_inner();
            let clustering = answer.clustering.ok_or(CliError::Answer("the clustering"))?;
            out.line(format!("clustering {} is active", clustering.clustering_id));
            out.object(&object(&clustering));
        }
    }
    Ok(Outcome::Done)
}

fn print_all(clusterings: &[Clustering], out: &mut Output) {
    let mut table =
        Table::new(&[">id", "active", "parameters", ">seed", ">images", ">clusters", ">noise", "made"]);
    for clustering in clusterings {
        table.row([
            clustering.clustering_id.to_string(),
            if clustering.active { "active".into() } else { String::new() },
            words::parameters(clustering.parameters.as_ref()),
            clustering.seed.to_string(),
            clustering.images.to_string(),
            clustering.clusters.to_string(),
            words::percent(clustering.noise, clustering.images),
            words::time(clustering.create_time.as_ref()),
        ]);
    }
    out.table(&table);
}

/// Shows what was found, why these parameters, and what to beware of.
pub(super) fn print_card(clustering: &Clustering, out: &mut Output) {
    out.line(format!(
        "clustering {}{}: {} clusters of {} images, {} noise ({}), {:.2} s",
        clustering.clustering_id,
        if clustering.active { " (active)" } else { "" },
        clustering.clusters,
        clustering.images,
        clustering.noise,
        words::percent(clustering.noise, clustering.images),
        clustering.seconds
    ));
    out.line(format!("  {} seed={}", words::parameters(clustering.parameters.as_ref()), clustering.seed));
    for sentence in &clustering.explanation {
        out.line(format!("  {}", words::printable(sentence)));
    }
    if let Some(recall) = clustering.neighbour_recall {
        let how = if clustering.approximate { "approximate" } else { "exact" };
        out.line(format!("  neighbours {how}, recall {recall:.4}"));
    }
    for flag in clustering.red_flags() {
        out.line(format!("  ! {}: {}", words::red_flag(flag), words::red_flag_advice(flag)));
    }
}

/// A clustering for machines.
pub(super) fn object(clustering: &Clustering) -> Value {
    json!({
        "clustering_id": clustering.clustering_id,
        "algorithm": clustering.algorithm,
        "parameters": words::parameters(clustering.parameters.as_ref()),
        "seed": clustering.seed,
        "generation": clustering.generation,
        "active": clustering.active,
        "images": clustering.images,
        "clusters": clustering.clusters,
        "noise": clustering.noise,
        "noise_share": words::share(clustering.noise, clustering.images),
        "red_flags": clustering.red_flags().map(words::red_flag).collect::<Vec<_>>(),
        "explanation": clustering.explanation,
        "neighbour_recall": clustering.neighbour_recall,
        "approximate": clustering.approximate,
        "index": clustering.index,
        "knee": clustering.knee,
        "seconds": clustering.seconds,
        "create_time": words::time(clustering.create_time.as_ref()),
    })
}
