//! Making and deleting collections. The list of them is locked for moments only: nobody waits there for the disk, or
//! for somebody else's collection.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use crate::embed::EmbeddingSpace;

use super::add::Adder;
use super::collection::Collection;
use super::error::EngineError;
use super::lock::{lock, now_ms, read, write};
use super::persist::CollectionRecord;
use super::requests::RequestKey;
use super::review::Review;
use super::{DEFAULT_COLLECTION, Engine, NAME_CHARACTERS_MAX, Open};

/// A collection at the moment it was made: what a retry is answered, whatever became of it since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCollection {
    /// Its name.
    pub name: String,
    /// When it was made, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// The space its embeddings live in.
    pub space: EmbeddingSpace,
}

impl Engine {
    /// Opens what the store holds, finishes what was not deleted to the end, and makes the default collection if it is
    /// not there.
    pub(super) fn open_collections(&self) -> Result<(), EngineError> {
        for (number, record) in self.persist.collections()? {
            self.next_number.fetch_max(number + 1, Ordering::Relaxed);
            if record.deleted {
                self.persist.collection(number).delete_all()?;
                continue;
            }
            let open = self.open_collection(number, record)?;
            write(&self.collections).insert(open.collection.name().to_owned(), open);
        }
        if self.get(DEFAULT_COLLECTION).is_err() {
            self.create_collection(DEFAULT_COLLECTION, None)?;
        }
        self.sweep_indexes();
        Ok(())
    }

    pub(super) fn open_collection(&self, number: u32, record: CollectionRecord) -> Result<Open, EngineError> {
        let store = self.persist.collection(number);
        let index_folder = self.index_folder.as_ref().map(|folder| folder.join(number.to_string()));
        let (pool, review) = (Arc::clone(&self.pool), Review::new(self.lease_time, self.refresher.waker()));
        let collection = Arc::new(Collection::open(record, store, self.keeping, index_folder, pool, review)?);
        let adder = Adder::start(Arc::clone(&collection))?;
        Ok(Open { number, collection, adder })
    }

    /// Makes an empty collection.
    ///
    /// # Errors
    /// A name that is taken or not allowed, too many collections, or a store that fails.
    pub fn create_collection(
        &self,
        name: &str,
        request: Option<&RequestKey>,
    ) -> Result<NewCollection, EngineError> {
        check_name(name)?;
        let _turn = lock(&self.changing);
        if let Some(first) = self.persist.daemon().replay(request)? {
            return Ok(first);
        }
        let (taken, count) = {
            let collections = read(&self.collections);
            (collections.contains_key(name), collections.len())
        };
        if taken {
            return Err(EngineError::AlreadyExists { what: "collection", name: name.to_owned() });
        }
        if count >= self.collections_max {
            let message = format!("there are {count} collections, which is the limit");
            return Err(EngineError::Exhausted { message, retry_after: None });
        }
        let (open, made) = self.make_collection(name, request)?;
        write(&self.collections).insert(name.to_owned(), open);
        Ok(made)
    }

    fn make_collection(
        &self,
        name: &str,
        request: Option<&RequestKey>,
    ) -> Result<(Open, NewCollection), EngineError> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let made = NewCollection { name: name.to_owned(), created_ms: now_ms(), space: self.space().clone() };
        let NewCollection { name, created_ms, space } = made.clone();
        let record = CollectionRecord { name, created_ms, space, deleted: false };
        let store = self.persist.collection(number);
        let mut batch = store.batch();
        batch.put_collection(&record)?;
        batch.remember_for_daemon(request, &made)?;
        store.commit("collection", batch)?;
        Ok((self.open_collection(number, record)?, made))
    }

    /// Deletes a collection with everything in it; the default one is made anew, empty. Answers its images.
    ///
    /// # Errors
    /// An unknown collection, or a store that fails.
    pub fn delete_collection(&self, name: &str, request: Option<&RequestKey>) -> Result<u64, EngineError> {
        let name = if name.is_empty() { DEFAULT_COLLECTION } else { name };
        if let Some(images) = self.persist.daemon().replay(request)? {
            return Ok(images);
        }
        let open = self.get(name)?;
        self.operations.cancel_all(Some(name));
        // Its writer may take its time, so nothing is locked meanwhile.
        open.collection.close();
        let images = {
            let _turn = lock(&self.changing);
            if let Some(images) = self.persist.daemon().replay(request)? {
                return Ok(images);
            }
            self.forget_collection(name, &open, request)?
        };
        self.delete_rest(&open);
        Ok(images)
    }

    /// Notes durably that a closed collection is deleted, and takes it off the list.
    fn forget_collection(
        &self,
        name: &str,
        open: &Open,
        request: Option<&RequestKey>,
    ) -> Result<u64, EngineError> {
        // Somebody else may have been faster.
        if self.get(name)?.number != open.number {
            return Err(EngineError::not_found("collection", name));
        }
        let images = open.collection.count();
        let store = self.persist.collection(open.number);
        let mut batch = store.batch();
        batch.put_collection(&CollectionRecord { deleted: true, ..open.collection.record.clone() })?;
        batch.remember_for_daemon(request, &images)?;
        store.commit("collection", batch)?;
        let anew = (name == DEFAULT_COLLECTION).then(|| self.make_collection(name, None)).transpose();
        let mut collections = write(&self.collections);
        collections.remove(name);
        if let Some((anew, _)) = anew? {
            collections.insert(name.to_owned(), anew);
        }
        Ok(images)
    }

    /// Deletes what a deleted collection leaves: its records, and its saved index, which holds embeddings.
    pub(super) fn delete_rest(&self, open: &Open) {
        let name = open.collection.name();
        if let Err(error) = self.persist.collection(open.number).delete_all() {
            tracing::error!(%error, collection = name, "the rest of a deleted collection goes at the next start");
        }
        if let Some(folder) = &self.index_folder {
            remove_index(&folder.join(open.number.to_string()));
        }
    }

    /// Removes saved indexes of collections that are not there any more.
    fn sweep_indexes(&self) {
        let Some(entries) = self.index_folder.as_ref().and_then(|folder| fs::read_dir(folder).ok()) else {
            return;
        };
        let known: Vec<u32> = read(&self.collections).values().map(|open| open.number).collect();
        for entry in entries.flatten() {
            // What has another name was not put there by culld.
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if number.is_some_and(|number| !known.contains(&number)) {
                remove_index(&entry.path());
            }
        }
    }
}

pub(super) fn remove_index(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::error!(%error, folder = %folder.display(), "a deleted collection's index goes at the next start");
        }
        _ => {}
    }
}

pub(super) fn check_name(name: &str) -> Result<(), EngineError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if first && name.len() <= NAME_CHARACTERS_MAX && name.chars().all(allowed) {
        return Ok(());
    }
    let description = format!(
        "must be 1 to {NAME_CHARACTERS_MAX} characters of a-z, 0-9, '-' and '_', starting with a letter or digit"
    );
    Err(EngineError::invalid("collection", description))
}
