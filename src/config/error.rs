//! Why settings can't be used.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("can't read the {what} {}: {source}", path.display())]
    Read {
        /// What it is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML of known settings.
    #[error("the settings file {} is not usable: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A number is out of its range.
    #[error("{name} is {received}, but must be from {low} to {high}")]
    Range {
        /// The setting, as in the file.
        name: &'static str,
        /// What was given.
        received: u64,
        /// The least allowed.
        low: u64,
        /// The most allowed.
        high: u64,
    },
    /// An allowed root is no directory.
    #[error("the allowed root {} can't be used: {source}", path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Settings that only work together.
    #[error("{0}")]
    Together(&'static str),
    /// The address is open to other machines.
    #[error(
        "{address} can be reached from other machines, and {missing}: listen on 127.0.0.1, give --tls-cert and \
         --tls-key with --tokens or --tls-client-ca, or say --listen-unprotected"
    )]
    Unprotected {
        /// The address.
        address: SocketAddr,
        /// What keeps nobody out.
        missing: &'static str,
    },
}
