//! The map of a collection's images, kept up as images come and go.

use std::sync::Arc;

use crate::decide::Decision;
use crate::map::{Layout, Place, SAMPLE_MAX};
use crate::review::Features;
use crate::types::{ClusterId, Generation, ImageId, PointOffset};

use super::collection::Collection;
use super::error::EngineError;
use super::lock::{lock, now_ms, read};

/// Tries against rows that are renumbered meanwhile.
const TRIES: usize = 3;

/// An image on the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapPoint {
    /// Which image.
    pub image: ImageId,
    /// Where it lies.
    pub place: Place,
    /// Its decision.
    pub decision: Decision,
    /// Its cluster in the active clustering, if it is in one.
    pub cluster: Option<ClusterId>,
}

/// A part of the map.
#[derive(Debug, Clone, PartialEq)]
pub struct MapPart {
    /// The points, in the order in which the images were added.
    pub points: Vec<MapPoint>,
    /// Where the next part begins; `None` after the last.
    pub next: Option<PointOffset>,
    /// Which layout they are of: places of one are of no meaning in another.
    pub layout: u64,
    /// The generation of the decisions and clusters.
    pub generation: Generation,
    /// Images stored.
    pub images: u64,
}

/// A layout, and the places of all rows.
pub(super) struct Mapped {
    number: u64,
    features: Arc<Features>,
    layout: Layout,
    /// Images stored when it was made.
    images: usize,
    compactions: u64,
    places: Vec<Place>,
}

impl Mapped {
    /// Whether so many images need another layout: twice as many, or half.
    fn is_outgrown(&self, images: usize) -> bool {
        images >= 2 * self.images.max(1) || 2 * images <= self.images
    }
}

impl Collection {
    /// A part of the map: up to `count` images from a row on. It is laid out on the first call, when there are twice or
    /// half as many images as then, and when `afresh` is asked for; what comes meanwhile takes its place among the
    /// others. A part after the first names the layout that it goes on with.
    ///
    /// # Errors
    /// The images were laid out anew since that layout, or rows are renumbered again and again.
    pub fn map(
        &self,
        from: Option<(u64, PointOffset)>,
        count: usize,
        afresh: bool,
    ) -> Result<MapPart, EngineError> {
        let mut mapped = lock(&self.mapped);
        for _ in 0..TRIES {
            let snapshot = self.snapshot();
            let images = snapshot.rows.count();
            let fits = |mapped: &Mapped| {
                mapped.compactions == snapshot.compactions
                    && (from.is_some() || !(afresh || mapped.is_outgrown(images)))
            };
            if !mapped.as_ref().is_some_and(fits) {
                *mapped = self.laid_out();
            }
            let Some(mapped) = mapped.as_mut() else { continue };
            if !self.placed(mapped) {
                continue;
            }
            let first = match from {
                Some((layout, _)) if layout != mapped.number => return Err(laid_out_anew()),
                Some((_, first)) => first as usize,
                None => 0,
            };
            let known = snapshot.rows.all().iter().zip(&mapped.places).enumerate().skip(first);
            let mut rest = known.filter(|(_, (row, _))| row.alive);
            let points = rest.by_ref().take(count).map(|(offset, (row, &place))| {
                let decision = snapshot.derived.decisions[offset];
                MapPoint {
                    image: row.image,
                    place,
                    decision,
                    cluster: snapshot.cluster_of(offset as PointOffset),
                }
            });
            return Ok(MapPart {
                points: points.collect(),
                next: rest.next().map(|(offset, _)| offset as PointOffset),
                layout: mapped.number,
                generation: snapshot.generation,
                images: images as u64,
            });
        }
        Err(EngineError::Internal("rows were renumbered again and again while they were mapped".to_owned()))
    }

    /// Lays out the stored images with the smallest ids, which are digests and so a uniform sample.
    fn laid_out(&self) -> Option<Mapped> {
        let snapshot = self.snapshot();
        self.with_looks(&snapshot, |features, projected| {
            let mut sample: Vec<(ImageId, PointOffset)> =
                snapshot.rows.alive().map(|(offset, row)| (row.image, offset)).collect();
            sample.sort_unstable();
            sample.truncate(SAMPLE_MAX);
            let points: Vec<_> =
                sample.iter().map(|&(_, offset)| projected.points()[offset as usize]).collect();
            let layout = Layout::fit(&points);
            Mapped {
                number: now_ms().unsigned_abs(),
                features: Arc::clone(features),
                places: layout.place(projected.points()),
                layout,
                images: snapshot.rows.count(),
                compactions: snapshot.compactions,
            }
        })
    }

    /// Places the rows that came since; `false` where rows were renumbered.
    fn placed(&self, mapped: &mut Mapped) -> bool {
        let vectors = {
            let state = read(&self.state);
            if state.compactions != mapped.compactions {
                return false;
            }
            let new: Vec<PointOffset> =
                (mapped.places.len()..state.rows.all().len()).map(|row| row as PointOffset).collect();
            state.vectors.gather(&new)
        };
        let projected = mapped.features.project(&vectors);
        mapped.places.extend(mapped.layout.place(projected.points()));
        true
    }
}

fn laid_out_anew() -> EngineError {
    EngineError::Precondition {
        reason: "GENERATION_MISMATCH",
        message: "the map was laid out anew: begin again".to_owned(),
    }
}
