//! What a collection needs and nobody waits for: the index that it has outgrown, built anew beside the one in use, and
//! the clustering that is to be followed after a start.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use crate::types::PointOffset;

use super::Open;
use super::collection::Collection;
use super::error::EngineError;
use super::lock::read;
use super::worker::each_alone;

/// Rows inserted into a new index at a time; writers wait for so many, up to 10 ms each.
const STEP_ROWS: usize = 8;

/// Keeps collections up: first what is seconds, then what may be minutes.
pub(super) fn keep_up(collections: &RwLock<BTreeMap<String, Open>>, stop: &AtomicBool) {
    let open: Vec<_> = read(collections).values().map(|open| Arc::clone(&open.collection)).collect();
    let tell = |collection: &Collection, done: Result<(), EngineError>, what: &str| {
        if let Err(error) = done
            && !collection.is_closed()
        {
            tracing::error!(%error, collection = collection.name(), "{what}");
        }
    };
    each_alone(
        &open,
        |collection| collection.name(),
        |collection| {
            let begun = collection.begin_to_follow(&|| stop.load(Ordering::Relaxed));
            tell(collection, begun, "the clustering is not followed");
            tell(collection, collection.keep_followed(false), "the clustering was not kept");
        },
    );
    each_alone(
        &open,
        |collection| collection.name(),
        |collection| {
            tell(collection, collection.keep_near(false), "what is nearest was not kept");
        },
    );
    each_alone(
        &open,
        |collection| collection.name(),
        |collection| {
            tell(collection, collection.save_revisions(false), "revisions were not saved");
        },
    );
    each_alone(
        &open,
        |collection| collection.name(),
        |collection| {
            tell(collection, collection.note_growth(), "the counts were not recorded");
        },
    );
    each_alone(
        &open,
        |collection| collection.name(),
        |collection| {
            tell(collection, collection.renew_index(stop), "the index was not renewed");
        },
    );
}

impl Collection {
    /// Builds the index that fits where the one in use doesn't, and puts it in its place.
    ///
    /// The one in use answers meanwhile; it is exact, or was good until now. Each step holds the state for a few rows
    /// only, since the graph takes milliseconds for each.
    ///
    /// # Errors
    /// A row that the index refuses.
    fn renew_index(&self, stopping: &AtomicBool) -> Result<(), EngineError> {
        let (compactions, mut index) = {
            let state = read(&self.state);
            let rows = state.rows.count();
            if self.keeping.index.allows(state.index.kind(), rows) && !state.index.is_stale() {
                return Ok(());
            }
            tracing::info!(collection = self.name(), rows, "building the index that fits");
            (state.compactions, self.keeping.index.empty(state.vectors.dim(), rows, self.keeping.hnsw))
        };
        let mut inserted: Vec<PointOffset> = Vec::new();
        loop {
            let state = read(&self.state);
            if stopping.load(Ordering::Relaxed) || self.is_closed() || state.compactions != compactions {
                return Ok(());
            }
            let step = next_rows(&state, inserted.last().copied());
            if step.is_empty() {
                break;
            }
            index.insert(&state.vectors, &step)?;
            inserted.extend(step);
        }
        let writer = self.writer()?;
        {
            // No row comes or goes while this is the writer's turn, and readers need not wait.
            let state = read(&self.state);
            if state.compactions != compactions {
                return Ok(());
            }
            let mut step = next_rows(&state, inserted.last().copied());
            while !step.is_empty() {
                index.insert(&state.vectors, &step)?;
                inserted.extend(&step);
                step = next_rows(&state, inserted.last().copied());
            }
            for &offset in inserted.iter().filter(|&&offset| !state.rows.get(offset).alive) {
                index.remove(offset)?;
            }
        }
        writer.publish_aside(|state| state.index = index);
        Ok(())
    }
}

/// The next rows to insert behind the last one.
fn next_rows(state: &super::state::State, last: Option<PointOffset>) -> Vec<PointOffset> {
    let first = last.map_or(0, |last| last as usize + 1);
    let rows = state.rows.all().iter().enumerate().skip(first).filter(|(_, row)| row.alive);
    rows.map(|(offset, _)| offset as PointOffset).take(STEP_ROWS).collect()
}
