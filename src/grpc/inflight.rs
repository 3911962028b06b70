//! Bytes of images in flight over all callers, bounded, and shared between them: no caller takes all the room, and where
//! it is short callers take turns, however many images each has waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are counted in KiB, since a semaphore counts in `u32`.
const UNIT_BYTES: u64 = 1024;
/// Of the room, one caller has at most so much: three quarters. The rest is for whoever else comes.
const SHARE: (u32, u32) = (3, 4);

/// The bound, shared by all calls.
#[derive(Debug, Clone)]
pub(super) struct Inflight {
    units: Arc<Semaphore>,
    units_max: u32,
    share_max: u32,
    /// Callers with images in flight, by name.
    shares: Arc<Mutex<HashMap<String, Weak<Share>>>>,
}

/// What one caller may take.
#[derive(Debug)]
struct Share {
    units: Arc<Semaphore>,
    /// Held by the one image of this caller that waits for room beside those of others.
    turn: tokio::sync::Mutex<()>,
}

/// Room for an image, until dropped.
#[derive(Debug)]
pub(super) struct Room {
    _units: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _share: Arc<Share>,
}

impl Inflight {
    /// At most so many bytes.
    pub(super) fn new(bytes_max: u64) -> Self {
        let units_max = u32::try_from(bytes_max / UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        let (share, of) = SHARE;
        let share_max = (u64::from(units_max) * u64::from(share) / u64::from(of)).max(1) as u32;
        Self {
            units: Arc::new(Semaphore::new(units_max as usize)),
            units_max,
            share_max,
            shares: Arc::default(),
        }
    }

    fn units_of(&self, bytes: usize) -> u32 {
        u32::try_from((bytes as u64).div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).clamp(1, self.share_max)
    }

    fn share(&self, caller: &str) -> Arc<Share> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(caller).and_then(Weak::upgrade) {
            return share;
        }
        // Whoever comes first anew clears away those who are gone: there are never more than have images in flight.
        shares.retain(|_, share| share.strong_count() > 0);
        let units = Arc::new(Semaphore::new(self.share_max as usize));
        let share = Arc::new(Share { units, turn: tokio::sync::Mutex::default() });
        shares.insert(caller.to_owned(), Arc::downgrade(&share));
        share
    }

    /// Waits for room; `None` never, as the bound is never taken away.
    pub(super) async fn acquire(&self, caller: &str, bytes: usize) -> Option<Room> {
        let (share, units) = (self.share(caller), self.units_of(bytes));
        let own = Arc::clone(&share.units).acquire_many_owned(units).await.ok()?;
        // With one image of each caller in the queue, the queue goes round by callers.
        let turn = share.turn.lock().await;
        let units = Arc::clone(&self.units).acquire_many_owned(units).await.ok()?;
        drop(turn);
        Some(Room { _units: units, _own: own, _share: share })
    }

    /// Takes room if there is some.
    pub(super) fn try_acquire(&self, caller: &str, bytes: usize) -> Option<Room> {
        let (share, units) = (self.share(caller), self.units_of(bytes));
        let own = Arc::clone(&share.units).try_acquire_many_owned(units).ok()?;
        let units = Arc::clone(&self.units).try_acquire_many_owned(units).ok()?;
        Some(Room { _units: units, _own: own, _share: share })
    }

    /// Bytes in flight, about.
    pub(super) fn bytes(&self) -> u64 {
        (self.units_max as usize).saturating_sub(self.units.available_permits()) as u64 * UNIT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const KIB: usize = 1024;

    type Waiting<'a> = Pin<Box<dyn Future<Output = Option<Room>> + 'a>>;

    fn ask<'a>(inflight: &'a Inflight, caller: &'a str, bytes: usize) -> Waiting<'a> {
        let mut waiting: Waiting<'a> = Box::pin(inflight.acquire(caller, bytes));
        // It takes its place in the queue when it is first looked at.
        assert!(poll(&mut waiting).is_none(), "there was room for {caller}");
        waiting
    }

    fn poll(waiting: &mut Waiting<'_>) -> Option<Room> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(room) => room,
            Poll::Pending => None,
        }
    }

    /// The first of those who wait to have room now; it waits no more.
    fn served(waiting: &mut Vec<Waiting<'_>>) -> Option<Room> {
        let (at, room) = waiting.iter_mut().enumerate().find_map(|(at, one)| Some((at, poll(one)?)))?;
        drop(waiting.remove(at));
        Some(room)
    }

    #[test]
    fn one_caller_with_large_images_leaves_room_for_others() {
        let inflight = Inflight::new(400 * KIB as u64);
        let held: Vec<Room> = (0..3).filter_map(|_| inflight.try_acquire("large", 100 * KIB)).collect();
        assert_eq!((held.len(), inflight.bytes()), (3, 300 * KIB as u64));
        assert!(inflight.try_acquire("large", KIB).is_none(), "beyond its share");
        let mut more: Vec<_> = (0..50).map(|_| ask(&inflight, "large", 100 * KIB)).collect();
        // Whatever waits there, others find room at once, up to what there is.
        let small: Vec<Room> = (0..100).filter_map(|_| inflight.try_acquire("small", KIB)).collect();
        assert_eq!(small.len(), 100);
        assert!(inflight.try_acquire("small", KIB).is_none());
        drop((held, small));
        let room: Vec<Room> = more.iter_mut().filter_map(poll).collect();
        assert_eq!(room.len(), 3);
        drop(room);
        drop(more);
        assert_eq!(inflight.bytes(), 0);
        // Those who are gone are forgotten.
        drop(inflight.try_acquire("last", KIB));
        assert_eq!(inflight.shares.lock().unwrap_or_else(PoisonError::into_inner).len(), 1);
    }

    #[test]
    fn callers_take_turns_where_room_is_short() {
        let inflight = Inflight::new(400 * KIB as u64);
        let callers = ["a", "a", "b", "b"].into_iter();
        let mut held: Vec<Room> = callers.filter_map(|name| inflight.try_acquire(name, 100 * KIB)).collect();
        assert_eq!(held.len(), 4);
        let mut a: Vec<_> = (0..20).map(|_| ask(&inflight, "a", 100 * KIB)).collect();
        let mut b: Vec<_> = (0..20).map(|_| ask(&inflight, "b", 100 * KIB)).collect();
        let mut late = vec![ask(&inflight, "late", 100 * KIB)];
        // One of each that came before, and then the one that came last, with 38 others waiting.
        let mut turns = Vec::new();
        while turns.last() != Some(&"late") {
            held.remove(0);
            let now = [("a", served(&mut a)), ("b", served(&mut b)), ("late", served(&mut late))];
            for (name, room) in now.into_iter().filter_map(|(name, room)| Some((name, room?))) {
                turns.push(name);
                held.push(room);
            }
        }
        assert_eq!(turns, ["a", "b", "late"]);
    }

    #[test]
    fn an_image_larger_than_all_room_waits_for_a_share_of_it() {
        let inflight = Inflight::new(4 * KIB as u64);
        assert!(inflight.try_acquire("a", usize::MAX).is_some());
    }
}
