//! The file that an image came from, as far as it can still be read.

use std::path::{Path, PathBuf};

use crate::file_uri;
use crate::types::ImageId;

use super::Engine;
use super::persist::{ImageRecord, SourceRecord};

/// Sources that are tried at most, the last seen first.
const SOURCES_TRIED_MAX: usize = 8;

impl Engine {
    /// The bytes of a stored image from one of its sources that is a file under an allowed root; `None` where there is
    /// none, or it holds something else by now. Blocks.
    pub fn original(&self, image: &ImageId, header: &ImageRecord) -> Option<Vec<u8>> {
        if header.bytes > self.image_bytes_max {
            return None;
        }
        let tried = header.sources.iter().rev().take(SOURCES_TRIED_MAX);
        tried.filter_map(path_of).find_map(|path| self.read_allowed(&path, header.bytes, image))
    }

    /// Reads a file under an allowed root if it is this image. The digest is what counts: whatever becomes of the path
    /// between the looks at it, other bytes are never answered.
    fn read_allowed(&self, path: &Path, size: u64, image: &ImageId) -> Option<Vec<u8>> {
        let located = self.roots.locate(path)?;
        located.look().ok().filter(|found| found.is_file() && found.len() == size)?;
        let bytes = located.read(size).ok()?;
        (ImageId::of(&bytes) == *image).then_some(bytes)
    }
}

/// The file that a source names, if it names one of this machine.
fn path_of(source: &SourceRecord) -> Option<PathBuf> {
    if source.uri.is_empty() {
        return Some(PathBuf::from(&source.key)).filter(|path| path.is_absolute());
    }
    file_uri::decode(&source.uri)
}
