//! `culld log`

use clap::{Args, ValueEnum};
use prost_types::Timestamp;
use serde_json::{Value, json};

use super::client::{Client, PAGE_SIZE};
use super::error::CliError;
use super::output::Output;
use super::table::Table;
use super::{Outcome, words};
use crate::proto::{EventKind, ListEventsRequest, LogEntry};

/// Characters of a note in the table at most.
const NOTE_CHARACTERS_MAX: usize = 40;
/// Digits of a hash in the table.
const HASH_DIGITS: usize = 12;

/// Show who said and did what, newest first
///
/// Example: culld log --by alice --kind verdict --limit 20
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Entries at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only those of this actor
    #[arg(long, value_name = "ACTOR", default_value = "", hide_default_value = true)]
    by: String,
    /// Only those of these kinds
    #[arg(long, value_enum, value_delimiter = ',')]
    kind: Vec<KindWord>,
    /// Only those at or after this time, such as 2026-11-23T08:00:00Z
    #[arg(long, value_name = "TIME")]
    after: Option<Timestamp>,
    /// Only those before this time
    #[arg(long, value_name = "TIME")]
    before: Option<Timestamp>,
}

/// A kind of event, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindWord {
    /// Keep or discard was said
    Verdict,
    /// A policy was set
    Policy,
    /// Images or sources were deleted
    Deletion,
    /// A clustering was made the active one
    Activation,
    /// A review item was answered
    Answer,
    /// Something was taken back
    Undo,
}

impl From<KindWord> for EventKind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Verdict => Self::Verdict,
            KindWord::Policy => Self::Policy,
            KindWord::Deletion => Self::Deletion,
            KindWord::Activation => Self::Activation,
            KindWord::Answer => Self::Answer,
            KindWord::Undo => Self::Undo,
        }
    }
}

/// Shows the log.
pub(super) async fn run(args: LogArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let limit = args.limit as usize;
    let mut request = ListEventsRequest {
        collection: client.collection.clone(),
        actor: args.by,
        kinds: args.kind.into_iter().map(|word| EventKind::from(word).into()).collect(),
        after: args.after,
        before: args.before,
        page_size: args.limit.min(PAGE_SIZE),
        page_token: String::new(),
    };
    let mut entries: Vec<LogEntry> = Vec::new();
    loop {
        let page = client.decisions.list_events(request.clone()).await?.into_inner();
        entries.extend(page.events);
        if page.next_page_token.is_empty() || entries.len() >= limit {
            break;
        }
        request.page_token = page.next_page_token;
    }
    entries.truncate(limit);
    out.table(&table(&entries));
    out.object(&json!({"events": entries.iter().map(object).collect::<Vec<_>>()}));
    Ok(Outcome::Done)
}

fn table(entries: &[LogEntry]) -> Table {
    let mut table = Table::new(&[">event", "time", "by", "what", "note", "undone by", "hash"]);
    for entry in entries {
        let event = entry.event.clone().unwrap_or_default();
        table.row([
            event.sequence.to_string(),
            words::time(event.time.as_ref()),
            words::printable(&event.actor),
            event.summary,
            words::shortened(&words::printable(&event.note), NOTE_CHARACTERS_MAX),
            entry.undone_by_sequence.map(|by| by.to_string()).unwrap_or_default(),
            entry.hash.chars().take(HASH_DIGITS).collect(),
        ]);
    }
    table
}

fn object(entry: &LogEntry) -> Value {
    let event = entry.event.clone().unwrap_or_default();
    json!({
        "sequence": event.sequence,
        "time": words::time(event.time.as_ref()),
        "actor": event.actor,
        "kind": words::event_kind(entry.kind()),
        "summary": event.summary,
        "note": event.note,
        "hash": entry.hash,
        "undone_by": entry.undone_by_sequence,
        "images": {
            "seen": entry.seen_images,
            "implied": entry.implied_images,
            "exceptions": entry.exception_images,
            "deleted": entry.deleted_images,
        },
    })
}
