//! Settings of who may come in, and how much of the daemon one may take.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{ConfigError, ServeArgs, ranged, ranged_count};

/// Bytes of a GiB.
const GIB: u64 = 1 << 30;

/// Files in PEM that the daemon proves itself by, and knows callers by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate with its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates that those of callers are signed by.
    pub client_ca: Option<PathBuf>,
}

/// Who may come in, and how much one may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessConfig {
    /// TLS, where it is spoken.
    pub tls: Option<TlsFiles>,
    /// The file of tokens and certificates; without one, and without `client_ca`, everybody may everything.
    pub tokens: Option<PathBuf>,
    /// Whether an address that other machines reach may be open.
    pub unprotected: bool,
    /// Calls of one caller at a time.
    pub caller_calls_max: usize,
    /// Streams among them.
    pub caller_streams_max: usize,
}

/// How much a collection may hold; `None`: as much as fits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Images.
    pub images_max: Option<u64>,
    /// Bytes of their files, as they were added.
    pub bytes_max: Option<u64>,
}

impl AccessConfig {
    /// Whether callers have to say who they are.
    pub fn is_closed(&self) -> bool {
        self.tokens.is_some() || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }

    /// Checks what was typed.
    pub(super) fn of(args: &ServeArgs, listen: SocketAddr) -> Result<Self, ConfigError> {
        let tls = match (&args.tls_cert, &args.tls_key) {
            (Some(cert), Some(key)) => {
                let client_ca = args.tls_client_ca.clone();
                Some(TlsFiles { cert: cert.clone(), key: key.clone(), client_ca })
            }
            (None, None) if args.tls_client_ca.is_none() => None,
            (None, None) => {
                return Err(ConfigError::Together("tls_client_ca needs tls_cert and tls_key"));
            }
            _ => return Err(ConfigError::Together("tls_cert and tls_key go together")),
        };
        let access = Self {
            tls,
            tokens: args.tokens.clone(),
            unprotected: args.listen_unprotected == Some(true),
            caller_calls_max: ranged_count("caller_calls_max", args.caller_calls_max, 64, 1, 10_000)?,
            caller_streams_max: ranged_count("caller_streams_max", args.caller_streams_max, 16, 1, 10_000)?,
        };
        let missing = match (&access.tls, access.is_closed()) {
            (None, false) => "neither TLS nor tokens are set",
            (None, true) => "tokens would travel in the clear without TLS",
            (Some(_), false) => "anybody may come in without tokens",
            (Some(_), true) => return Ok(access),
        };
        if listen.ip().is_loopback() || access.unprotected {
            return Ok(access);
        }
        Err(ConfigError::Unprotected { address: listen, missing })
    }
}

impl Quota {
    /// Checks what was typed.
    pub(super) fn of(args: &ServeArgs) -> Result<Self, ConfigError> {
        let limit = |name, value, high| match value {
            None | Some(0) => Ok(None),
            value => ranged(name, value, 0, 0, high).map(Some),
        };
        let gib = limit("collection_gib_max", args.collection_gib_max, 1 << 20)?;
        Ok(Self {
            images_max: limit("collection_images_max", args.collection_images_max, u64::from(u32::MAX))?,
            bytes_max: gib.map(|gib| gib * GIB),
        })
    }
}

/// Settings and their values in force, in words.
pub(super) fn describe(access: &AccessConfig, quota: &Quota) -> [(&'static str, String); 8] {
    let file = |path: Option<&PathBuf>| path.map_or("none".to_owned(), |path| path.display().to_string());
    let limit = |limit: Option<u64>| limit.map_or("none".to_owned(), |limit| limit.to_string());
    let tls = access.tls.as_ref();
    [
        ("tls_cert", file(tls.map(|tls| &tls.cert))),
        ("tls_key", file(tls.map(|tls| &tls.key))),
        ("tls_client_ca", file(tls.and_then(|tls| tls.client_ca.as_ref()))),
        ("tokens", file(access.tokens.as_ref())),
        ("caller_calls_max", access.caller_calls_max.to_string()),
        ("caller_streams_max", access.caller_streams_max.to_string()),
        ("collection_images_max", limit(quota.images_max)),
        ("collection_gib_max", limit(quota.bytes_max.map(|bytes| bytes / GIB))),
    ]
}
