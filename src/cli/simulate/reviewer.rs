//! A reviewer who answers review items, and sees only the images shown.

use std::collections::HashMap;

use super::{Point, evaluate, needed};
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::progress;
use crate::proto::{
    AnswerReviewRequest, NextReviewRequest, NextReviewResponse, ReviewAnswer, ReviewItem, TrueLabel,
};

/// Images shown of which one may be of the other side.
const TOLERANT_FROM: usize = 9;

/// Answers so many items; answers how good the sides were after as many as `reported_at` says and after the last, and
/// when it was first said to be enough. Where no item is left, later figures are the last ones.
pub(super) async fn judge(
    client: &mut Client,
    judgements: u64,
    labels: &[TrueLabel],
    reported_at: &[u64],
) -> Result<(Vec<Point>, Option<Point>), CliError> {
    let needed = needed(labels);
    let mut points: Vec<Point> = Vec::new();
    let mut stopped = None;
    let bar = progress::counted(judgements, "judging");
    let mut next = next_review(client).await?;
    for judgement in 1..=judgements {
        if next.enough && stopped.is_none() {
            stopped = Some(measure(client, labels, judgement - 1, &next).await?);
        }
        let is_left = next.item.is_some();
        if let Some(item) = next.item.take() {
            client.decisions.answer_review(answer(&item, &needed)).await?;
            next = next_review(client).await?;
        }
        bar.inc(1);
        if reported_at.contains(&judgement) || judgement == judgements {
            points.push(match points.last() {
                Some(last) if !is_left => Point { judgements: judgement, ..last.clone() },
                _ => measure(client, labels, judgement, &next).await?,
            });
        }
    }
    if next.enough && stopped.is_none() {
        stopped = Some(measure(client, labels, judgements, &next).await?);
    }
    bar.finish_and_clear();
    Ok((points, stopped))
}

async fn measure(
    client: &mut Client,
    labels: &[TrueLabel],
    judgements: u64,
    next: &NextReviewResponse,
) -> Result<Point, CliError> {
    let measured = evaluate(client, labels.to_vec(), judgements, false).await?;
    let estimate = next.estimate.as_ref();
    let estimate = estimate.map(|one| [one.interval_low, one.quality_metric, one.interval_high]);
    Ok(Point { judgements, measured, estimate })
}

async fn next_review(client: &mut Client) -> Result<NextReviewResponse, CliError> {
    let request = NextReviewRequest { reviewer: "simulate".into(), ..NextReviewRequest::default() };
    Ok(client.decisions.next_review(request).await?.into_inner())
}

/// Keep where at most one in nine of the images shown is not needed, discard where at most one is, else mixed; the odd
/// one is the exception. Fewer than nine have no odd one.
fn answer(item: &ReviewItem, needed: &HashMap<&str, bool>) -> AnswerReviewRequest {
    let is_needed = |id: &&String| needed.get(id.as_str()).copied().unwrap_or(false);
    let (good, bad): (Vec<_>, Vec<_>) = item.shown_image_ids.iter().partition(is_needed);
    let odd = usize::from(item.shown_image_ids.len() >= TOLERANT_FROM);
    let (answer, exceptions) = if bad.len() <= odd {
        (ReviewAnswer::Keep, bad)
    } else if good.len() <= odd {
        (ReviewAnswer::Discard, good)
    } else {
        (ReviewAnswer::Mixed, Vec::new())
    };
    AnswerReviewRequest {
        item_id: item.item_id.clone(),
        answer: answer.into(),
        exception_image_ids: exceptions.into_iter().cloned().collect(),
        actor: "simulate".into(),
        ..AnswerReviewRequest::default()
    }
}
