//! Requests that were answered: a retry within a day gets the first answer.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::error::EngineError;
use super::lock::now_ms;

/// How long an answer is remembered, milliseconds.
pub(super) const REQUEST_KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// The longest request id, characters.
pub(super) const REQUEST_ID_CHARACTERS_MAX: usize = 128;

/// What tells one request from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// BLAKE3 of the method and the caller's id.
    pub(super) key: [u8; 32],
    /// BLAKE3 of the whole request, to notice an id that is used twice.
    digest: [u8; 32],
}

impl RequestKey {
    /// The key of a request; `None` where the caller gave no id.
    ///
    /// # Errors
    /// An id beyond `REQUEST_ID_CHARACTERS_MAX`.
    pub fn of(method: &str, request_id: &str, encoded: &[u8]) -> Result<Option<Self>, EngineError> {
        if request_id.is_empty() {
            return Ok(None);
        }
        let characters = request_id.chars().count();
        if characters > REQUEST_ID_CHARACTERS_MAX {
            let description =
                format!("has {characters} characters, at most {REQUEST_ID_CHARACTERS_MAX} are allowed");
            return Err(EngineError::invalid("request_id", description));
        }
        let key = *blake3::hash(format!("{method}\n{request_id}").as_bytes()).as_bytes();
        Ok(Some(Self { key, digest: *blake3::hash(encoded).as_bytes() }))
    }
}

/// A remembered answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RequestRecord {
    digest: [u8; 32],
    pub(super) at_ms: i64,
    answer: Vec<u8>,
}

impl RequestRecord {
    /// Notes an answer.
    pub(super) fn new<R: Serialize>(key: &RequestKey, answer: &R) -> Result<Self, EngineError> {
        let answer = postcard::to_stdvec(answer).map_err(|error| EngineError::Internal(error.to_string()))?;
        Ok(Self { digest: key.digest, at_ms: now_ms(), answer })
    }

    /// Whether it may be forgotten.
    pub(super) fn is_expired(&self, now_ms: i64) -> bool {
        now_ms - self.at_ms > REQUEST_KEPT_MS
    }

    /// The answer, if it was to the same request.
    pub(super) fn answer<R: DeserializeOwned>(&self, key: &RequestKey) -> Result<R, EngineError> {
        if self.digest != key.digest {
            return Err(EngineError::invalid(
                "request_id",
                "was used for another request within the last 24 hours",
            ));
        }
        postcard::from_bytes(&self.answer).map_err(|error| EngineError::Internal(error.to_string()))
    }
}
