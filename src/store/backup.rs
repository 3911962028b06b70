//! A backup: a whole store in one file that is written front to back, and read the same way.
//!
//! ```text
//! file   = "culldbak" version:u8 format:u32 created_ms:i64 piece* end
//! piece  = 1:u8 length:u32 write* hash        length: bytes of the writes
//! write  = 1:u8 key_length:u16 key value_length:u32 value | 2:u8 key_length:u16 key
//! end    = 0:u8 records:u64 hash
//! hash   = BLAKE3 of the hash before (that of the header at first) and of the piece up to here
//! ```
//!
//! Integers are little-endian. Writes are applied in order; of several to a key the last counts. A file that was cut
//! off, changed or put together from two is refused: each hash is of all before it, and nothing comes behind the end.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use super::{FORMAT_VERSION, KEY_BYTES_MAX, StoreError, VALUE_BYTES_MAX, Write};
use crate::failpoint;

const MAGIC: &[u8; 8] = b"culldbak";
const VERSION: u8 = 1;
const PIECE: u8 = 1;
const END: u8 = 0;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// Bytes of the largest piece: what is gathered, and one record more.
const PIECE_BYTES_MAX: usize = super::watched::PIECE_BYTES + VALUE_BYTES_MAX + KEY_BYTES_MAX + (1 << 20);

/// What a backup holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackupSummary {
    /// Records written, deletes among them.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes a backup beside its place, and puts it there once it is whole.
pub struct BackupWriter {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    hash: [u8; 32],
    summary: BackupSummary,
    done: bool,
}

impl BackupWriter {
    /// Starts a backup that will be `path`, which must not be there.
    ///
    /// # Errors
    /// The file is there already, or can't be written.
    pub fn create(path: &Path, created_ms: i64) -> Result<Self, StoreError> {
        if path.exists() {
            return Err(bad(path, "it is there already"));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(|source| StoreError::io("create", &part, source))?;
        let mut header = MAGIC.to_vec();
        header.push(VERSION);
        header.extend(FORMAT_VERSION.to_le_bytes());
        header.extend(created_ms.to_le_bytes());
        let mut writer = Self {
            path: path.to_path_buf(),
            part,
            file: BufWriter::new(file),
            hash: *blake3::hash(&header).as_bytes(),
            summary: BackupSummary::default(),
            done: false,
        };
        writer.write(&header)?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.summary.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|source| StoreError::io("write", &self.part, source))
    }

    fn chained(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash = chain(&self.hash, bytes);
        self.write(bytes)?;
        self.write(&{ self.hash })
    }

    /// Appends writes.
    ///
    /// # Errors
    /// The file can't be written, or a write is beyond the store's limits.
    pub fn push(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        super::check_limits(writes)?;
        let mut piece = vec![PIECE, 0, 0, 0, 0];
        for write in writes {
            let key = write.key();
            let (tag, value) = match write {
                Write::Put { value, .. } => (PUT, Some(value)),
                Write::Delete { .. } => (DELETE, None),
            };
            piece.push(tag);
            piece.extend((key.len() as u16).to_le_bytes());
            piece.extend_from_slice(key);
            if let Some(value) = value {
                piece.extend((value.len() as u32).to_le_bytes());
                piece.extend_from_slice(value);
            }
        }
        let length = (piece.len() - 5) as u32;
        piece[1..5].copy_from_slice(&length.to_le_bytes());
        self.summary.records += writes.len() as u64;
        self.chained(&piece)
    }

    /// Ends the backup: it is in its place, durably, when this returns.
    ///
    /// # Errors
    /// The file can't be written or renamed.
    pub fn finish(mut self) -> Result<BackupSummary, StoreError> {
        let mut end = vec![END];
        end.extend(self.summary.records.to_le_bytes());
        self.chained(&end)?;
        let failed = |source| StoreError::io("write", &self.part, source);
        self.file.flush().map_err(failed)?;
        self.file.get_ref().sync_all().map_err(failed)?;
        failpoint::pass("backup", "written");
        fs::rename(&self.part, &self.path).map_err(failed)?;
        self.done = true;
        if let Some(folder) = self.path.parent() {
            super::rebuild::sync_folder(folder)?;
        }
        Ok(self.summary)
    }
}

impl Drop for BackupWriter {
    fn drop(&mut self) {
        if !self.done {
            // What can't be removed has a name that says what it is, and no end.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Reads a backup piece by piece.
pub struct BackupReader<R> {
    path: PathBuf,
    bytes: R,
    hash: [u8; 32],
    records: u64,
    /// When it was made, milliseconds since 1970 UTC.
    pub created_ms: i64,
}

impl BackupReader<BufReader<File>> {
    /// Opens a backup file.
    ///
    /// # Errors
    /// It can't be read, is no backup, or is of a newer culld.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|source| StoreError::io("open", path, source))?;
        Self::over(BufReader::new(file), path)
    }
}

impl<R: Read> BackupReader<R> {
    /// Reads a backup from anywhere; `path` is for messages.
    ///
    /// # Errors
    /// As [`BackupReader::open`].
    pub fn over(mut bytes: R, path: &Path) -> Result<Self, StoreError> {
        let mut header = [0; 21];
        bytes.read_exact(&mut header).map_err(|_| bad(path, "it is no backup of culld"))?;
        let (magic, rest) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(bad(path, "it is no backup of culld"));
        }
        if rest[0] != VERSION {
            let problem = format!("it is a backup of version {}, this culld reads {VERSION}", rest[0]);
            return Err(bad(path, &problem));
        }
        let format = u32::from_le_bytes([rest[1], rest[2], rest[3], rest[4]]);
        if format == 0 || format > FORMAT_VERSION {
            let (found, supported) = (format, FORMAT_VERSION);
            return Err(StoreError::NewerFormat { folder: path.to_path_buf(), found, supported });
        }
        let created_ms = rest.last_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
        let hash = *blake3::hash(&header).as_bytes();
        Ok(Self { path: path.to_path_buf(), bytes, hash, records: 0, created_ms })
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.bytes.read_exact(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => bad(&self.path, "the backup is cut off: it has no end"),
            _ => StoreError::io("read", &self.path, error),
        })
    }

    fn check(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        let mut found = [0; 32];
        self.read(&mut found)?;
        self.hash = chain(&self.hash, piece);
        if found == self.hash {
            Ok(())
        } else {
            Err(bad(&self.path, "the backup is damaged: a checksum is wrong"))
        }
    }

    /// The next writes; `None` once the end was found, whole.
    ///
    /// # Errors
    /// The backup is damaged or cut off, or can't be read.
    pub fn next_piece(&mut self) -> Result<Option<Vec<Write>>, StoreError> {
        let mut tag = [0];
        self.read(&mut tag)?;
        match tag[0] {
            PIECE => {
                let mut piece = vec![PIECE, 0, 0, 0, 0];
                self.read(&mut piece[1..5])?;
                let length = u32::from_le_bytes([piece[1], piece[2], piece[3], piece[4]]) as usize;
                if length > PIECE_BYTES_MAX {
                    return Err(bad(&self.path, "the backup is damaged: a piece is larger than any"));
                }
                // Not by the length that a stranger wrote: what is not there is not asked memory for.
                let read = self.bytes.by_ref().take(length as u64).read_to_end(&mut piece);
                if read.map_err(|source| StoreError::io("read", &self.path, source))? < length {
                    return Err(bad(&self.path, "the backup is cut off: it has no end"));
                }
                self.check(&piece)?;
                let writes = writes(&piece[5..])
                    .ok_or_else(|| bad(&self.path, "the backup is damaged: a record does not add up"))?;
                self.records += writes.len() as u64;
                Ok(Some(writes))
            }
            END => {
                let mut end = [END; 9];
                self.read(&mut end[1..])?;
                self.check(&end)?;
                let said = end.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                let mut behind = [0];
                let more = self.bytes.read(&mut behind);
                if said != self.records
                    || more.map_err(|source| StoreError::io("read", &self.path, source))? > 0
                {
                    return Err(bad(&self.path, "the backup is damaged: it does not end where it says"));
                }
                Ok(None)
            }
            _ => Err(bad(&self.path, "the backup is damaged: no piece begins so")),
        }
    }
}

fn writes(mut bytes: &[u8]) -> Option<Vec<Write>> {
    let mut writes = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at_checked(u16::from_le_bytes(*length) as usize)?;
        let key = key.to_vec();
        bytes = rest;
        writes.push(match *tag {
            PUT => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                bytes = rest;
                Write::Put { key, value: value.to_vec() }
            }
            DELETE => Write::Delete { key },
            _ => return None,
        });
    }
    Some(writes)
}

fn chain(before: &[u8; 32], piece: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(before).update(piece).finalize().as_bytes()
}

fn bad(path: &Path, problem: &str) -> StoreError {
    StoreError::BadFile { path: path.to_path_buf(), problem: problem.to_owned() }
}
