//! `culld explain`

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::decisions::object;
use super::error::CliError;
use super::output::Output;
use super::{Outcome, words};
use crate::proto::{Event, ExplainDecisionRequest, ExplainDecisionResponse, Neighbour};

/// Show everything that led to one decision
///
/// Example: culld explain cats/0042.jpg
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The picture: its id or a source key
    #[arg(value_name = "IMAGE")]
    image: String,
}

/// Explains a decision.
pub(super) async fn run(
    args: ExplainArgs,
    mut client: Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let image_id = client.resolve(&args.image).await?;
    let request = ExplainDecisionRequest { collection: client.collection.clone(), image_id };
    let answer = client.decisions.explain_decision(request).await?.into_inner();
    print(&answer, out);
    out.object(&answer_object(&answer)?);
    Ok(Outcome::Done)
}

fn print(answer: &ExplainDecisionResponse, out: &mut Output) {
    let Some(decision) = &answer.decision else { return };
    out.line(format!("image       {}", decision.image_id));
    for key in &decision.source_keys {
        out.line(format!("source      {}", words::printable(key)));
    }
    out.line(format!(
        "decision    {} (provisional side {}, confidence {:.2})",
        words::decision(decision.decision()),
        words::side(decision.provisional_side()),
        decision.confidence
    ));
    out.line(format!(
        "reason      {}: {}",
        words::reason(decision.reason()),
        words::printable(&decision.detail)
    ));
    let mut neighbour = |name: &str, neighbour: Option<&Neighbour>| {
        if let Some(Neighbour { image_id, distance }) = neighbour {
            out.line(format!("{name:12}{image_id} at {distance:.4}"));
        }
    };
    neighbour("medoid", answer.medoid.as_ref());
    if let Some(evidence) = &decision.evidence {
        neighbour("next keep", evidence.nearest_keep.as_ref());
        neighbour("next discard", evidence.nearest_discard.as_ref());
        if let Some(cluster) = evidence.cluster_id {
            out.line(format!("cluster     {cluster} of clustering {}", evidence.clustering_id));
        }
    }
    out.line("rules");
    for rule in &answer.rules {
        out.line(format!("  {}", words::printable(rule)));
    }
    for event in &answer.events {
        let Event { sequence, actor, summary, note, .. } = event;
        let text = format!("event {sequence} {} {actor}: {summary} {note}", words::time(event.time.as_ref()));
        out.line(words::printable(text.trim_end()));
    }
}

fn answer_object(answer: &ExplainDecisionResponse) -> Result<Value, CliError> {
    let decision = answer.decision.as_ref().ok_or(CliError::Answer("the decision"))?;
    let neighbour = |n: &Neighbour| json!({"image_id": n.image_id, "distance": n.distance});
    let event = |e: &Event| {
        json!({
            "sequence": e.sequence,
            "time": words::time(e.time.as_ref()),
            "actor": e.actor,
            "summary": e.summary,
            "note": e.note,
        })
    };
    let mut object = object(decision);
    object["medoid"] = answer.medoid.as_ref().map(neighbour).into();
    object["rules"] = answer.rules.clone().into();
    object["events"] = answer.events.iter().map(event).collect::<Vec<_>>().into();
    if let Some(evidence) = &decision.evidence {
        object["evidence"] = json!({
            "event_sequence": evidence.event_sequence,
            "label_seen": evidence.label_seen,
            "cluster_id": evidence.cluster_id,
            "clustering_id": evidence.clustering_id,
            "nearest_keep": evidence.nearest_keep.as_ref().map(neighbour),
            "nearest_discard": evidence.nearest_discard.as_ref().map(neighbour),
            "policy_version": evidence.policy_version,
        });
    }
    Ok(object)
}
