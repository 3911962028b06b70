//! Moves, copies and links files so that nothing is ever overwritten or lost.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::types::ImageId;

/// Names tried for one file, at most.
const NAMES_MAX: u32 = 1_000_000;
/// Bytes read at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// What to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Move it.
    Move,
    /// Copy it.
    Copy,
    /// Link to it.
    Symlink,
}

/// Why a file was left where it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelocateError {
    /// There is no such file any more.
    #[error("it is not there any more")]
    Missing,
    /// The file holds other bytes than the image that was added.
    #[error("its bytes are not those of the image any more")]
    Changed,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Puts files into folders, or only says what it would do.
pub(super) struct Relocator {
    action: Action,
    really: bool,
    /// Targets promised by a dry run, which leaves nothing behind to stumble over.
    promised: HashSet<PathBuf>,
}

impl Relocator {
    /// Touches nothing unless `really`.
    pub(super) fn new(action: Action, really: bool) -> Self {
        Self { action, really, promised: HashSet::new() }
    }

    /// Puts `source`, which must be the file of `image`, into `folder`, and answers where it is now, or would be. A
    /// name that is taken gets a number.
    pub(super) fn place(
        &mut self,
        source: &Path,
        image: ImageId,
        folder: &Path,
    ) -> Result<PathBuf, RelocateError> {
        if digest(source)? != image {
            return Err(RelocateError::Changed);
        }
        if !self.really {
            let target = first_free(source, folder, |target| {
                Ok(fs::symlink_metadata(target).is_err() && !self.promised.contains(target))
            })?;
            self.promised.insert(target.clone());
            return Ok(target);
        }
        fs::create_dir_all(folder)?;
        match self.action {
            Action::Move => move_file(source, image, folder),
            Action::Copy => copy_file(source, image, folder),
            Action::Symlink => {
                Ok(first_free(source, folder, |target| free_unless_taken(symlink(source, target)))?)
            }
        }
    }
}

#[cfg(unix)]
fn symlink(source: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(source, target)
}

#[cfg(windows)]
fn symlink(source: &Path, target: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(source, target)
}

/// The BLAKE3 of a file's bytes.
fn digest(path: &Path) -> Result<ImageId, RelocateError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(RelocateError::Missing),
        file => file?,
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(ImageId(*hasher.finalize().as_bytes()))
}

/// The first of `name.jpg`, `name-2.jpg`, `name-3.jpg` … in `folder` that `take` takes.
fn first_free(
    source: &Path,
    folder: &Path,
    mut take: impl FnMut(&Path) -> io::Result<bool>,
) -> io::Result<PathBuf> {
    let name = source.file_name().unwrap_or_default();
    let stem = source.file_stem().unwrap_or_default();
    for number in 1..=NAMES_MAX {
        let mut numbered = OsString::from(if number == 1 { name } else { stem });
        if number > 1 {
            numbered.push(format!("-{number}"));
            if let Some(extension) = source.extension() {
                numbered.push(".");
                numbered.push(extension);
            }
        }
        let target = folder.join(numbered);
        if take(&target)? {
            return Ok(target);
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, "every numbered name is taken"))
}

/// Turns "it is there already" into "not free".
fn free_unless_taken<T>(made: io::Result<T>) -> io::Result<bool> {
    match made {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// A name that is ours: an empty file that nobody had made before. What is renamed onto it overwrites nothing else.
fn reserve(source: &Path, folder: &Path) -> io::Result<PathBuf> {
    first_free(source, folder, |target| free_unless_taken(File::create_new(target)))
}

/// Renames onto a reserved name, or gives the name back.
fn rename_onto(from: &Path, reserved: &Path) -> io::Result<()> {
    fs::rename(from, reserved).inspect_err(|_| {
        // The reserved file is empty and ours; one that stays behind does no harm.
        let _ = fs::remove_file(reserved);
    })
}

fn move_file(source: &Path, image: ImageId, folder: &Path) -> Result<PathBuf, RelocateError> {
    let target = reserve(source, folder)?;
    match rename_onto(source, &target) {
        Ok(()) => Ok(target),
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            let target = copy_file(source, image, folder)?;
            fs::remove_file(source)?;
            Ok(target)
        }
        Err(error) => Err(error.into()),
    }
}

/// Copies beside the target, checks the digest of what was read, makes it durable, and only then gives it its name.
fn copy_file(source: &Path, image: ImageId, folder: &Path) -> Result<PathBuf, RelocateError> {
    let part = folder.join(format!(".{image}.{}.part", std::process::id()));
    let copied = copy_checked(source, image, &part).and_then(|()| {
        let target = reserve(source, folder)?;
        rename_onto(&part, &target)?;
        sync_folder(folder)?;
        Ok(target)
    });
    copied.inspect_err(|_| {
        // The part is ours; one that stays behind does no harm.
        let _ = fs::remove_file(&part);
    })
}

fn copy_checked(source: &Path, image: ImageId, part: &Path) -> Result<(), RelocateError> {
    let mut from = File::open(source)?;
    let mut to = OpenOptions::new().write(true).create_new(true).open(part)?;
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let count = from.read(&mut block)?;
        if count == 0 {
            break;
        }
        hasher.update(&block[..count]);
        to.write_all(&block[..count])?;
    }
    if ImageId(*hasher.finalize().as_bytes()) != image {
        return Err(RelocateError::Changed);
    }
    let metadata = from.metadata()?;
    to.set_permissions(metadata.permissions())?;
    if let Ok(modified) = metadata.modified() {
        to.set_modified(modified)?;
    }
    Ok(to.sync_all()?)
}

/// Makes a new name in a folder durable, so that a moved file is on disk before its source is removed.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
