//! `culld suggest`

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::table::Table;
use super::{Outcome, words};
use crate::plot;
use crate::proto::{EpsLook, ParameterCard, SuggestParametersRequest};

/// Look at the pictures for clustering parameters, without clustering them
///
/// Shows where the k-distance curve bends, what DBSCAN would give at every radius, what OPTICS would give, what speaks
/// against each, and what `culld recluster` would choose by itself and why.
///
/// Example: culld suggest --min-points 8 --plot knee.svg
#[derive(Debug, Args)]
pub(super) struct SuggestArgs {
    /// Pictures within eps, itself included, that make a core picture [default: 5]
    #[arg(long)]
    min_points: Option<u32>,
    /// Compare all pairs, whatever the index is
    #[arg(long)]
    exact: bool,
    /// Seed of samples that are drawn
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a plot of the k-distance curve with its knee
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// Suggests.
pub(super) async fn run(
    args: SuggestArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let request = SuggestParametersRequest {
        collection: client.collection.clone(),
        min_points: args.min_points,
        exact: args.exact,
        seed: args.seed,
    };
    let answer = client.clusterings.suggest_parameters(request).await?.into_inner();
    let card = answer.card.ok_or(CliError::Answer("the parameters"))?;
    print(&card, out);
    if let Some(path) = &args.plot {
        let svg = plot::k_distances(&card.k_distances, card.knee)?;
        std::fs::write(path, svg).map_err(CliError::file("write", path))?;
        out.line(format!("plot in {}", path.display()));
    }
    out.object(&object(&card));
    Ok(Outcome::Done)
}

fn print(card: &ParameterCard, out: &mut Output) {
    let mut table = Table::new(&[">eps", "", ">clusters", ">noise", ">core", ">largest", "beware"]);
    for look in &card.looks {
        let is_knee = card.knee == Some(look.eps);
        // One for each cluster says no more than one.
        let mut flags: Vec<String> = look.red_flags().map(words::red_flag).collect();
        flags.dedup();
        table.row([
            format!("{:.4}", look.eps),
            if is_knee { "knee".into() } else { String::new() },
            look.clusters.to_string(),
            percent(look.noise_share),
            percent(look.core_share),
            percent(look.largest_share),
            flags.join(", "),
        ]);
    }
    out.line(format!("DBSCAN with core pictures of {}, {} pictures:", card.min_points, card.images));
    out.table(&table);
    if let Some(optics) = &card.optics {
        out.line(format!(
            "OPTICS: {} clusters and {} noise by xi {}, {} and {} by a cut at the knee",
            optics.xi_clusters,
            percent(optics.xi_noise_share),
            optics.xi,
            optics.cut_clusters,
            percent(optics.cut_noise_share)
        ));
    }
    out.line(format!("culld would choose {}:", words::parameters(card.choice.as_ref())));
    for sentence in &card.explanation {
        out.line(format!("  {}", words::printable(sentence)));
    }
    let how = if card.approximate { "approximate" } else { "exact" };
    out.line(format!("neighbours {how}, recall {:.4}", card.neighbour_recall));
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn object(card: &ParameterCard) -> Value {
    let look = |look: &EpsLook| {
        json!({
            "eps": look.eps,
            "clusters": look.clusters,
            "noise_share": look.noise_share,
            "core_share": look.core_share,
            "largest_share": look.largest_share,
            "red_flags": look.red_flags().map(words::red_flag).collect::<Vec<_>>(),
        })
    };
    let optics = card.optics.map(|look| {
        json!({
            "xi": look.xi,
            "xi_clusters": look.xi_clusters,
            "xi_noise_share": look.xi_noise_share,
            "cut_clusters": look.cut_clusters,
            "cut_noise_share": look.cut_noise_share,
        })
    });
    json!({
        "images": card.images,
        "generation": card.generation,
        "min_points": card.min_points,
        "knee": card.knee,
        "looks": card.looks.iter().map(look).collect::<Vec<_>>(),
        "optics": optics,
        "clustering_tendency": card.clustering_tendency,
        "choice": words::parameters(card.choice.as_ref()),
        "explanation": card.explanation,
        "neighbour_recall": card.neighbour_recall,
        "approximate": card.approximate,
    })
}
