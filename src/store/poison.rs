//! Fail-stop: after a failed write nobody knows what the disk holds (a failed fsync may drop the pages it could not
//! write, and the next one then succeeds), so later writes must refuse rather than build on it.

use std::sync::{Arc, OnceLock};

use super::StoreError;

/// Remembers the first failed write.
#[derive(Debug, Default)]
pub struct Poison(OnceLock<Arc<str>>);

impl Poison {
    /// Refuses once a guarded write has failed.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] with the first failure.
    pub fn check(&self) -> Result<(), StoreError> {
        self.0.get().map_or(Ok(()), |cause| Err(StoreError::Poisoned { cause: Arc::clone(cause) }))
    }

    /// Runs a write, unless an earlier one failed; a failure or a panic of this one poisons.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`], or what `write` answers.
    pub fn guard<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.check()?;
        let on_panic = OnPanic(self);
        let result = write();
        std::mem::forget(on_panic);
        if let Err(error) = &result {
            self.set(&error.to_string());
        }
        result
    }

    fn set(&self, cause: &str) {
        // Only the first cause counts: the later ones follow from it.
        let _ = self.0.set(Arc::from(cause));
    }
}

/// Dropped only while a guarded write unwinds.
struct OnPanic<'a>(&'a Poison);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        self.0.set("a write panicked");
    }
}
