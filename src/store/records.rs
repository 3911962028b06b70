//! The records, and typed reading and writing of them.

use std::ops::ControlFlow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{self, Damage};
use super::keys::Key;
use super::{HexKey, Store, StoreError, Write};

/// A collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionRecord {
    /// The name in requests.
    pub name: String,
    /// Unix time in ms.
    pub created_ms: u64,
    /// The embedding space of its vectors; empty before the first image.
    pub space_id: String,
}

/// One place where an image was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The caller's own key.
    pub key: String,
    /// Where the bytes can be read again; may be empty.
    pub uri: String,
    /// Size in bytes.
    pub size: u64,
    /// Time of last modification, Unix time in ms; 0 when unknown.
    pub mtime_ms: u64,
    /// Unix time in ms.
    pub first_seen_ms: u64,
    /// Unix time in ms.
    pub last_seen_ms: u64,
    /// The caller's tags.
    pub tags: Vec<String>,
}

/// The header of an image. Embedding and thumbnail have keys of their own: they are larger, and never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Unix time in ms.
    pub added_ms: u64,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
    /// The format's usual lower-case name, such as "jpeg".
    pub format: String,
    /// Size of the image file in bytes.
    pub bytes: u64,
    /// Where it was seen, at least one place.
    pub sources: Vec<SourceRecord>,
}

/// The answer that a mutation gave, for retries with the same request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The encoded response.
    pub response: Vec<u8>,
    /// When it was given, Unix time in ms.
    pub at_ms: u64,
}

/// Collects typed writes for one [`Store::apply`].
#[derive(Debug, Default)]
pub struct Batch {
    writes: Vec<Write>,
}

impl Batch {
    /// No writes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a record.
    ///
    /// # Errors
    /// The value can't be encoded; no type of this crate is such.
    pub fn put(&mut self, key: &Key, value: &impl Serialize) -> Result<(), StoreError> {
        let value = codec::encode(key.kind().version(), key.as_bytes(), value)
            .map_err(|damage| corrupt(key, damage))?;
        self.put_encoded(key, value);
        Ok(())
    }

    /// Writes the components of an embedding, bit for bit.
    pub fn put_embedding(&mut self, key: &Key, components: &[f32]) {
        self.put_encoded(key, codec::encode_embedding(key.kind().version(), key.as_bytes(), components));
    }

    /// Writes plain bytes, such as those of a thumbnail.
    pub fn put_bytes(&mut self, key: &Key, bytes: &[u8]) {
        self.put_encoded(key, codec::encode_bytes(key.kind().version(), key.as_bytes(), bytes));
    }

    /// Removes a record.
    pub fn delete(&mut self, key: &Key) {
        self.writes.push(Write::Delete { key: key.as_bytes().to_vec() });
    }

    /// Removes whatever lies under these bytes, as a scan visits them.
    pub fn delete_raw(&mut self, key: &[u8]) {
        self.writes.push(Write::Delete { key: key.to_vec() });
    }

    /// Appends the writes of `other`.
    pub fn append(&mut self, mut other: Self) {
        self.writes.append(&mut other.writes);
    }

    /// Whether there is no write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The writes, in order.
    pub fn into_writes(self) -> Vec<Write> {
        self.writes
    }

    fn put_encoded(&mut self, key: &Key, value: Vec<u8>) {
        self.writes.push(Write::Put { key: key.as_bytes().to_vec(), value });
    }
}

/// Reads the record of `key`, if there is one.
///
/// # Errors
/// Reading failed, or the record is damaged.
pub fn read<T: DeserializeOwned>(store: &dyn Store, key: &Key) -> Result<Option<T>, StoreError> {
    read_with(store, key, codec::decode)
}

/// Reads an embedding, if there is one.
///
/// # Errors
/// Reading failed, or the record is damaged.
pub fn read_embedding(store: &dyn Store, key: &Key) -> Result<Option<Vec<f32>>, StoreError> {
    read_with(store, key, codec::decode_embedding)
}

/// Reads plain bytes, if there are any.
///
/// # Errors
/// Reading failed, or the record is damaged.
pub fn read_bytes(store: &dyn Store, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
    read_with(store, key, codec::decode_bytes)
}

/// Visits the records under `prefix` in key order until `visit` breaks. It gets the key without the prefix, and must
/// not write to the store.
///
/// # Errors
/// Reading failed, or a record is damaged; those before it were visited.
pub fn scan<T: DeserializeOwned>(
    store: &dyn Store,
    prefix: &Key,
    visit: impl FnMut(&[u8], T) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    scan_with(store, prefix, codec::decode, visit)
}

/// As [`scan`], for embeddings.
///
/// # Errors
/// As [`scan`].
pub fn scan_embeddings(
    store: &dyn Store,
    prefix: &Key,
    visit: impl FnMut(&[u8], Vec<f32>) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    scan_with(store, prefix, codec::decode_embedding, visit)
}

type Decode<T> = fn(u8, &[u8], &[u8]) -> Result<T, Damage>;

fn read_with<T>(store: &dyn Store, key: &Key, decode: Decode<T>) -> Result<Option<T>, StoreError> {
    let Some(bytes) = store.get(key.as_bytes())? else {
        return Ok(None);
    };
    decode(key.kind().version(), key.as_bytes(), &bytes).map(Some).map_err(|damage| corrupt(key, damage))
}

fn scan_with<T>(
    store: &dyn Store,
    prefix: &Key,
    decode: Decode<T>,
    mut visit: impl FnMut(&[u8], T) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut damaged = None;
    store.scan(prefix.as_bytes(), &mut |key, bytes| match decode(prefix.kind().version(), key, bytes) {
        Ok(value) => visit(&key[prefix.as_bytes().len()..], value),
        Err(damage) => {
            let key = HexKey(key.to_vec());
            damaged = Some(StoreError::Corrupt { kind: prefix.kind().name(), key, damage });
            ControlFlow::Break(())
        }
    })?;
    damaged.map_or(Ok(()), Err)
}

fn corrupt(key: &Key, damage: Damage) -> StoreError {
    StoreError::Corrupt { kind: key.kind().name(), key: HexKey(key.as_bytes().to_vec()), damage }
}
