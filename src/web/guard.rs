//! Who may ask. Any page that a person visits can send requests to an address of that person's machine; only the page
//! that the daemon served itself may do so here.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

/// What every answer tells the browser: nothing from elsewhere, nothing inline, nothing guessed, no frame around it.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not "no-referrer": a form that is sent by such a page names no origin, and who logs in would be refused.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was sent by a page of another origin.
    #[error("this request comes from a page of another address, which may not ask here")]
    Origin,
    /// It was sent to a name that anybody could have pointed at this machine.
    #[error("open the page by the address that `culld serve` printed: this daemon answers to no other name")]
    Host,
}

/// Tells requests of the daemon's own page from others.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    any_host: bool,
}

impl Guard {
    /// For a daemon that listens here. Where only this machine reaches it, it has no name but `localhost`: another
    /// name is one that a stranger pointed here, to get past the browser's rules.
    pub fn new(listens: SocketAddr) -> Self {
        Self { any_host: !listens.ip().is_loopback() }
    }

    /// Checks a request of a browser. What names no origin is no page's doing, but a person's or a program's.
    ///
    /// # Errors
    /// It comes from another page, or by another name.
    pub fn check(self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = match uri.authority() {
            Some(authority) => authority.as_str(),
            None => text(headers.get(header::HOST)),
        };
        if !self.any_host && !is_local(host) {
            return Err(Refusal::Host);
        }
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Ok(());
        };
        let origin = text(Some(origin));
        let of_page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let is_own = of_page.is_some_and(|origin| !origin.is_empty() && origin.eq_ignore_ascii_case(host));
        if is_own { Ok(()) } else { Err(Refusal::Origin) }
    }
}

/// Adds the headers that every answer has.
pub(super) fn harden(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        // An answer that is stricter about itself stays so.
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
}

fn text(value: Option<&HeaderValue>) -> &str {
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Whether a host, with or without a port, is a number or `localhost`.
fn is_local(host: &str) -> bool {
    if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    if let Some(bracketed) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return bracketed.parse::<IpAddr>().is_ok();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Uri};

    use super::{Guard, Refusal};

    #[track_caller]
    fn check(listens: &str, host: &str, origin: Option<&str>, expected: Result<(), Refusal>) {
        let address = listens.parse().expect("an address");
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_str(host).expect("a host"));
        if let Some(origin) = origin {
            headers.insert("origin", HeaderValue::from_str(origin).expect("an origin"));
        }
        let found = Guard::new(address).check(&Uri::from_static("/"), &headers);
        assert_eq!(found, expected, "{listens} {host} {origin:?}");
    }

    #[test]
    fn only_its_own_page_may_ask() {
        let local = "127.0.0.1:7357";
        for host in ["127.0.0.1:7357", "localhost:7357", "LOCALHOST", "[::1]:7357", "[::1]", "127.0.0.1"] {
            check(local, host, None, Ok(()));
            check(local, host, Some(&format!("http://{host}")), Ok(()));
            check(local, host, Some("http://other.example"), Err(Refusal::Origin));
            check(local, host, Some("null"), Err(Refusal::Origin));
            check(local, host, Some(""), Err(Refusal::Origin));
        }
        for host in ["other.example:7357", "localhost.other.example", "", "127.0.0.1.other.example:80"] {
            check(local, host, None, Err(Refusal::Host));
            check(local, host, Some(&format!("http://{host}")), Err(Refusal::Host));
        }
        check("0.0.0.0:7357", "box.example:7357", Some("http://box.example:7357"), Ok(()));
        check("0.0.0.0:7357", "box.example:7357", Some("http://box.example"), Err(Refusal::Origin));
    }
}
