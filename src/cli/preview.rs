//! What a verdict would change, as the commands that give one show it with `--preview`.

use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::words;
use crate::proto::preview_verdict_request::What;
use crate::proto::{PreviewVerdictRequest, PreviewVerdictResponse};

/// Asks the daemon.
pub(super) async fn ask(client: &mut Client, what: What) -> Result<PreviewVerdictResponse, CliError> {
    let request = PreviewVerdictRequest { collection: client.collection.clone(), what: Some(what) };
    Ok(client.decisions.preview_verdict(request).await?.into_inner())
}

/// Prints it for people.
pub(super) fn print(name: &str, preview: &PreviewVerdictResponse, out: &mut Output) {
    out.line(format!(
        "{name} would change {} decisions ({}) and leave {} in doubt: {} keep, {} discard, {} review",
        preview.changed,
        words::bytes(preview.changed_bytes),
        preview.doubtful,
        preview.keep,
        preview.discard,
        preview.review
    ));
    for change in &preview.changes {
        out.line(format!(
            "  {}  {} ({}) to {} ({})",
            change.image_id,
            words::decision(change.before()),
            words::side(change.side_before()),
            words::decision(change.after()),
            words::side(change.side_after())
        ));
    }
}

/// For machines.
pub(super) fn object(preview: &PreviewVerdictResponse) -> Value {
    let changes = preview.changes.iter().map(|change| {
        json!({
            "image_id": change.image_id,
            "before": words::decision(change.before()),
            "after": words::decision(change.after()),
            "side_before": words::side(change.side_before()),
            "side_after": words::side(change.side_after()),
        })
    });
    json!({
        "changed": preview.changed,
        "changed_bytes": preview.changed_bytes,
        "changes": changes.collect::<Vec<_>>(),
        "doubtful": preview.doubtful,
        "doubtful_image_ids": preview.doubtful_image_ids,
        "keep": preview.keep,
        "discard": preview.discard,
        "review": preview.review,
    })
}
