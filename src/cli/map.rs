//! `culld map`

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::client::Client;
use super::error::CliError;
use super::output::Output;
use crate::proto::{DecisionKind, GetMapRequest};

/// Write where pictures lie on a flat map, like ones together
///
/// The page shows the same map. New pictures take their places among the others.
///
/// Example: culld map map.csv
#[derive(Debug, Args)]
pub(super) struct MapArgs {
    /// Write `image_id,x,y,decision,cluster` to this file; x and y are from -1 to 1
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// Lay the pictures out anew
    #[arg(long)]
    refresh: bool,
}

/// Writes the map.
pub(super) async fn run(args: MapArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let failed = || CliError::file("write", &args.file);
    let file = std::fs::File::create(&args.file).map_err(failed())?;
    let mut file = std::io::BufWriter::new(file);
    writeln!(file, "image_id,x,y,decision,cluster").map_err(failed())?;
    let mut request = GetMapRequest {
        collection: client.collection.clone(),
        refresh: args.refresh,
        ..GetMapRequest::default()
    };
    let mut images = 0u64;
    loop {
        let page = client.clusterings.get_map(request.clone()).await?.into_inner();
        for point in &page.points {
            let decision = match point.decision() {
                DecisionKind::Keep => "keep",
                DecisionKind::Discard => "discard",
                DecisionKind::Review | DecisionKind::Unspecified => "review",
            };
            let cluster = point.cluster_id.map(|cluster| cluster.to_string()).unwrap_or_default();
            let (image, x, y) = (&point.image_id, point.x, point.y);
            writeln!(file, "{image},{x:.5},{y:.5},{decision},{cluster}").map_err(failed())?;
        }
        images += page.points.len() as u64;
        if page.next_page_token.is_empty() {
            break;
        }
        request = GetMapRequest { refresh: false, page_token: page.next_page_token, ..request };
    }
    file.flush().map_err(failed())?;
    out.line(format!("{images} images written"));
    out.object(&json!({"images": images}));
    Ok(Outcome::Done)
}
