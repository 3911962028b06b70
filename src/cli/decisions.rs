//! `culld decisions`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::filter::FilterArgs;
use super::output::Output;
use super::{Outcome, changes, words};
use crate::proto::{Decision, DecisionKind, DecisionView, FetchDecisionsRequest, ImageFilter};

/// Show the decision for every picture, or follow what changes
///
/// With --watch a line for each change, until stopped, and the token to go on with; with --since what changed since such
/// a token. Tokens last 7 days, and through restarts of the daemon. With --json each change of --watch is an object on a
/// line of its own, and so is each token.
///
/// Example: culld decisions --decision keep --csv keep.csv
#[derive(Debug, Args)]
pub(super) struct DecisionsArgs {
    /// Write all fields to this file, a line per source, instead of showing them
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Show changes as they happen
    #[arg(long, conflicts_with = "csv")]
    watch: bool,
    /// Show only what changed since this token, which --watch, --since or --json has shown
    #[arg(long, value_name = "TOKEN", conflicts_with = "csv")]
    since: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
}

/// How many images got which decision.
#[derive(Debug, Default)]
pub(super) struct Counts {
    keep: u64,
    discard: u64,
    review: u64,
}

impl Counts {
    fn add(&mut self, decision: &Decision) {
        match decision.decision() {
            DecisionKind::Keep => self.keep += 1,
            DecisionKind::Discard => self.discard += 1,
            DecisionKind::Review | DecisionKind::Unspecified => self.review += 1,
        }
    }

    /// All images counted.
    pub(super) fn all(&self) -> u64 {
        self.keep + self.discard + self.review
    }

    fn json(&self) -> Value {
        json!({"keep": self.keep, "discard": self.discard, "review": self.review, "images": self.all()})
    }

    fn print(&self, out: &mut Output) {
        let Self { keep, discard, review } = self;
        out.line(format!("{} images: {keep} keep, {discard} discard, {review} review", self.all()));
    }
}

/// Shows or writes decisions.
pub(super) async fn run(
    args: DecisionsArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let filter = args.filter.resolve(&mut client).await?;
    match (args.watch, args.since) {
        (true, since) => {
            return changes::watch(since.unwrap_or_default(), filter, &mut client, out).await;
        }
        (false, Some(since)) => return changes::since(since, filter, &mut client, out).await,
        (false, None) => {}
    }
    if let Some(path) = &args.csv {
        let counts = write_csv(&mut client, filter, path).await?;
        counts.print(out);
        out.object(&counts.json());
        return Ok(Outcome::Done);
    }
    let mut counts = Counts::default();
    out.begin_list("decisions");
    let mut token = String::new();
    let mut answers = fetch(&mut client, filter).await?;
    while let Some(answer) = answers.message().await?
        && !out.is_closed()
    {
        token = answer.token;
        for decision in answer.decisions {
            counts.add(&decision);
            print(&decision, out);
            if out.is_json() {
                out.element(&object(&decision));
            }
        }
    }
    out.end_list(&[("counts", counts.json()), ("token", Value::from(token))]);
    counts.print(out);
    Ok(Outcome::Done)
}

async fn fetch(
    client: &mut Client,
    filter: ImageFilter,
) -> Result<tonic::Streaming<crate::proto::FetchDecisionsResponse>, CliError> {
    let request = FetchDecisionsRequest {
        collection: client.collection.clone(),
        filter: Some(filter),
        view: DecisionView::Full.into(),
        since: String::new(),
    };
    Ok(client.decisions.fetch_decisions(request).await?.into_inner())
}

/// Shows a decision on a line.
pub(super) fn print(decision: &Decision, out: &mut Output) {
    let name = decision.source_keys.first().map_or("", String::as_str);
    out.line(format!(
        "{:8}{:8}{:<6.2}{:20}{}  {}",
        words::decision(decision.decision()),
        words::side(decision.provisional_side()),
        decision.confidence,
        words::reason(decision.reason()),
        decision.image_id,
        words::printable(name)
    ));
}

/// A decision for machines.
pub(super) fn object(decision: &Decision) -> Value {
    json!({
        "image_id": decision.image_id,
        "decision": words::decision(decision.decision()),
        "provisional_side": words::side(decision.provisional_side()),
        "confidence": decision.confidence,
        "reason": words::reason(decision.reason()),
        "detail": decision.detail,
        "source_keys": decision.source_keys,
        "revision": decision.revision,
    })
}

/// Writes the decisions of all images that match, a line per source.
pub(super) async fn write_csv(
    client: &mut Client,
    filter: ImageFilter,
    path: &Path,
) -> Result<Counts, CliError> {
    let mut csv = csv::Writer::from_path(path).map_err(CliError::csv(path))?;
    let header = ["image_id", "file", "decision", "provisional_side", "confidence", "reason", "detail"];
    csv.write_record(header).map_err(CliError::csv(path))?;
    let mut counts = Counts::default();
    let mut answers = fetch(client, filter).await?;
    while let Some(answer) = answers.message().await? {
        for decision in answer.decisions {
            counts.add(&decision);
            write_rows(&mut csv, &decision).map_err(CliError::csv(path))?;
        }
    }
    csv.flush().map_err(CliError::file("write", path))?;
    Ok(counts)
}

fn write_rows(csv: &mut csv::Writer<impl Write>, decision: &Decision) -> Result<(), csv::Error> {
    let nameless = [String::new()];
    let keys = if decision.source_keys.is_empty() { &nameless[..] } else { &decision.source_keys };
    for key in keys {
        csv.write_record([
            decision.image_id.as_str(),
            key,
            &words::decision(decision.decision()),
            &words::side(decision.provisional_side()),
            &format!("{:.4}", decision.confidence),
            &words::reason(decision.reason()),
            &decision.detail,
        ])?;
    }
    Ok(())
}
