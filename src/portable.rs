//! The portable form of a collection: a tar whose entries are JSON, JSON Lines, NumPy arrays and JPEG files, which any
//! other tool reads, and of which no on-disk format of culld is part.
//!
//! Entries come in a fixed order, each of bounded size, so that either side needs to hold one at a time. The last one,
//! `end.json`, has a digest of all entries before it: what was cut off, changed or put together from two is refused.
//! What the entries mean is the engine's.

use std::io::{self, Read, Write};

/// Bytes of one entry at most: a log entry that names all images of a full collection fits.
pub const ENTRY_BYTES_MAX: u64 = 192 << 20;
/// Bytes of an entry's path at most.
const PATH_BYTES_MAX: usize = 100;
/// Bytes of zeros behind the last entry at most: tools that write tars fill blocks of at most this size.
const PADDING_BYTES_MAX: u64 = 1 << 20;
/// The entry that ends an export.
pub const END: &str = "end.json";

/// Why an export can't be read.
#[derive(Debug, thiserror::Error)]
pub enum PortableError {
    /// Reading failed.
    #[error("the export can't be read: {0}")]
    Io(#[from] io::Error),
    /// It is not what was exported.
    #[error("{0}")]
    Damaged(String),
}

/// That an export is not what it should be.
pub fn damaged(what: impl Into<String>) -> PortableError {
    PortableError::Damaged(what.into())
}

/// Writes an export, entry by entry.
pub struct PortableWriter<W: Write> {
    tar: tar::Builder<W>,
    hasher: blake3::Hasher,
}

impl<W: Write> PortableWriter<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { tar: tar::Builder::new(out), hasher: blake3::Hasher::new() }
    }

    /// Appends an entry; `path` has at most 100 bytes.
    ///
    /// # Errors
    /// Writing failed.
    pub fn entry(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.tar.append_data(&mut header, path, bytes)?;
        digest(&mut self.hasher, path, bytes);
        Ok(())
    }

    /// The digest of all entries so far, hexadecimal.
    pub fn digest(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    /// Ends the export.
    ///
    /// # Errors
    /// Writing failed.
    pub fn finish(self) -> io::Result<()> {
        self.tar.into_inner()?.flush()
    }
}

fn digest(hasher: &mut blake3::Hasher, path: &str, bytes: &[u8]) {
    for part in [path.as_bytes(), bytes] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
}

/// The bytes of an export, to be read by a [`PortableReader`].
pub struct Portable<R: Read>(tar::Archive<R>);

impl<R: Read> Portable<R> {
    /// Reads from anywhere.
    pub fn over(bytes: R) -> Self {
        Self(tar::Archive::new(bytes))
    }

    /// Its entries.
    ///
    /// # Errors
    /// Reading failed.
    pub fn entries(&mut self) -> Result<PortableReader<'_, R>, PortableError> {
        // Raw: names and sizes that an entry tells of the next one are read whole by the library, however long.
        let entries = self.0.entries()?.raw(true);
        Ok(PortableReader { entries, hasher: blake3::Hasher::new() })
    }

    /// Ends the reading, after all entries: what follows them is empty blocks.
    ///
    /// # Errors
    /// Reading failed, or more follows.
    pub fn end(self) -> Result<(), PortableError> {
        let mut rest = Vec::new();
        self.0.into_inner().take(PADDING_BYTES_MAX + 1).read_to_end(&mut rest)?;
        if rest.len() as u64 > PADDING_BYTES_MAX || rest.iter().any(|byte| *byte != 0) {
            return Err(damaged("something follows its end"));
        }
        Ok(())
    }
}

/// Reads an export, entry by entry.
pub struct PortableReader<'a, R: Read> {
    entries: tar::Entries<'a, R>,
    hasher: blake3::Hasher,
}

impl<R: Read> PortableReader<'_, R> {
    /// The next entry, its path and its bytes; `None` where there is none.
    ///
    /// # Errors
    /// Reading failed, or what comes is no entry of an export.
    pub fn next_entry(&mut self) -> Result<Option<(String, Vec<u8>)>, PortableError> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let mut entry = entry.map_err(not_a_tar)?;
        let size = entry.size();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap_or_default();
        let is_file = entry.header().entry_type() == tar::EntryType::Regular;
        if !is_file || path.is_empty() || path.len() > PATH_BYTES_MAX || size > ENTRY_BYTES_MAX {
            return Err(damaged("it has an entry that no export has"));
        }
        // Not by the size that a stranger wrote: what is not there is not asked memory for.
        let mut bytes = Vec::new();
        entry.by_ref().take(size).read_to_end(&mut bytes).map_err(not_a_tar)?;
        if bytes.len() as u64 != size {
            return Err(damaged(format!("it is cut off in {path}")));
        }
        if path != END {
            digest(&mut self.hasher, &path, &bytes);
        }
        Ok(Some((path, bytes)))
    }

    /// The bytes of the next entry, which has to be the one of this path.
    ///
    /// # Errors
    /// As [`PortableReader::next_entry`], or another one comes.
    pub fn expect(&mut self, path: &str) -> Result<Vec<u8>, PortableError> {
        match self.next_entry()? {
            Some((found, bytes)) if found == path => Ok(bytes),
            Some((found, _)) => Err(damaged(format!("{found} comes in the place of {path}"))),
            None => Err(damaged(format!("it is cut off before {path}"))),
        }
    }

    /// The digest of all entries so far but the end, hexadecimal.
    pub fn digest(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

/// The library tells of what is no tar as it does of what can't be read.
fn not_a_tar(error: io::Error) -> PortableError {
    match error.kind() {
        io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            // Not the library's words, which repeat what stands there.
            damaged("it is cut off, or no tar")
        }
        io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
        _ => PortableError::Io(error),
    }
}

/// Bytes of a NumPy header; NumPy wants a multiple of 64.
const NPY_HEADER_BYTES: usize = 128;

/// The header of NumPy's format 1.0, of f32, little-endian, shape (`rows`, `dim`); its size does not depend on these.
pub fn npy_header(rows: u64, dim: usize) -> Vec<u8> {
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(((NPY_HEADER_BYTES - 10) as u16).to_le_bytes());
    header.extend(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}").bytes());
    header.resize(NPY_HEADER_BYTES - 1, b' ');
    header.push(b'\n');
    header
}

/// A NumPy file of rows of `dim` values each.
pub fn npy(values: &[f32], dim: usize) -> Vec<u8> {
    let mut bytes = npy_header((values.len() / dim.max(1)) as u64, dim);
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The values of a NumPy file that [`npy`] wrote; `None` for any other, or another shape.
pub fn read_npy(bytes: &[u8], rows: usize, dim: usize) -> Option<Vec<f32>> {
    let values = bytes.strip_prefix(&npy_header(rows as u64, dim)[..])?;
    let (values, rest) = values.as_chunks::<4>();
    let fits = rest.is_empty() && rows.checked_mul(dim) == Some(values.len());
    fits.then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_keeps_its_size() {
        for (rows, dimension) in [(0, 0), (u64::MAX, usize::MAX)] {
            let header = npy_header(rows, dimension);
            assert_eq!(header.len(), NPY_HEADER_BYTES);
            assert_eq!(header.last(), Some(&b'\n'));
        }
    }

    #[test]
    fn values_come_back_to_the_bit() {
        let values = [0.1, -0.0, f32::MIN_POSITIVE, 1.0, f32::MAX, 1e-40];
        let bytes = npy(&values, 3);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let back = read_npy(&bytes, 2, 3).map(|values| bits(&values));
        assert_eq!(back, Some(bits(&values)));
        for (rows, dim) in [(3, 2), (1, 6), (2, 4)] {
            assert_eq!(read_npy(&bytes, rows, dim), None);
        }
        assert_eq!(read_npy(&bytes[..bytes.len() - 1], 2, 3), None);
    }
}
