//! The file that names the format of a store.

use std::fs;
use std::io;
use std::path::Path;

use super::StoreError;
use super::sled_store::SLED_FOLDER;

/// The newest store format that this build reads, and the one it writes.
pub const FORMAT_VERSION: u32 = 1;

pub(super) const FORMAT_FILE: &str = "format";

/// Reads the format file, writing it into a folder that has none.
pub(super) fn check(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(FORMAT_FILE);
    let bad = |problem: &str| StoreError::BadFile { path: path.clone(), problem: problem.to_owned() };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let found: u32 = text.trim().parse().map_err(|_| bad("not a format number"))?;
            match found {
                FORMAT_VERSION => Ok(()),
                0 => Err(bad("format 0 never existed")),
                _ => Err(StoreError::NewerFormat {
                    folder: folder.to_path_buf(),
                    found,
                    supported: FORMAT_VERSION,
                }),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if folder.join(SLED_FOLDER).is_dir() {
                return Err(bad("missing, beside a store that is there"));
            }
            write_durably(&path, format!("{FORMAT_VERSION}\n").as_bytes())
                .map_err(|source| StoreError::io("write", &path, source))
        }
        Err(source) => Err(StoreError::io("read", &path, source)),
    }
}

/// Writes a small file so that after a crash it is there whole or not at all.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let scratch = path.with_extension("new");
    let mut file = fs::File::create(&scratch)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    fs::rename(&scratch, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}
