//! Records as bytes: `version ++ payload ++ checksum`.
//!
//! The version byte belongs to the kind of record. The payload is postcard, or little-endian f32 for embeddings. The
//! checksum is the first [`CHECKSUM_BYTES`] bytes of BLAKE3 over key length (u32 LE) ++ key ++ version ++ payload:
//! a flipped bit is noticed, and so is a record that sits under another record's key.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Length of the checksum at the end of every record, in bytes.
pub const CHECKSUM_BYTES: usize = 8;

/// What is wrong with a record's bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Fewer bytes than a version and a checksum.
    #[error("cut off after {bytes} bytes")]
    Short {
        /// The bytes there are.
        bytes: usize,
    },
    /// The checksum is not that of this key and these bytes.
    #[error("checksum mismatch")]
    Checksum,
    /// Written by another culld.
    #[error("version {found}, expected {expected}")]
    Version {
        /// The version found.
        found: u8,
        /// The version that this build reads.
        expected: u8,
    },
    /// The checksum holds, but the payload is not such a record.
    #[error("not decodable: {reason}")]
    Payload {
        /// Why not.
        reason: String,
    },
}

/// Encodes `value` as the record of `key`.
///
/// # Errors
/// A value that postcard can't represent (a sequence of unknown length); no record of this crate is one.
pub fn encode(version: u8, key: &[u8], value: &impl Serialize) -> Result<Vec<u8>, Damage> {
    let bytes = postcard::to_extend(value, vec![version]).map_err(|error| undecodable(&error))?;
    Ok(seal(key, bytes))
}

/// Decodes the record of `key`.
///
/// # Errors
/// [`Damage`] of any kind; bytes left over after the value count as damage.
pub fn decode<T: DeserializeOwned>(version: u8, key: &[u8], bytes: &[u8]) -> Result<T, Damage> {
    let payload = open(version, key, bytes)?;
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(Damage::Payload { reason: format!("{} bytes left over", rest.len()) }),
        Err(error) => Err(undecodable(&error)),
    }
}

/// Encodes the components of an embedding with their exact bits.
pub fn encode_embedding(version: u8, key: &[u8], components: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + 4 * components.len() + CHECKSUM_BYTES);
    bytes.push(version);
    bytes.extend(components.iter().flat_map(|component| component.to_le_bytes()));
    seal(key, bytes)
}

/// Decodes what [`encode_embedding`] made.
///
/// # Errors
/// [`Damage`] of any kind.
pub fn decode_embedding(version: u8, key: &[u8], bytes: &[u8]) -> Result<Vec<f32>, Damage> {
    let payload = open(version, key, bytes)?;
    let (components, rest) = payload.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Damage::Payload { reason: format!("{} bytes are no f32s", payload.len()) });
    }
    Ok(components.iter().map(|&component| f32::from_le_bytes(component)).collect())
}

/// Encodes plain bytes.
pub fn encode_bytes(version: u8, key: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(1 + bytes.len() + CHECKSUM_BYTES);
    record.push(version);
    record.extend_from_slice(bytes);
    seal(key, record)
}

/// Decodes what [`encode_bytes`] made.
///
/// # Errors
/// [`Damage`] of any kind but [`Damage::Payload`].
pub fn decode_bytes(version: u8, key: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Damage> {
    open(version, key, bytes).map(<[u8]>::to_vec)
}

fn undecodable(error: &postcard::Error) -> Damage {
    Damage::Payload { reason: error.to_string() }
}

fn checksum(key: &[u8], versioned_payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u32).to_le_bytes()).update(key).update(versioned_payload);
    let mut checksum = [0; CHECKSUM_BYTES];
    hasher.finalize_xof().fill(&mut checksum);
    checksum
}

fn seal(key: &[u8], mut versioned_payload: Vec<u8>) -> Vec<u8> {
    let checksum = checksum(key, &versioned_payload);
    versioned_payload.extend_from_slice(&checksum);
    versioned_payload
}

/// The payload, once checksum and version are right, in this order: a damaged version byte is damage. Says of any
/// record, whatever its payload, whether it is what was written under `key`.
///
/// # Errors
/// [`Damage`] of any kind but [`Damage::Payload`].
pub fn open<'a>(version: u8, key: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], Damage> {
    let short = Damage::Short { bytes: bytes.len() };
    let (versioned_payload, found) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(short.clone())?;
    let (&found_version, payload) = versioned_payload.split_first().ok_or(short)?;
    if *found != checksum(key, versioned_payload) {
        return Err(Damage::Checksum);
    }
    if found_version != version {
        return Err(Damage::Version { found: found_version, expected: version });
    }
    Ok(payload)
}
