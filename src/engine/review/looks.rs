//! What the images look like to the classifier, kept up as images come and go.

use std::sync::Arc;

use crate::decide::Score;
use crate::engine::collection::Collection;
use crate::engine::lock::read;
use crate::engine::state::{Rows, Snapshot};
use crate::review::{Features, Model, Projected, SAMPLE_MAX};
use crate::types::{ImageId, PointOffset, Side, Vectors};

/// Rows copied at a time: who changes the state waits for so many.
const STEP_ROWS: usize = 4096;

/// The classifier as it was last fitted.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Scorer {
    pub(super) features: Arc<Features>,
    /// `None` while nothing was looked at.
    pub(super) model: Option<Model>,
    /// From which probability on images are better kept.
    pub(super) threshold: f64,
}

impl Scorer {
    /// What it says of images that it was not fitted on.
    pub(in crate::engine) fn score(&self, vectors: &Vectors) -> Vec<Option<Score>> {
        match &self.model {
            None => vec![None; vectors.len()],
            Some(model) => {
                let keep = model.predict(&self.features.project(vectors));
                keep.into_iter().map(|keep| Some(score(keep, self.threshold))).collect()
            }
        }
    }
}

/// A probability and the side that it is worth.
pub(super) fn score(keep: f32, threshold: f64) -> Score {
    Score { keep, side: if f64::from(keep) >= threshold { Side::Keep } else { Side::Discard } }
}

/// The features, and all rows as they see them. The features are a function of the stored images alone: they are fitted
/// on those with the smallest ids, which are digests and so a uniform sample that few arrivals change.
#[derive(Debug, Default)]
pub(super) struct Looks {
    features: Option<Arc<Features>>,
    sample: Vec<ImageId>,
    images: usize,
    compactions: u64,
    projected: Projected,
}

impl Looks {
    /// Catches up with a generation; answers the features and its rows. `None`: rows were renumbered meanwhile.
    pub(super) fn of(
        &mut self,
        collection: &Collection,
        snapshot: &Snapshot,
    ) -> Option<(Arc<Features>, &Projected)> {
        let features = self.fit(collection, snapshot)?;
        let rows = snapshot.rows.all().len();
        while self.projected.len() < rows {
            let step: Vec<PointOffset> =
                (self.projected.len()..rows).take(STEP_ROWS).map(|row| row as PointOffset).collect();
            self.projected.append(features.project(&copied(collection, snapshot, &step)?));
        }
        Some((features, &self.projected))
    }

    fn fit(&mut self, collection: &Collection, snapshot: &Snapshot) -> Option<Arc<Features>> {
        let (sample, offsets) = sample(&snapshot.rows);
        let images = snapshot.rows.count();
        // Beyond the sample's size the number of images changes nothing that the features hold.
        let same = self.sample == sample && self.images.min(SAMPLE_MAX) == images.min(SAMPLE_MAX);
        if let Some(features) = &self.features
            && same
        {
            if self.compactions != snapshot.compactions {
                self.projected = Projected::default();
                self.compactions = snapshot.compactions;
            }
            return Some(Arc::clone(features));
        }
        let vectors = copied(collection, snapshot, &offsets)?;
        let features = Arc::new(Features::fit(&vectors, images));
        *self = Self {
            features: Some(Arc::clone(&features)),
            sample,
            images,
            compactions: snapshot.compactions,
            projected: Projected::default(),
        };
        Some(features)
    }
}

/// The stored images with the smallest ids, ascending, and where they are.
fn sample(rows: &Rows) -> (Vec<ImageId>, Vec<PointOffset>) {
    let mut all: Vec<_> = rows.alive().map(|(offset, row)| (row.image, offset)).collect();
    if all.len() > SAMPLE_MAX {
        all.select_nth_unstable(SAMPLE_MAX);
        all.truncate(SAMPLE_MAX);
    }
    all.sort_unstable();
    all.into_iter().unzip()
}

/// Copies of rows, unless they were renumbered since.
fn copied(collection: &Collection, snapshot: &Snapshot, offsets: &[PointOffset]) -> Option<Vectors> {
    let state = read(&collection.state);
    (state.compactions == snapshot.compactions).then(|| state.vectors.gather(offsets))
}
