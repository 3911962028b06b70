//! `culld decisions --watch` and `--since`: changes of decisions, a line each.

use serde_json::{Value, json};

use super::client::Client;
use super::decisions::{object, print};
use super::error::CliError;
use super::output::Output;
use super::{Outcome, temporary, words};
use crate::proto::{
    Decision, DecisionView, FetchDecisionsRequest, ImageFilter, Removal, WatchDecisionsRequest,
};

/// Shows what changed since a token, and the token to go on with.
pub(super) async fn since(
    since: String,
    filter: ImageFilter,
    client: &mut Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let request = FetchDecisionsRequest {
        collection: client.collection.clone(),
        filter: Some(filter),
        view: DecisionView::Full.into(),
        since,
    };
    let mut answers = client.decisions.fetch_decisions(request).await?.into_inner();
    let mut token = String::new();
    out.begin_list("changes");
    while let Some(answer) = answers.message().await?
        && !out.is_closed()
    {
        for change in in_order(&answer.decisions, &answer.removals) {
            change.line(out);
            out.element(&change.object());
        }
        token = answer.token;
    }
    out.line(format!("token {token}"));
    out.end_list(&[("token", Value::from(token))]);
    Ok(Outcome::Done)
}

/// Shows changes as they happen, until the process is told to stop or nobody reads them any more.
pub(super) async fn watch(
    since: String,
    filter: ImageFilter,
    client: &mut Client,
    out: &mut Output,
) -> Result<Outcome, CliError> {
    let request = WatchDecisionsRequest {
        collection: client.collection.clone(),
        filter: Some(filter),
        view: DecisionView::Full.into(),
        since,
    };
    let mut answers = client.decisions.watch_decisions(request).await?.into_inner();
    let stop = temporary::stop_signal();
    tokio::pin!(stop);
    let mut token = String::new();
    let end = loop {
        let answer = tokio::select! {
            answer = answers.message() => answer,
            stopped = &mut stop => break stopped.map_err(CliError::Runtime),
        };
        let answer = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => break Ok(()),
            Err(status) => break Err(status.into()),
        };
        token = answer.token;
        for change in in_order(&answer.decisions, &answer.removals) {
            change.line(out);
            out.object(&change.object());
        }
        out.object(&json!({"token": token}));
        // Written now: whoever reads waits for it, and one who left is noticed.
        out.flush();
        if out.is_closed() {
            break Ok(());
        }
    };
    out.line(format!("token {token}"));
    out.flush();
    end.map(|()| Outcome::Done)
}

/// One change.
enum Change<'a> {
    Decided(&'a Decision),
    Removed(&'a Removal),
}

impl Change<'_> {
    fn line(&self, out: &mut Output) {
        match self {
            Self::Decided(decision) => print(decision, out),
            Self::Removed(removal) => {
                out.line(format!("{:42}{}", words::removal(removal.reason()), removal.image_id));
            }
        }
    }

    fn object(&self) -> Value {
        match self {
            Self::Decided(decision) => object(decision),
            Self::Removed(removal) => removed(removal),
        }
    }
}

/// Changes in the order in which they came about, so that who applies one after the other ends with what is.
fn in_order<'a>(decisions: &'a [Decision], removals: &'a [Removal]) -> Vec<Change<'a>> {
    let decided = decisions.iter().map(|decision| (decision.revision, Change::Decided(decision)));
    let removed = removals.iter().map(|removal| (removal.revision, Change::Removed(removal)));
    let mut changes: Vec<(u64, Change)> = removed.chain(decided).collect();
    changes.sort_by_key(|(revision, _)| *revision);
    changes.into_iter().map(|(_, change)| change).collect()
}

/// A removal for machines.
fn removed(removal: &Removal) -> Value {
    json!({
        "image_id": removal.image_id,
        "removed": words::removal(removal.reason()),
        "revision": removal.revision,
    })
}
