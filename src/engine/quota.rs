//! How much a collection may hold.

use std::time::Duration;

use super::error::EngineError;
use super::state::Rows;

/// What a caller waits before it tries a full collection again: somebody has to delete first.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// How much a collection may hold; `None`: as much as fits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Images.
    pub images_max: Option<u64>,
    /// Bytes of their files, as they were added.
    pub bytes_max: Option<u64>,
}

impl Quota {
    /// Checks that another image fits beside what is stored and what comes with it.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn check(
        self,
        collection: &str,
        rows: &Rows,
        coming: (u64, u64),
        bytes: u64,
    ) -> Result<(), EngineError> {
        let (images, held) = (rows.count() as u64 + coming.0, rows.bytes() + coming.1);
        let full = |message: String| Err(EngineError::Exhausted { message, retry_after: Some(RETRY_AFTER) });
        if let Some(max) = self.images_max.filter(|max| images >= *max) {
            return full(format!("collection {collection:?} holds {images} images, and may hold {max}"));
        }
        if let Some(max) = self.bytes_max.filter(|max| held + bytes > *max) {
            return full(format!(
                "collection {collection:?} holds {held} bytes of images, and may hold {max}"
            ));
        }
        Ok(())
    }
}
