//! `culld explain`

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::decisions::object;
use super::error::CliError;
use super::output::Output;
use super::{Outcome, words};
use crate::proto::{
    DuplicateMatch, Event, ExplainDecisionRequest, ExplainDecisionResponse, ImageMeasures, Neighbour,
};

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
        for (name, duplicate) in
            [("twin kept", &evidence.duplicate_keep), ("twin discard", &evidence.duplicate_discard)]
        {
            if let Some(DuplicateMatch { image_id, distance, hash_distance }) = duplicate {
                out.line(format!("{name:12}{image_id} at {distance:.4}, hash {hash_distance:.4}"));
            }
        }
        if let Some(cluster) = evidence.cluster_id {
            out.line(format!("cluster     {cluster} of clustering {}", evidence.clustering_id));
        }
    }
    if let Some(measures) = &answer.measures {
        out.line(format!("defects     {}", defects(answer).join(", ")));
        out.line(format!("measures    {}", measured(measures)));
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

/// The defects in words; "none" where there are none.
fn defects(answer: &ExplainDecisionResponse) -> Vec<String> {
    let words: Vec<String> = answer.defects().map(words::defect).collect();
    if words.is_empty() { vec!["none".into()] } else { words }
}

fn measured(measures: &ImageMeasures) -> String {
    let ImageMeasures { sharpness, brightness, clipped, partly_clipped, deviation, entropy } = measures;
    let sharpness = sharpness.map_or("-".into(), |sharpness| format!("{sharpness:.2}"));
    format!(
        "sharpness {sharpness}, brightness {brightness}, clipped {clipped:.2}, partly clipped {partly_clipped:.2}, \
         deviation {deviation:.1}, entropy {entropy:.1}"
    )
}

fn measures_object(measures: &ImageMeasures) -> Value {
    json!({
        "sharpness": measures.sharpness,
        "brightness": measures.brightness,
        "clipped": measures.clipped,
        "partly_clipped": measures.partly_clipped,
        "deviation": measures.deviation,
        "entropy": measures.entropy,
    })
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
    let duplicate = |d: &DuplicateMatch| json!({"image_id": d.image_id, "distance": d.distance, "hash_distance": d.hash_distance});
    let mut object = object(decision);
    object["defects"] = answer.defects().map(words::defect).collect::<Vec<_>>().into();
    object["measures"] = answer.measures.as_ref().map(measures_object).into();
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
            "duplicate_discard": evidence.duplicate_discard.as_ref().map(duplicate),
            "duplicate_keep": evidence.duplicate_keep.as_ref().map(duplicate),
        });
    }
    Ok(object)
}
