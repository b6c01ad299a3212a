//! Which web pages may connect to the control port.
//!
//! Until there are accounts, the loopback address protects the launcher from other machines, but not from
//! a page of any site that somebody reads on this one. A browser says in `Origin` which page opens a
//! WebSocket (RFC 6455 §10.2) or sends a POST. It says nothing there when a page asks for a script, a
//! frame, or anything of its own origin by GET; then `Sec-Fetch-Site` tells where the page is from
//! (W3C Fetch Metadata), and `Host` whether its origin is a name that only pretends to be this machine
//! (DNS rebinding).

use axum::http::{HeaderMap, header::HOST, header::ORIGIN, uri::Authority};
use launcher_core::Hostname;
use url::{Host, Url};

/// Whether a request comes from a program, which says nothing of pages, or from a page that was
/// served by this machine, or by the launcher under its own name, if it is reached by one.
pub(crate) fn is_trusted(headers: &HeaderMap, own: Option<&Hostname>) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter().peekable();
    if origins.peek().is_none() {
        let mut sites = headers.get_all("sec-fetch-site").iter();
        return sites.all(|site| site == "same-origin" || site == "none");
    }
    origins.all(|origin| {
        let origin = origin
            .to_str()
            .ok()
            .and_then(|origin| Url::parse(origin).ok());
        origin.is_some_and(|origin| is_local(&origin) || is_own(&origin, own))
    })
}

/// Whether a request is for this name.
pub(crate) fn is_addressed_to(headers: &HeaderMap, name: &Hostname) -> bool {
    let mut hosts = headers.get_all(HOST).iter().peekable();
    hosts.peek().is_some()
        && hosts.all(|host| {
            let authority = Authority::try_from(host.as_bytes());
            authority.is_ok_and(|authority| is_name(authority.host(), name))
        })
}

/// Whether a request is for an address, or for the only name that always leads here.
pub(crate) fn is_addressed_here(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    hosts.all(|host| match Authority::try_from(host.as_bytes()) {
        Ok(authority) => match Host::parse(authority.host()) {
            Ok(Host::Domain(name)) => name == "localhost",
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            Err(_) => false,
        },
        Err(_) => false,
    })
}

fn is_name(host: &str, name: &Hostname) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case(name.as_str())
}

fn is_own(origin: &Url, own: Option<&Hostname>) -> bool {
    let host = origin.host_str();
    host.zip(own).is_some_and(|(host, own)| is_name(host, own))
}

fn is_local(origin: &Url) -> bool {
    match origin.host() {
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
        is_trusted(&headers, None)
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

    #[test]
    fn its_own_pages_may_connect_where_it_has_a_name() {
        let own = Hostname::parse("launcher.test").unwrap();
        let trusted = |origin: &'static str| {
            let headers = HeaderMap::from_iter([(ORIGIN, origin.parse().unwrap())]);
            is_trusted(&headers, Some(&own))
        };
        assert!(trusted("https://Launcher.test:8000"));
        assert!(trusted("http://localhost"));
        assert!(!trusted("https://app.launcher.test"));
        let addressed = |host: &'static str| {
            is_addressed_to(&HeaderMap::from_iter([(HOST, host.parse().unwrap())]), &own)
        };
        assert!(addressed("launcher.test:8000"));
        assert!(!addressed("evil.test"));
        assert!(!is_addressed_to(&HeaderMap::new(), &own));
    }

    fn from(site: &'static str, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("sec-fetch-site", site.parse().unwrap());
        headers.extend(origin.map(|origin| (ORIGIN, origin.parse().unwrap())));
        is_trusted(&headers, None)
    }

    #[test]
    fn a_page_that_is_not_named_must_be_the_launcher_s_own() {
        assert!(from("same-origin", None));
        assert!(from("none", None));
        for site in ["cross-site", "same-site", ""] {
            assert!(!from(site, None), "{site}");
        }
        assert!(from("cross-site", Some("http://localhost:3000")));
        assert!(!from("same-origin", Some("https://evil.test")));
    }

    fn addressed(host: &'static str) -> bool {
        is_addressed_here(&HeaderMap::from_iter([(HOST, host.parse().unwrap())]))
    }

    #[test]
    fn names_that_may_lead_anywhere_are_not_this_machine() {
        assert!(is_addressed_here(&HeaderMap::new()));
        for host in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:8080",
            "10.1.2.3",
        ] {
            assert!(addressed(host), "{host}");
        }
        for host in [
            "evil.test:8080",
            "localhost.evil.test",
            "app.localhost",
            "",
            "a b",
        ] {
            assert!(!addressed(host), "{host}");
        }
    }
}
