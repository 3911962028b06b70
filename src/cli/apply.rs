//! `culld apply`

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::relocate::{Action, RelocateError, Relocator};
use super::{Outcome, words};
use crate::file_uri;
use crate::proto::{Image, Source};
use crate::types::ImageId;

/// Sort your files by decision or cluster: move, copy or link them, or write a list
///
/// Only says what it would do unless --really is given. Every source that is a readable file is handled; a file whose
/// bytes are not the picture's any more is left alone, and nothing is ever overwritten: a name that is taken gets a
/// number. Not undoable by culld.
///
/// Example: culld apply --to ./sorted --copy --by decision --really
#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// Folder that the folders `keep`, `discard`, `review`, or `cluster-0007`, `noise` (with what was added since the
    /// clustering) are made in
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// One folder per decision, or per cluster of the active clustering
    #[arg(long, value_enum, default_value_t = By::Decision)]
    by: By,
    #[command(flatten)]
    how: HowArgs,
    /// Where to look, by key, for sources that were added without a file URI
    #[arg(long, value_name = "SOURCE_DIR")]
    root: Option<PathBuf>,
    /// Do it
    #[arg(long)]
    really: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
#[expect(clippy::struct_excessive_bools, reason = "flags of which clap lets exactly one be given")]
struct HowArgs {
    /// Move the files
    #[arg(long = "move")]
    relocate: bool,
    /// Copy the files; each copy is checked and on disk before it gets its name
    #[arg(long)]
    copy: bool,
    /// Link to the files
    #[arg(long)]
    symlink: bool,
    /// Write `list.csv` with the columns `folder,file,uri,image_id`
    #[arg(long)]
    list: bool,
}

impl HowArgs {
    /// What to do with each file; `None` is the list.
    fn action(&self) -> Option<Action> {
        match self {
            Self { relocate: true, .. } => Some(Action::Move),
            Self { copy: true, .. } => Some(Action::Copy),
            Self { symlink: true, .. } => Some(Action::Symlink),
            Self { .. } => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Keep, discard, review.
    Decision,
    /// The active clustering.
    Cluster,
}

/// How it went.
#[derive(Debug, Default)]
struct Counts {
    done: u64,
    missing: u64,
    changed: u64,
    failed: u64,
    elsewhere: u64,
    folders: BTreeMap<String, u64>,
}

/// Where the files go.
enum Destination {
    Folders(Relocator),
    List { csv: Box<csv::Writer<Box<dyn std::io::Write>>>, path: PathBuf },
}

/// Sorts files.
pub(super) async fn run(args: ApplyArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let mut destination = destination(&args)?;
    let mut counts = Counts::default();
    let mut pages = client.image_pages(None, false);
    while let Some(images) = pages.next().await? {
        let folders = folders(&args, &mut client, &images).await?;
        for (image, folder) in images.iter().zip(folders) {
            handle(image, &folder, &args, &mut destination, &mut counts, out)?;
        }
    }
    if let Destination::List { csv, path } = &mut destination {
        csv.flush().map_err(CliError::file("write", path))?;
    }
    summarise(&args, &counts, out);
    Ok(Outcome::partly_if(counts.missing + counts.changed + counts.failed > 0))
}

fn destination(args: &ApplyArgs) -> Result<Destination, CliError> {
    if let Some(action) = args.how.action() {
        return Ok(Destination::Folders(Relocator::new(action, args.really)));
    }
    let path = args.to.join("list.csv");
    let writer: Box<dyn std::io::Write> = if args.really {
        std::fs::create_dir_all(&args.to).map_err(CliError::file("make the folder", &args.to))?;
        Box::new(std::fs::File::create_new(&path).map_err(CliError::file("make", &path))?)
    } else {
        Box::new(std::io::sink())
    };
    let mut csv = csv::Writer::from_writer(writer);
    csv.write_record(["folder", "file", "uri", "image_id"]).map_err(CliError::csv(&path))?;
    Ok(Destination::List { csv: Box::new(csv), path })
}

/// The folder of each image.
async fn folders(args: &ApplyArgs, client: &mut Client, images: &[Image]) -> Result<Vec<String>, CliError> {
    if args.by == By::Cluster {
        let folder = |image: &Image| image.cluster_id.map_or("noise".into(), |id| format!("cluster-{id:04}"));
        return Ok(images.iter().map(folder).collect());
    }
    let decisions = client.decisions_of(images).await?;
    // An image that was deleted meanwhile has no decision; nobody decided to keep or discard it.
    let folder = |image: &Image| {
        decisions
            .get(&image.image_id)
            .map_or("review".into(), |decision| words::decision(decision.decision()))
    };
    Ok(images.iter().map(folder).collect())
}

/// Handles every file of one image.
fn handle(
    image: &Image,
    folder: &str,
    args: &ApplyArgs,
    destination: &mut Destination,
    counts: &mut Counts,
    out: &mut Output,
) -> Result<(), CliError> {
    let id: ImageId = image.image_id.parse().map_err(|_| CliError::Answer("a valid image id"))?;
    let mut handled = HashSet::new();
    for source in &image.sources {
        let Some(path) = source_path(source, args.root.as_deref()) else {
            counts.elsewhere += 1;
            continue;
        };
        if !handled.insert(path.clone()) {
            continue;
        }
        let from = words::printable(&path.to_string_lossy());
        let placed = match destination {
            Destination::Folders(relocator) => relocator.place(&path, id, &args.to.join(folder)),
            Destination::List { csv, path: list } => {
                let file = path.to_string_lossy();
                csv.write_record([folder, &file, &file_uri::encode(&path), &image.image_id])
                    .map_err(CliError::csv(list))?;
                Ok(args.to.join(folder))
            }
        };
        match placed {
            Ok(target) => {
                counts.done += 1;
                *counts.folders.entry(folder.to_string()).or_default() += 1;
                out.line(format!("{from} -> {}", words::printable(&target.to_string_lossy())));
            }
            Err(error) => {
                match error {
                    RelocateError::Missing => counts.missing += 1,
                    RelocateError::Changed => counts.changed += 1,
                    RelocateError::Io(_) => counts.failed += 1,
                }
                out.line(format!("{from}: left alone: {error}"));
            }
        }
    }
    Ok(())
}

/// The file of a source on this machine.
fn source_path(source: &Source, root: Option<&Path>) -> Option<PathBuf> {
    if !source.uri.is_empty() {
        return file_uri::decode(&source.uri);
    }
    let key = Path::new(&source.key);
    // Keys are whatever a client said: one that leads out of the root names no file of it.
    let inside = key.components().all(|part| matches!(part, Component::Normal(_)));
    root.filter(|_| inside).map(|root| root.join(key))
}

fn summarise(args: &ApplyArgs, counts: &Counts, out: &mut Output) {
    let Counts { done, missing, changed, failed, elsewhere, folders } = counts;
    let verb = match (args.how.action(), args.really) {
        (Some(Action::Move), true) => "moved",
        (Some(Action::Copy), true) => "copied",
        (Some(Action::Symlink), true) => "linked",
        (None, true) => "listed",
        (Some(Action::Move), false) => "would move",
        (Some(Action::Copy), false) => "would copy",
        (Some(Action::Symlink), false) => "would link",
        (None, false) => "would list",
    };
    out.line(format!(
        "{verb} {done} files; left alone: {missing} missing, {changed} changed, {failed} failed; {elsewhere} sources are no files"
    ));
    for (folder, count) in folders {
        out.line(format!("  {folder}: {count}"));
    }
    if !args.really {
        out.line("nothing was touched: add --really to do it");
    }
    out.object(&json!({
        "really": args.really,
        "done": done,
        "missing": missing,
        "changed": changed,
        "failed": failed,
        "elsewhere": elsewhere,
        "folders": folders,
    }));
}
