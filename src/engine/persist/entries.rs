//! Entries of the log, one by one.

use crate::decide::event::Event;
use crate::engine::error::EngineError;
use crate::store::{Keys, LogRecord, read};

use super::{CollectionStore, decode_event};

impl CollectionStore {
    /// One entry with its hash; `sequence` counts from 1. `None` where there is no such entry.
    pub(in crate::engine) fn entry(&self, sequence: u64) -> Result<Option<([u8; 32], Event)>, EngineError> {
        let Some(number) = sequence.checked_sub(1) else { return Ok(None) };
        let found: Option<LogRecord> = read(self.store(), &Keys::event(self.number, number))?;
        let entry = found.map(|record| Ok((record.hash, decode_event(&record)?)));
        entry.transpose().map_err(EngineError::Internal)
    }
}
