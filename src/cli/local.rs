//! `culld setup`, `culld serve` and `culld config`: what needs no running daemon.

use std::pin::pin;

use clap::Args;
use serde_json::{Value, json};

use super::error::CliError;
use super::output::Output;
use super::table::Table;
use super::{Outcome, check, temporary};
use crate::app::Daemon;
use crate::config::ServeArgs;
use crate::telemetry;

/// Fetch what the daemon needs beside itself: the pinned ONNX Runtime
///
/// Needs python3 with pip, whose index and proxy settings are honoured. Does nothing where it is there already.
///
/// Example: culld setup
#[derive(Debug, Args)]
pub(super) struct SetupArgs {}

/// Run the daemon
///
/// Prints the address it listens on, and stops on Ctrl-C or SIGTERM once calls in flight are answered.
///
/// Example: culld serve --data ./culld-data
#[derive(Debug, Args)]
pub(super) struct ServeCommandArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// Check the settings, print what they open to whom, and start nothing
    #[arg(long)]
    check: bool,
}

/// Show every setting of the daemon with the value it would have
///
/// Takes the flags, environment and file that `culld serve` takes.
///
/// Example: culld config --config culld.toml
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    serve: ServeArgs,
}

/// Fetches ONNX Runtime.
pub(super) async fn setup(out: &mut Output) -> Result<Outcome, CliError> {
    let library = temporary::install_runtime().await?;
    out.line(format!("ONNX Runtime is at {}", library.display()));
    out.object(&json!({"onnxruntime": library}));
    Ok(Outcome::Done)
}

/// Runs the daemon until it is told to stop.
pub(super) async fn serve(args: ServeCommandArgs, out: &mut Output) -> Result<Outcome, CliError> {
    let config = args.serve.resolve()?;
    if args.check {
        return check::run(&config, out);
    }
    let traces = telemetry::start(None, config.log_format, config.otlp_endpoint.as_deref())?;
    let scheme = if config.access.tls.is_some() { "https" } else { "http" };
    let daemon = Daemon::start(config).await?;
    let address = format!("{scheme}://{}", daemon.address());
    out.line(format!("culld listens on {address}"));
    out.line(format!("to sort by eye, open {address}/ in a browser"));
    out.object(&json!({"address": address}));
    out.flush();
    let mut broken = pin!(daemon.broken());
    tokio::select! {
        signalled = temporary::stop_signal() => signalled.map_err(CliError::Runtime)?,
        error = &mut broken => {
            // Nobody can wait for what it holds; what was acknowledged is on the disk.
            std::mem::forget(daemon);
            return Err(error.into());
        }
    }
    out.line("stopping");
    out.flush();
    tokio::select! {
        () = daemon.stop() => {}
        error = broken => return Err(error.into()),
    }
    // What is left is sent from a thread that may wait.
    drop(tokio::task::spawn_blocking(move || drop(traces)).await);
    Ok(Outcome::Done)
}

/// Prints every setting.
pub(super) fn config(args: ConfigArgs, out: &mut Output) -> Result<Outcome, CliError> {
    let settings = args.serve.resolve()?.describe();
    let mut table = Table::new(&["setting", "value", "environment", "meaning"]);
    let mut object = serde_json::Map::new();
    for setting in settings {
        object.insert(
            setting.name.to_string(),
            json!({"value": setting.value, "environment": setting.env, "meaning": setting.help}),
        );
        table.row([setting.name.to_string(), setting.value, setting.env, setting.help]);
    }
    out.table(&table);
    out.object(&Value::Object(object));
    Ok(Outcome::Done)
}
