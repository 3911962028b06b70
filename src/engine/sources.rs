//! Which images were seen where. A source is a key at a URI: what has the same key but lies elsewhere is another one.

use std::collections::{BTreeMap, HashSet};

use crate::types::{Generation, ImageId};

use super::add::NewSource;
use super::collection::Collection;
use super::error::EngineError;
use super::persist::{ImageRecord, SourceRecord};

impl Collection {
    /// The images at the sources of this key, the last seen first: of several seen at one source only the last one.
    /// More than one means that the key names different images in different places.
    ///
    /// # Errors
    /// The store fails.
    pub fn images_at(&self, key: &str) -> Result<Vec<ImageId>, EngineError> {
        let mut latest: BTreeMap<String, (i64, Generation, ImageId)> = BTreeMap::new();
        self.each_source(key, |image, header, source| {
            let seen = (source.last_seen_ms, header.generation, image);
            let last = latest.entry(source.uri.clone()).or_insert(seen);
            *last = seen.max(*last);
        })?;
        let mut found: Vec<_> = latest.into_values().collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        let mut known = HashSet::new();
        Ok(found.into_iter().map(|(_, _, image)| image).filter(|image| known.insert(*image)).collect())
    }

    /// Whether the image last seen at this source had this size, and the same time and tags.
    ///
    /// # Errors
    /// The store fails.
    pub(super) fn is_unchanged(&self, seen: &NewSource, size: u64) -> Result<bool, EngineError> {
        let mut last: Option<(i64, Generation, bool)> = None;
        self.each_source(&seen.key, |_, header, source| {
            let same = source.size == size
                && seen.modified_ms.is_some()
                && source.modified_ms == seen.modified_ms
                && source.tags == seen.tags;
            if source.uri == seen.uri {
                last = last.max(Some((source.last_seen_ms, header.generation, same)));
            }
        })?;
        Ok(last.is_some_and(|(_, _, same)| same))
    }

    /// Visits every source of this key.
    fn each_source(
        &self,
        key: &str,
        mut visit: impl FnMut(ImageId, &ImageRecord, &SourceRecord),
    ) -> Result<(), EngineError> {
        for image in self.store.images_at(key)? {
            let Some(header) = self.store.header(&image)? else {
                continue;
            };
            for source in header.sources.iter().filter(|source| source.key == key) {
                visit(image, &header, source);
            }
        }
        Ok(())
    }
}
