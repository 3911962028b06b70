//! Directories that callers may have read [with `import` the only user of `cap_std`]. They are held open, and what lies in them is opened
//! below them: whatever becomes of a path between two looks, by `..`, by a link or by a swift hand, nothing outside is
//! read.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata};

use super::error::EngineError;

/// A directory, held open.
struct Root {
    path: PathBuf,
    dir: Dir,
}

/// All of them.
pub(super) struct Roots(Vec<Arc<Root>>);

/// A place below a root. Only looking at it tells whether something is there.
#[derive(Clone)]
pub(super) struct Located {
    root: Arc<Root>,
    /// Below the root; "." for the root itself.
    below: PathBuf,
}

impl Roots {
    /// Opens the directories, whose paths are canonical.
    ///
    /// # Errors
    /// One that can't be opened.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self, EngineError> {
        let open = |path: &PathBuf| {
            let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| {
                EngineError::Internal(format!("can't open the allowed root {}: {error}", path.display()))
            })?;
            Ok(Arc::new(Root { path: path.clone(), dir }))
        };
        Ok(Self(paths.iter().map(open).collect::<Result<_, EngineError>>()?))
    }

    /// Where a path leads, if that is below a root by now.
    pub(super) fn locate(&self, path: &Path) -> Option<Located> {
        let real = fs::canonicalize(path).ok()?;
        self.0.iter().find_map(|root| {
            let below = real.strip_prefix(&root.path).ok()?;
            let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
            Some(Located { root: Arc::clone(root), below: below.to_path_buf() })
        })
    }
}

impl Located {
    /// The whole path, for people and keys.
    pub(super) fn path(&self) -> PathBuf {
        if self.below == Path::new(".") { self.root.path.clone() } else { self.root.path.join(&self.below) }
    }

    /// What is there; of a link, the link itself.
    pub(super) fn look(&self) -> io::Result<Metadata> {
        self.root.dir.symlink_metadata(&self.below)
    }

    /// What lies in this directory, but what is hidden.
    pub(super) fn visible_entries(&self) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in self.root.dir.read_dir(&self.below)? {
            let name = entry?.file_name();
            if !name.as_encoded_bytes().starts_with(b".") {
                let below =
                    if self.below == Path::new(".") { PathBuf::from(name) } else { self.below.join(name) };
                found.push(Self { root: Arc::clone(&self.root), below });
            }
        }
        Ok(found)
    }

    /// Reads the file that is there, if it is one of at most so many bytes; one byte more tells of a larger one.
    pub(super) fn read(&self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let file: File = self.root.dir.open(&self.below)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is no file any more"));
        }
        let mut bytes = Vec::with_capacity(found.len().min(bytes_max) as usize);
        file.take(bytes_max + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::Roots;

    /// A folder with a root and a secret beside it.
    fn folder() -> (tempfile::TempDir, Roots) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = fs::canonicalize(folder.path()).expect("its path");
        fs::create_dir_all(path.join("root/sub")).expect("a root");
        fs::create_dir(path.join("outside")).expect("a folder outside");
        for (name, text) in
            [("root/a", "a"), ("root/sub/b", "b"), ("outside/b", "secret"), ("root/.hidden", "")]
        {
            fs::write(path.join(name), text).expect("a file");
        }
        let roots = Roots::open(&[path.join("root")]).expect("roots");
        (folder, roots)
    }

    #[test]
    fn nothing_outside_is_located() {
        let (folder, roots) = folder();
        let path = fs::canonicalize(folder.path()).expect("its path");
        symlink(path.join("outside"), path.join("root/link")).expect("a link");
        symlink(path.join("root/sub"), path.join("outside/inwards")).expect("a link");
        let located = |name: &str| roots.locate(&path.join(name)).map(|found| found.path());
        assert_eq!(located("root/sub/b"), Some(path.join("root/sub/b")));
        assert_eq!(located("outside/inwards/b"), Some(path.join("root/sub/b")));
        for name in ["outside/b", "root/../outside/b", "root/link/b", "root/link", "root/none", "."] {
            assert_eq!(located(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_swapped_after_the_look_is_not_read() {
        let (folder, roots) = folder();
        let path = fs::canonicalize(folder.path()).expect("its path");
        let file = roots.locate(&path.join("root/sub/b")).expect("a place");
        let sub = roots.locate(&path.join("root/sub")).expect("a place");
        assert_eq!(file.read(10).expect("its bytes"), b"b");
        // The folder becomes a link out of the root, after it was looked at.
        fs::rename(path.join("root/sub"), path.join("root/was")).expect("away");
        symlink(path.join("outside"), path.join("root/sub")).expect("a link");
        assert!(file.read(10).is_err() && file.look().is_err() && sub.visible_entries().is_err());
        // So does the file itself, relative and absolute.
        for target in [path.join("outside/b"), Path::new("../outside/b").to_path_buf()] {
            let file = roots.locate(&path.join("root/a")).expect("a place");
            fs::rename(path.join("root/a"), path.join("root/a-was")).expect("away");
            symlink(&target, path.join("root/a")).expect("a link");
            assert!(file.look().expect("a look").is_symlink());
            assert!(file.read(10).is_err(), "{}", target.display());
            fs::remove_file(path.join("root/a")).expect("the link");
            fs::rename(path.join("root/a-was"), path.join("root/a")).expect("back");
        }
    }

    #[test]
    fn entries_are_those_that_are_seen_and_sizes_are_bounded() {
        let (folder, roots) = folder();
        let path = fs::canonicalize(folder.path()).expect("its path");
        let root = roots.locate(&path.join("root")).expect("a place");
        assert_eq!(root.path(), path.join("root"));
        let mut names: Vec<_> =
            root.visible_entries().expect("entries").iter().map(super::Located::path).collect();
        names.sort();
        assert_eq!(names, [path.join("root/a"), path.join("root/sub")]);
        fs::write(path.join("root/a"), [0; 100]).expect("a file");
        let file = roots.locate(&path.join("root/a")).expect("a place");
        assert_eq!(file.read(10).expect("its bytes").len(), 11);
        assert!(root.read(10).is_err());
    }
}
