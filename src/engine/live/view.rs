//! What readers see of a clustering that is followed.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::engine::lock::now_ms;
use crate::types::{ClusterId, Generation, PointOffset};

/// Changes of clusters that are told, the last ones.
const LINEAGE_EVENTS_MAX: usize = 1_000;

/// What readers see of it: one generation, whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveView {
    /// The clustering that is followed.
    pub clustering: u64,
    /// The generation of the data that this is the clustering of.
    pub generation: Generation,
    /// Images of each cluster.
    pub sizes: BTreeMap<ClusterId, u64>,
    /// Images in no cluster.
    pub noise: u64,
    /// How clusters came, went, merged and split since it is followed, oldest first, the last 1,000.
    pub lineage: VecDeque<LineageEvent>,
    /// The cluster of each row.
    pub(super) labels: Vec<Option<ClusterId>>,
}

/// Something that happened to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageEvent {
    /// The generation that it came with.
    pub generation: Generation,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The cluster.
    pub cluster: ClusterId,
    /// What happened to it.
    pub change: LineageChange,
}

/// What can happen to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LineageChange {
    /// It formed where there was none.
    Appeared,
    /// It lost its last core image.
    Vanished,
    /// It went into another.
    MergedInto(ClusterId),
    /// It came off another.
    SplitFrom(ClusterId),
}

impl LiveView {
    /// The cluster of a row.
    pub(in crate::engine) fn label(&self, row: PointOffset) -> Option<ClusterId> {
        self.labels.get(row as usize).copied().flatten()
    }

    /// Says which cluster a row is in.
    pub(super) fn relabel(&mut self, row: PointOffset, label: Option<ClusterId>) {
        if self.labels.len() <= row as usize {
            self.labels.resize(row as usize + 1, None);
        }
        let before = std::mem::replace(&mut self.labels[row as usize], label);
        if let Some(cluster) = before
            && let Some(size) = self.sizes.get_mut(&cluster)
        {
            *size -= 1;
            if *size == 0 {
                self.sizes.remove(&cluster);
            }
        }
        if let Some(cluster) = label {
            *self.sizes.entry(cluster).or_default() += 1;
        }
    }

    /// Tells what happened.
    pub(super) fn tell(&mut self, events: Vec<(ClusterId, LineageChange)>, generation: Generation) {
        let at_ms = now_ms();
        let event = |(cluster, change)| LineageEvent { generation, at_ms, cluster, change };
        self.lineage.extend(events.into_iter().map(event));
        let excess = self.lineage.len().saturating_sub(LINEAGE_EVENTS_MAX);
        self.lineage.drain(..excess);
    }

    /// The same view once only these rows are left, in this order.
    pub(in crate::engine) fn keep(&mut self, rows: &[PointOffset]) {
        self.labels = rows.iter().map(|&row| self.label(row)).collect();
    }
}
