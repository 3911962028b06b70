//! Review: which images a person is asked about, and what is made of the answers.
//!
//! What is asked next, and what the classifier says of every image, is a pure function of the images that are stored and
//! of the fold of the log. It is worked out behind the answers and published whole; leases are all that is kept beside.

mod desk;
mod looks;
mod outlook;
mod preview;
mod refresh;
mod refresher;

use std::sync::Mutex;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decide::event::{Act, Answer, ReviewAnswer};
use crate::review::Estimate;
use crate::types::{Generation, ImageId, Vectors, cosine_distance};

use self::desk::{Desk, Lease};
use self::looks::Looks;
use self::outlook::Question;
use self::refresh::{Refreshed, Stamp};
use super::collection::Collection;
use super::error::EngineError;
use super::lock::{lock, read};
use super::requests::RequestKey;
use super::verdict::{ACTOR_CHARACTERS_MAX, NOTE_CHARACTERS_MAX, check_text};

pub use self::preview::{DecisionChange, Preview, Proposal};

pub(super) use self::looks::Scorer;
pub(super) use self::refresher::catch_up;

/// Images that a reviewer may prefer in one request: as many as an item shows.
pub(super) const PREFERRED_IMAGES_MAX: usize = 9;
/// Items that a reviewer may hold in one request.
pub(super) const HELD_ITEMS_MAX: usize = 100;
/// Times that it is worked out anew what comes next, because something was said meanwhile, at most.
const LEASE_TRIES: usize = 8;
/// The reason of an answer that comes too late.
pub const ITEM_STALE: &str = "ITEM_STALE";

/// What belongs to a collection's review.
pub(super) struct Review {
    /// How long an item is leased.
    lease_time: Duration,
    /// What the images look like; held by the one who works the outlook out.
    looks: Mutex<Looks>,
    /// What to ask next, as last worked out.
    refreshed: Mutex<Option<Refreshed>>,
    /// What there was when the refresher last looked.
    looked_at: Mutex<Option<Stamp>>,
    desk: Mutex<Desk>,
    /// Tells the refresher that something was said.
    wake: SyncSender<()>,
}

impl Review {
    /// Nothing is known and nothing leased.
    pub(super) fn new(lease_time: Duration, wake: SyncSender<()>) -> Self {
        Self {
            lease_time,
            looks: Mutex::default(),
            refreshed: Mutex::default(),
            looked_at: Mutex::default(),
            desk: Mutex::default(),
            wake,
        }
    }

    /// Whether somebody looks at an item.
    pub(super) fn is_busy(&self) -> bool {
        lock(&self.desk).is_busy()
    }

    /// Has the classifier catch up soon.
    pub(super) fn wake(&self) {
        // A full channel means that it is about to look anyway.
        let _ = self.wake.try_send(());
    }
}

/// Something to judge, leased.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewItem {
    /// Names the lease.
    pub id: u64,
    /// The images to show, at most 9.
    pub shown: Vec<ImageId>,
    /// Images in all.
    pub images: u64,
    /// The generation of the data.
    pub generation: Generation,
    /// When the lease ends, milliseconds since 1970 UTC.
    pub expires_ms: i64,
    /// By how much the Quality Metric is expected to grow.
    pub gain: f64,
    /// Whether it was skipped before.
    pub skipped_before: bool,
}

/// What to judge next, and what is known by now.
#[derive(Debug, Clone, PartialEq)]
pub struct NextReview {
    /// The item, unless nothing is left or all of it is leased to others.
    pub item: Option<ReviewItem>,
    /// The Quality Metric of the provisional sides, as far as can be known.
    pub estimate: Estimate,
    /// Items answered.
    pub judgements: u64,
    /// Whether more answers are not worth it.
    pub enough: bool,
    /// Leases that run.
    pub leased: u64,
}

/// An answer as a caller gives it.
#[derive(Debug, Clone)]
pub struct NewAnswer {
    /// The lease.
    pub item: u64,
    /// What is said.
    pub answer: Answer,
    /// Of the images shown those of the other side.
    pub exceptions: Vec<ImageId>,
    /// The caller's words.
    pub note: String,
    /// Who says so.
    pub actor: String,
}

/// What an answer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerTaken {
    /// Its place in the log, from 1.
    pub event: u64,
    /// Images with a seen label by it.
    pub seen: u64,
    /// Images with an implied label by it.
    pub implied: u64,
    /// Images whose decision is another now.
    pub changed: u64,
}

impl Collection {
    /// Leases the item whose answer is worth most, or the one that shows most of the images preferred. What was said and
    /// stored before the call is felt in it.
    ///
    /// # Errors
    /// Texts or lists beyond their limits, too many leases, or a store that fails.
    pub fn next_review(
        &self,
        reviewer: &str,
        held: &[u64],
        preferred: &[ImageId],
    ) -> Result<NextReview, EngineError> {
        check_text("reviewer", reviewer, ACTOR_CHARACTERS_MAX)?;
        if held.len() > HELD_ITEMS_MAX {
            let description = format!("names {} items, at most {HELD_ITEMS_MAX} are allowed", held.len());
            return Err(EngineError::invalid("held_item_ids", description));
        }
        if preferred.len() > PREFERRED_IMAGES_MAX {
            let description =
                format!("names {} images, at most {PREFERRED_IMAGES_MAX} are allowed", preferred.len());
            return Err(EngineError::invalid("preferred_image_ids", description));
        }
        for _ in 0..LEASE_TRIES {
            if let Some(next) = self.try_next_review(reviewer, held, preferred)? {
                return Ok(next);
            }
        }
        let message = "too much is being judged at the moment to say what comes next".to_owned();
        Err(EngineError::Exhausted { message, retry_after: Some(Duration::from_secs(1)) })
    }

    /// Leases the best item; `None` where something was said since it was found out which that is.
    fn try_next_review(
        &self,
        reviewer: &str,
        held: &[u64],
        preferred: &[ImageId],
    ) -> Result<Option<NextReview>, EngineError> {
        let outlook = self.refreshed()?;
        let mut desk = lock(&self.review.desk);
        let state = read(&self.state);
        if state.events != outlook.events {
            return Ok(None);
        }
        desk.release_others(reviewer, held);
        desk.release_stale(&state);
        let leased = desk.leased_images();
        let enough = outlook.is_enough(&leased, state.labels.both_sides_seen());
        let item = match outlook.first_free(&leased, preferred) {
            None => None,
            Some(question) => {
                let digest = desk::digest(&state, &question);
                Some(desk.lease(reviewer, question, state.generation, digest, self.review.lease_time)?)
            }
        };
        Ok(Some(NextReview {
            item,
            estimate: outlook.estimate,
            judgements: state.judgements,
            enough,
            leased: desk.leased() as u64,
        }))
    }

    /// Takes the answer to a leased item; it is durable, and its labels are felt by every decision, when this returns.
    ///
    /// # Errors
    /// A lease that ran out or whose images changed, exceptions that were not shown or with an answer that has none, a
    /// single image said to be mixed, texts beyond their limits, or a store that fails.
    pub fn answer_review(
        &self,
        answer: &NewAnswer,
        request: Option<&RequestKey>,
    ) -> Result<AnswerTaken, EngineError> {
        check_text("note", &answer.note, NOTE_CHARACTERS_MAX)?;
        check_text("actor", &answer.actor, ACTOR_CHARACTERS_MAX)?;
        let writer = self.writer()?;
        if let Some(first) = writer.replay(request)? {
            return Ok(first);
        }
        let exact = self.exact_answer(answer)?;
        let [seen, implied] = match exact.answer.side() {
            Some(_) => [exact.shown.len() + exact.exceptions.len(), exact.others.len()],
            None => [0, 0],
        };
        let act = Act::Answer(exact);
        let judged = self.judged_with(&act);
        let taken =
            |event, changed| AnswerTaken { event, seen: seen as u64, implied: implied as u64, changed };
        let taken = writer.judge(&answer.actor, &answer.note, act, judged, request, taken)?;
        lock(&self.review.desk).end(answer.item);
        self.review.wake();
        Ok(taken)
    }

    /// The answer with the exact images it is said of.
    pub(super) fn exact_answer(&self, answer: &NewAnswer) -> Result<ReviewAnswer, EngineError> {
        let Lease { question, generation, digest, .. } = lock(&self.review.desk).get(answer.item)?;
        let (medoid, radius) = {
            let state = read(&self.state);
            if desk::digest(&state, &question) != digest {
                return Err(desk::stale("its images were deleted, labelled or split meanwhile"));
            }
            let offsets: Vec<_> =
                question.images.iter().filter_map(|image| state.rows.offset(image)).collect();
            extent(&question.images, &state.vectors.gather(&offsets))
        };
        let exceptions = checked_exceptions(answer, &question)?;
        let is_exception = |image: &&ImageId| exceptions.contains(image);
        let parts = match answer.answer {
            Answer::Mixed if question.images.len() < 2 => {
                return Err(EngineError::invalid("answer", "a single image can't be mixed"));
            }
            Answer::Mixed => self.halves(&question.images)?,
            Answer::Keep | Answer::Discard | Answer::Skip => Vec::new(),
        };
        Ok(ReviewAnswer {
            answer: answer.answer,
            shown: question.shown.iter().filter(|image| !is_exception(image)).copied().collect(),
            others: question.images.iter().filter(|image| !question.shown.contains(image)).copied().collect(),
            part: question.part,
            exceptions,
            parts,
            medoid: Some(medoid),
            radius,
            generation,
        })
    }
}

fn checked_exceptions(answer: &NewAnswer, question: &Question) -> Result<Vec<ImageId>, EngineError> {
    let field = "exception_image_ids";
    if !answer.exceptions.is_empty() && answer.answer.side().is_none() {
        return Err(EngineError::invalid(field, "goes with KEEP and DISCARD only"));
    }
    if let Some(stranger) = answer.exceptions.iter().find(|image| !question.shown.contains(image)) {
        return Err(EngineError::invalid(field, format!("{stranger} is not among the images shown")));
    }
    let mut exceptions = answer.exceptions.clone();
    exceptions.sort_unstable();
    exceptions.dedup();
    Ok(exceptions)
}

/// The image nearest to the mean of all, which stands for the medoid without looking at all pairs, and the largest
/// distance from it.
fn extent(images: &[ImageId], vectors: &Vectors) -> (ImageId, f32) {
    let mut mean = vec![0.0f32; vectors.dim()];
    for row in 0..vectors.len() {
        mean.iter_mut().zip(vectors.row(row)).for_each(|(sum, value)| *sum += value);
    }
    let to_mean = |row: &usize| 1.0 - crate::types::dot(&mean, vectors.row(*row));
    let nearest = (0..vectors.len().min(images.len()))
        .min_by(|a, b| to_mean(a).total_cmp(&to_mean(b)).then_with(|| images[*a].cmp(&images[*b])));
    let Some(medoid) = nearest else {
        return (ImageId([0; 32]), 0.0);
    };
    let distance =
        |row| if row == medoid { 0.0 } else { cosine_distance(vectors.row(medoid), vectors.row(row)) };
    (images[medoid], (0..vectors.len()).map(distance).fold(0.0, f32::max))
}
