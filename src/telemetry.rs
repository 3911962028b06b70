//! Logs.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// What is logged where the environment variable `CULLD_LOG` says nothing.
const DEFAULT_FILTER: &str = "culld=info,warn";

/// Starts logging to standard error: `filter` where `CULLD_LOG` is not set. A second call changes nothing.
pub fn start(filter: Option<&str>) {
    let fallback = EnvFilter::new(filter.unwrap_or(DEFAULT_FILTER));
    let filter = EnvFilter::try_from_env("CULLD_LOG").unwrap_or(fallback);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .finish();
    // An embedding program may have a subscriber of its own, which then gets the events.
    drop(tracing::subscriber::set_global_default(subscriber));
}
