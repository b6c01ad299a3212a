use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName};
use http::uri::Authority;

use crate::trusted_proxies::TrustedProxies;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a connection tells of its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The other end of the connection.
    pub(crate) peer: IpAddr,
    /// The port that the client connected to.
    pub(crate) port: u16,
    /// Whether `peer` is a proxy whose word counts.
    pub(crate) trusted: bool,
}

impl Arrival {
    pub(crate) fn new(peer: IpAddr, port: u16, trusted: &TrustedProxies) -> Self {
        let peer = peer.to_canonical();
        Self {
            peer,
            port,
            trusted: trusted.contains(peer),
        }
    }
}

/// Who asked, and how he reached the first proxy that is trusted: what upstreams are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visitor {
    pub(crate) address: IpAddr,
    pub(crate) https: bool,
    pub(crate) port: u16,
    /// The host that was asked for, where a trusted proxy names another than the request does.
    pub(crate) host: Option<String>,
}

impl Visitor {
    /// By the connection, and by the headers of a request if a trusted proxy sent it. Of several
    /// elements the last counts, which the nearest proxy wrote; of addresses the last that is not a trusted
    /// proxy's.
    pub(crate) fn of(headers: &HeaderMap, arrival: &Arrival, trusted: &TrustedProxies) -> Self {
        if !arrival.trusted {
            return Self {
                address: arrival.peer,
                https: false,
                port: arrival.port,
                host: None,
            };
        }
        let https = last(headers, &X_FORWARDED_PROTO).is_some_and(|scheme| {
            ["https", "wss"]
                .iter()
                .any(|s| scheme.eq_ignore_ascii_case(s))
        });
        let host = last(headers, &X_FORWARDED_HOST).filter(|host| is_authority(host));
        let port = last(headers, &X_FORWARDED_PORT).and_then(|port| port.parse().ok());
        Self {
            address: client(headers, arrival.peer, trusted),
            https,
            port: port.unwrap_or(if https { 443 } else { arrival.port }),
            host: host.map(str::to_owned),
        }
    }
}

/// The nearest address that is no trusted proxy's. What its sender claims to have been told is not read,
/// nor is what stands before something that is no address.
fn client(headers: &HeaderMap, peer: IpAddr, trusted: &TrustedProxies) -> IpAddr {
    let mut nearest = peer;
    for element in backwards(headers, &X_FORWARDED_FOR) {
        let Some(address) = address(element) else {
            break;
        };
        nearest = address;
        if !trusted.contains(address) {
            break;
        }
    }
    nearest
}

/// An address in any of the spellings that proxies write: with or without a port or brackets.
fn address(element: &str) -> Option<IpAddr> {
    let with_port = |_| {
        element
            .parse()
            .map(|address: std::net::SocketAddr| address.ip())
    };
    let in_brackets = || element.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = element.parse::<IpAddr>().or_else(with_port).ok();
    address
        .or_else(in_brackets)
        .map(|address| address.to_canonical())
}

fn is_authority(host: &str) -> bool {
    !host.contains('@') && host.parse::<Authority>().is_ok()
}

fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    backwards(headers, name).next()
}

/// The elements of a comma-separated header over all of its lines, the last first. What is not text ends
/// them.
fn backwards<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().rev();
    lines
        .map_while(|line| line.to_str().ok())
        .flat_map(|line| line.rsplit(',').map(str::trim))
        .filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn visitor(peer: &str, lines: &[(&'static str, &'static str)]) -> Visitor {
        let trusted: TrustedProxies = "10.0.0.0/8, 2001:db8::/32, 127.0.0.1".parse().unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let arrival = Arrival::new(peer.parse().unwrap(), 8000, &trusted);
        Visitor::of(&headers, &arrival, &trusted)
    }

    fn address(peer: &str, lines: &[&'static str]) -> String {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| ("x-forwarded-for", *line))
            .collect();
        visitor(peer, &lines).address.to_string()
    }

    #[test]
    fn nobody_else_is_believed() {
        let visitor = visitor(
            "192.0.2.7",
            &[
                ("x-forwarded-for", "192.0.2.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "b.test"),
                ("x-forwarded-port", "1"),
            ],
        );
        let believed = Visitor {
            address: "192.0.2.7".parse().unwrap(),
            https: false,
            port: 8000,
            host: None,
        };
        assert_eq!(visitor, believed);
    }

    #[test]
    fn the_client_is_the_last_that_is_no_trusted_proxy() {
        for (lines, client) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["192.0.2.9, 192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.9", "192.0.2.1, 10.1.1.1"], "192.0.2.1"),
            (&["192.0.2.1, 10.1.1.1,10.1.1.2 , "], "192.0.2.1"),
            (&["10.1.1.1, 10.1.1.2"], "10.1.1.1"),
            (&[], "10.0.0.1"),
            (&["nonsense"], "10.0.0.1"),
            (&["192.0.2.1, nonsense, 10.1.1.1"], "10.1.1.1"),
            (&["192.0.2.1:80"], "192.0.2.1"),
            (&["[2001:db9::1]:80, [2001:db8::1]"], "2001:db9::1"),
            (&["2001:db9::1"], "2001:db9::1"),
            (&["::ffff:192.0.2.1, ::ffff:10.1.1.1"], "192.0.2.1"),
        ] {
            assert_eq!(address("10.0.0.1", lines), client, "{lines:?}");
        }
        assert_eq!(address("::ffff:10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_tells_how_it_was_reached() {
        let lines = [
            ("x-forwarded-proto", "http, HTTPS"),
            ("x-forwarded-host", "a.test"),
            ("x-forwarded-host", "b.test:8443"),
            ("x-forwarded-port", "8443"),
        ];
        let told = visitor("127.0.0.1", &lines);
        assert!(told.https);
        assert_eq!(
            (told.port, told.host.as_deref()),
            (8443, Some("b.test:8443"))
        );
        let less = visitor("127.0.0.1", &[("x-forwarded-proto", "https")]);
        assert_eq!((less.port, less.host), (443, None));
        let nothing = visitor("127.0.0.1", &[]);
        assert_eq!((nothing.https, nothing.port), (false, 8000));
    }

    #[test]
    fn what_cannot_be_a_host_or_a_port_is_not_believed() {
        let visitor = visitor(
            "127.0.0.1",
            &[
                ("x-forwarded-host", "u@a.test"),
                ("x-forwarded-port", "65536"),
            ],
        );
        assert_eq!((visitor.host, visitor.port), (None, 8000));
    }
}
