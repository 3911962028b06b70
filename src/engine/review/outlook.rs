//! From labels and looks to scores, and to what is asked next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::decide::event::PartKey;
use crate::decide::fold::Answers;
use crate::decide::labels::Labels;
use crate::decide::{Decision, Score};
use crate::engine::state::Rows;
use crate::review::{Asking, Beliefs, Estimate, Evidence, Features, Images, Model, Projected, split};
use crate::types::{ImageId, PointOffset, Side, Vectors};

use super::looks::{Scorer, score};

/// Variance added to the noise of an image that was shown in an item that turned out mixed: it is as likely needed as
/// not, as far as that answer says.
const MIXED_NOISE: f32 = 0.3;
/// Variance added to the noise of an image that a bulk verdict implied without anybody having been shown it.
const BULK_NOISE: f32 = 0.3;
/// Images of one bulk verdict that speak for it.
const BULK_IMAGES: usize = 9;

/// Below this gain of the best question, a Quality Metric that a person would notice isn't to be won any more.
const GAIN_ENOUGH: f64 = 0.0007;

/// A question that can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    pub(super) images: Vec<ImageId>,
    pub(super) shown: Vec<ImageId>,
    pub(super) part: Option<PartKey>,
    pub(super) gain: f64,
    pub(super) skipped: bool,
}

/// What to ask, and how good the sides are, at one place of the log.
#[derive(Debug, Clone)]
pub(super) struct Outlook {
    /// The length of the log.
    pub(super) events: u64,
    /// Best first; those that were skipped come last.
    pub(super) questions: Vec<Arc<Question>>,
    pub(super) estimate: Estimate,
}

impl Outlook {
    /// The best question none of whose images is in somebody's hands: of those that show most of the images preferred.
    pub(super) fn first_free(
        &self,
        leased: &HashSet<ImageId>,
        preferred: &[ImageId],
    ) -> Option<Arc<Question>> {
        let is_free = |question: &&Arc<Question>| !question.images.iter().any(|image| leased.contains(image));
        let mut free = self.questions.iter().filter(is_free);
        let shows = |question: &&Arc<Question>| {
            preferred.iter().filter(|image| question.shown.contains(image)).count()
        };
        let found =
            if preferred.is_empty() { free.next() } else { free.min_by_key(|one| Reverse(shows(one))) };
        found.map(Arc::clone)
    }

    /// Whether the gain is spent of what could be asked now: what is in somebody's hands is being answered, and what was
    /// skipped nobody wanted to answer.
    pub(super) fn is_enough(&self, leased: &HashSet<ImageId>, both_sides_seen: bool) -> bool {
        let best = self.first_free(leased, &[]).filter(|question| !question.skipped);
        let spent = best.is_none_or(|question| question.gain < GAIN_ENOUGH);
        self.questions.is_empty() || (spent && both_sides_seen)
    }
}

/// The stored images, and what is said of them.
pub(super) struct Stored<'a> {
    pub(super) rows: &'a Rows,
    pub(super) labels: &'a Labels,
    pub(super) answers: &'a Answers,
    /// Their offsets in the collection, in order; a position in this list is a row of the review.
    offsets: Vec<PointOffset>,
    keys: Vec<u64>,
    seen: Vec<Option<Side>>,
    projected: Projected,
}

impl<'a> Stored<'a> {
    /// Takes the rows that are stored out of all rows, as the features see them.
    pub(super) fn new(
        rows: &'a Rows,
        labels: &'a Labels,
        answers: &'a Answers,
        projected: &Projected,
    ) -> Self {
        let alive: Vec<_> = rows.alive().map(|(offset, row)| (offset, row.image)).collect();
        let seen = |image| labels.get(image).filter(|label| label.seen).map(|label| label.side);
        let offsets: Vec<_> = alive.iter().map(|(offset, _)| *offset).collect();
        Self {
            rows,
            labels,
            answers,
            keys: alive.iter().map(|(_, image)| key(image)).collect(),
            seen: alive.iter().map(|(_, image)| seen(image)).collect(),
            projected: projected.gather(&offsets),
            offsets,
        }
    }

    fn images(&self) -> Images<'_> {
        Images { projected: &self.projected, keys: &self.keys, seen: &self.seen }
    }

    fn image(&self, row: PointOffset) -> ImageId {
        self.rows.get(self.offsets[row as usize]).image
    }

    fn row(&self, image: &ImageId) -> Option<PointOffset> {
        let offset = self.rows.offset(image)?;
        self.offsets.binary_search(&offset).ok().map(|row| row as PointOffset)
    }
}

/// What the classifier makes of the labels.
pub(super) struct Believed {
    pub(super) scorer: Scorer,
    /// By offset in the collection; empty while nothing was looked at.
    pub(super) scores: Vec<Option<Score>>,
    model: Model,
    beliefs: Beliefs,
}

impl Believed {
    /// Fits the classifier on what was looked at; `deleted` are seen images that are not stored any more.
    pub(super) fn new(
        stored: &Stored<'_>,
        features: &Arc<Features>,
        deleted: &[(Side, ImageId, Vec<f32>)],
        precision_weight: f64,
    ) -> Self {
        let (looked_at, evidence) = evidence(stored, features, deleted);
        let judgements = stored.labels.answers() + stored.labels.verdicts();
        let model = Model::fit(&looked_at, &evidence, judgements as usize);
        let predicted = model.predict(&stored.projected);
        let beliefs = Beliefs::new(&stored.images(), predicted, precision_weight);
        let mut scores = Vec::new();
        if !evidence.is_empty() {
            scores.resize(stored.rows.all().len(), None);
            for (offset, &keep) in stored.offsets.iter().zip(beliefs.keep_probability()) {
                scores[*offset as usize] = Some(score(keep, beliefs.threshold()));
            }
        }
        let scorer = Scorer {
            features: Arc::clone(features),
            model: (!evidence.is_empty()).then(|| model.clone()),
            threshold: beliefs.threshold(),
        };
        Self { scorer, scores, model, beliefs }
    }

    /// What to ask next, given the decisions of all rows.
    pub(super) fn outlook(&self, stored: &Stored<'_>, decisions: &[Decision], events: u64) -> Outlook {
        let side = |offset: &PointOffset| decisions.get(*offset as usize).map(|decision| decision.side);
        let keep: Vec<bool> = stored.offsets.iter().map(|offset| side(offset) == Some(Side::Keep)).collect();
        let Open { items, parts, free } = open(stored);
        let asking = Asking {
            images: stored.images(),
            model: &self.model,
            beliefs: &self.beliefs,
            keep: &keep,
            items: &items,
            free: &free,
            judgements: stored.labels.answers() as usize,
        };
        let found = crate::review::Outlook::new(&asking);
        let question = |question: crate::review::Question| {
            let images: Vec<ImageId> = question.members.iter().map(|&row| stored.image(row)).collect();
            let skipped = images.iter().filter(|image| stored.answers.is_skipped(image)).count();
            let part = question.members.first().and_then(|first| parts.get(first)).copied();
            Arc::new(Question {
                shown: question.shown.iter().map(|&row| stored.image(row)).collect(),
                part,
                gain: question.gain,
                skipped: 2 * skipped > images.len(),
                images,
            })
        };
        let mut questions: Vec<Arc<Question>> = found.questions.into_iter().map(question).collect();
        questions.sort_by_key(|question| question.skipped);
        Outlook { events, questions, estimate: found.estimate }
    }
}

/// What was looked at, in the order of ids, so that the sums are the same whatever came when.
fn evidence(
    stored: &Stored<'_>,
    features: &Features,
    deleted: &[(Side, ImageId, Vec<f32>)],
) -> (Projected, Vec<Evidence>) {
    let target = |side| if side == Side::Keep { 1.0 } else { -1.0 };
    let mut said: BTreeMap<ImageId, (f32, f32)> = BTreeMap::new();
    for (image, target, noise) in bulk(stored.labels) {
        said.insert(image, (target, noise));
    }
    for image in stored.answers.shown_mixed() {
        said.insert(*image, (0.0, MIXED_NOISE));
    }
    for (image, label) in stored.labels.iter().filter(|(_, label)| label.seen && label.speaks()) {
        said.insert(*image, (target(label.side), 0.0));
    }
    let here: Vec<(PointOffset, (f32, f32))> =
        said.iter().filter_map(|(image, said)| Some((stored.row(image)?, *said))).collect();
    let rows: Vec<PointOffset> = here.iter().map(|(row, _)| *row).collect();
    let mut looked_at = stored.projected.gather(&rows);
    let mut values: Vec<(f32, f32)> = here.into_iter().map(|(_, said)| said).collect();
    let mut gone: Vec<_> = deleted.iter().collect();
    gone.sort_unstable_by_key(|(_, image, _)| *image);
    let mut vectors = Vectors::new(gone.first().map_or(1, |(_, _, embedding)| embedding.len()));
    for (side, _, embedding) in gone {
        if vectors.push(embedding).is_ok() {
            values.push((target(*side), 0.0));
        }
    }
    looked_at.append(features.project(&vectors));
    let evidence = |(row, (target, extra_noise))| Evidence { row, target, extra_noise };
    (looked_at, (0..).zip(values).map(evidence).collect())
}

/// A few images for each bulk verdict, those with the smallest ids.
fn bulk(labels: &Labels) -> Vec<(ImageId, f32, f32)> {
    let mut by_event: HashMap<u64, Vec<(ImageId, Side)>> = HashMap::new();
    for (image, label) in labels.iter().filter(|(_, label)| label.bulk && !label.seen) {
        by_event.entry(label.event).or_default().push((*image, label.side));
    }
    let few = |mut images: Vec<(ImageId, Side)>| {
        images.sort_unstable_by_key(|(image, _)| *image);
        images.truncate(BULK_IMAGES);
        images
    };
    let target = |side| if side == Side::Keep { 1.0 } else { -1.0 };
    by_event.into_values().flat_map(few).map(|(image, side)| (image, target(side), BULK_NOISE)).collect()
}

/// What is open to questions.
struct Open {
    items: Vec<Vec<PointOffset>>,
    /// The part that a row is in.
    parts: HashMap<PointOffset, PartKey>,
    free: Vec<bool>,
}

/// Items are the halves of mixed ones, and what lies together of the images that nothing was said of.
fn open(stored: &Stored<'_>) -> Open {
    let mut free: Vec<bool> = stored.seen.iter().map(Option::is_none).collect();
    let (mut items, mut parts) = (Vec::new(), HashMap::new());
    for (key, images) in stored.answers.parts() {
        let rows: Vec<PointOffset> = images.iter().filter_map(|image| stored.row(image)).collect();
        // Nothing is left to ask of images that were all looked at.
        let all_seen = rows.iter().all(|&row| stored.seen[row as usize].is_some());
        // An answer that was undone and given again may have halves beside those of what was answered meanwhile.
        if all_seen || rows.iter().any(|row| parts.contains_key(row)) {
            continue;
        }
        for &row in &rows {
            free[row as usize] = false;
            parts.insert(row, key);
        }
        items.push(rows);
    }
    let mut groups: BTreeMap<u32, Vec<PointOffset>> = BTreeMap::new();
    for (row, &centroid) in (0..).zip(stored.projected.centroids()) {
        if !stored.answers.is_covered(&stored.image(row)) {
            groups.entry(centroid).or_default().push(row);
        }
    }
    items.extend(groups.into_values());
    Open { items, parts, free }
}

/// The two halves of a mixed item, by what its images look like.
pub(super) fn halves(features: &Features, images: &[ImageId], vectors: &Vectors) -> Vec<Vec<ImageId>> {
    let projected = features.project(vectors);
    let keys: Vec<u64> = images.iter().map(key).collect();
    let seen = vec![None; images.len()];
    let all: Vec<PointOffset> = (0..images.len() as PointOffset).collect();
    let parts = split(&Images { projected: &projected, keys: &keys, seen: &seen }, &all);
    let ids = |rows: &Vec<PointOffset>| rows.iter().map(|&row| images[row as usize]).collect();
    parts.iter().map(ids).collect()
}

/// A number that stays with the image.
fn key(image: &ImageId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = image.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
