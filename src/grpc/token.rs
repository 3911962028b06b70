//! Tokens: how far a caller knows the decisions of a collection, opaque, and of no use for another one.

use std::fmt::Write as _;

use crate::engine::{ChangePoint, Collection, EngineError, HeldPoint, Look};
use crate::types::ImageId;

const CHECK_BYTES: usize = 8;
const NUMBERS: usize = 4;
const NUMBER_BYTES: usize = 8;
const IMAGE_BYTES: usize = 32;
const TOKEN_BYTES: usize = CHECK_BYTES + NUMBERS * NUMBER_BYTES + IMAGE_BYTES;

/// The token of a caller who knows everything up to this point of a look.
pub(super) fn token(collection: &Collection, look: &Look, point: ChangePoint) -> String {
    let held = look.held(point, collection);
    let numbers = [held.created_ms as u64, held.epoch, held.given_ms as u64, held.point.revision];
    let mut payload: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    payload.extend_from_slice(&held.point.image.0);
    let bytes = check(collection.name(), &payload).into_iter().chain(payload);
    bytes.fold(String::with_capacity(2 * TOKEN_BYTES), |mut token, byte| {
        // Writing to a string can't fail.
        let _ = write!(token, "{byte:02x}");
        token
    })
}

/// Where a token of this collection says to go on; `None` for the empty one.
///
/// # Errors
/// It is damaged or of another collection, or can't be gone on from any more.
pub(super) fn point(collection: &Collection, token: &str) -> Result<Option<ChangePoint>, EngineError> {
    if token.is_empty() {
        return Ok(None);
    }
    let held = decode(collection.name(), token)
        .ok_or_else(|| EngineError::invalid("since", "is not a token of this collection"))?;
    collection.resume(&held).map(Some)
}

fn decode(name: &str, token: &str) -> Option<HeldPoint> {
    let digits = token.as_bytes();
    if digits.len() != 2 * TOKEN_BYTES {
        return None;
    }
    let mut bytes = [0; TOKEN_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = (value(pair[0])? * 16 + value(pair[1])?) as u8;
    }
    let (found, payload) = bytes.split_at(CHECK_BYTES);
    if found != check(name, payload) {
        return None;
    }
    let (numbers, image) = payload.split_at(NUMBERS * NUMBER_BYTES);
    let (numbers, _) = numbers.as_chunks::<NUMBER_BYTES>();
    let [created_ms, epoch, given_ms, revision] = *numbers else { return None };
    Some(HeldPoint {
        point: ChangePoint { revision: u64::from_le_bytes(revision), image: ImageId(image.try_into().ok()?) },
        created_ms: i64::from_le_bytes(created_ms),
        epoch: u64::from_le_bytes(epoch),
        given_ms: i64::from_le_bytes(given_ms),
    })
}

/// What tells tokens of one collection from anything else.
fn check(name: &str, payload: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"decisions\0").update(name.as_bytes()).update(b"\0").update(payload);
    let mut check = [0; CHECK_BYTES];
    hasher.finalize_xof().fill(&mut check);
    check
}
