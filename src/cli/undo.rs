//! `culld undo`

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::{Outcome, preview};
use crate::proto::UndoEventRequest;
use crate::proto::preview_verdict_request::What;

/// Take back a verdict, an answer or an undo, whatever came after it
///
/// Everything is then as if it had never been given; undo the undo to have it back.
///
/// Example: culld undo 17
#[derive(Debug, Args)]
pub(super) struct UndoArgs {
    /// The event's place in the log
    #[arg(value_name = "EVENT")]
    event: u64,
    /// Only say what would change
    #[arg(long)]
    preview: bool,
    /// Your words, for the log; at most 1,000 characters
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
}

/// Takes back.
pub(super) async fn run(args: UndoArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    if args.preview {
        let previewed = preview::ask(&mut client, What::UndoEventSequence(args.event)).await?;
        preview::print(&format!("undo of event {}", args.event), &previewed, out);
        out.object(&preview::object(&previewed));
        return Ok(Outcome::Done);
    }
    let request = UndoEventRequest {
        collection: client.collection.clone(),
        event_sequence: args.event,
        note: args.note,
        actor: client.actor.clone(),
        request_id: String::new(),
    };
    let undone = client.decisions.undo_event(request).await?.into_inner();
    out.line(format!(
        "event {} undone: {} decisions changed (event {})",
        args.event, undone.changed, undone.event_sequence
    ));
    out.object(&json!({"event_sequence": undone.event_sequence, "changed": undone.changed}));
    Ok(Outcome::Done)
}
