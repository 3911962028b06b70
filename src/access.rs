//! Who calls, and what that one may do: tokens and certificates with roles, scoped to collections. It knows nothing of
//! the wire; `grpc` and `web` ask it.
//!
//! Tokens are 256 random bits, so that a fast hash of them keeps them: the file holds hashes only, and what is compared
//! is hashes, in constant time.

mod calls;
mod file;
mod sessions;
mod share;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::config::AccessConfig;

pub use self::calls::{CALLS, Need, Role, Scope, need_of};
pub use self::file::{
    AccessError, CertificateEntry, EVERYWHERE, TokenEntry, certificate_digest, new_token, token_hash,
};
pub use self::sessions::SESSION_LASTS;
pub use self::share::{OverShare, Turn};

use self::file::{Looks, Tokens, hex};
use self::sessions::Sessions;
use self::share::Shares;

/// How long a file that could not be read is left alone.
const UNREAD_PAUSE: Duration = Duration::from_secs(1);

/// The name of the cookie that browsers hold a session by.
pub const SESSION_COOKIE: &str = "culld_session";

/// One who calls, and what that one may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name, which is the actor of what is done; empty where callers don't say who they are.
    pub name: String,
    roles: Vec<Role>,
    /// `None`: every collection.
    collections: Option<Vec<String>>,
    /// The digest of the token or certificate, where there is a file of them.
    credential: Option<blake3::Hash>,
}

impl Caller {
    /// Whoever it is, where nobody is asked.
    pub fn anyone() -> Self {
        Self { name: String::new(), roles: vec![Role::Admin], collections: None, credential: None }
    }

    /// One who may nothing, anywhere.
    pub fn nobody() -> Self {
        Self { name: String::new(), roles: Vec::new(), collections: Some(Vec::new()), credential: None }
    }

    /// Whether one of the roles includes this one.
    pub fn may(&self, role: Role) -> bool {
        self.roles.iter().any(|held| held.includes(role))
    }

    /// Whether a collection is in scope; the empty name means "default".
    pub fn reaches(&self, collection: &str) -> bool {
        let name = if collection.is_empty() { "default" } else { collection };
        self.collections.as_ref().is_none_or(|names| names.iter().any(|own| own == name))
    }

    /// Whether every collection is in scope, those to come too.
    pub fn reaches_all(&self) -> bool {
        self.collections.is_none()
    }
}

/// Why nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing says who calls.
    #[error("this daemon wants to know who calls: send a token as `authorization: Bearer ...`")]
    Missing,
    /// What was sent belongs to nobody.
    #[error("this token, session or certificate is not known here")]
    Unknown,
}

/// What a request says of who sends it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The header `authorization`.
    pub authorization: Option<&'a str>,
    /// Headers `cookie`, one after the other.
    pub cookie: Option<&'a str>,
    /// The caller's certificate, DER, whose chain was checked.
    pub certificate: Option<&'a [u8]>,
}

/// The doorkeeper: knows who is who.
pub struct Access {
    config: AccessConfig,
    tokens: RwLock<Arc<Tokens>>,
    /// The looks of the file that was read.
    looks: Mutex<Looks>,
    /// When a file of these looks could not be read.
    unread: Mutex<Option<(Looks, Instant)>>,
    sessions: Mutex<Sessions>,
    shares: Shares,
}

impl Access {
    /// Reads the file of tokens, where there is one.
    ///
    /// # Errors
    /// The file can't be read, or says something that can't be meant.
    pub fn open(config: &AccessConfig) -> Result<Self, AccessError> {
        let (tokens, looks) = match &config.tokens {
            Some(path) => (Tokens::read(path)?, Looks::at(path)),
            None => (Tokens::default(), Looks::default()),
        };
        Ok(Self {
            config: config.clone(),
            tokens: RwLock::new(Arc::new(tokens)),
            looks: Mutex::new(looks),
            unread: Mutex::default(),
            sessions: Mutex::default(),
            shares: Shares::new(config.caller_calls_max, config.caller_streams_max),
        })
    }

    /// Whether callers have to say who they are.
    pub fn is_closed(&self) -> bool {
        self.config.is_closed()
    }

    /// Whether what is said to it travels by TLS.
    pub fn is_secure(&self) -> bool {
        self.config.tls.is_some()
    }

    /// Those who may come in: tokens, then certificates.
    pub fn entries(&self) -> (Vec<TokenEntry>, Vec<CertificateEntry>) {
        let tokens = self.tokens();
        (tokens.token.clone(), tokens.certificate.clone())
    }

    /// Tells who sends a request.
    ///
    /// # Errors
    /// Nobody that is known here.
    pub fn identify(&self, credentials: &Credentials<'_>) -> Result<Caller, Refusal> {
        if !self.is_closed() {
            return Ok(Caller::anyone());
        }
        let tokens = self.fresh_tokens();
        if let Some(authorization) = credentials.authorization {
            let token = bearer(authorization).ok_or(Refusal::Unknown)?;
            return tokens.holder(token_hash(token)).ok_or(Refusal::Unknown);
        }
        if let Some(session) = credentials.cookie.and_then(session_in) {
            let held = lock(&self.sessions).token_of(session, Instant::now());
            return held.and_then(|hash| tokens.holder(hash)).ok_or(Refusal::Unknown);
        }
        let Some(certificate) = credentials.certificate else {
            return Err(Refusal::Missing);
        };
        let digest: [u8; 32] = Sha256::digest(certificate).into();
        if let Some(caller) = tokens.bearer_of(&digest) {
            return Ok(caller);
        }
        // Without a file it is the authority that signed it which says who may come in.
        if self.config.tokens.is_none() {
            let digits = hex(digest);
            let digits = digits.get(..16).unwrap_or_default();
            return Ok(Caller { name: format!("certificate {digits}"), ..Caller::anyone() });
        }
        Err(Refusal::Unknown)
    }

    /// Whether one who was let in would be again, by the file as it is now.
    pub fn is_still_let_in(&self, caller: &Caller) -> bool {
        self.config.tokens.is_none() || self.fresh_tokens().has(caller)
    }

    /// Begins a session of a browser for the holder of a token; answers the secret that its cookie holds.
    ///
    /// # Errors
    /// Nobody has such a token, or the system has no randomness.
    pub fn log_in(&self, token: &str) -> Result<String, Refusal> {
        let hash = token_hash(token);
        self.fresh_tokens().holder(hash).ok_or(Refusal::Unknown)?;
        lock(&self.sessions).begin(hash, Instant::now()).ok_or(Refusal::Unknown)
    }

    /// Ends the session that a cookie holds.
    pub fn log_out(&self, cookie: &str) {
        if let Some(session) = session_in(cookie) {
            lock(&self.sessions).end(session);
        }
    }

    /// Takes a turn of a caller's share, until it is dropped.
    ///
    /// # Errors
    /// The caller has as many calls, or streams, as one may.
    pub fn turn(&self, caller: &Caller, is_stream: bool) -> Result<Option<Turn>, OverShare> {
        if !self.is_closed() {
            return Ok(None);
        }
        self.shares.turn(&caller.name, is_stream).map(Some)
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The tokens by the file as it is. A file that became unusable leaves those that were, and is told of once; one that
    /// can't be read is read again until it can: it may take out a token that leaked.
    fn fresh_tokens(&self) -> Arc<Tokens> {
        let Some(path) = &self.config.tokens else { return self.tokens() };
        let mut looks = lock(&self.looks);
        let now = Looks::at(path);
        let mut unread = lock(&self.unread);
        let is_paused = unread.as_ref().is_some_and(|(then, at)| *then == now && at.elapsed() < UNREAD_PAUSE);
        if *looks != now && !is_paused {
            let read = Tokens::read(path);
            if matches!(read, Err(AccessError::Read { .. })) {
                *unread = Some((now, Instant::now()));
            } else {
                (*looks, *unread) = (now, None);
            }
            match read {
                Ok(tokens) => {
                    tracing::info!(tokens = tokens.token.len(), "the file of tokens was read again");
                    *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
                }
                Err(error) => tracing::error!(%error, "the tokens that were stay in force"),
            }
        }
        drop((looks, unread));
        self.tokens()
    }
}

/// The token of a header `authorization`.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The session of a header `cookie`.
fn session_in(cookie: &str) -> Option<&str> {
    let pairs = cookie.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value)
}

/// What is behind a lock, even if one who held it panicked: every change here is whole or not at all.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the daemon is open to, in words: who, with which roles, where.
pub fn open_to(access: &Access) -> BTreeMap<String, (Vec<Role>, Vec<String>)> {
    let (tokens, certificates) = access.entries();
    let tokens = tokens.into_iter().map(|one| (format!("token {}", one.name), (one.roles, one.collections)));
    let certificates = certificates
        .into_iter()
        .map(|one| (format!("certificate {}", one.name), (one.roles, one.collections)));
    tokens.chain(certificates).collect()
}
