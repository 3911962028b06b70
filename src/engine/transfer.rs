//! Taking a whole collection elsewhere: what its portable form holds, in the order in which it holds it.
//!
//! ```text
//! collection.json                              About
//! clusterings/000007/clustering.json           ClusteringHead
//! clusterings/000007/members-000000.jsonl      MemberRecord
//! clusterings/000007/reachability-000000.jsonl BarLine, where it has a plot
//! departed/000000.jsonl, .npy                  DepartedLine, and the embeddings
//! images/000000.jsonl, .npy                    ImageLine, and the embeddings
//! thumbnails/ID.jpg                            of each of these images
//! log/000000.jsonl                             EventLine
//! growth.json                                  Growth
//! end.json                                     End
//! ```
//!
//! It is ground state, and clusterings, which verdicts name; everything else is worked out anew where it is read.

mod check;
mod export;
mod import;

use serde::{Deserialize, Serialize};

use crate::decide::event::Event;
use crate::decode::Measures;
use crate::embed::EmbeddingSpace;
use crate::portable::PortableError;
use crate::types::{ClusterId, ImageId};

use super::clusterings::ReachabilityRecord;
use super::error::EngineError;
use super::persist::{CHUNK_ENTRIES_MAX, ImageRecord, StateRecord};

pub use self::import::{Imported, TransferProgress};

/// What `format` says.
const FORMAT: &str = "culld-collection";
/// The form that is written, and the only one that is read.
const VERSION: u32 = 1;
/// Images in one part: what is held at a time.
const PART_IMAGES: usize = 128;
/// Members, or bars of a plot, in one part.
const PART_MEMBERS: usize = 10_000;
// Each is stored as it comes.
const _: () = assert!(PART_MEMBERS.is_multiple_of(CHUNK_ENTRIES_MAX));
/// Log entries in one part at most; those that are large end it earlier.
const PART_EVENTS: usize = 1_000;
/// Bytes after which a part of the log ends.
const PART_LOG_BYTES: usize = 4 << 20;
/// The reason of an export that can't be read.
const NOT_PORTABLE: &str = "EXPORT_DAMAGED";

/// What was exported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct About {
    format: String,
    version: u32,
    /// The culld that wrote it.
    culld: String,
    exported_ms: i64,
    name: String,
    created_ms: i64,
    space: EmbeddingSpace,
    state: StateRecord,
}

/// An image.
#[derive(Debug, Serialize, Deserialize)]
struct ImageLine {
    id: ImageId,
    image: ImageRecord,
    measures: Option<Measures>,
}

/// A labelled image that was deleted.
#[derive(Debug, Serialize, Deserialize)]
struct DepartedLine {
    id: ImageId,
    measures: Option<Measures>,
}

/// A log entry; `hash` is that of the chain, hexadecimal.
#[derive(Debug, Serialize, Deserialize)]
struct EventLine {
    sequence: u64,
    hash: String,
    event: Event,
}

/// A bar of a reachability plot; infinite distances, which are undefined ones, are left out.
#[derive(Debug, Serialize, Deserialize)]
struct BarLine {
    image: ImageId,
    cluster: Option<ClusterId>,
    reachability: Option<f32>,
    core_distance: Option<f32>,
}

/// What there was, and the digest of all entries before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    clusterings: u64,
    departed: u64,
    images: u64,
    events: u64,
    blake3: String,
}

impl From<&ReachabilityRecord> for BarLine {
    fn from(bar: &ReachabilityRecord) -> Self {
        let finite = |distance: f32| distance.is_finite().then_some(distance);
        Self {
            image: bar.image,
            cluster: bar.cluster,
            reachability: finite(bar.reachability),
            core_distance: finite(bar.core_distance),
        }
    }
}

impl From<BarLine> for ReachabilityRecord {
    fn from(bar: BarLine) -> Self {
        Self {
            image: bar.image,
            cluster: bar.cluster,
            reachability: bar.reachability.unwrap_or(f32::INFINITY),
            core_distance: bar.core_distance.unwrap_or(f32::INFINITY),
        }
    }
}

impl From<PortableError> for EngineError {
    fn from(error: PortableError) -> Self {
        match error {
            // Who sent it is gone, or too slow.
            PortableError::Io(_) => Self::Cancelled,
            PortableError::Damaged(what) => {
                Self::Precondition { reason: NOT_PORTABLE, message: format!("the export is refused: {what}") }
            }
        }
    }
}

fn clustering_folder(id: u64) -> String {
    format!("clusterings/{id:06}")
}

fn part(of: &str, number: usize, extension: &str) -> String {
    format!("{of}{number:06}.{extension}")
}
