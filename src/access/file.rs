//! The file of callers: names, hashes, roles and collections. Whoever reads it learns no token.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rand::TryRng as _;
use rand::rngs::SysRng;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Caller, Role};

/// What a token begins with, by which scanners of leaked secrets know it.
const TOKEN_PREFIX: &str = "culld_";
/// The collection name that stands for all.
pub const EVERYWHERE: &str = "*";
/// Random bytes of a token or a session.
const SECRET_BYTES: usize = 32;
/// Entries of the file at most.
const ENTRIES_MAX: usize = 1000;
/// Bytes of the file at most.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Characters of a name at most: as of an actor.
const NAME_CHARACTERS_MAX: usize = 128;

/// Why the file of tokens can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It can't be read.
    #[error("can't read the tokens file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no TOML, or not of this kind.
    #[error("the tokens file {} is not usable: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why; never what is there, which might be a secret in the wrong place.
        message: String,
    },
    /// A certificate can't be read.
    #[error("{} is no certificate in PEM: {message}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// There is no randomness.
    #[error("the system has no randomness: {0}")]
    Random(String),
}

/// One who comes with a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// The name in the log.
    pub name: String,
    /// BLAKE3 of the token, hex.
    pub hash: String,
    /// What the holder may do.
    pub roles: Vec<Role>,
    /// Where; `["*"]` is everywhere.
    pub collections: Vec<String>,
}

/// One who comes with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateEntry {
    /// The name in the log.
    pub name: String,
    /// SHA-256 of the certificate (DER), hex: its usual fingerprint; colons don't matter.
    pub sha256: String,
    /// What the holder may do.
    pub roles: Vec<Role>,
    /// Where; `["*"]` is everywhere.
    pub collections: Vec<String>,
}

/// The file, checked.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tokens {
    pub(super) token: Vec<TokenEntry>,
    pub(super) certificate: Vec<CertificateEntry>,
    /// Of the entries, in their order.
    #[serde(skip)]
    token_hashes: Vec<blake3::Hash>,
    #[serde(skip)]
    certificate_digests: Vec<blake3::Hash>,
}

/// What tells that a file was written anew.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looks {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Looks {
    /// The looks of a file now.
    pub(super) fn at(path: &Path) -> Self {
        let Ok(found) = fs::metadata(path) else { return Self::default() };
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&found);
        #[cfg(not(unix))]
        let inode = 0;
        Self { modified: found.modified().ok(), bytes: found.len(), inode }
    }
}

impl Tokens {
    /// Reads and checks the file.
    pub(super) fn read(path: &Path) -> Result<Self, AccessError> {
        let read = |source| AccessError::Read { path: path.to_path_buf(), source };
        if fs::metadata(path).map_err(read)?.len() > FILE_BYTES_MAX {
            return Err(unusable(path, format!("more than {FILE_BYTES_MAX} bytes")));
        }
        let text = fs::read_to_string(path).map_err(read)?;
        let mut tokens: Self = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map_or(0, |span| text.get(..span.start).map_or(0, |text| text.matches('\n').count()));
            unusable(path, format!("line {}: {}", line + 1, error.message()))
        })?;
        tokens.check().map_err(|message| unusable(path, message))?;
        Ok(tokens)
    }

    fn check(&mut self) -> Result<(), String> {
        if self.token.len() + self.certificate.len() > ENTRIES_MAX {
            return Err(format!("more than {ENTRIES_MAX} entries"));
        }
        let mut names = BTreeSet::new();
        let tokens = self.token.iter().map(|one| (&one.name, &one.roles, &one.collections));
        let certificates = self.certificate.iter().map(|one| (&one.name, &one.roles, &one.collections));
        for (name, roles, collections) in tokens.chain(certificates) {
            check_entry(name, roles, collections)?;
            if !names.insert(name) {
                return Err(format!("{name:?} is there twice"));
            }
        }
        let digest = |name: &str, hex: &str| {
            let digits: String = hex.chars().filter(|c| *c != ':').collect::<String>().to_lowercase();
            blake3::Hash::from_hex(&digits)
                .map_err(|_| format!("the hash of {name:?} is not 64 hexadecimal digits"))
        };
        self.token_hashes =
            self.token.iter().map(|one| digest(&one.name, &one.hash)).collect::<Result<_, _>>()?;
        self.certificate_digests =
            self.certificate.iter().map(|one| digest(&one.name, &one.sha256)).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Who holds the token of this hash. All are compared, each in constant time, whichever it is.
    pub(super) fn holder(&self, hash: blake3::Hash) -> Option<Caller> {
        position(&self.token_hashes, hash).and_then(|at| self.token_caller(at))
    }

    /// Who comes with the certificate of this digest.
    pub(super) fn bearer_of(&self, digest: &[u8; 32]) -> Option<Caller> {
        let at = position(&self.certificate_digests, blake3::Hash::from_bytes(*digest))?;
        self.certificate_caller(at)
    }

    /// Whether such a caller is there, with this token or certificate, these roles and collections.
    pub(super) fn has(&self, known: &Caller) -> bool {
        let tokens = (0..self.token.len()).filter_map(|at| self.token_caller(at));
        let certificates = (0..self.certificate.len()).filter_map(|at| self.certificate_caller(at));
        tokens.chain(certificates).any(|one| one == *known)
    }

    fn token_caller(&self, at: usize) -> Option<Caller> {
        let (one, hash) = (self.token.get(at)?, self.token_hashes.get(at)?);
        Some(caller(&one.name, &one.roles, &one.collections, *hash))
    }

    fn certificate_caller(&self, at: usize) -> Option<Caller> {
        let (one, digest) = (self.certificate.get(at)?, self.certificate_digests.get(at)?);
        Some(caller(&one.name, &one.roles, &one.collections, *digest))
    }
}

fn unusable(path: &Path, message: String) -> AccessError {
    AccessError::Parse { path: path.to_path_buf(), message }
}

fn check_entry(name: &str, roles: &[Role], collections: &[String]) -> Result<(), String> {
    let characters = name.chars().count();
    if characters == 0 || characters > NAME_CHARACTERS_MAX || name.chars().any(char::is_control) {
        return Err(format!("{name:?} is no name of 1 to {NAME_CHARACTERS_MAX} printable characters"));
    }
    if roles.is_empty() {
        return Err(format!("{name:?} has no role of read, add, judge, admin"));
    }
    if collections.is_empty() {
        return Err(format!("{name:?} has no collections; [\"{EVERYWHERE}\"] are all"));
    }
    Ok(())
}

/// Equality of [`blake3::Hash`] takes the same time for all.
fn position(hashes: &[blake3::Hash], wanted: blake3::Hash) -> Option<usize> {
    hashes.iter().enumerate().fold(None, |found, (at, hash)| if *hash == wanted { Some(at) } else { found })
}

fn caller(name: &str, roles: &[Role], collections: &[String], credential: blake3::Hash) -> Caller {
    let everywhere = collections.iter().any(|name| name == EVERYWHERE);
    let collections = (!everywhere).then(|| collections.to_vec());
    Caller { name: name.to_owned(), roles: roles.to_vec(), collections, credential: Some(credential) }
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: [u8; SECRET_BYTES]) -> String {
    blake3::Hash::from_bytes(bytes).to_hex().to_string()
}

/// The hash that the file has of a token.
pub fn token_hash(token: &str) -> blake3::Hash {
    blake3::hash(token.as_bytes())
}

/// A new token: 256 random bits, as text.
///
/// # Errors
/// The system has no randomness.
pub fn new_token() -> Result<String, AccessError> {
    let mut bytes = [0; SECRET_BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| AccessError::Random(error.to_string()))?;
    let digits = hex(bytes);
    Ok(format!("{TOKEN_PREFIX}{digits}"))
}

/// The SHA-256 of the first certificate of a PEM file, hex.
///
/// # Errors
/// There is none.
pub fn certificate_digest(path: &Path) -> Result<String, AccessError> {
    let der = CertificateDer::from_pem_file(path)
        .map_err(|error| AccessError::Certificate { path: path.to_path_buf(), message: error.to_string() })?;
    Ok(hex(Sha256::digest(&der).into()))
}
