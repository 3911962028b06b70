//! A mirror of sled's folder, to look at a store without changing it.
//!
//! sled can't open read-only: opening alone writes its metadata log anew, and gives up what it finds damaged there. The
//! mirror holds a copy of that log, a few bytes for each leaf, and names the files of the records where they are. Those
//! change only when sled flushes, which whoever opens a mirror never lets it do.

use std::fs;
use std::io;
use std::path::Path;

const RECORDS_FOLDER: &str = "slabs";

/// Mirrors sled's folder `sled` into the empty folder `mirror`.
pub(super) fn mirror(sled: &Path, mirror: &Path) -> io::Result<()> {
    for entry in fs::read_dir(sled)? {
        let entry = entry?;
        let (from, to) = (entry.path(), mirror.join(entry.file_name()));
        if !entry.file_type()?.is_dir() {
            fs::copy(&from, &to)?;
            continue;
        }
        fs::create_dir(&to)?;
        for file in fs::read_dir(&from)? {
            let file = file?;
            let to = to.join(file.file_name());
            if entry.file_name() == RECORDS_FOLDER {
                name(&fs::canonicalize(file.path())?, &to)?;
            } else {
                fs::copy(file.path(), &to)?;
            }
        }
    }
    Ok(())
}

#[cfg(unix)]
fn name(file: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(file, at)
}

/// Not everybody may make links there.
#[cfg(not(unix))]
fn name(file: &Path, at: &Path) -> io::Result<()> {
    fs::copy(file, at).map(drop)
}
