//! The layout of the key space: one byte of [`Kind`], the collection's number (u32 BE), then the record's own key.
//! Integers are big-endian so that byte order is their order.

use crate::types::ImageId;

/// What a key names; the first byte of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A collection.
    Collection = 1,
    /// One version of a collection's policy.
    Policy = 2,
    /// The header of an image.
    Image = 3,
    /// The embedding of an image.
    Embedding = 4,
    /// The thumbnail of an image.
    Thumbnail = 5,
    /// What outlives the deletion of a labelled image.
    Fingerprint = 6,
    /// An entry of the event log.
    Event = 7,
    /// A clustering.
    Clustering = 8,
    /// A long-running operation.
    Operation = 9,
    /// The answer to a request, for its retries.
    Request = 10,
    /// Single values, by name.
    Meta = 11,
    /// Members of a clustering, in chunks.
    Members = 12,
    /// The reachability plot of a clustering, in chunks.
    Reachability = 13,
    /// That an image has a source of some key.
    Source = 14,
    /// What was measured of an image's pixels; of a labelled image it outlives deletion.
    Measures = 15,
    /// What was told of decisions, and when, in chunks.
    Revisions = 16,
    /// How a collection's counts went over time.
    Growth = 17,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Collection,
        Self::Policy,
        Self::Image,
        Self::Embedding,
        Self::Thumbnail,
        Self::Fingerprint,
        Self::Event,
        Self::Clustering,
        Self::Operation,
        Self::Request,
        Self::Meta,
        Self::Members,
        Self::Reachability,
        Self::Source,
        Self::Measures,
        Self::Revisions,
        Self::Growth,
    ];

    /// The kind with this first byte, if there is one.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Collection => "collection",
            Self::Policy => "policy",
            Self::Image => "image",
            Self::Embedding => "embedding",
            Self::Thumbnail => "thumbnail",
            Self::Fingerprint => "fingerprint",
            Self::Event => "event",
            Self::Clustering => "clustering",
            Self::Operation => "operation",
            Self::Request => "request",
            Self::Meta => "meta",
            Self::Members => "members",
            Self::Reachability => "reachability",
            Self::Source => "source",
            Self::Measures => "measures",
            Self::Revisions => "revisions",
            Self::Growth => "growth",
        }
    }

    /// Bytes of its keys behind the prefix; `None`: one or more.
    pub fn own_key_bytes(self) -> Option<usize> {
        match self {
            Self::Collection | Self::Growth => Some(0),
            Self::Policy | Self::Event | Self::Clustering | Self::Operation | Self::Revisions => Some(8),
            Self::Members | Self::Reachability => Some(16),
            Self::Image | Self::Fingerprint | Self::Request | Self::Measures => Some(32),
            Self::Embedding | Self::Thumbnail => Some(40),
            Self::Source => Some(64),
            Self::Meta => None,
        }
    }

    /// The version byte of records of this kind.
    pub fn version(self) -> u8 {
        match self {
            Self::Event => 2,
            _ => 1,
        }
    }
}

/// The key of a record, or the prefix that a range of keys shares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    kind: Kind,
    bytes: Vec<u8>,
}

impl Key {
    /// The kind of the records under this key or prefix.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The bytes in the store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Builds keys, and the prefixes that scans take.
#[derive(Debug, Clone, Copy)]
pub struct Keys;

impl Keys {
    /// The collection with this number.
    pub fn collection(number: u32) -> Key {
        prefix(Kind::Collection, number)
    }

    /// All collections; the suffix is the number (u32 BE).
    pub fn collections() -> Key {
        Key { kind: Kind::Collection, bytes: vec![Kind::Collection as u8] }
    }

    /// One version of a collection's policy.
    pub fn policy(collection: u32, version: u64) -> Key {
        numbered(Kind::Policy, collection, version)
    }

    /// All versions of a collection's policy, oldest first.
    pub fn policies(collection: u32) -> Key {
        prefix(Kind::Policy, collection)
    }

    /// The header of an image.
    pub fn image(collection: u32, id: &ImageId) -> Key {
        named(Kind::Image, collection, &id.0)
    }

    /// The headers of a collection's images, by id.
    pub fn images(collection: u32) -> Key {
        prefix(Kind::Image, collection)
    }

    /// The embedding of an image that was added at `added_ms` (as its header says).
    pub fn embedding(collection: u32, added_ms: u64, id: &ImageId) -> Key {
        arrival(Kind::Embedding, collection, added_ms, id)
    }

    /// The embeddings of a collection's images, in order of arrival.
    pub fn embeddings(collection: u32) -> Key {
        prefix(Kind::Embedding, collection)
    }

    /// The thumbnail of an image that was added at `added_ms` (as its header says).
    pub fn thumbnail(collection: u32, added_ms: u64, id: &ImageId) -> Key {
        arrival(Kind::Thumbnail, collection, added_ms, id)
    }

    /// The thumbnails of a collection's images, in order of arrival.
    pub fn thumbnails(collection: u32) -> Key {
        prefix(Kind::Thumbnail, collection)
    }

    /// The fingerprint of a labelled image that was deleted.
    pub fn fingerprint(collection: u32, id: &ImageId) -> Key {
        named(Kind::Fingerprint, collection, &id.0)
    }

    /// The fingerprints of a collection, by id.
    pub fn fingerprints(collection: u32) -> Key {
        prefix(Kind::Fingerprint, collection)
    }

    /// What was measured of an image.
    pub fn measures(collection: u32, id: &ImageId) -> Key {
        named(Kind::Measures, collection, &id.0)
    }

    /// What was measured of a collection's images, by id.
    pub fn all_measures(collection: u32) -> Key {
        prefix(Kind::Measures, collection)
    }

    /// An entry of the event log.
    pub fn event(collection: u32, seq: u64) -> Key {
        numbered(Kind::Event, collection, seq)
    }

    /// The event log of a collection, oldest first.
    pub fn events(collection: u32) -> Key {
        prefix(Kind::Event, collection)
    }

    /// A clustering.
    pub fn clustering(collection: u32, number: u64) -> Key {
        numbered(Kind::Clustering, collection, number)
    }

    /// The clusterings of a collection, oldest first.
    pub fn clusterings(collection: u32) -> Key {
        prefix(Kind::Clustering, collection)
    }

    /// A chunk of the members of a clustering.
    pub fn members(collection: u32, clustering: u64, chunk: u64) -> Key {
        chunked(Kind::Members, collection, clustering, chunk)
    }

    /// All members of a clustering.
    pub fn members_of(collection: u32, clustering: u64) -> Key {
        numbered(Kind::Members, collection, clustering)
    }

    /// All members of all clusterings of a collection.
    pub fn all_members(collection: u32) -> Key {
        prefix(Kind::Members, collection)
    }

    /// All plots of a collection.
    pub fn all_reachability(collection: u32) -> Key {
        prefix(Kind::Reachability, collection)
    }

    /// A chunk of the reachability plot of a clustering.
    pub fn reachability(collection: u32, clustering: u64, chunk: u64) -> Key {
        chunked(Kind::Reachability, collection, clustering, chunk)
    }

    /// All of the reachability plot of a clustering.
    pub fn reachability_of(collection: u32, clustering: u64) -> Key {
        numbered(Kind::Reachability, collection, clustering)
    }

    /// That an image has a source of this key. The key goes in as its digest, since it may be long.
    pub fn image_at(collection: u32, source_key: &str, id: &ImageId) -> Key {
        let mut name = [0; 64];
        name[..32].copy_from_slice(blake3::hash(source_key.as_bytes()).as_bytes());
        name[32..].copy_from_slice(&id.0);
        named(Kind::Source, collection, &name)
    }

    /// All images with a source of this key, by id.
    pub fn images_at(collection: u32, source_key: &str) -> Key {
        named(Kind::Source, collection, blake3::hash(source_key.as_bytes()).as_bytes())
    }

    /// All that says which images have a source of some key.
    pub fn all_sources(collection: u32) -> Key {
        prefix(Kind::Source, collection)
    }

    /// A chunk of what was told of a collection's decisions.
    pub fn revisions(collection: u32, chunk: u64) -> Key {
        numbered(Kind::Revisions, collection, chunk)
    }

    /// All that was told of a collection's decisions.
    pub fn all_revisions(collection: u32) -> Key {
        prefix(Kind::Revisions, collection)
    }

    /// How a collection's counts went over time.
    pub fn growth(collection: u32) -> Key {
        prefix(Kind::Growth, collection)
    }

    /// An operation.
    pub fn operation(collection: u32, number: u64) -> Key {
        numbered(Kind::Operation, collection, number)
    }

    /// The operations of a collection, oldest first.
    pub fn operations(collection: u32) -> Key {
        prefix(Kind::Operation, collection)
    }

    /// The answer to a request, by the digest of its method and id.
    pub fn request(collection: u32, digest: &[u8; 32]) -> Key {
        named(Kind::Request, collection, digest)
    }

    /// The answers to a collection's requests, in no useful order.
    pub fn requests(collection: u32) -> Key {
        prefix(Kind::Request, collection)
    }

    /// A single value; `name` takes at most [`super::KEY_BYTES_MAX`] − 5 bytes.
    pub fn meta(collection: u32, name: &str) -> Key {
        named(Kind::Meta, collection, name.as_bytes())
    }

    /// The single values of a collection, by name.
    pub fn metas(collection: u32) -> Key {
        prefix(Kind::Meta, collection)
    }

    /// A prefix per kind, together everything that belongs to a collection, its own record included.
    pub fn all_of(collection: u32) -> [Key; Kind::ALL.len()] {
        Kind::ALL.map(|kind| prefix(kind, collection))
    }

    /// The image id in the suffix that a scan over images or fingerprints visits.
    pub fn image_id(suffix: &[u8]) -> Option<ImageId> {
        suffix.try_into().ok().map(ImageId)
    }

    /// Time of arrival (Unix time in ms) and image id in the suffix that a scan over embeddings or thumbnails visits.
    pub fn arrival(suffix: &[u8]) -> Option<(u64, ImageId)> {
        let (added_ms, id) = suffix.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*added_ms), Self::image_id(id)?))
    }

    /// The number in the suffix that a scan over policies, events, clusterings, revisions or operations visits.
    pub fn number(suffix: &[u8]) -> Option<u64> {
        suffix.try_into().ok().map(u64::from_be_bytes)
    }

    /// The collection's number in the suffix that a scan over collections visits.
    pub fn collection_number(suffix: &[u8]) -> Option<u32> {
        suffix.try_into().ok().map(u32::from_be_bytes)
    }
}

fn prefix(kind: Kind, collection: u32) -> Key {
    named(kind, collection, &[])
}

fn numbered(kind: Kind, collection: u32, number: u64) -> Key {
    named(kind, collection, &number.to_be_bytes())
}

fn chunked(kind: Kind, collection: u32, number: u64, chunk: u64) -> Key {
    let mut name = [0; 16];
    name[..8].copy_from_slice(&number.to_be_bytes());
    name[8..].copy_from_slice(&chunk.to_be_bytes());
    named(kind, collection, &name)
}

/// Large records are keyed by arrival: a batch of new ones then fills a few leaves at the end, where keys by id, which
/// are as good as random, would have sled rewrite a whole leaf for each (16 times the bytes, measured 8 times).
fn arrival(kind: Kind, collection: u32, added_ms: u64, id: &ImageId) -> Key {
    let mut name = [0; 40];
    name[..8].copy_from_slice(&added_ms.to_be_bytes());
    name[8..].copy_from_slice(&id.0);
    named(kind, collection, &name)
}

fn named(kind: Kind, collection: u32, name: &[u8]) -> Key {
    let mut bytes = Vec::with_capacity(5 + name.len());
    bytes.push(kind as u8);
    bytes.extend_from_slice(&collection.to_be_bytes());
    bytes.extend_from_slice(name);
    Key { kind, bytes }
}
