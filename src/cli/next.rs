//! `culld next`

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::{Outcome, words};
use crate::decode::contact_sheet;
use crate::proto::{AnswerReviewRequest, NextReviewRequest, NextReviewResponse, ReviewAnswer, ReviewItem};

/// Pictures in a row of the sheet.
const COLUMNS: u32 = 3;
/// Edge of a picture on it, in pixels.
const CELL_PX: u32 = 320;

/// Answer a review item, and show what to judge next
///
/// Shows up to nine pictures at a time, those whose judgement is worth most. Look at them (with --sheet at all of them
/// together), then say what they are: the item's other pictures go with the answer. Without --item nothing is answered.
///
/// Example: culld next --sheet next.png
///
/// Example: culld next --item 1764090000000000 --answer keep --except a/7.jpg --sheet next.png
#[derive(Debug, Args)]
pub(super) struct NextArgs {
    /// The item that the answer is for, as shown before
    #[arg(long, value_name = "ITEM", requires = "answer")]
    item: Option<String>,
    /// What its pictures are
    #[arg(long, value_enum, requires = "item")]
    answer: Option<AnswerWord>,
    /// Of the pictures shown those of the other side: ids or source keys
    #[arg(long, value_name = "IMAGE", num_args = 1.., requires = "answer")]
    except: Vec<String>,
    /// Your words, for the log; at most 1,000 characters
    #[arg(long, default_value = "", hide_default_value = true, requires = "answer")]
    note: String,
    /// Write the pictures of the next item on one sheet, a PNG file
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AnswerWord {
    /// Needed
    Keep,
    /// Not needed
    Discard,
    /// Some of each: they come back in smaller items
    Mixed,
    /// Not now: they come back last
    Skip,
}

impl From<AnswerWord> for ReviewAnswer {
    fn from(word: AnswerWord) -> Self {
        match word {
            AnswerWord::Keep => Self::Keep,
            AnswerWord::Discard => Self::Discard,
            AnswerWord::Mixed => Self::Mixed,
            AnswerWord::Skip => Self::Skip,
        }
    }
}

/// Answers and asks.
pub(super) async fn run(args: NextArgs, mut client: Client, out: &mut Output) -> Result<Outcome, CliError> {
    let mut answered = Value::Null;
    if let (Some(item_id), Some(answer)) = (args.item, args.answer) {
        let request = AnswerReviewRequest {
            collection: client.collection.clone(),
            item_id,
            answer: ReviewAnswer::from(answer).into(),
            exception_image_ids: client.resolve_all(&args.except).await?,
            note: args.note,
            actor: client.actor.clone(),
            request_id: String::new(),
        };
        let taken = client.decisions.answer_review(request).await?.into_inner();
        out.line(format!(
            "event {}: {} pictures seen, {} more implied, {} decisions changed",
            taken.event_sequence, taken.seen, taken.implied, taken.changed
        ));
        answered = json!({
            "event_sequence": taken.event_sequence,
            "seen": taken.seen,
            "implied": taken.implied,
            "changed": taken.changed,
        });
    }
    let request = NextReviewRequest {
        collection: client.collection.clone(),
        reviewer: client.actor.clone(),
        ..NextReviewRequest::default()
    };
    let next = client.decisions.next_review(request).await?.into_inner();
    let shown = next.item.as_ref().map(|item| item.shown_image_ids.clone()).unwrap_or_default();
    let names = client.names(shown.clone()).await?;
    if let Some(path) = &args.sheet
        && !shown.is_empty()
    {
        let thumbnails = client.thumbnails(&shown).await?;
        let pictures: Vec<&[u8]> = thumbnails.iter().map(Vec::as_slice).collect();
        let png = contact_sheet(&pictures, COLUMNS, CELL_PX)?;
        std::fs::write(path, png).map_err(CliError::file("write", path))?;
    }
    print(&next, &names, out);
    let mut object = object(&next, &names);
    object["answered"] = answered;
    out.object(&object);
    Ok(Outcome::Done)
}

fn print(next: &NextReviewResponse, names: &HashMap<String, String>, out: &mut Output) {
    if let Some(estimate) = &next.estimate {
        out.line(format!(
            "Quality Metric {:.2} [{:.2}, {:.2}] after {} judgements{}",
            estimate.quality_metric,
            estimate.interval_low,
            estimate.interval_high,
            estimate.judgements,
            if next.enough { ": enough" } else { "" }
        ));
    }
    let Some(ReviewItem { item_id, shown_image_ids, images, expected_gain, expire_time, .. }) = &next.item
    else {
        let why =
            if next.leased > 0 { "all that is left is leased to others" } else { "nothing is left to judge" };
        return out.line(why);
    };
    out.line(format!(
        "item {item_id}: {images} pictures, {} shown, worth {expected_gain:.4}, yours until {}",
        shown_image_ids.len(),
        words::time(expire_time.as_ref())
    ));
    for id in shown_image_ids {
        out.line(format!("  {id}  {}", words::printable(names.get(id).map_or("", String::as_str))));
    }
}

fn object(next: &NextReviewResponse, names: &HashMap<String, String>) -> Value {
    let item = next.item.as_ref().map(|item| {
        let shown =
            item.shown_image_ids.iter().map(|id| json!({"image_id": id, "source_key": names.get(id)}));
        json!({
            "item_id": item.item_id,
            "shown": shown.collect::<Vec<_>>(),
            "images": item.images,
            "generation": item.generation,
            "expires": words::time(item.expire_time.as_ref()),
            "expected_gain": item.expected_gain,
            "skipped_before": item.skipped_before,
        })
    });
    let estimate = next.estimate.as_ref().map(|estimate| {
        json!({
            "quality_metric": estimate.quality_metric,
            "interval": [estimate.interval_low, estimate.interval_high],
            "judgements": estimate.judgements,
        })
    });
    json!({"item": item, "estimate": estimate, "enough": next.enough, "leased": next.leased})
}
