//! Every kind of record as its owner decodes it.

use std::ops::ControlFlow;

use serde::de::DeserializeOwned;

use crate::decide::event::Event;
use crate::decode::Measures;
use crate::engine::clusterings::{ClusteringHead, MemberRecord, ReachabilityRecord};
use crate::engine::error::EngineError;
use crate::engine::operations::OperationStatus;
use crate::engine::persist::{CollectionRecord, ImageRecord, RevisionsRecord, StateRecord};
use crate::engine::requests::RequestRecord;
use crate::growth::Growth;
use crate::store::{Damage, Key, Kind, LogRecord, Store, codec};

/// Decodes a record, for what is wrong with it.
pub(super) fn decode(kind: Kind, key: &[u8], bytes: &[u8]) -> Result<(), Damage> {
    match kind {
        Kind::Collection => whole::<CollectionRecord>(kind, key, bytes),
        Kind::Image => whole::<ImageRecord>(kind, key, bytes),
        Kind::Embedding | Kind::Fingerprint => codec::decode_embedding(kind.version(), key, bytes).map(drop),
        Kind::Policy | Kind::Thumbnail => codec::open(kind.version(), key, bytes).map(drop),
        Kind::Event => {
            let entry: LogRecord = codec::decode(kind.version(), key, bytes)?;
            let event = postcard::take_from_bytes::<Event>(&entry.payload);
            match event {
                Ok((_, [])) => Ok(()),
                Ok((_, rest)) => Err(Damage::Payload { reason: format!("{} bytes left over", rest.len()) }),
                Err(error) => Err(Damage::Payload { reason: error.to_string() }),
            }
        }
        Kind::Clustering => whole::<ClusteringHead>(kind, key, bytes),
        Kind::Operation => whole::<OperationStatus>(kind, key, bytes),
        Kind::Request => whole::<RequestRecord>(kind, key, bytes),
        Kind::Meta => whole::<StateRecord>(kind, key, bytes),
        Kind::Members => whole::<Vec<MemberRecord>>(kind, key, bytes),
        Kind::Reachability => whole::<Vec<ReachabilityRecord>>(kind, key, bytes),
        Kind::Source => whole::<()>(kind, key, bytes),
        Kind::Measures => whole::<Measures>(kind, key, bytes),
        Kind::Revisions => whole::<RevisionsRecord>(kind, key, bytes),
        Kind::Growth => whole::<Growth>(kind, key, bytes),
    }
}

fn whole<T: DeserializeOwned>(kind: Kind, key: &[u8], bytes: &[u8]) -> Result<(), Damage> {
    codec::decode::<T>(kind.version(), key, bytes).map(drop)
}

/// Visits the records under a prefix until `visit` says no; `None` stands for one that is damaged.
pub(super) fn each<T: DeserializeOwned>(
    store: &dyn Store,
    prefix: &Key,
    visit: impl FnMut(&[u8], Option<T>) -> bool,
) -> Result<(), EngineError> {
    each_with(store, prefix, codec::decode, visit)
}

/// As [`each`], by another decoder.
pub(super) fn each_with<T>(
    store: &dyn Store,
    prefix: &Key,
    decode: impl Fn(u8, &[u8], &[u8]) -> Result<T, Damage>,
    mut visit: impl FnMut(&[u8], Option<T>) -> bool,
) -> Result<(), EngineError> {
    store.scan(prefix.as_bytes(), &mut |key, bytes| {
        let own = &key[prefix.as_bytes().len()..];
        let record = decode(prefix.kind().version(), key, bytes).ok();
        if visit(own, record) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(())
}
