//! What an export may say. Whoever made it may have made it up, with the right digests: what is taken in here is what
//! this daemon could have written, and no number of it comes near the end of its type.

use crate::decide::event::{Act, Event};
use crate::decode::{DecodedImage, Format, Limits, THUMBNAIL_EDGE_MAX, decode, thumbnail};
use crate::engine::clusterings::ClusteringHead;
use crate::engine::error::EngineError;
use crate::engine::persist::{ImageRecord, SourceRecord};
use crate::engine::verdict::{ACTOR_CHARACTERS_MAX, NOTE_CHARACTERS_MAX, check_text};
use crate::engine::{NewSource, SOURCES_MAX, check_source};
use crate::growth::Growth;
use crate::portable::damaged;
use crate::types::ImageId;

use super::About;

/// The end of the year 9999, milliseconds since 1970 UTC.
const TIME_MS_MAX: i64 = 253_402_300_799_999;
/// What counts one by one, such as generations, gets nowhere near this.
const COUNT_MAX: u64 = 1 << 48;
/// Bytes of an image's file at most, whatever the limit was where it was added.
const IMAGE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a thumbnail at most, and how long it may take to decode.
const THUMBNAIL_BYTES_MAX: usize = 1 << 20;
const THUMBNAIL_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// That times and counts can be those of a daemon.
fn check_numbers(
    what: &str,
    times: impl IntoIterator<Item = i64>,
    counts: impl IntoIterator<Item = u64>,
) -> Result<(), EngineError> {
    if let Some(time) = times.into_iter().find(|time| !(0..=TIME_MS_MAX).contains(time)) {
        return Err(damaged(format!("{what} is of a time that never was: {time}")).into());
    }
    if let Some(count) = counts.into_iter().find(|count| *count > COUNT_MAX) {
        return Err(damaged(format!("{what} counts up to {count}, which nobody can")).into());
    }
    Ok(())
}

/// Checks what an export says of the collection.
pub(super) fn check_about(about: &About) -> Result<(), EngineError> {
    let state = &about.state;
    let counts = [state.generation.0, state.next_clustering, state.next_cluster];
    check_numbers("the collection", [about.created_ms], counts.into_iter().chain(state.active))
}

/// Checks a clustering.
pub(super) fn check_clustering(head: &ClusteringHead) -> Result<(), EngineError> {
    let counts = [head.id, head.generation.0, head.images, head.noise].into_iter();
    let clusters = head.clusters.iter().flat_map(|cluster| {
        let parents = cluster.parents.iter().flat_map(|(id, count)| [id.0, *count]);
        [cluster.id.0, cluster.size].into_iter().chain(parents)
    });
    check_numbers(&format!("clustering {}", head.id), [head.created_ms], counts.chain(clusters))
}

/// Checks what is said of an image.
pub(super) fn check_image(id: &ImageId, image: &ImageRecord, about: &About) -> Result<(), EngineError> {
    let sources = image.sources.len();
    let problem = if sources == 0 || sources > SOURCES_MAX {
        Some(format!("has {sources} sources, 1 to {SOURCES_MAX} are allowed"))
    } else if image.generation > about.state.generation {
        Some("came with a generation that is not there yet".to_owned())
    } else if !(1..=IMAGE_BYTES_MAX).contains(&image.bytes) {
        Some(format!("has {} bytes, 1 to {IMAGE_BYTES_MAX} are allowed", image.bytes))
    } else {
        let source = |source: &SourceRecord| NewSource {
            key: source.key.clone(),
            uri: source.uri.clone(),
            modified_ms: source.modified_ms,
            tags: source.tags.clone(),
        };
        image.sources.iter().find_map(|one| check_source(&source(one)).err())
    };
    if let Some(problem) = problem {
        return Err(damaged(format!("image {id}: {problem}")).into());
    }
    let seen = image.sources.iter().flat_map(|source| [source.first_seen_ms, source.last_seen_ms]);
    let times = [image.added_ms].into_iter().chain(seen);
    check_numbers(&format!("image {id}"), times, image.sources.iter().map(|source| source.size))
}

/// Checks an entry of the log.
pub(super) fn check_event(event: &Event) -> Result<(), EngineError> {
    check_text("actor", &event.actor, ACTOR_CHARACTERS_MAX)?;
    check_text("note", &event.note, NOTE_CHARACTERS_MAX)?;
    let count = match &event.act {
        Act::SetPolicy { policy, version } => {
            policy.check()?;
            *version
        }
        Act::Delete { sources, .. } => *sources,
        Act::Activate { clustering } => *clustering,
        Act::Undo { event } => *event,
        Act::Verdict(_) | Act::Answer(_) => 0,
    };
    check_numbers("it", [event.at_ms], [count])
}

/// Checks how it grew.
pub(super) fn check_growth(path: &str, growth: &Growth) -> Result<(), EngineError> {
    if !growth.is_bounded() {
        return Err(damaged(format!("{path} has more points than any")).into());
    }
    let points = growth.points();
    let counts = points.iter().flat_map(|point| point.decided);
    check_numbers(path, points.iter().map(|point| point.at_ms), counts)
}

/// A thumbnail such as the daemon makes them, which browsers get: this one where a daemon made it, or else one that is
/// encoded anew. `None` where it is no small JPEG that is whole.
pub(super) fn own_thumbnail(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let limits = Limits {
        bytes_max: THUMBNAIL_BYTES_MAX,
        pixels_max: u64::from(THUMBNAIL_EDGE_MAX * THUMBNAIL_EDGE_MAX),
        decode_time_max: THUMBNAIL_TIME_MAX,
    };
    let is_small = |image: &DecodedImage| {
        image.format == Format::Jpeg && image.width.max(image.height) <= THUMBNAIL_EDGE_MAX
    };
    let image = decode(&bytes, &limits, u32::MAX).ok().filter(is_small)?;
    let own = thumbnail(&image).ok()?;
    let is_own =
        matches!((parts(&bytes), parts(&own)), (Some((head, true)), Some((own_head, _))) if head == own_head);
    Some(if is_own { bytes } else { own })
}

/// All of a JPEG before the data of its first scan, and whether that data is all that follows
/// (ITU-T T.81, annex B).
fn parts(jpeg: &[u8]) -> Option<(&[u8], bool)> {
    const SCAN: u8 = 0xda;
    let mut at = 2;
    loop {
        let &[0xff, marker, high, low] = jpeg.get(at..)?.first_chunk()? else { return None };
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == SCAN {
            break;
        }
    }
    let (head, data) = jpeg.split_at_checked(at)?;
    // Within the data each 0xff is followed by a zero, up to the marker of the end.
    let is_plain = |data: &[u8]| data.windows(2).all(|pair| pair[0] != 0xff || pair[1] == 0);
    Some((head, data.strip_suffix(&[0xff, 0xd9]).is_some_and(is_plain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_of_others_are_encoded_anew() {
        let rgb = (0..60 * 40 * 3u32).map(|at| (at * at / 7) as u8).collect();
        let (width, height) = (60, 40);
        let (original_width, original_height, format) = (width, height, Format::Png);
        let picture = DecodedImage { rgb, width, height, original_width, original_height, format };
        let own = thumbnail(&picture).unwrap();
        assert_eq!(own_thumbnail(own.clone()), Some(own.clone()));
        let comment = [&own[..2], &[0xff, 0xfe, 0, 5, b'<', b'b', b'>'], &own[2..]].concat();
        let behind = [&own[..], b"<script>"].concat();
        for other in [comment, behind] {
            let anew = own_thumbnail(other.clone()).unwrap();
            assert_ne!(anew, other);
            assert_eq!(parts(&anew).map(|(head, _)| head), parts(&own).map(|(head, _)| head));
            assert!(parts(&anew).is_some_and(|(_, is_plain)| is_plain));
        }
        assert_eq!(own_thumbnail(own[..own.len() / 2].to_vec()), None);
        assert_eq!(own_thumbnail(b"<script>".to_vec()), None);
    }
}
