//! When a collection is clustered anew by itself: as its policy says.

use crate::cluster::Parameters;
use crate::types::PointOffset;

use super::collection::Collection;
use super::error::EngineError;
use super::lock::{now_ms, read};
use super::recluster::ReclusterRequest;
use super::state::State;
use super::worker::each_alone;
use super::{ClusteringHead, Engine};

/// Who asks for such a clustering, in the log.
const ACTOR: &str = "policy";
const MS_PER_HOUR: f64 = 3_600_000.0;

impl Engine {
    /// Clusters anew where a policy asks for it, with what the active clustering was asked for; a collection that is
    /// being clustered is passed over.
    pub fn keep_policies(&self) {
        each_alone(
            &self.collections(),
            |collection| collection.name(),
            |collection| {
                let Some((request, reason)) = collection.due() else { return };
                match self.recluster(collection.name(), request, None) {
                    Ok(_) => tracing::info!(collection = collection.name(), reason, "clustering anew"),
                    Err(EngineError::Precondition { reason: "OPERATION_RUNNING", .. }) => {}
                    Err(error) => {
                        tracing::warn!(%error, collection = collection.name(), reason, "not clustered anew");
                    }
                }
            },
        );
    }
}

impl Collection {
    /// The clustering that the policy asks for now, and why.
    fn due(&self) -> Option<(ReclusterRequest, &'static str)> {
        // Who looks at an item is not to find other clusters behind it.
        if self.review.is_busy() {
            return None;
        }
        let state = read(&self.state);
        let head = state.active_head()?;
        let reason = reason(&state, head, now_ms())?;
        let request = ReclusterRequest {
            parameters: head.requested,
            seed: head.seed,
            exact: false,
            activate: true,
            actor: ACTOR.to_owned(),
        };
        // What was asked for may not fit what is left.
        head.requested.check(state.rows.count()).ok().map(|_| (request, reason))
    }
}

fn reason(state: &State, head: &ClusteringHead, now_ms: i64) -> Option<&'static str> {
    let policy = &state.policy;
    let images = state.rows.count();
    if state.generation == head.generation || images == 0 {
        return None;
    }
    let (before, after) = (head.images as f64, images as f64);
    if policy.recluster_growth > 0.0 && after >= before * (1.0 + policy.recluster_growth) {
        return Some("growth");
    }
    if policy.recluster_hours > 0.0
        && now_ms.saturating_sub(head.created_ms) as f64 >= policy.recluster_hours * MS_PER_HOUR
    {
        return Some("schedule");
    }
    // Until it is followed again after a start, images in clusters that came since look as if they were in none.
    if matches!(head.parameters, Parameters::Dbscan { .. }) && state.live().is_none() {
        return None;
    }
    // A share that clustering anew did not bring down is no reason to try again.
    let outside_before = head.noise as f64 / before.max(1.0);
    let risen = policy.recluster_noise > 0.0
        && outside_before <= policy.recluster_noise
        && outside(state) as f64 / after > policy.recluster_noise;
    risen.then_some("noise")
}

/// Images in no cluster, those added since among them unless the clustering is followed.
fn outside(state: &State) -> usize {
    if let Some(live) = state.live() {
        return live.noise as usize;
    }
    let clustered = |row: PointOffset| state.derived.places[row as usize].cluster().is_some();
    state.rows.alive().filter(|&(row, _)| !clustered(row)).count()
}
