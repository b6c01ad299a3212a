//! Which web pages may connect to the control port.
//!
//! A browser says in `Origin` which page opens a WebSocket (RFC 6455 §10.2). Until there are accounts,
//! the loopback address protects the launcher from other machines, but not from a page of any site that
//! somebody reads on this one; names that lead to 127.0.0.1 (DNS rebinding) are no way around, since
//! `Origin` tells the name.

use axum::http::{HeaderMap, header::ORIGIN};
use url::{Host, Url};

/// Whether a request comes from a program, which sends no `Origin` or its target as such, or from a
/// page that was served by this machine.
pub(crate) fn is_trusted(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    origins.all(|origin| origin.to_str().is_ok_and(is_local))
}

fn is_local(origin: &str) -> bool {
    let url = Url::parse(origin).ok();
    match url.as_ref().and_then(Url::host) {
        // Not names below it: hostnames of apps may end so.
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(origins: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, origin.parse().unwrap());
        }
        is_trusted(&headers)
    }

    #[test]
    fn programs_and_local_pages_may_connect() {
        assert!(trusted(&[]));
        for origin in [
            "http://localhost:8080",
            "http://127.0.0.1",
            "https://[::1]:3000",
            "http://LOCALHOST",
        ] {
            assert!(trusted(&[origin]), "{origin}");
        }
    }

    #[test]
    fn pages_of_other_sites_may_not() {
        for origin in [
            "https://evil.test",
            "http://app.localhost:8000",
            "null",
            "http://localhost.evil.test",
            "",
        ] {
            assert!(!trusted(&[origin]), "{origin}");
        }
        assert!(!trusted(&["http://localhost", "https://evil.test"]));
    }
}
