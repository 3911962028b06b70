//! Sessions of browsers: a secret of its own in place of the token, so that the token is typed once and kept nowhere.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::file::{new_token, token_hash};

/// How long a session lasts.
pub const SESSION_LASTS: Duration = Duration::from_hours(12);
/// Sessions at a time at most; beyond them the oldest ends.
const SESSIONS_MAX: usize = 1024;

/// The sessions under way, by the hash of their secret: looking one up by its hash tells nothing by its time.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    held: HashMap<blake3::Hash, Session>,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    token: blake3::Hash,
    ends: Instant,
}

impl Sessions {
    /// Begins a session for the holder of the token of this hash; answers its secret, `None` without randomness.
    pub(super) fn begin(&mut self, token: blake3::Hash, now: Instant) -> Option<String> {
        let secret = new_token().ok()?;
        self.held.retain(|_, session| session.ends > now);
        if self.held.len() >= SESSIONS_MAX {
            let oldest = self.held.iter().min_by_key(|(_, session)| session.ends).map(|(hash, _)| *hash);
            oldest.and_then(|hash| self.held.remove(&hash));
        }
        self.held.insert(token_hash(&secret), Session { token, ends: now + SESSION_LASTS });
        Some(secret)
    }

    /// The hash of the token that a session was begun with, while it lasts.
    pub(super) fn token_of(&self, secret: &str, now: Instant) -> Option<blake3::Hash> {
        self.held.get(&token_hash(secret)).filter(|session| session.ends > now).map(|session| session.token)
    }

    /// Ends a session.
    pub(super) fn end(&mut self, secret: &str) {
        self.held.remove(&token_hash(secret));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{SESSION_LASTS, SESSIONS_MAX, Sessions, token_hash};

    #[test]
    fn sessions_end_by_time_by_hand_and_by_number() {
        let (mut sessions, now, token) = (Sessions::default(), Instant::now(), token_hash("a token"));
        let first = sessions.begin(token, now).expect("randomness");
        let second = sessions.begin(token, now + Duration::from_secs(1)).expect("randomness");
        assert_ne!(first, second);
        assert_eq!(sessions.token_of(&first, now), Some(token));
        assert_eq!(sessions.token_of("another", now), None);
        assert_eq!(sessions.token_of(&first, now + SESSION_LASTS), None);
        assert_eq!(sessions.token_of(&second, now + SESSION_LASTS), Some(token));
        sessions.end(&second);
        assert_eq!(sessions.token_of(&second, now), None);
        for _ in 0..SESSIONS_MAX {
            sessions.begin(token, now + Duration::from_secs(2));
        }
        assert_eq!((sessions.held.len(), sessions.token_of(&first, now)), (SESSIONS_MAX, None));
    }
}
