//! The graph on disk, so that a restart need not build it: a cache, which any doubt throws away.
//!
//! The library ends the process over a bad file, so it gets to see only files whose BLAKE3 is the one in the manifest,
//! and the manifest carries its own. A folder holds `manifest` and the library's two files.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use hnsw_rs::api::AnnT;
use hnsw_rs::hnsw::Hnsw;
use hnsw_rs::hnswio::HnswIo;
use serde::{Deserialize, Serialize};

use super::IndexError;
use super::hnsw::{HnswIndex, UnitCosine};
use super::members::Members;
use super::params::HnswValidParams;
use crate::types::{Generation, ImageId, PointOffset};

/// What an index was built of; a snapshot is used only for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotKey {
    generation: Generation,
    rows: [u8; 32],
}

impl SnapshotKey {
    /// Names the state of a collection: its generation, its embedding space, and which image is at which offset.
    pub fn new(
        generation: Generation,
        space: &str,
        rows: impl Iterator<Item = (PointOffset, ImageId)>,
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(space.len() as u64).to_le_bytes()).update(space.as_bytes());
        for (offset, id) in rows {
            hasher.update(&offset.to_le_bytes()).update(&id.0);
        }
        Self { generation, rows: *hasher.finalize().as_bytes() }
    }
}

/// Changes whenever the files' meaning does; the library writes in the machine's own byte order.
const FORMAT: &str = if cfg!(target_endian = "little") { "1 hnsw_rs 0.3.5 le" } else { "1 hnsw_rs 0.3.5 be" };

const BASE_NAME: &str = "graph";
const GRAPH_FILES: [&str; 2] = ["graph.hnsw.graph", "graph.hnsw.data"];
const MANIFEST_FILE: &str = "manifest";

/// The largest manifest that is read, in bytes; one byte per row and more.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: String,
    key: SnapshotKey,
    dim: usize,
    /// `m`, `ef_construction`; `ef_search` is free to change.
    built_with: (usize, usize),
    files: [[u8; 32]; 2],
    members: Members,
    unreachable: Vec<PointOffset>,
}

impl HnswIndex {
    /// Nothing for an empty or broken index.
    pub(super) fn save_graph(&self, folder: &Path, key: &SnapshotKey) -> Result<(), IndexError> {
        if self.is_broken() || self.graph.get_nb_point() == 0 {
            return Ok(());
        }
        let failed = |error: io::Error| refused(folder, &error);
        remove(folder).map_err(failed)?;
        fs::create_dir_all(folder).map_err(failed)?;
        catch_unwind(AssertUnwindSafe(|| self.graph.file_dump(folder, BASE_NAME)))
            .map_err(|_| refused(folder, &"the graph library panicked"))?
            .map_err(|error| refused(folder, &error))?;
        let params = self.params.get();
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            key: key.clone(),
            dim: self.dim,
            built_with: (params.m, params.ef_construction),
            files: digests(folder).map_err(failed)?,
            members: self.members.clone(),
            unreachable: self.unreachable.iter().copied().collect(),
        };
        let mut bytes = postcard::to_stdvec(&manifest).map_err(|error| refused(folder, &error))?;
        bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
        fs::write(folder.join(MANIFEST_FILE), bytes).map_err(failed)
    }

    /// Reads the graph back, if it is of the same rows and parameters, bit for bit as it was written.
    ///
    /// Each call that succeeds leaks the library's loader (a path and a few words), from which the graph borrows:
    /// once per collection and start.
    ///
    /// # Errors
    /// [`IndexError::Snapshot`] with the reason; then the index must be built.
    pub fn load(
        folder: &Path,
        key: &SnapshotKey,
        dim: usize,
        params: HnswValidParams,
    ) -> Result<Self, IndexError> {
        let manifest = read_manifest(folder)?;
        let given = params.get();
        let checks = [
            (manifest.format == FORMAT, "written by another version"),
            (manifest.key == *key, "of other rows"),
            (manifest.dim == dim, "of another dimension"),
            (manifest.built_with == (given.m, given.ef_construction), "of other parameters"),
        ];
        if let Some((_, reason)) = checks.iter().find(|(holds, _)| !holds) {
            return Err(refused(folder, reason));
        }
        if digests(folder).map_err(|error| refused(folder, &error))? != manifest.files {
            return Err(refused(folder, &"a file is damaged"));
        }
        let loaded = catch_unwind(|| {
            let loader: &'static mut HnswIo = Box::leak(Box::new(HnswIo::new(folder, BASE_NAME)));
            loader.load_hnsw::<f32, UnitCosine>()
        });
        let graph: Hnsw<'static, f32, UnitCosine> = loaded
            .map_err(|_| refused(folder, &"the graph library panicked"))?
            .map_err(|error| refused(folder, &error))?;
        if graph.get_nb_point() != manifest.members.live() + manifest.members.removed() {
            return Err(refused(folder, &"another number of rows than it says"));
        }
        Ok(Self {
            dim,
            params,
            graph,
            members: manifest.members,
            unreachable: manifest.unreachable.into_iter().collect(),
            broken: AtomicBool::new(false),
        })
    }
}

fn read_manifest(folder: &Path) -> Result<Manifest, IndexError> {
    let path = folder.join(MANIFEST_FILE);
    let failed = |error: io::Error| refused(&path, &error);
    if fs::metadata(&path).map_err(failed)?.len() > MANIFEST_BYTES_MAX {
        return Err(refused(&path, &"too large"));
    }
    let bytes = fs::read(&path).map_err(failed)?;
    let (payload, digest) = bytes.split_last_chunk::<32>().ok_or_else(|| refused(&path, &"cut off"))?;
    if blake3::hash(payload) != *digest {
        return Err(refused(&path, &"damaged"));
    }
    postcard::from_bytes(payload).map_err(|error| refused(&path, &error))
}

fn digests(folder: &Path) -> io::Result<[[u8; 32]; 2]> {
    let mut digests = [[0; 32]; 2];
    for (digest, name) in digests.iter_mut().zip(GRAPH_FILES) {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(folder.join(name))?)?;
        *digest = *hasher.finalize().as_bytes();
    }
    Ok(digests)
}

/// Removes the files of a snapshot, the manifest first: without it the others are nothing.
fn remove(folder: &Path) -> io::Result<()> {
    for name in [MANIFEST_FILE].into_iter().chain(GRAPH_FILES) {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn refused(path: &Path, reason: &impl ToString) -> IndexError {
    IndexError::Snapshot { path: PathBuf::from(path), reason: reason.to_string() }
}
