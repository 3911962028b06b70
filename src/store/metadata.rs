//! What sled's metadata folder must hold before sled opens it.
//!
//! sled keeps there a snapshot and the logs that followed. When it opens them it writes a new snapshot, numbered as the
//! last log, and removes the logs and then the old snapshot. A crash between leaves a snapshot and no log behind it, as
//! a loss of power does until the next log is first synced. When sled opens that, old and new snapshot have one number,
//! and it removes what it has just written: it opens in full, and at the next opening everything is lost, or, where the
//! crash left an older snapshot beside, is as it was then.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

const METADATA_FOLDER: &str = "metadata";
const LOG: &str = "log_";
const SNAPSHOT: &str = "snapshot_";
const UNFINISHED: &str = ".tmp";

/// Numbers of the files in the metadata folder; none where there is no such folder.
#[derive(Default)]
struct Files {
    snapshots: BTreeSet<u64>,
    logs: BTreeSet<u64>,
    unfinished: bool,
}

impl Files {
    fn of(folder: &Path) -> io::Result<Self> {
        let mut files = Self::default();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            files.unfinished |= name.ends_with(UNFINISHED);
            files.snapshots.extend(number(name, SNAPSHOT));
            files.logs.extend(number(name, LOG));
        }
        Ok(files)
    }
}

/// Makes sure that a log follows the last snapshot in sled's folder, an empty one where there is none, and that no older
/// snapshot is left.
///
/// # Errors
/// [`ErrorKind::InvalidData`] where a snapshot or a log is missing: sled would write over what there is. Or the folder
/// can't be read or written.
pub(super) fn tidy(sled: &Path) -> io::Result<()> {
    let folder = sled.join(METADATA_FOLDER);
    let Files { mut snapshots, logs, .. } = Files::of(&folder)?;
    let missing =
        |what: &str| io::Error::new(ErrorKind::InvalidData, format!("{what} is missing; restore a backup"));
    let Some(last) = snapshots.pop_last() else {
        return if logs.is_empty() { Ok(()) } else { Err(missing("the snapshot of its metadata")) };
    };
    match logs.range(last + 1..).next() {
        None => {
            File::create(folder.join(format!("{LOG}{:016x}", last + 1)))?.sync_all()?;
            File::open(&folder)?.sync_all()?;
        }
        Some(first) if *first == last + 1 => {}
        Some(_) => return Err(missing("a log of its metadata")),
    }
    snapshots.iter().try_for_each(|older| fs::remove_file(folder.join(format!("{SNAPSHOT}{older:016x}"))))
}

/// Whether sled is at no snapshot of its own accord, which closing would wait for, and which may wait behind whatever
/// runs on the common rayon pool.
pub(super) fn is_at_rest(sled: &Path) -> bool {
    Files::of(&sled.join(METADATA_FOLDER)).is_ok_and(|files| files.logs.len() <= 1 && !files.unfinished)
}

/// Whether sled has been in its folder.
pub(super) fn is_there(sled: &Path) -> bool {
    sled.join(METADATA_FOLDER).is_dir()
}

/// Bytes that sled needs to open its folder: it writes its snapshot anew.
pub(super) fn bytes_to_open(sled: &Path) -> io::Result<u64> {
    super::sled_store::folder_bytes(&sled.join(METADATA_FOLDER))
}

fn number(name: &str, prefix: &str) -> Option<u64> {
    // None of what is unfinished: its name goes on.
    u64::from_str_radix(name.strip_prefix(prefix)?, 16).ok()
}
