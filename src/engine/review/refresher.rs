//! Letting the classifiers of all collections catch up with what was said and stored.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use crate::engine::Open;
use crate::engine::lock::read;
use crate::engine::worker::each_alone;

/// Lets every classifier catch up that is behind.
pub(in crate::engine) fn catch_up(collections: &RwLock<BTreeMap<String, Open>>, stop: &AtomicBool) {
    let open: Vec<_> = read(collections).values().map(|open| Arc::clone(&open.collection)).collect();
    each_alone(
        &open,
        |collection| collection.name(),
        |collection| {
            if !stop.load(Ordering::Relaxed)
                && let Err(error) = collection.catch_up_review()
                && !collection.is_closed()
            {
                tracing::error!(%error, collection = collection.name(), "the classifier did not catch up");
            }
        },
    );
}
