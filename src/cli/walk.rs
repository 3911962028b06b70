//! Finds the files that a command is to look at.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::file_uri;

/// A file to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its key as a source: relative to the directory it was found under, or the path that was typed.
    pub(super) key: String,
    /// Where it is.
    pub(super) path: PathBuf,
}

/// A file or directory that can't be looked at.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Its key as a source.
    pub(super) key: String,
    /// What the system said.
    pub(super) source: io::Error,
}

/// Walks files and directories in the order given, and what is in a directory by name.
///
/// Symbolic links are followed, but no directory is walked twice, so a loop of links ends. Below a directory hidden
/// entries (their name begins with a dot) and what is neither file nor directory are skipped.
pub(super) struct Walk {
    /// What is left to do, the next one last.
    pending: Vec<Pending>,
    walked: HashSet<PathBuf>,
}

struct Pending {
    /// The directory argument that the entry was found under; none for what was typed.
    root: Option<PathBuf>,
    path: PathBuf,
}

impl Pending {
    fn key(&self) -> String {
        let relative = self.root.as_ref().and_then(|root| self.path.strip_prefix(root).ok());
        file_uri::key(relative.unwrap_or(&self.path))
    }
}

impl Walk {
    /// Walks these files and directories.
    pub(super) fn new(paths: &[PathBuf]) -> Self {
        let pending = paths.iter().rev().map(|path| Pending { root: None, path: path.clone() }).collect();
        Self { pending, walked: HashSet::new() }
    }

    /// Leaves this directory out, and what is in it.
    #[must_use]
    pub(super) fn without(mut self, directory: &Path) -> Self {
        // A directory that can't be found is not walked either.
        self.walked.extend(fs::canonicalize(directory));
        self
    }

    /// Queues what is in a directory, unless it was walked before.
    fn enter(&mut self, directory: &Pending) -> io::Result<()> {
        if !self.walked.insert(fs::canonicalize(&directory.path)?) {
            return Ok(());
        }
        let mut entries = fs::read_dir(&directory.path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        entries.retain(|path| !is_hidden(path));
        entries.sort_unstable_by(|a, b| b.cmp(a));
        let root = directory.root.as_ref().unwrap_or(&directory.path);
        self.pending.extend(entries.into_iter().map(|path| Pending { root: Some(root.clone()), path }));
        Ok(())
    }

    /// Looks at one entry: a file is found, a directory is queued.
    fn look(&mut self, pending: &Pending) -> io::Result<Option<Found>> {
        let kind = fs::metadata(&pending.path)?;
        if kind.is_dir() {
            self.enter(pending)?;
            return Ok(None);
        }
        if kind.is_file() {
            return Ok(Some(Found { key: pending.key(), path: pending.path.clone() }));
        }
        if pending.root.is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a directory"));
        }
        Ok(None)
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

impl Iterator for Walk {
    type Item = Result<Found, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(pending) = self.pending.pop() {
            match self.look(&pending) {
                Ok(None) => {}
                Ok(Some(found)) => return Some(Ok(found)),
                Err(source) => {
                    return Some(Err(Unreadable { key: pending.key(), source }));
                }
            }
        }
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::Walk;

    #[test]
    fn files_come_by_name_and_link_loops_end() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("b")).unwrap();
        for name in ["c.jpg", "b/z.jpg", "b/.hidden", "a\n.jpg"] {
            fs::write(at(name), name).unwrap();
        }
        symlink(root.path(), at("b/loop")).unwrap();
        symlink(at("nowhere"), at("d.jpg")).unwrap();
        let keys: Vec<Result<String, String>> = Walk::new(&[root.path().to_path_buf()])
            .map(|found| found.map(|found| found.key).map_err(|unreadable| unreadable.key))
            .collect();
        let ok = |key: &str| Ok(key.to_string());
        assert_eq!(keys, [ok("a\n.jpg"), ok("b/z.jpg"), ok("c.jpg"), Err("d.jpg".to_string())]);
    }
}
