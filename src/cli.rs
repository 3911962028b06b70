//! The command line: `serve` is the daemon, nearly everything else a gRPC client of a running one.
//!
//! One file per command; `Client` speaks to the daemon, `Output` to standard output, progress bars and errors go
//! to standard error. Nothing here decides about images.

mod add;
mod apply;
mod backup;
mod changes;
mod check;
mod client;
mod clusterings;
mod clusters;
mod collections;
mod credentials;
mod decisions;
mod delete;
mod demo;
mod duplicates;
mod error;
mod evaluate;
mod explain;
mod export;
mod filter;
mod growth;
mod import;
mod labels;
mod local;
mod log;
mod map;
mod neighbours;
mod next;
mod operations;
mod output;
mod policy;
mod preview;
mod progress;
mod recluster;
mod relocate;
mod sheets;
mod simulate;
mod stats;
mod suggest;
mod table;
mod temporary;
mod token;
mod undo;
mod upload;
mod verdict;
mod verify;
mod walk;
mod words;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use client::Client;
use credentials::Credentials;
use error::CliError;
pub use labels::check_labels;
use output::Output;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, or `verify` found a problem
  2  wrong usage: an unknown flag, a value out of range, a labels file that can't be used
  3  partly done: some images were rejected or could not be handled (for `demo` rejected images are no fault)
  4  the daemon can't be reached

Start with `culld demo DIR`, or with `culld serve` and `culld add DIR` in another terminal.";

/// Sorts growing image stores: a few human judgements become a keep or discard decision for every image.
#[derive(Debug, Parser)]
#[command(name = "culld", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every client command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
struct Global {
    /// Address of the daemon
    #[arg(
        long,
        global = true,
        env = "CULLD_SERVER",
        default_value = "http://127.0.0.1:7357",
        value_name = "URL"
    )]
    server: String,
    /// Collection to work on [default: default]
    #[arg(
        long,
        global = true,
        env = "CULLD_COLLECTION",
        default_value = "",
        hide_default_value = true,
        value_name = "NAME"
    )]
    collection: String,
    /// For machines: print one JSON object on the last line instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    credentials: Credentials,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Setup(local::SetupArgs),
    Serve(local::ServeCommandArgs),
    Config(local::ConfigArgs),
    Token(token::TokenArgs),
    Add(add::AddArgs),
    Delete(delete::DeleteArgs),
    Neighbours(neighbours::NeighboursArgs),
    Duplicates(duplicates::DuplicatesArgs),
    Map(map::MapArgs),
    Recluster(recluster::ReclusterArgs),
    Suggest(suggest::SuggestArgs),
    Clusterings(clusterings::ClusteringsArgs),
    Clusters(clusters::ClustersArgs),
    Cluster(clusters::ClusterArgs),
    Keep(verdict::KeepArgs),
    Discard(verdict::DiscardArgs),
    Next(next::NextArgs),
    Undo(undo::UndoArgs),
    Decisions(decisions::DecisionsArgs),
    Explain(explain::ExplainArgs),
    Log(log::LogArgs),
    Evaluate(evaluate::EvaluateArgs),
    Simulate(simulate::SimulateArgs),
    Apply(apply::ApplyArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Collections(collections::CollectionsArgs),
    Policy(policy::PolicyArgs),
    Operations(operations::OperationsArgs),
    Stats(stats::StatsArgs),
    Growth(growth::GrowthArgs),
    Verify(verify::VerifyArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Compact(backup::CompactArgs),
}

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All of it was done.
    Done,
    /// Some images were rejected or could not be handled.
    Partly,
}

impl Outcome {
    fn partly_if(partly: bool) -> Self {
        if partly { Self::Partly } else { Self::Done }
    }
}

/// Runs the command that the process was started with.
///
/// The exit code is the one that `culld --help` documents.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to do where even the usage can't be printed.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let mut out = Output::stdout(cli.global.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&CliError::Runtime(error)),
    };
    let result = runtime.block_on(Box::pin(dispatch(cli, &mut out)));
    // A reader thread that waits for a slow disk must not keep the process alive.
    runtime.shutdown_background();
    match result.and_then(|outcome| out.finish().map(|()| outcome)) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Partly) => ExitCode::from(error::EXIT_PARTLY),
        Err(error) => fail(&error),
    }
}

fn fail(error: &CliError) -> ExitCode {
    // Standard error may be closed; the exit code still tells.
    let _ = writeln!(std::io::stderr().lock(), "error: {error}");
    ExitCode::from(error.exit_code())
}

async fn dispatch(cli: Cli, out: &mut Output) -> Result<Outcome, CliError> {
    match cli.command {
        Command::Demo(args) => demo::run(args, out).await,
        Command::Setup(_) => local::setup(out).await,
        Command::Serve(args) => local::serve(args, out).await,
        Command::Config(args) => local::config(args, out),
        Command::Token(args) => token::run(args, out),
        Command::Simulate(args) => simulate::run(args, out).await,
        Command::Verify(verify::VerifyArgs { data: Some(data), .. }) => verify::offline(data, out).await,
        Command::Verify(verify::VerifyArgs { backup: Some(file), .. }) => backup::verify(file, out).await,
        Command::Restore(args) => backup::restore(args, out).await,
        Command::Compact(args) => backup::compact(args, out).await,
        command => {
            let client =
                Client::connect(&cli.global.server, &cli.global.collection, &cli.global.credentials).await?;
            call(command, client, out).await
        }
    }
}

async fn call(command: Command, client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    match command {
        Command::Add(args) => add::run(args, client, out).await,
        Command::Delete(args) => delete::run(args, client, out).await,
        Command::Neighbours(args) => neighbours::run(args, client, out).await,
        Command::Duplicates(args) => duplicates::run(args, client, out).await,
        Command::Map(args) => map::run(args, client, out).await,
        Command::Recluster(args) => recluster::run(args, client, out).await,
        Command::Suggest(args) => suggest::run(args, client, out).await,
        Command::Clusterings(args) => clusterings::run(args, client, out).await,
        Command::Clusters(args) => clusters::run_all(args, client, out).await,
        Command::Cluster(args) => clusters::run_one(args, client, out).await,
        Command::Keep(args) => verdict::keep(args, client, out).await,
        Command::Discard(args) => verdict::discard(args, client, out).await,
        Command::Next(args) => next::run(args, client, out).await,
        Command::Undo(args) => undo::run(args, client, out).await,
        Command::Decisions(args) => decisions::run(args, client, out).await,
        Command::Explain(args) => explain::run(args, client, out).await,
        Command::Log(args) => log::run(args, client, out).await,
        Command::Evaluate(args) => evaluate::run(args, client, out).await,
        Command::Apply(args) => apply::run(args, client, out).await,
        Command::Export(args) => export::run(args, client, out).await,
        Command::Import(args) => import::run(args, client, out).await,
        Command::Collections(args) => collections::run(args, client, out).await,
        Command::Policy(args) => policy::run(args, client, out).await,
        Command::Operations(args) => operations::run(args, client, out).await,
        Command::Stats(_) => stats::run(client, out).await,
        Command::Growth(_) => growth::run(client, out).await,
        Command::Verify(_) => verify::run(client, out).await,
        Command::Backup(args) => backup::run(args, client, out).await,
        Command::Demo(_)
        | Command::Setup(_)
        | Command::Serve(_)
        | Command::Config(_)
        | Command::Token(_)
        | Command::Restore(_)
        | Command::Compact(_)
        | Command::Simulate(_) => {
            unreachable!("dispatch runs what needs no daemon")
        }
    }
}
