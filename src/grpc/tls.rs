//! TLS, by the daemon's certificate and the authority of callers' certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::config::TlsFiles;

/// The longest handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Why TLS can't be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
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
    /// A file holds something else.
    #[error("{} holds no {what} in PEM: {message}", path.display())]
    Parse {
        /// What it should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The files don't go together.
    #[error("TLS can't be spoken with this certificate and key: {0}")]
    Unusable(#[from] tonic::transport::Error),
}

/// The settings of the transport. A certificate of the caller's is asked for where there is an authority, but a caller
/// without one is heard: that one is told what is missing by the call, unless a token says who it is.
pub(super) fn config(files: &TlsFiles) -> Result<ServerTlsConfig, TlsError> {
    let cert = read("certificate", &files.cert)?;
    let key = read("private key", &files.key)?;
    CertificateDer::from_pem_slice(&cert).map_err(parse("certificate", &files.cert))?;
    PrivateKeyDer::from_pem_slice(&key).map_err(parse("private key", &files.key))?;
    let config = ServerTlsConfig::new().identity(Identity::from_pem(cert, key)).timeout(HANDSHAKE_TIME_MAX);
    let Some(path) = &files.client_ca else { return Ok(config) };
    let authority = read("callers' authority", path)?;
    CertificateDer::from_pem_slice(&authority).map_err(parse("certificate", path))?;
    Ok(config.client_ca_root(Certificate::from_pem(authority)).client_auth_optional(true))
}

/// Checks that TLS can be spoken with these files.
///
/// # Errors
/// A file that can't be read, holds something else, or does not go with the others.
pub fn check_tls(files: &TlsFiles) -> Result<(), TlsError> {
    drop(Server::builder().tls_config(config(files)?)?);
    Ok(())
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { what, path: path.to_path_buf(), source })
}

fn parse(what: &'static str, path: &Path) -> impl FnOnce(rustls_pki_types::pem::Error) -> TlsError {
    let path = path.to_path_buf();
    move |error| TlsError::Parse { what, path, message: error.to_string() }
}
