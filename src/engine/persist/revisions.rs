//! Revisions as they are saved: chunks that are written together, each of which says what all of them are of.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::engine::error::EngineError;
use crate::engine::revisions::{SavedHead, SavedRevision, SavedRevisions};
use crate::store::{Keys, Store, StoreError, scan};

use super::{Batch, CHUNK_ENTRIES_MAX, CollectionStore};

/// Some of what was told.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::engine) struct RevisionsRecord {
    /// What all chunks are of.
    pub(in crate::engine) head: SavedHead,
    /// How many chunks there are.
    pub(in crate::engine) chunks: u64,
    /// In any order.
    pub(in crate::engine) entries: Vec<SavedRevision>,
}

impl CollectionStore {
    /// What was saved; `None` where nothing was, or it does not belong together.
    pub(in crate::engine) fn revisions(&self) -> Result<Option<SavedRevisions>, EngineError> {
        let (mut first, mut chunks) = (None, 0);
        let mut entries = Vec::new();
        let mut whole = true;
        scan(self.store(), &Keys::all_revisions(self.number), |_, record: RevisionsRecord| {
            whole &= *first.get_or_insert((record.head, record.chunks)) == (record.head, record.chunks);
            chunks += 1;
            entries.extend(record.entries);
            ControlFlow::Continue(())
        })?;
        let found = first.filter(|(_, expected)| whole && *expected == chunks);
        Ok(found.map(|(head, _)| SavedRevisions { head, entries }))
    }

    /// How many chunks there are.
    pub(in crate::engine) fn revision_chunks(&self) -> Result<u64, StoreError> {
        let mut chunks = 0;
        self.store().scan(Keys::all_revisions(self.number).as_bytes(), &mut |_, _| {
            chunks += 1;
            ControlFlow::Continue(())
        })?;
        Ok(chunks)
    }

    /// The store below, and the collection's number in it.
    pub(in crate::engine) fn raw(&self) -> (&dyn Store, u32) {
        (self.store(), self.number)
    }
}

impl Batch {
    /// Sets what was told, in place of so many chunks.
    pub(in crate::engine) fn put_revisions(
        &mut self,
        saved: &SavedRevisions,
        before: u64,
    ) -> Result<(), StoreError> {
        // One chunk at least, which says of what it is that there is nothing.
        let chunks = (saved.entries.len().div_ceil(CHUNK_ENTRIES_MAX) as u64).max(1);
        for chunk in 0..chunks {
            let first = chunk as usize * CHUNK_ENTRIES_MAX;
            let entries = saved.entries.iter().skip(first).take(CHUNK_ENTRIES_MAX).copied().collect();
            let record = RevisionsRecord { head: saved.head, chunks, entries };
            self.inner.put(&Keys::revisions(self.number, chunk), &record)?;
        }
        (chunks..before).for_each(|chunk| self.inner.delete(&Keys::revisions(self.number, chunk)));
        Ok(())
    }
}
