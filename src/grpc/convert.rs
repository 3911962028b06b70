//! Messages to domain values and back, one block per message.

mod clustering;
mod collection;
mod decision;
mod image;
mod operation;
mod review;

use prost_types::Timestamp;
use tonic::Status;

use crate::growth::GrowthPoint;
use crate::proto;
use crate::types::ImageId;

use super::status::invalid;

pub(super) use self::clustering::{cluster, clustering, lineage_event, parameter_card, parameters_from};
pub(super) use self::collection::{collection, new_collection, policy, policy_from, space};
pub(super) use self::decision::{
    basic_decision, evaluation, explanation, full_decision, map_point, true_label_from, verdict_from,
};
use self::image::{defects, measures};
pub(super) use self::image::{filter_from, image, outcome, source_from};
pub(super) use self::operation::operation;
pub(super) use self::review::{answer_from, item_ids, next_review, preview, proposal_from, undo_from};

/// Milliseconds since 1970 UTC as a timestamp.
pub(super) fn timestamp(ms: i64) -> Timestamp {
    Timestamp { seconds: ms.div_euclid(1000), nanos: (ms.rem_euclid(1000) * 1_000_000) as i32 }
}

/// The counts of a moment.
pub(super) fn growth_point(point: &GrowthPoint) -> proto::GrowthPoint {
    let [decided_keep, decided_discard, in_review] = point.decided;
    proto::GrowthPoint {
        time: Some(timestamp(point.at_ms)),
        images: decided_keep + decided_discard + in_review,
        decided_keep,
        decided_discard,
        in_review,
    }
}

/// A timestamp as milliseconds since 1970 UTC.
pub(super) fn timestamp_ms(field: &str, at: Option<Timestamp>) -> Result<Option<i64>, Status> {
    at.map(|Timestamp { seconds, nanos }| {
        let ms = seconds.checked_mul(1000).and_then(|ms| ms.checked_add(i64::from(nanos) / 1_000_000));
        ms.ok_or_else(|| invalid(field, "is out of range"))
    })
    .transpose()
}

/// An image id in a field.
pub(super) fn image_id(field: &str, text: &str) -> Result<ImageId, Status> {
    text.parse().map_err(|_| invalid(field, format!("{text:?} is not an image id: 64 hexadecimal digits")))
}

/// Image ids in a repeated field.
pub(super) fn image_ids<C: FromIterator<ImageId>>(field: &str, texts: &[String]) -> Result<C, Status> {
    texts.iter().map(|text| image_id(field, text)).collect()
}
