//! Pages: sizes within their bounds, and tokens bound to the request and generation they were made for.

use std::fmt::Write as _;

use prost::Message;
use tonic::Status;

use super::status::invalid;

/// Entries of a page at most.
pub(super) const PAGE_SIZE_MAX: u32 = 1000;
/// Bytes of a page of images at most, about.
pub(super) const PAGE_BYTES_MAX: usize = 2 << 20;
const PAGE_SIZE_DEFAULT: u32 = 100;
const TOKEN_BYTES: usize = 24;

/// Where a listing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// What the listing was made of: a generation, or the number of something immutable.
    pub(super) generation: u64,
    /// The last entry that was answered, or how many were.
    pub(super) after: u64,
}

/// A page that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    digest: [u8; 8],
    /// Entries at most.
    pub(super) size: usize,
    /// Where to go on; `None` starts at the beginning.
    pub(super) position: Option<Position>,
}

impl Page {
    /// Reads size and token of a request; `bare` is the request without both, which tells listings apart.
    ///
    /// # Errors
    /// A size beyond its limit, or a token that is damaged or of another request.
    pub(super) fn of(method: &str, bare: &impl Message, size: u32, token: &str) -> Result<Self, Status> {
        Self::with_default(method, bare, size, token, PAGE_SIZE_DEFAULT)
    }

    /// As [`Page::of`], with a default size of its own.
    pub(super) fn with_default(
        method: &str,
        bare: &impl Message,
        size: u32,
        token: &str,
        size_default: u32,
    ) -> Result<Self, Status> {
        if size > PAGE_SIZE_MAX {
            return Err(invalid("page_size", format!("is {size}, at most {PAGE_SIZE_MAX} is allowed")));
        }
        let size = if size == 0 { size_default } else { size } as usize;
        let mut hasher = blake3::Hasher::new();
        hasher.update(method.as_bytes()).update(&bare.encode_to_vec());
        let mut digest = [0; 8];
        hasher.finalize_xof().fill(&mut digest);
        let position = if token.is_empty() { None } else { Some(decode(token, digest)?) };
        Ok(Self { digest, size, position })
    }

    /// How many entries were answered before, for listings that count.
    pub(super) fn skip(&self) -> usize {
        self.position.map_or(0, |position| position.after as usize)
    }

    /// The token for the next page.
    pub(super) fn token(&self, next: Option<Position>) -> String {
        let Some(Position { generation, after }) = next else {
            return String::new();
        };
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.extend_from_slice(&self.digest);
        bytes.extend_from_slice(&generation.to_le_bytes());
        bytes.extend_from_slice(&after.to_le_bytes());
        bytes.iter().fold(String::with_capacity(2 * TOKEN_BYTES), |mut token, byte| {
            // Writing to a string can't fail.
            let _ = write!(token, "{byte:02x}");
            token
        })
    }

    /// Cuts a page out of a list that was made whole: the entries, and the token for the next page.
    pub(super) fn cut<T>(&self, generation: u64, all: Vec<T>) -> (Vec<T>, String) {
        let (skip, total) = (self.skip(), all.len());
        let page: Vec<T> = all.into_iter().skip(skip).take(self.size).collect();
        let after = skip + page.len();
        let next = (after < total).then_some(Position { generation, after: after as u64 });
        (page, self.token(next))
    }
}

fn decode(token: &str, digest: [u8; 8]) -> Result<Position, Status> {
    let wrong = || invalid("page_token", "is not one that this request was answered with");
    let digits = token.as_bytes();
    if digits.len() != 2 * TOKEN_BYTES {
        return Err(wrong());
    }
    let mut bytes = [0; TOKEN_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16).ok_or_else(wrong);
        *byte = (value(pair[0])? * 16 + value(pair[1])?) as u8;
    }
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(number)
    };
    if bytes[..8] != digest {
        return Err(wrong());
    }
    Ok(Position { generation: number(8), after: number(16) })
}
