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
    /// Checks that so many images of so many bytes fit into an empty collection.
    ///
    /// # Errors
    /// They do not.
    pub(super) fn check_all(self, collection: &str, images: u64, bytes: u64) -> Result<(), EngineError> {
        let over = |what: &str, there: u64, max: Option<u64>| {
            let max = max.filter(|max| there > *max)?;
            let message = format!("{there} {what} or more, and collection {collection:?} may hold {max}");
            Some(EngineError::Exhausted { message, retry_after: None })
        };
        let over = over("images", images, self.images_max)
            .or_else(|| over("bytes of images", bytes, self.bytes_max));
        over.map_or(Ok(()), Err)
    }

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
