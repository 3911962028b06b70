//! `culld growth`

use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::table::Table;
use super::{Outcome, words};
use crate::proto::{GetGrowthRequest, GrowthPoint};

/// Show how the collection grew, and how much of it was decided, over time
///
/// The counts are recorded while the daemon runs, ever more coarsely as years go by; how a collection was before the
/// first of them is not known.
///
/// Example: culld growth --json
#[derive(Debug, Args)]
pub(super) struct GrowthArgs {}

/// Shows the counts over time.
pub(super) async fn run(mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let request = GetGrowthRequest { collection: client.collection.clone() };
    let points = client.admin.get_growth(request).await?.into_inner().points;
    let mut table = Table::new(&["from", ">images", ">keep", ">discard", ">review"]);
    for GrowthPoint { time, images, decided_keep, decided_discard, in_review } in &points {
        let [images, keep, discard, review] =
            [images, decided_keep, decided_discard, in_review].map(ToString::to_string);
        table.row([words::time(time.as_ref()), images, keep, discard, review]);
    }
    out.table(&table);
    let object = |point: &GrowthPoint| -> Value {
        json!({
            "time": words::time(point.time.as_ref()),
            "images": point.images,
            "decided_keep": point.decided_keep,
            "decided_discard": point.decided_discard,
            "in_review": point.in_review,
        })
    };
    out.object(&json!({"points": points.iter().map(object).collect::<Vec<_>>()}));
    Ok(Outcome::Done)
}
