//! What was measured of images, as it lies in the store.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::decode::Measures;
use crate::store::{Keys, StoreError, read, scan};
use crate::types::ImageId;

use super::{Batch, CollectionStore};
use crate::engine::error::EngineError;

impl CollectionStore {
    /// What was measured of an image; `None` for one stored before anything was.
    pub(in crate::engine) fn measures(&self, image: &ImageId) -> Result<Option<Measures>, EngineError> {
        Ok(read(self.store(), &Keys::measures(self.number, image))?)
    }

    /// What was measured of all images, labelled ones that were deleted included.
    pub(in crate::engine) fn all_measures(&self) -> Result<HashMap<ImageId, Measures>, EngineError> {
        let mut found = HashMap::new();
        scan(self.store(), &Keys::all_measures(self.number), |suffix, measures| {
            found.extend(Keys::image_id(suffix).map(|image| (image, measures)));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}

impl Batch {
    /// Sets what was measured of an image.
    pub(in crate::engine) fn put_measures(
        &mut self,
        image: &ImageId,
        measures: &Measures,
    ) -> Result<(), StoreError> {
        self.inner.put(&Keys::measures(self.number, image), measures)
    }

    /// Forgets what was measured of a deleted image. A labelled one keeps it: its hash has to outlive it.
    pub(in crate::engine) fn delete_measures(&mut self, image: &ImageId) {
        self.inner.delete(&Keys::measures(self.number, image));
    }
}
