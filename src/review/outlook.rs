//! What to ask next, and how good the sides are by now.

use std::collections::HashSet;

use rayon::prelude::*;

use super::draws::{DRAWS, Draws, Estimate};
use super::questions::{Question, SHOWN_MAX, boundary_groups};
use super::{Beliefs, Images, Model};
use crate::types::{PointOffset, Side};

/// The most images that the interval is taken over: those with the smallest keys.
pub const INTERVAL_IMAGES_MAX: usize = 8_192;
/// Odd images out that an answer may name where nine are shown; none where fewer are.
const EXCEPTIONS: u32 = 1;

/// All that the next question depends on.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The images.
    pub images: Images<'a>,
    /// The model.
    pub model: &'a Model,
    /// What is believed of the images.
    pub beliefs: &'a Beliefs,
    /// The side of every image by the caller's rules, shape (n).
    pub keep: &'a [bool],
    /// The members of the open items.
    pub items: &'a [Vec<PointOffset>],
    /// The images that groups around the boundary may be made of, shape (n); images that were seen never are.
    pub free: &'a [bool],
    /// Judgements so far.
    pub judgements: usize,
}

/// What is to be asked, and what is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// What can be asked, by falling gain; ties by the members' keys.
    pub questions: Vec<Question>,
    /// The Quality Metric reached.
    pub estimate: Estimate,
}

impl Outlook {
    /// Looks at every open item and at groups around the boundary.
    pub fn new(asking: &Asking<'_>) -> Self {
        let images = &asking.images;
        let losses = asking.beliefs.losses(asking.keep);
        let seen = |side: Side| images.seen.iter().take(images.len()).any(|&seen| seen == Some(side));
        let both_sides = seen(Side::Keep) && seen(Side::Discard);
        let mut questions = candidates(asking, &losses, both_sides);
        let interval = smallest_keys(images, INTERVAL_IMAGES_MAX);
        let mut rows = interval.clone();
        rows.extend(questions.iter().flat_map(|question| question.shown.iter().copied()));
        let draws = Draws::new(asking.model, images, rows);
        for question in &mut questions {
            let loss: f64 = question.members.iter().filter_map(|&row| losses.get(row as usize)).sum();
            question.gain = agreement(&draws, &question.shown) * loss;
        }
        let keys =
            |question: &Question| question.members.iter().map(|&row| images.place(row)).collect::<Vec<_>>();
        questions.sort_by(|a, b| b.gain.total_cmp(&a.gain).then_with(|| keys(a).cmp(&keys(b))));
        let estimate = Estimate::new(
            &draws,
            &interval,
            asking.keep,
            asking.beliefs.precision_weight(),
            asking.judgements,
        );
        Self { questions, estimate }
    }
}

/// Items and groups around the boundary, each set of members once.
///
/// While only one side has been seen there is no boundary, and the groups taken for one lie around what is known: asking
/// about them would go on for long without meeting the other side. So items come first then.
fn candidates(asking: &Asking<'_>, losses: &[f64], both_sides: bool) -> Vec<Question> {
    let items: Vec<Question> =
        (asking.items.par_iter()).filter_map(|members| Question::item(&asking.images, members)).collect();
    let mut known = HashSet::new();
    let mut new = |question: &Question| known.insert(question.members.clone());
    let mut questions: Vec<Question> = items.into_iter().filter(&mut new).collect();
    if both_sides || questions.is_empty() {
        questions.extend(boundary_groups(&asking.images, losses, asking.free).into_iter().filter(new));
    }
    questions
}

/// The chance that the images shown all need the same answer, but for the exceptions that it may name.
fn agreement(draws: &Draws, shown: &[PointOffset]) -> f64 {
    let n = shown.len() as u32;
    let exceptions = if shown.len() == SHOWN_MAX { EXCEPTIONS } else { 0 };
    let agreed = |needed: &u32| *needed + exceptions >= n || *needed <= exceptions;
    draws.count(shown).iter().filter(|needed| agreed(needed)).count() as f64 / DRAWS as f64
}

/// Up to `count` rows, those with the smallest keys, in no particular order.
fn smallest_keys(images: &Images<'_>, count: usize) -> Vec<PointOffset> {
    let mut rows: Vec<PointOffset> = (0..images.len() as PointOffset).collect();
    if rows.len() > count {
        rows.select_nth_unstable_by_key(count, |&row| images.place(row));
        rows.truncate(count);
    }
    rows
}
