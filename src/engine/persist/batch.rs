//! Typed writes.

use serde::Serialize;

use crate::decide::event::Event;
use crate::engine::clusterings::{ClusteringHead, MemberRecord, ReachabilityRecord};
use crate::engine::error::EngineError;
use crate::engine::requests::{RequestKey, RequestRecord};
use crate::growth::Growth;
use crate::store::{Keys, LogRecord, StoreError};
use crate::types::{Generation, ImageId};

use super::{CHUNK_ENTRIES_MAX, CollectionRecord, DAEMON, ImageRecord, STATE, StateRecord};

/// Writes of one collection that happen together or not at all.
pub(in crate::engine) struct Batch {
    pub(super) inner: crate::store::Batch,
    pub(super) number: u32,
}

impl Batch {
    /// Has the writes of another batch, be it of another collection, happen together with these.
    pub(in crate::engine) fn append(&mut self, other: Self) {
        self.inner.append(other.inner);
    }

    /// Sets the collection's own record.
    pub(in crate::engine) fn put_collection(&mut self, record: &CollectionRecord) -> Result<(), StoreError> {
        self.inner.put(&Keys::collection(self.number), record)
    }

    /// Sets the counters.
    pub(in crate::engine) fn put_state(&mut self, state: &StateRecord) -> Result<(), StoreError> {
        self.inner.put(&Keys::meta(self.number, STATE), state)
    }

    /// Sets how the counts went over time.
    pub(in crate::engine) fn put_growth(&mut self, growth: &Growth) -> Result<(), StoreError> {
        self.inner.put(&Keys::growth(self.number), growth)
    }

    /// Sets the header of an image.
    pub(in crate::engine) fn put_header(
        &mut self,
        image: &ImageId,
        header: &ImageRecord,
    ) -> Result<(), StoreError> {
        self.inner.put(&Keys::image(self.number, image), header)
    }

    /// Sets embedding and thumbnail of the image that comes with this generation.
    pub(in crate::engine) fn put_pixels(
        &mut self,
        came: Generation,
        image: &ImageId,
        embedding: &[f32],
        jpeg: &[u8],
    ) {
        self.inner.put_embedding(&Keys::embedding(self.number, came.0, image), embedding);
        self.inner.put_bytes(&Keys::thumbnail(self.number, came.0, image), jpeg);
    }

    /// Keeps what a labelled image leaves behind when it is deleted, beside its measures.
    pub(in crate::engine) fn put_fingerprint(&mut self, image: &ImageId, embedding: &[f32]) {
        self.inner.put_embedding(&Keys::fingerprint(self.number, image), embedding);
    }

    /// Notes that an image has a source of this key.
    pub(in crate::engine) fn put_source_key(
        &mut self,
        source_key: &str,
        image: &ImageId,
    ) -> Result<(), StoreError> {
        self.inner.put(&Keys::image_at(self.number, source_key, image), &())
    }

    /// Forgets that an image has sources of this key: all of them go together.
    pub(in crate::engine) fn delete_source_key(&mut self, source_key: &str, image: &ImageId) {
        self.inner.delete(&Keys::image_at(self.number, source_key, image));
    }

    /// Deletes header, embedding and thumbnail of the image that came with this generation.
    pub(in crate::engine) fn delete_image(&mut self, came: Generation, image: &ImageId) {
        self.inner.delete(&Keys::image(self.number, image));
        self.inner.delete(&Keys::embedding(self.number, came.0, image));
        self.inner.delete(&Keys::thumbnail(self.number, came.0, image));
    }

    /// Appends to the log and answers the new hash; `sequence` counts from 1.
    pub(in crate::engine) fn put_event(
        &mut self,
        sequence: u64,
        previous: [u8; 32],
        event: &Event,
    ) -> Result<[u8; 32], EngineError> {
        let payload = postcard::to_stdvec(event).map_err(|error| EngineError::Internal(error.to_string()))?;
        let record = LogRecord::new(sequence - 1, previous, payload);
        self.inner.put(&Keys::event(self.number, record.seq), &record)?;
        Ok(record.hash)
    }

    /// Notes the answer to a request, to be written with what it answers.
    pub(in crate::engine) fn remember<R: Serialize>(
        &mut self,
        key: Option<&RequestKey>,
        answer: &R,
    ) -> Result<(), EngineError> {
        let Some(key) = key else { return Ok(()) };
        Ok(self.inner.put(&Keys::request(self.number, &key.key), &RequestRecord::new(key, answer)?)?)
    }

    /// As [`Batch::remember`], for a request about collections, whose answer outlives them.
    pub(in crate::engine) fn remember_for_daemon<R: Serialize>(
        &mut self,
        key: Option<&RequestKey>,
        answer: &R,
    ) -> Result<(), EngineError> {
        let Some(key) = key else { return Ok(()) };
        Ok(self.inner.put(&Keys::request(DAEMON, &key.key), &RequestRecord::new(key, answer)?)?)
    }

    /// Sets a clustering with its members and plot.
    pub(in crate::engine) fn put_clustering(
        &mut self,
        head: &ClusteringHead,
        members: &[MemberRecord],
        reachability: &[ReachabilityRecord],
    ) -> Result<(), StoreError> {
        self.inner.put(&Keys::clustering(self.number, head.id), head)?;
        self.put_members(head.id, 0, members)?;
        self.put_reachability(head.id, 0, reachability)
    }

    /// Sets members of a clustering, from the one of this number on, which is a multiple of the entries of a chunk.
    pub(in crate::engine) fn put_members(
        &mut self,
        clustering: u64,
        first: usize,
        members: &[MemberRecord],
    ) -> Result<(), StoreError> {
        let chunks = ((first / CHUNK_ENTRIES_MAX) as u64..).zip(members.chunks(CHUNK_ENTRIES_MAX));
        for (chunk, members) in chunks {
            self.inner.put(&Keys::members(self.number, clustering, chunk), &members)?;
        }
        Ok(())
    }

    /// Sets bars of a clustering's plot, as [`Batch::put_members`] does members.
    pub(in crate::engine) fn put_reachability(
        &mut self,
        clustering: u64,
        first: usize,
        bars: &[ReachabilityRecord],
    ) -> Result<(), StoreError> {
        let chunks = ((first / CHUNK_ENTRIES_MAX) as u64..).zip(bars.chunks(CHUNK_ENTRIES_MAX));
        for (chunk, bars) in chunks {
            self.inner.put(&Keys::reachability(self.number, clustering, chunk), &bars)?;
        }
        Ok(())
    }

    /// Deletes a clustering with its members and plot.
    pub(in crate::engine) fn delete_clustering(&mut self, head: &ClusteringHead) {
        self.inner.delete(&Keys::clustering(self.number, head.id));
        for chunk in 0..(head.images as usize).div_ceil(CHUNK_ENTRIES_MAX) as u64 {
            self.inner.delete(&Keys::members(self.number, head.id, chunk));
            self.inner.delete(&Keys::reachability(self.number, head.id, chunk));
        }
    }
}
