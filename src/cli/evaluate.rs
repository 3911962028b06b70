//! `culld evaluate`

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Outcome;
use super::client::Client;
use super::error::CliError;
use super::labels::Labels;
use super::output::Output;
use super::table::Table;
use super::words::number;
use crate::proto::{EvaluateRequest, EvaluateResponse};

/// Measure the decisions against true labels
///
/// The labels file is CSV with the columns `file` and `class`; `file` is a source key, or a file name where that is
/// unique. Images in review count by their provisional side.
///
/// Example: culld evaluate --labels labels.csv --keep cat,dog
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(super) struct EvaluateArgs {
    /// CSV file with the columns `file` and `class`
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Classes that are needed
    #[arg(long, value_delimiter = ',', required = true, value_name = "CLASS,…")]
    keep: Vec<String>,
    /// Human looks to charge for [default: the verdicts in force]
    #[arg(long, value_name = "N")]
    judgements: Option<u64>,
    /// Seconds a judgement takes [default: 10]
    #[arg(long, value_name = "S")]
    seconds_per_judgement: Option<f64>,
    /// PLN per hour of the person who judges [default: 90]
    #[arg(long, value_name = "PLN")]
    rate_per_hour: Option<f64>,
    /// PLN per 100 images sorted by hand [default: 20]
    #[arg(long, value_name = "PLN")]
    by_hand_per_100: Option<f64>,
    /// PLN for one session with the tool, in the table of savings [default: 15]
    #[arg(long, value_name = "PLN")]
    session_cost: Option<f64>,
    /// Count noise of the active clustering as not kept
    #[arg(long)]
    noise_as_discard: bool,
}

/// Evaluates.
pub(super) async fn run(
    args: EvaluateArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let labels = Labels::read(&args.labels, &args.keep)?.resolve(&client).await?;
    let request = EvaluateRequest {
        collection: client.collection.clone(),
        labels,
        judgements: args.judgements,
        seconds_per_judgement: args.seconds_per_judgement,
        rate_per_hour: args.rate_per_hour,
        by_hand_per_100: args.by_hand_per_100,
        session_cost: args.session_cost,
        noise_as_discard: args.noise_as_discard,
    };
    let answer = client.decisions.evaluate(request).await?.into_inner();
    print(&answer, out);
    out.object(&object(&answer));
    Ok(Outcome::Done)
}

fn print(answer: &EvaluateResponse, out: &mut Output) {
    let mut table = Table::new(&["", ">kept", ">not kept"]);
    table.row(["needed".into(), answer.true_positive.to_string(), answer.false_negative.to_string()]);
    table.row(["not needed".into(), answer.false_positive.to_string(), answer.true_negative.to_string()]);
    out.table(&table);
    out.line(format!("precision       {:.4}", answer.precision));
    out.line(format!("recall          {:.4}", answer.recall));
    out.line(format!(
        "Quality Metric  {:.4}, 95 % of resamples in [{:.4}, {:.4}]",
        answer.quality_metric, answer.interval_low, answer.interval_high
    ));
    out.line(format!("decided         {:.1} % without review", answer.decided_share * 100.0));
    let Cost { judgements, seconds, pln } = Cost::of(answer);
    out.line(format!("cost            {judgements} judgements, {seconds:.0} s, {pln:.2} PLN"));
    for saving in &answer.savings {
        out.line(format!(
            "saving          {:.0} PLN for {} images, by the study's rates",
            saving.saving, saving.images
        ));
    }
    if answer.unknown > 0 {
        out.line(format!("{} labels name no stored image, or several", answer.unknown));
    }
}

struct Cost {
    judgements: u64,
    seconds: f64,
    pln: f64,
}

impl Cost {
    fn of(answer: &EvaluateResponse) -> Self {
        Self { judgements: answer.judgements, seconds: answer.seconds, pln: answer.cost }
    }
}

fn object(answer: &EvaluateResponse) -> Value {
    let Cost { judgements, seconds, pln } = Cost::of(answer);
    json!({
        "true_positive": answer.true_positive,
        "false_positive": answer.false_positive,
        "false_negative": answer.false_negative,
        "true_negative": answer.true_negative,
        "precision": answer.precision,
        "recall": answer.recall,
        "quality_metric": answer.quality_metric,
        "interval": [answer.interval_low, answer.interval_high],
        "savings": answer.savings.iter().map(|saving| number(saving.saving)).collect::<Vec<_>>(),
        "cost": {"judgements": judgements, "seconds": number(seconds), "pln": number(pln)},
        "decided_share": answer.decided_share,
        "unknown": answer.unknown,
    })
}
