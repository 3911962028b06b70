//! Progress and cancellation of a run.

use super::ClusterError;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Parts of the whole run that are done.
    pub done: u32,
    /// Parts of the whole run; the same in every report.
    pub total: u32,
    /// What is being done.
    pub phase: &'static str,
}

/// What a run needs from its caller.
#[derive(Clone, Copy)]
pub struct RunContext<'a> {
    /// Everything random derives from it.
    pub seed: u64,
    /// Is told of progress, from several threads; reports may arrive out of order.
    pub progress: &'a (dyn Fn(Progress) + Sync),
    /// Asked between pieces of work (tens of milliseconds each); true ends the run.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// Progress reports are in thousandths of the run.
const PARTS: u32 = 1000;

/// A stretch of the run: it reports progress within its share, and notices cancellation.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    context: &'a RunContext<'a>,
    from: f32,
    to: f32,
    phase: &'static str,
}

impl<'a> Stage<'a> {
    pub(super) fn whole(context: &'a RunContext<'a>) -> Self {
        Self { context, from: 0.0, to: 1.0, phase: "clustering" }
    }

    /// The share of this stage from `from` to `to`, both in [0, 1].
    pub(super) fn part(&self, from: f32, to: f32, phase: &'static str) -> Self {
        let at = |share: f32| self.from + share * (self.to - self.from);
        Self { context: self.context, from: at(from), to: at(to), phase }
    }

    /// The seed of the run.
    pub fn seed(&self) -> u64 {
        self.context.seed
    }

    /// Reports that `done` of `total` units of this stage are done.
    ///
    /// # Errors
    /// [`ClusterError::Cancelled`] when the caller wants the run to end.
    pub fn tick(&self, done: usize, total: usize) -> Result<(), ClusterError> {
        if (self.context.cancelled)() {
            return Err(ClusterError::Cancelled);
        }
        let share = if total == 0 { 1.0 } else { done as f32 / total as f32 };
        let at = self.from + share * (self.to - self.from);
        let done = ((at * PARTS as f32) as u32).min(PARTS);
        (self.context.progress)(Progress { done, total: PARTS, phase: self.phase });
        Ok(())
    }
}
