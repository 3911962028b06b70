//! Images, sources, filters and outcomes.

use tonic::Status;

use crate::decide::DecisionKind;
use crate::decode::{DecodeError, Defect, Measures};
use crate::engine::{
    AddError, Added, EngineError, FILTER_IDS_MAX, Filter, ImageView, NewSource, SourceRecord,
    TOO_MANY_SOURCES,
};
use crate::grpc::status::invalid;
use crate::proto;
use crate::types::ClusterId;

use super::{basic_decision, image_ids, timestamp, timestamp_ms};

pub(in crate::grpc) fn image(view: ImageView) -> proto::Image {
    proto::Image {
        image_id: view.image.to_string(),
        width_px: view.header.width,
        height_px: view.header.height,
        format: view.header.format,
        size_bytes: view.header.bytes,
        add_time: Some(timestamp(view.header.added_ms)),
        sources: view.header.sources.into_iter().map(source).collect(),
        embedding: view.embedding.unwrap_or_default(),
        cluster_id: view.cluster.map(|cluster| cluster.0),
        defects: defects(view.measures.as_ref()),
        measures: view.measures.as_ref().map(measures),
    }
}

/// What is wrong with an image, as far as it was measured.
pub(super) fn defects(measures: Option<&Measures>) -> Vec<i32> {
    measures
        .into_iter()
        .flat_map(|measures| measures.defects().iter())
        .map(|one| defect(one).into())
        .collect()
}

fn defect(defect: Defect) -> proto::Defect {
    match defect {
        Defect::Blurred => proto::Defect::Blurred,
        Defect::Dark => proto::Defect::Dark,
        Defect::Overexposed => proto::Defect::Overexposed,
        Defect::Uniform => proto::Defect::Uniform,
        Defect::LowEntropy => proto::Defect::LowEntropy,
    }
}

pub(super) fn measures(measures: &Measures) -> proto::ImageMeasures {
    proto::ImageMeasures {
        sharpness: measures.sharpness.map(f64::from),
        brightness: measures.exposure.brightness.into(),
        clipped: measures.exposure.clipped.into(),
        partly_clipped: measures.exposure.partly_clipped.into(),
        deviation: measures.deviation.into(),
        entropy: measures.entropy.into(),
    }
}

fn source(source: SourceRecord) -> proto::Source {
    proto::Source {
        key: source.key,
        uri: source.uri,
        size_bytes: source.size,
        modify_time: source.modified_ms.map(timestamp),
        first_seen_time: Some(timestamp(source.first_seen_ms)),
        last_seen_time: Some(timestamp(source.last_seen_ms)),
        tags: source.tags,
    }
}

/// The source and the bytes of an image to add; the stream's tags come first.
pub(in crate::grpc) fn source_from(
    image: proto::NewImage,
    stream_tags: &[String],
) -> Result<(NewSource, Vec<u8>), Status> {
    let proto::NewImage { key, data, uri, modify_time, tags } = image;
    let modified_ms = timestamp_ms("image.modify_time", modify_time)?;
    let mut all_tags = stream_tags.to_vec();
    all_tags.extend(tags);
    Ok((NewSource { key, uri, modified_ms, tags: all_tags }, data))
}

pub(in crate::grpc) fn filter_from(filter: Option<proto::ImageFilter>) -> Result<Filter, Status> {
    let Some(filter) = filter else {
        return Ok(Filter::default());
    };
    if filter.image_ids.len() > FILTER_IDS_MAX {
        let description =
            format!("has {} entries, at most {FILTER_IDS_MAX} are allowed", filter.image_ids.len());
        return Err(invalid("filter.image_ids", description));
    }
    let decisions = filter.decisions().map(|kind| match kind {
        proto::DecisionKind::Keep => Ok(DecisionKind::Keep),
        proto::DecisionKind::Discard => Ok(DecisionKind::Discard),
        proto::DecisionKind::Review => Ok(DecisionKind::Review),
        proto::DecisionKind::Unspecified => Err(invalid("filter.decisions", "has an unspecified entry")),
    });
    let defects = filter.defects().map(|defect| match defect {
        proto::Defect::Blurred => Ok(Defect::Blurred),
        proto::Defect::Dark => Ok(Defect::Dark),
        proto::Defect::Overexposed => Ok(Defect::Overexposed),
        proto::Defect::Uniform => Ok(Defect::Uniform),
        proto::Defect::LowEntropy => Ok(Defect::LowEntropy),
        proto::Defect::Unspecified => Err(invalid("filter.defects", "has an unspecified entry")),
    });
    Ok(Filter {
        defects: defects.collect::<Result<_, _>>()?,
        decisions: decisions.collect::<Result<_, _>>()?,
        images: image_ids("filter.image_ids", &filter.image_ids)?,
        source_prefix: filter.source_prefix,
        tags: filter.tags,
        added_after_ms: timestamp_ms("filter.added_after", filter.added_after)?,
        added_before_ms: timestamp_ms("filter.added_before", filter.added_before)?,
        clusters: filter.cluster_ids.into_iter().map(ClusterId).collect(),
        noise: filter.noise,
    })
}

/// What became of an image; `id` is known wherever its bytes were.
pub(in crate::grpc) fn outcome(
    key: String,
    id: String,
    answer: Result<Added, AddError>,
) -> proto::AddOutcome {
    match answer {
        Ok(added) => {
            let status = if added.new { proto::AddStatus::Added } else { proto::AddStatus::AlreadyPresent };
            proto::AddOutcome {
                key,
                status: status.into(),
                image_id: added.image.to_string(),
                decision: Some(basic_decision(&added.image, added.decision, added.revision)),
                cluster_id: added.cluster.map(|cluster| cluster.0),
                ..Default::default()
            }
        }
        Err(error) => {
            let status =
                if error.is_rejection() { proto::AddStatus::Rejected } else { proto::AddStatus::Failed };
            proto::AddOutcome {
                key,
                status: status.into(),
                cause: cause(&error).into(),
                detail: error.to_string(),
                image_id: id,
                ..Default::default()
            }
        }
    }
}

fn cause(error: &AddError) -> proto::AddCause {
    use proto::AddCause;
    match error {
        AddError::Decode(DecodeError::Empty) => AddCause::Empty,
        AddError::Decode(DecodeError::TooLarge { .. }) | AddError::TooLarge { .. } => AddCause::TooLarge,
        AddError::Decode(DecodeError::TooManyPixels { .. }) => AddCause::TooManyPixels,
        AddError::Decode(DecodeError::UnsupportedFormat { .. }) => AddCause::UnsupportedFormat,
        AddError::Decode(DecodeError::Corrupt { .. }) => AddCause::Corrupt,
        AddError::Decode(DecodeError::Timeout { .. }) => AddCause::DecodeTimeout,
        AddError::Unreadable(_) => AddCause::PathNotAllowed,
        AddError::Engine(EngineError::Precondition { reason: TOO_MANY_SOURCES, .. }) => {
            AddCause::TooManySources
        }
        AddError::InvalidSource(_) | AddError::Engine(EngineError::Invalid { .. }) => AddCause::InvalidSource,
        // Whether the disk or its share is full, there is no room.
        AddError::Engine(EngineError::Exhausted { .. }) => AddCause::StorageFull,
        AddError::Engine(EngineError::Store(store)) if store.is_full() => AddCause::StorageFull,
        AddError::Engine(_)
        | AddError::Overloaded(_)
        | AddError::Cancelled
        | AddError::Stopping
        | AddError::Internal(_) => AddCause::Internal,
    }
}
