//! Bytes of images in flight over all callers, bounded.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are counted in KiB, since a semaphore counts in `u32`.
const UNIT_BYTES: u64 = 1024;

/// The bound, shared by all calls.
#[derive(Debug, Clone)]
pub(super) struct Inflight {
    units: Arc<Semaphore>,
    units_max: u32,
}

impl Inflight {
    /// At most so many bytes.
    pub(super) fn new(bytes_max: u64) -> Self {
        let units_max = u32::try_from(bytes_max / UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        Self { units: Arc::new(Semaphore::new(units_max as usize)), units_max }
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from((bytes as u64).div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).clamp(1, self.units_max)
    }

    /// Waits for room; `None` never, as the bound is never taken away.
    pub(super) async fn acquire(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.units).acquire_many_owned(self.units_of(bytes)).await.ok()
    }

    /// Takes room if there is some.
    pub(super) fn try_acquire(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.units).try_acquire_many_owned(self.units_of(bytes)).ok()
    }

    /// Bytes in flight, about.
    pub(super) fn bytes(&self) -> u64 {
        (self.units_max as usize).saturating_sub(self.units.available_permits()) as u64 * UNIT_BYTES
    }
}
