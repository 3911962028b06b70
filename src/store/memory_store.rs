//! The in-memory twin of the disk store: for tests, for temporary daemons, and as the model that the other is
//! compared with.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use super::{Store, StoreError, Visit, Write, check_limits};

/// A [`Store`] that lives as long as the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    map: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

// A lock is poisoned only when its holder panicked. No holder here runs foreign code while it changes the map, so the
// map is whole in any case.
impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.map.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in map.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded)) {
            if !key.starts_with(prefix) || visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        check_limits(&batch)?;
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        for write in batch {
            match write {
                Write::Put { key, value } => map.insert(key, value),
                Write::Delete { key } => map.remove(&key),
            };
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}
