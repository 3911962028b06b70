//! `culld delete`

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::client::Client;
use super::error::CliError;
use super::filter::FilterArgs;
use super::output::Output;
use crate::proto::DeleteImagesRequest;

/// Delete pictures from the store; your files are never touched
///
/// With --source-prefix only the sources that match are deleted, and a picture goes with its last. Not undoable, but
/// what was said of a picture holds should it come back.
///
/// Example: culld delete --source-prefix holiday/ --dry-run
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Only count
    #[arg(long)]
    dry_run: bool,
}

/// Deletes images, or counts them.
pub(super) async fn run(args: DeleteArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    if args.filter.is_empty() {
        return Err(CliError::Usage(
            "say what to delete: --image, --source-prefix, --tag, see --help".into(),
        ));
    }
    let request = DeleteImagesRequest {
        collection: client.collection.clone(),
        filter: Some(args.filter.resolve(&mut client).await?),
        validate_only: args.dry_run,
        request_id: String::new(),
        actor: client.actor.clone(),
    };
    let answer = client.images.delete_images(request).await?.into_inner();
    let what = if args.dry_run { "would delete" } else { "deleted" };
    out.line(format!("{what} {} images and {} sources", answer.images, answer.sources));
    out.object(&json!({"images": answer.images, "sources": answer.sources, "dry_run": args.dry_run}));
    Ok(Outcome::Done)
}
