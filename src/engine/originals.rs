//! Rule 2 at the door: for every row the labelled pictures that it is a near-duplicate of.
//!
//! What is a near-duplicate of what changes with labels, rows and the policy. All of it is derived from those alone, and
//! brought up to date by what differs from before: whatever changed labels, a verdict or its undoing, needs to say
//! nothing more.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use crate::decide::Duplicate;
use crate::decide::labels::Labels;
use crate::decide::policy::Policy;
use crate::decode::{Crops, PerceptualHash};
use crate::types::{ImageId, PointOffset, Side};

use super::likeness::{Picture, Subject, Thresholds};
use super::state::State;

/// A labelled picture that others can be near-duplicates of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Original {
    image: ImageId,
    hash: PerceptualHash,
}

/// Originals whose crops are kept while all rows are compared with them: 2 KB each.
const CROPS_MAX: usize = 4096;

/// Originals to be looked through, and the crops of the first ones, which are made when they are first needed.
struct Among<'a> {
    originals: &'a [Original],
    crops: Vec<OnceLock<Crops>>,
}

impl<'a> Among<'a> {
    fn new(originals: &'a [Original]) -> Self {
        let crops = (0..originals.len().min(CROPS_MAX)).map(|_| OnceLock::new()).collect();
        Self { originals, crops }
    }
}

/// Labelled pictures whose hash is known, by id.
#[derive(Debug, Default)]
struct Originals {
    /// With any keep label.
    keep: Vec<Original>,
    /// Seen and discarded, and not for being duplicates themselves.
    discard: Vec<Original>,
}

/// The nearest labelled near-duplicate of each side: keep, discard. That of keep is looked for only where there is one of
/// discard.
pub(super) type RowTwins = [Option<Duplicate>; 2];

/// For each row, the labelled pictures that it is a near-duplicate of.
#[derive(Debug, Clone, Default)]
pub(super) struct Twins {
    originals: Arc<Originals>,
    thresholds: Option<Thresholds>,
    rows: Vec<RowTwins>,
}

impl Twins {
    /// Those of a row.
    pub(super) fn row(&self, offset: PointOffset) -> RowTwins {
        self.rows.get(offset as usize).copied().unwrap_or_default()
    }

    /// Appends those of a row.
    pub(super) fn push(&mut self, row: RowTwins) {
        self.rows.push(row);
    }

    /// The same for fewer rows, in this order.
    pub(super) fn gathered(&self, offsets: &[PointOffset]) -> Self {
        let rows = offsets.iter().map(|&offset| self.row(offset)).collect();
        Self { originals: Arc::clone(&self.originals), thresholds: self.thresholds, rows }
    }
}

impl Originals {
    fn of(state: &State, labels: &Labels) -> Self {
        let mut originals = Self::default();
        for (image, label) in labels.iter() {
            let list = match label.side {
                Side::Keep => &mut originals.keep,
                Side::Discard if label.seen && !label.duplicate => &mut originals.discard,
                Side::Discard => continue,
            };
            list.extend(state.hash_of(image).map(|hash| Original { image: *image, hash }));
        }
        originals.keep.sort_unstable();
        originals.discard.sort_unstable();
        originals
    }
}

/// What is in one list and not in the other; both are in order.
fn without(list: &[Original], other: &[Original]) -> Vec<Original> {
    list.iter().filter(|one| other.binary_search(one).is_err()).copied().collect()
}

/// What one side's list of originals became.
struct Change<'a> {
    all: Among<'a>,
    added: Among<'a>,
    removed: HashSet<ImageId>,
}

impl<'a> Change<'a> {
    fn new(before: &[Original], after: &'a [Original], added: &'a [Original]) -> Self {
        let removed = without(before, after).into_iter().map(|original| original.image).collect();
        Self { all: Among::new(after), added: Among::new(added), removed }
    }

    /// Whether there is any.
    fn is_any(&self) -> bool {
        !self.added.originals.is_empty() || !self.removed.is_empty()
    }

    /// The best now, where this was the best before.
    fn apply(
        &self,
        before: Option<Duplicate>,
        search: impl Fn(&Among<'_>, Option<Duplicate>) -> Option<Duplicate>,
    ) -> Option<Duplicate> {
        match before {
            Some(before) if self.removed.contains(&before.image) => search(&self.all, None),
            before => search(&self.added, before),
        }
    }
}

/// The nearer of two; ties go to the smaller id.
fn nearer(a: Option<Duplicate>, b: Option<Duplicate>) -> Option<Duplicate> {
    let by = |one: &Duplicate, other: &Duplicate| {
        one.separation.total_cmp(&other.separation).then_with(|| one.image.cmp(&other.image))
    };
    a.into_iter().chain(b).min_by(by)
}

impl State {
    /// The near-duplicates of all rows once these labels and this policy hold.
    pub(super) fn twins_with(&self, labels: &Labels, policy: &Policy) -> Twins {
        let originals = Originals::of(self, labels);
        let thresholds = Thresholds::of(policy);
        let count = self.rows.all().len();
        let Some(thresholds) = thresholds else {
            return Twins { originals: Arc::new(originals), thresholds: None, rows: vec![[None; 2]; count] };
        };
        let before = &self.derived.twins;
        let afresh = before.thresholds != Some(thresholds) || before.rows.len() != count;
        let (none, known) = (Originals::default(), &*before.originals);
        let known = if afresh { &none } else { known };
        let added = [without(&originals.keep, &known.keep), without(&originals.discard, &known.discard)];
        let keep = Change::new(&known.keep, &originals.keep, &added[0]);
        let discard = Change::new(&known.discard, &originals.discard, &added[1]);
        if !afresh && !keep.is_any() && !discard.is_any() {
            return before.clone();
        }
        let row = |offset: usize| {
            let offset = offset as PointOffset;
            let [keep_before, discard_before] = if afresh { [None; 2] } else { before.row(offset) };
            let search = |among: &Among<'_>, best| self.nearest_original(offset, among, best, thresholds);
            let discarded = discard.apply(discard_before, search);
            // Nobody knew of kept ones while there was no discarded one.
            let kept = match (discarded, discard_before) {
                (None, _) => None,
                (Some(_), None) => search(&keep.all, None),
                (Some(_), Some(_)) => keep.apply(keep_before, search),
            };
            [kept, discarded]
        };
        let rows = (0..count).into_par_iter().map(row).collect();
        Twins { originals: Arc::new(originals), thresholds: Some(thresholds), rows }
    }

    /// The near-duplicates of a row that was just appended to rows and vectors.
    pub(super) fn twins_of(&self, offset: PointOffset) -> RowTwins {
        let twins = &self.derived.twins;
        let Some(thresholds) = twins.thresholds else { return [None; 2] };
        let search = |originals: &[Original]| {
            let among = Among { originals, crops: Vec::new() };
            self.nearest_original(offset, &among, None, thresholds)
        };
        let discarded = search(&twins.originals.discard);
        [discarded.and_then(|_| search(&twins.originals.keep)), discarded]
    }

    /// The nearest near-duplicate among these and the best of those looked at before.
    fn nearest_original(
        &self,
        offset: PointOffset,
        among: &Among<'_>,
        best: Option<Duplicate>,
        thresholds: Thresholds,
    ) -> Option<Duplicate> {
        let row = self.rows.get(offset);
        let Some(hash) = row.hash.as_ref().filter(|_| row.alive) else { return best };
        let embedding = self.vectors.row(offset as usize);
        let own = Subject::new(Picture { image: row.image, hash, embedding });
        let others = among.originals.iter().enumerate().filter(|(_, original)| original.image != row.image);
        others.fold(best, |best, (at, Original { image, hash })| {
            let Some(embedding) = self.embedding_of(image) else { return best };
            let within = best.map_or(1.0, |best| best.separation);
            let other = Picture { image: *image, hash, embedding };
            nearer(best, own.compare(thresholds, other, among.crops.get(at), within))
        })
    }

    /// The hash of an image that is stored, or was labelled when it was deleted.
    fn hash_of(&self, image: &ImageId) -> Option<PerceptualHash> {
        match self.rows.offset(image) {
            Some(offset) => self.rows.get(offset).hash,
            None => self.departed.get(image)?.hash,
        }
    }

    /// The embedding of such an image.
    pub(super) fn embedding_of(&self, image: &ImageId) -> Option<&[f32]> {
        match self.rows.offset(image) {
            Some(offset) => Some(self.vectors.row(offset as usize)),
            None => Some(&self.departed.get(image)?.embedding),
        }
    }
}

/// What a labelled image leaves behind when it is deleted.
#[derive(Debug, Clone)]
pub(super) struct Departed {
    /// Its vector.
    pub(super) embedding: Vec<f32>,
    /// Its perceptual hash, where that was known.
    pub(super) hash: Option<PerceptualHash>,
}
