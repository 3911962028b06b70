//! Selecting images.

use std::collections::HashSet;

use crate::decide::DecisionKind;
use crate::decode::Defects;
use crate::types::{ClusterId, ImageId, PointOffset};

use super::clusterings::Place;
use super::collection::Collection;
use super::error::EngineError;
use super::persist::ImageRecord;
use super::state::{Row, Snapshot};

/// Ids in one filter at most.
pub const FILTER_IDS_MAX: usize = 10_000;

/// Selects images: all fields that are set must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// One of these; empty: any.
    pub images: HashSet<ImageId>,
    /// Has a source whose key starts so; empty: any.
    pub source_prefix: String,
    /// Has a source that carries all of these; empty: any.
    pub tags: Vec<String>,
    /// Added at or after, milliseconds since 1970 UTC.
    pub added_after_ms: Option<i64>,
    /// Added before.
    pub added_before_ms: Option<i64>,
    /// In one of these clusters of the active clustering; empty: any.
    pub clusters: HashSet<ClusterId>,
    /// Noise in the active clustering.
    pub noise: bool,
    /// With one of these decisions; empty: any.
    pub decisions: HashSet<DecisionKind>,
    /// With one of these defects; empty: any, known or not.
    pub defects: Defects,
}

impl Filter {
    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it selects the same images until one comes or goes: neither clusterings nor decisions nor sources change
    /// that.
    pub(super) fn holds_by_image(&self) -> bool {
        let by_image = Self {
            images: self.images.clone(),
            added_after_ms: self.added_after_ms,
            added_before_ms: self.added_before_ms,
            defects: self.defects,
            ..Self::default()
        };
        *self == by_image
    }

    /// Whether changes of decisions alone say who is selected.
    ///
    /// # Errors
    /// A field that an image can begin or cease to match without a change of its decision.
    pub fn check_followed(&self) -> Result<(), EngineError> {
        let unfit = [
            ("filter.source_prefix", !self.source_prefix.is_empty()),
            ("filter.tags", !self.tags.is_empty()),
            ("filter.cluster_ids", !self.clusters.is_empty()),
            ("filter.noise", self.noise),
        ];
        match unfit.into_iter().find(|(_, set)| *set) {
            Some((field, _)) => {
                Err(EngineError::invalid(field, "can't be followed: it does not go with changes"))
            }
            None => Ok(()),
        }
    }

    /// Whether sources have to be read.
    fn needs_header(&self) -> bool {
        !self.source_prefix.is_empty() || !self.tags.is_empty()
    }

    fn matches_row(&self, row: &Row, place: Place, decision: DecisionKind) -> bool {
        let clustered = match place {
            Place::Member(cluster, _) => {
                !self.noise && (self.clusters.is_empty() || self.clusters.contains(&cluster))
            }
            Place::Noise => self.clusters.is_empty(),
            Place::Unclustered => !self.noise && self.clusters.is_empty(),
        };
        clustered
            && (self.images.is_empty() || self.images.contains(&row.image))
            && self.added_after_ms.is_none_or(|after| row.added_ms >= after)
            && self.added_before_ms.is_none_or(|before| row.added_ms < before)
            && (self.decisions.is_empty() || self.decisions.contains(&decision))
            && (self.defects.is_empty() || row.defects.is_some_and(|found| found.intersects(self.defects)))
    }

    fn matches_header(&self, header: &ImageRecord) -> bool {
        header.sources.iter().any(|source| {
            source.key.starts_with(&self.source_prefix)
                && self.tags.iter().all(|tag| source.tags.contains(tag))
        })
    }
}

impl Collection {
    /// Whether one row is selected; reads its header only where the filter asks for sources.
    pub(super) fn is_selected(
        &self,
        snapshot: &Snapshot,
        filter: &Filter,
        offset: PointOffset,
    ) -> Result<bool, EngineError> {
        let row = snapshot.rows.get(offset);
        let derived = &snapshot.derived;
        let (place, decision) = (derived.places[offset as usize], derived.decisions[offset as usize].kind);
        if !row.alive || !filter.matches_row(row, place, decision) {
            return Ok(false);
        }
        if !filter.needs_header() {
            return Ok(true);
        }
        Ok(self.store.header(&row.image)?.is_some_and(|header| filter.matches_header(&header)))
    }

    /// All images selected, in the order in which they were added.
    pub(super) fn select(
        &self,
        snapshot: &Snapshot,
        filter: &Filter,
    ) -> Result<Vec<(PointOffset, ImageId)>, EngineError> {
        let mut selected = Vec::new();
        for (offset, row) in snapshot.rows.alive() {
            if self.is_selected(snapshot, filter, offset)? {
                selected.push((offset, row.image));
            }
        }
        Ok(selected)
    }
}
