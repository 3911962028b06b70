//! A store that can be copied while it is written.
//!
//! The copy first visits everything, whatever is written meanwhile; then it takes again what was touched since, and
//! again what was touched during that, until little is left. That little is taken while writers wait, so the copy is the
//! store as it was at that moment. Only keys are remembered, not values, and writers never wait for a slow disk that
//! takes the copy for longer than the last few records need.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::failpoint;

use super::{Store, StoreError, Visit, Write};

/// Bytes of one piece of a copy, unless one record alone has more.
pub(super) const PIECE_BYTES: usize = 4 << 20;

/// Keys that are taken while writers wait.
const LAST_KEYS_MAX: usize = 256;

/// Rounds over what was touched; after so many, writers wait for the next.
const ROUNDS_MAX: usize = 16;

/// Keys remembered at most, of 100 bytes or so each: a million images added in one round. Beyond it the copy fails.
const TOUCHED_MAX: usize = 4_000_000;

/// Keys written since the last round.
#[derive(Debug, Default)]
struct Touched {
    keys: BTreeSet<Vec<u8>>,
    too_many: bool,
}

/// A [`Store`] over another one.
pub struct Watched {
    inner: Arc<dyn Store>,
    /// There while a copy is under way. Held by every write.
    touched: Mutex<Option<Touched>>,
}

impl Watched {
    /// Watches a store, whose every write must go through here from now on.
    pub fn over(inner: Arc<dyn Store>) -> Self {
        Self { inner, touched: Mutex::new(None) }
    }

    // Nothing panics while it holds the lock but a write of the store, which leaves the keys as they are.
    fn touched(&self) -> MutexGuard<'_, Option<Touched>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies the store as it is at one moment before this returns: `take` gets writes in pieces, of which the last to a
    /// key counts.
    ///
    /// # Errors
    /// Another copy is under way, so much was written meanwhile that it can't keep up, reading failed, or what `take`
    /// answers.
    pub fn copy(&self, take: &mut dyn FnMut(Vec<Write>) -> Result<(), StoreError>) -> Result<(), StoreError> {
        {
            let mut touched = self.touched();
            if touched.is_some() {
                return Err(StoreError::Busy);
            }
            *touched = Some(Touched::default());
        }
        let _watching = Watching(self);
        failpoint::pass("backup", "begun");
        copy_all(&*self.inner, take)?;
        failpoint::pass("backup", "scanned");
        for round in 1.. {
            let mut touched = self.touched();
            let Touched { keys, too_many } = touched.replace(Touched::default()).unwrap_or_default();
            if too_many {
                return Err(StoreError::Overrun);
            }
            if keys.len() <= LAST_KEYS_MAX || round == ROUNDS_MAX {
                // Writers wait for the lock.
                return self.copy_keys(&keys, take);
            }
            drop(touched);
            self.copy_keys(&keys, take)?;
        }
        Ok(())
    }

    fn copy_keys(
        &self,
        keys: &BTreeSet<Vec<u8>>,
        take: &mut dyn FnMut(Vec<Write>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut piece = Piece::default();
        for key in keys {
            let write = match self.inner.get(key)? {
                Some(value) => Write::Put { key: key.clone(), value },
                None => Write::Delete { key: key.clone() },
            };
            piece.push(write, take)?;
        }
        take(piece.writes)
    }
}

/// Copies a store that nobody writes, or what may be seen of it while somebody does.
pub(super) fn copy_all(
    store: &dyn Store,
    take: &mut dyn FnMut(Vec<Write>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let (mut piece, mut failed) = (Piece::default(), None);
    store.scan(&[], &mut |key, value| match piece
        .push(Write::Put { key: key.to_vec(), value: value.to_vec() }, take)
    {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or_else(|| take(piece.writes), Err)
}

/// Writes that are handed on together.
#[derive(Default)]
struct Piece {
    writes: Vec<Write>,
    bytes: usize,
}

impl Piece {
    fn push(
        &mut self,
        write: Write,
        take: &mut dyn FnMut(Vec<Write>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.bytes += write.bytes();
        self.writes.push(write);
        if self.bytes < PIECE_BYTES {
            return Ok(());
        }
        self.bytes = 0;
        take(std::mem::take(&mut self.writes))
    }
}

/// Ends the watch however the copy ends.
struct Watching<'a>(&'a Watched);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        *self.0.touched() = None;
    }
}

impl Store for Watched {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.inner.scan(prefix, visit)
    }

    fn apply(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        let mut touched = self.touched();
        if let Some(touched) = &mut *touched {
            if touched.keys.len() + batch.len() <= TOUCHED_MAX {
                touched.keys.extend(batch.iter().map(|write| write.key().to_vec()));
            } else {
                touched.too_many = true;
            }
        }
        self.inner.apply(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.inner.sync()
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.inner.size_on_disk()
    }

    fn stalled(&self, after: Duration) -> Option<StoreError> {
        self.inner.stalled(after)
    }
}
