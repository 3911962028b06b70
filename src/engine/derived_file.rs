//! Files of derived state: caches for the next start, whole or of no use.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a file of this name, in one step.
///
/// # Errors
/// What the system said.
pub(super) fn write(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), String> {
    let mut bytes = postcard::to_stdvec(value).map_err(|error| error.to_string())?;
    bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
    let beside = folder.join(format!("{name}.new"));
    let put = || {
        fs::create_dir_all(folder)?;
        fs::File::create(&beside)?.write_all(&bytes)?;
        fs::rename(&beside, folder.join(name))
    };
    put().map_err(|error: std::io::Error| error.to_string())
}

/// Reads such a file of at most so many bytes; `None` where there is none.
///
/// # Errors
/// Why it is of no use.
pub(super) fn read<T: DeserializeOwned>(
    folder: &Path,
    name: &str,
    bytes_max: u64,
) -> Result<Option<T>, String> {
    let path = folder.join(name);
    let length = match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(|error| error.to_string())?.len(),
    };
    if length > bytes_max {
        return Err(format!("{length} bytes are too many"));
    }
    let bytes = fs::read(&path).map_err(|error| error.to_string())?;
    let (payload, digest) = bytes.split_last_chunk::<32>().ok_or("cut off")?;
    if blake3::hash(payload) != *digest {
        return Err("damaged".to_owned());
    }
    postcard::from_bytes(payload).map(Some).map_err(|error| error.to_string())
}
