//! Follows decisions as they change, through restarts of the daemon, and from the start where a token is of no use.

use std::ops::ControlFlow;
use std::time::Duration;

use tonic::{Code, Status};

use super::Connection;
use crate::proto::{
    Decision, DecisionView, FetchDecisionsRequest, ImageFilter, Removal, WatchDecisionsRequest,
};

/// Time without a word after which the connection counts as lost; the daemon says something every 30 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// Something that a watch tells.
#[derive(Debug, Clone)]
pub enum Change {
    /// An image was added, or its decision is another now.
    Decision(Box<Decision>),
    /// An image is not among those that are watched any more.
    Removed(Removal),
    /// Forget all that was told; every image is told anew after this.
    Resync,
}

/// What to watch.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// The collection; empty means "default".
    pub collection: String,
    /// Of which images; see `WatchDecisionsRequest`.
    pub filter: Option<ImageFilter>,
    /// How much to say.
    pub view: DecisionView,
}

/// All decisions of the moment, and the token to watch from.
///
/// # Errors
/// What the daemon says.
pub async fn snapshot(
    connection: &Connection,
    watched: &Watched,
) -> Result<(Vec<Decision>, String), Box<Status>> {
    let request = FetchDecisionsRequest {
        collection: watched.collection.clone(),
        filter: watched.filter.clone(),
        view: watched.view.into(),
        since: String::new(),
    };
    let mut decisions = connection.decisions();
    let mut failures = 0;
    loop {
        let fetched = async {
            let mut messages = decisions.fetch_decisions(request.clone()).await?.into_inner();
            let (mut all, mut token) = (Vec::new(), String::new());
            while let Some(mut message) = messages.message().await? {
                all.append(&mut message.decisions);
                token = message.token;
            }
            if token.is_empty() {
                return Err(Status::data_loss("the decisions ended without a token"));
            }
            Ok((all, token))
        };
        match fetched.await {
            Ok(all) => return Ok(all),
            Err(status) => {
                failures += 1;
                connection.retry.pause(status, failures, None).await?;
            }
        }
    }
}

/// Tells changes until `told` breaks; without a token all decisions first. Each change comes at least once.
///
/// # Errors
/// What the daemon says, unless it is that it is away for a while, or that the token is of no use any more.
pub async fn watch(
    connection: &Connection,
    watched: Watched,
    since: String,
    mut told: impl AsyncFnMut(Change) -> ControlFlow<()>,
) -> Result<(), Box<Status>> {
    let mut token = since;
    let mut failures = 0;
    loop {
        if token.is_empty() {
            let (decisions, fresh) = snapshot(connection, &watched).await?;
            token = fresh;
            for decision in decisions {
                if told(Change::Decision(Box::new(decision))).await.is_break() {
                    return Ok(());
                }
            }
        }
        match one_stream(connection, &watched, &mut token, &mut failures, &mut told).await {
            Ok(()) => return Ok(()),
            Err(status) if status.code() == Code::OutOfRange => {
                token.clear();
                if told(Change::Resync).await.is_break() {
                    return Ok(());
                }
            }
            Err(status) => {
                failures += 1;
                connection.retry.pause(status, failures, None).await?;
            }
        }
    }
}

async fn one_stream(
    connection: &Connection,
    watched: &Watched,
    token: &mut String,
    failures: &mut u32,
    told: &mut impl AsyncFnMut(Change) -> ControlFlow<()>,
) -> Result<(), Status> {
    let request = WatchDecisionsRequest {
        collection: watched.collection.clone(),
        filter: watched.filter.clone(),
        view: watched.view.into(),
        since: token.clone(),
    };
    let mut messages = connection.decisions().watch_decisions(request).await?.into_inner();
    loop {
        let silent = |_| Status::unavailable("nothing was heard for 90 seconds");
        let message =
            tokio::time::timeout(SILENCE_MAX, messages.message()).await.map_err(silent).flatten()?;
        let Some(message) = message else { return Err(Status::unavailable("the watch ended")) };
        *failures = 0;
        let removals = message.removals.into_iter().map(Change::Removed);
        let decisions = message.decisions.into_iter().map(|decision| Change::Decision(Box::new(decision)));
        for change in removals.chain(decisions) {
            if told(change).await.is_break() {
                return Ok(());
            }
        }
        if !message.token.is_empty() {
            *token = message.token;
        }
    }
}
