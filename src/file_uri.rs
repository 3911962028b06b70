//! Paths as `file://` URIs and as keys of sources.

use std::path::{Path, PathBuf};

const SCHEME: &str = "file://";

/// Bytes of a path, whatever their encoding.
#[cfg(unix)]
fn path_bytes(path: &Path) -> std::borrow::Cow<'_, [u8]> {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().into()
}

/// Bytes of a path, with `/` between its parts.
#[cfg(not(unix))]
fn path_bytes(path: &Path) -> std::borrow::Cow<'_, [u8]> {
    path.to_string_lossy().replace('\\', "/").into_bytes().into()
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere not every name is possible")]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

/// The `file://` URI of an absolute path; every byte that a URI can't hold is percent-encoded (RFC 8089).
pub(crate) fn encode(path: &Path) -> String {
    let mut uri = String::from(SCHEME);
    for &byte in path_bytes(path).iter() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(byte.into());
            }
            _ => uri.extend(percent_encoded(byte)),
        }
    }
    uri
}

/// `%` and the two hexadecimal digits of a byte.
fn percent_encoded(byte: u8) -> [char; 3] {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default().to_ascii_uppercase();
    ['%', digit(byte >> 4), digit(byte & 15)]
}

/// The path that a `file://` URI of this machine names; `None` for any other URI.
pub(crate) fn decode(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix(SCHEME)?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    if !rest.starts_with('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(rest.len());
    let mut input = rest.bytes();
    while let Some(byte) = input.next() {
        if byte == b'%' {
            let mut digit = || char::from(input.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    path_of(bytes)
}

/// The key of a source: the path with `/` between its parts. Bytes that are no UTF-8 are percent-encoded, so that the
/// key stays readable; the URI says which file it is.
pub(crate) fn key(path: &Path) -> String {
    let bytes = path_bytes(path);
    let mut key = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        key.push_str(chunk.valid());
        key.extend(chunk.invalid().iter().flat_map(|&byte| percent_encoded(byte)));
    }
    key
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    use super::{decode, encode, key};

    #[test]
    fn any_path_comes_back() {
        let path = Path::new(OsStr::from_bytes(b"/a b/\xff%41\n#?\xc3\xa9.jpg"));
        let uri = encode(path);
        assert_eq!(uri, "file:///a%20b/%FF%2541%0A%23%3F%C3%A9.jpg");
        assert_eq!(decode(&uri).as_deref(), Some(path));
        assert_eq!(key(path), "/a b/%FF%41\n#?é.jpg");
    }

    #[test]
    fn other_uris_name_no_file_of_this_machine() {
        for uri in ["", "s3://bucket/a", "file://host/a", "file://relative", "file:///a%2", "file:///a%zz"] {
            assert_eq!(decode(uri), None, "{uri}");
        }
    }
}
