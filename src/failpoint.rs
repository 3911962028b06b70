//! Named places of the write paths where a test lets the process end, as `kill -9` would: nothing more runs.
//!
//! `CULLD_FAILPOINT=delete/stored:3` aborts when deleting has stored its third step. Always compiled in, so that what
//! is tested is what ships: a place costs one load of a flag, and each lies beside an fsync.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The environment variable that names a place, and after a colon how often it is passed before it ends the process.
pub const VARIABLE: &str = "CULLD_FAILPOINT";

/// What writes through the group commit. Each has two places: `asked` before its batch is handed over, and `stored` once
/// it is durable, before memory has it and anybody is answered.
pub const WRITERS: [&str; 14] = [
    "add",
    "import",
    "delete",
    "judge",
    "policy",
    "recluster",
    "activate",
    "live",
    "revisions",
    "request",
    "operation",
    "collection",
    "delete-collection",
    "purge",
];

/// Places of the group commit, of a backup, of putting one store in another's place, and of opening a store again.
pub const STEPS: [&str; 15] = [
    "commit/gathered",
    "commit/applied",
    "commit/synced",
    "flush/counted",
    "flush/flushed",
    "backup/begun",
    "backup/scanned",
    "backup/written",
    "swap/filled",
    "swap/closed",
    "swap/moved-out",
    "swap/moved-in",
    "index/saved",
    "reopen/closed",
    "reopen/opened",
];

/// Where a thread goes on for ever, as the storage library does over some damage.
pub const HANGS: [&str; 1] = ["read/next"];

struct Armed {
    place: String,
    passes_left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

fn from_environment() -> Option<Armed> {
    let text = std::env::var(VARIABLE).ok()?;
    let (place, pass) = text.split_once(':').unwrap_or((&text, "1"));
    let passes_left = AtomicU64::new(pass.parse().ok()?);
    Some(Armed { place: place.to_owned(), passes_left })
}

/// Passes a place: `writer` and `step` are the parts of its name.
pub(crate) fn pass(writer: &str, step: &str) {
    let Some(armed) = ARMED.get_or_init(from_environment) else { return };
    let here = armed.place.split_once('/').is_some_and(|(w, s)| (w, s) == (writer, step));
    if here && armed.passes_left.fetch_sub(1, Ordering::Relaxed) == 1 {
        tracing::warn!(place = armed.place, "the process ends here, as a test asked for");
        std::process::abort();
    }
}

/// Passes a place of [`HANGS`].
pub(crate) fn hang(place: &str) {
    let Some(armed) = ARMED.get_or_init(from_environment) else { return };
    if armed.place == place && armed.passes_left.fetch_sub(1, Ordering::Relaxed) == 1 {
        tracing::warn!(place, "a thread goes on for ever here, as a test asked for");
        loop {
            std::thread::park();
        }
    }
}
