//! How a collection grew: its counts over time, in so many points.

use serde::{Deserialize, Serialize};

/// Points that are kept at most.
pub const POINTS_MAX: usize = 512;
/// Milliseconds between two points at least, before the first thinning.
const APART_MIN_MS: i64 = 10_000;

/// What there was from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrowthPoint {
    /// From when on, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Images decided keep, discard, and left for review; together all that were stored.
    pub decided: [u64; 3],
}

/// A bounded history. A count holds until the next point. Where it is full, points that are near in time are thinned,
/// so that it spans all of a collection's life, however long that is, ever more coarsely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    points: Vec<GrowthPoint>,
    /// Milliseconds between two points at least.
    apart_ms: i64,
}

impl Default for Growth {
    fn default() -> Self {
        Self { points: Vec::new(), apart_ms: APART_MIN_MS }
    }
}

impl Growth {
    /// The points, oldest first, at most [`POINTS_MAX`].
    pub fn points(&self) -> &[GrowthPoint] {
        &self.points
    }

    /// Whether it is as [`Growth::note`] leaves it: so many points, so far apart. What was read from elsewhere may not be.
    pub fn is_bounded(&self) -> bool {
        self.points.len() <= POINTS_MAX && self.apart_ms >= APART_MIN_MS
    }

    /// Whether a point of this moment would be kept: enough time went by since the last one, or the clock was set back.
    pub fn is_due(&self, now_ms: i64) -> bool {
        self.points.last().is_none_or(|last| {
            let since = now_ms.saturating_sub(last.at_ms);
            since < 0 || since >= self.apart_ms
        })
    }

    /// Notes the counts of a moment, unless it is too soon or they are as before; answers whether it did. What a clock
    /// that was set back since said to be later is forgotten.
    pub fn note(&mut self, point: GrowthPoint) -> bool {
        if !self.is_due(point.at_ms) {
            return false;
        }
        self.points.retain(|known| known.at_ms <= point.at_ms);
        if self.points.last().is_some_and(|last| last.decided == point.decided) {
            return false;
        }
        self.points.push(point);
        while self.points.len() > POINTS_MAX {
            self.thin();
        }
        true
    }

    /// Doubles the time between points, and drops those that are nearer to the one before; the last point stays.
    fn thin(&mut self) {
        self.apart_ms = self.apart_ms.saturating_mul(2);
        let last = self.points.pop();
        let mut kept: Option<i64> = None;
        self.points.retain(|point| {
            let keep = kept.is_none_or(|at| point.at_ms.saturating_sub(at) >= self.apart_ms);
            if keep {
                kept = Some(point.at_ms);
            }
            keep
        });
        self.points.extend(last);
    }
}
