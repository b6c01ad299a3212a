use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{StatusCode, Version};

use crate::visitor::{
    Arrival, Visitor, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Turns the headers a client sent into those its upstream gets.
///
/// `host` is what the request means ([`crate::target::host`]), passed on as it was written;
/// `upgrade` the protocol whose upgrade is forwarded ([`requested_upgrade`]).
pub(crate) fn prepare_request(
    headers: &mut HeaderMap,
    version: Version,
    host: &str,
    visitor: &Visitor,
    arrived: &Arrived,
    upgrade: Option<&HeaderValue>,
) {
    // Those that are added.
    headers.reserve(6);
    let hop = HopByHop::of(headers);
    let takes_trailers = hop.has(&TE) && takes_trailers(headers);
    remove_hop_by_hop(headers, &hop);
    match (upgrade, takes_trailers) {
        (Some(protocol), _) => ask_for_upgrade(headers, protocol),
        (None, true) => ask_for_trailers(headers),
        (None, false) => {}
    }
    if version == Version::HTTP_2 {
        join_cookies(headers);
    }
    set_forwarded(headers, host, visitor, arrived);
    append_via(headers, version);
}

/// Turns the headers of an upstream's answer into those the client gets.
pub(crate) fn prepare_response(headers: &mut HeaderMap, status: StatusCode) {
    let hop = HopByHop::of(headers);
    let protocol = hop.has(&UPGRADE).then(|| headers.get(UPGRADE).cloned());
    remove_hop_by_hop(headers, &hop);
    // Also with 426, which must say to what the client should upgrade (RFC 9110 §15.5.22).
    let speaks_of_upgrade = [
        StatusCode::SWITCHING_PROTOCOLS,
        StatusCode::UPGRADE_REQUIRED,
    ]
    .contains(&status);
    if let Some(protocol) = protocol.flatten().filter(|_| speaks_of_upgrade) {
        ask_for_upgrade(headers, &protocol);
    }
}

/// How visitors of one connection are told of, in the usual case that nobody stands between: written once.
pub(crate) struct Arrived {
    peer: IpAddr,
    peer_port: u16,
    address: HeaderValue,
    port: HeaderValue,
}

impl Arrived {
    pub(crate) fn new(arrival: &Arrival) -> Self {
        Self {
            peer: arrival.peer,
            peer_port: arrival.port,
            address: text(&arrival.peer.to_string()),
            port: HeaderValue::from(arrival.port),
        }
    }

    fn address(&self, visitor: &Visitor) -> HeaderValue {
        match visitor.address == self.peer {
            true => self.address.clone(),
            false => text(&visitor.address.to_string()),
        }
    }

    fn port(&self, visitor: &Visitor) -> HeaderValue {
        match visitor.port == self.peer_port {
            true => self.port.clone(),
            false => HeaderValue::from(visitor.port),
        }
    }
}

/// The protocol the client wants to go on with, if that is one that can be forwarded: exactly one,
/// whatever its name, over HTTP/1.1. A list is not forwarded, since only its order would say what to
/// expect after the 101. `h2c` is not either: in it a client could set the headers that
/// [`prepare_request`] vouches for. A request that is not forwarded as an upgrade is still forwarded,
/// as RFC 9110 §7.8 allows.
pub(crate) fn requested_upgrade(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    let mut protocols = headers.get_all(UPGRADE).iter();
    let (protocol, None) = (protocols.next()?, protocols.next()) else {
        return None;
    };
    let name = protocol.to_str().ok()?;
    let forwarded = version == Version::HTTP_11
        && has_token(headers, &CONNECTION, "upgrade")
        && !name.is_empty()
        && !name.contains(',')
        && !name.eq_ignore_ascii_case("h2c");
    forwarded.then(|| protocol.clone())
}

/// Which of the headers there are that concern one connection only. Found in one pass: most messages have none
/// of them, or one.
#[derive(Default)]
struct HopByHop([bool; 6]);

static HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

impl HopByHop {
    fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            if let Some(at) = HOP_BY_HOP.iter().position(|known| known == name) {
                found.0[at] = true;
            }
        }
        found
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.names().any(|found| found == name)
    }

    fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let all = HOP_BY_HOP.iter().zip(self.0);
        all.filter_map(|(name, found)| found.then_some(name))
    }
}

/// Removes what concerns one connection only (RFC 9110 §7.6.1).
fn remove_hop_by_hop(headers: &mut HeaderMap, hop: &HopByHop) {
    if hop.has(&CONNECTION) {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
    }
    for name in hop.names() {
        headers.remove(name);
    }
    // Both is either an attempt at smuggling or a mistake: the coding has decided where the body ends.
    if hop.has(&TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        // These decide where a message goes and where it ends: naming them must not remove them.
        .filter(|name| ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name))
        .collect()
}

fn ask_for_upgrade(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

/// RFC 9110 §10.1.4: who sends `TE` names it in `Connection`.
fn ask_for_trailers(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("TE"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    has_token(headers, &TE, "trailers")
}

/// Says who asked. What was claimed about that has been read by now, if a trusted proxy did; all of it is
/// removed, in all the spellings that apps believe, and not appended to. So apps find one address,
/// however many proxies stand before this one.
fn set_forwarded(headers: &mut HeaderMap, host: &str, visitor: &Visitor, arrived: &Arrived) {
    let claims = headers.keys().filter(|name| is_claim(name));
    for name in claims.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
    headers.insert(X_FORWARDED_FOR, arrived.address(visitor));
    let scheme = if visitor.https { "https" } else { "http" };
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    headers.insert(X_FORWARDED_PORT, arrived.port(visitor));
    let known = headers.get(HOST).filter(|known| *known == host).cloned();
    let is_known = known.is_some();
    let host = known.unwrap_or_else(|| text(host));
    if !is_known {
        headers.insert(HOST, host.clone());
    }
    headers.insert(X_FORWARDED_HOST, host);
}

/// Tells an upstream what its paths have been shortened by.
pub(crate) fn set_prefix(headers: &mut HeaderMap, prefix: &str) {
    headers.insert(X_FORWARDED_PREFIX, text(prefix));
}

/// Whether a header says who asked. Many languages hand headers to apps as variables, in which `-` and `_`
/// are the same.
fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    if !matches!(name.first(), Some(b'x' | b'f')) {
        return false;
    }
    let begins = |with: &str| {
        let letters = name
            .iter()
            .map(|letter| if *letter == b'_' { b'-' } else { *letter });
        letters.take(with.len()).eq(with.bytes())
    };
    begins("x-forwarded-") || name == b"forwarded" || (begins("x-real-ip") && name.len() == 9)
}

/// HTTP/2 sends each cookie by itself, which HTTP/1.1 does not know (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    if let (Some(first), Some(second)) = (cookies.next(), cookies.next()) {
        let all: Vec<_> = [first, second].into_iter().chain(cookies).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
}

/// A gateway must add itself to the requests it forwards, and may leave answers alone (RFC 9110
/// §7.6.3): an upstream can see a loop, and visitors learn nothing about what serves them.
fn append_via(headers: &mut HeaderMap, version: Version) {
    let this_hop = match version {
        Version::HTTP_10 => HeaderValue::from_static("1.0 meteor-launcher"),
        Version::HTTP_2 => HeaderValue::from_static("2.0 meteor-launcher"),
        _ => HeaderValue::from_static("1.1 meteor-launcher"),
    };
    headers.append(VIA, this_hop);
}

pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

/// The elements of a comma-separated header, over all of its lines.
pub(crate) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    let lines = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// A header value from text that came out of one, or out of an address.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISITOR: Visitor = Visitor {
        address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)),
        https: false,
        port: 8080,
        host: None,
    };

    fn arrived() -> Arrived {
        Arrived::new(&Arrival {
            peer: VISITOR.address,
            port: VISITOR.port,
            trusted: false,
        })
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn forwarded(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = headers(lines);
        let upgrade = requested_upgrade(&headers, Version::HTTP_11);
        prepare_request(
            &mut headers,
            Version::HTTP_11,
            "a.test",
            &VISITOR,
            &arrived(),
            upgrade.as_ref(),
        );
        headers
    }

    fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    #[test]
    fn hop_by_hop_headers_stay_on_their_hop() {
        let headers = forwarded(&[
            ("connection", "keep-alive, X-Custom"),
            ("connection", "x-other"),
            ("x-custom", "1"),
            ("x-other", "1"),
            ("x-kept", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
        ]);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "host",
                "via",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-port",
                "x-forwarded-proto",
                "x-kept"
            ]
        );
    }

    #[test]
    fn naming_host_or_length_in_connection_does_not_remove_them() {
        let headers = forwarded(&[
            ("connection", "host, content-length, close"),
            ("content-length", "3"),
        ]);
        assert_eq!(all(&headers, "content-length"), ["3"]);
        assert_eq!(all(&headers, "host"), ["a.test"]);
    }

    #[test]
    fn a_coding_beats_a_length() {
        let both = [("content-length", "3"), ("transfer-encoding", "chunked")];
        let headers = forwarded(&both);
        assert!(all(&headers, "content-length").is_empty());
    }

    #[test]
    fn te_trailers_is_passed_on() {
        let headers = forwarded(&[("te", "gzip, trailers"), ("connection", "TE")]);
        assert_eq!(all(&headers, "te"), ["trailers"]);
        assert_eq!(all(&headers, "connection"), ["TE"]);
    }

    #[test]
    fn forged_origins_are_replaced() {
        let headers = forwarded(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-user", "root"),
            ("x-real-ip", "10.0.0.1"),
            ("x_real_ip", "10.0.0.1"),
            ("x_forwarded_for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("x-real-ip-of-mine", "kept"),
        ]);
        assert_eq!(all(&headers, "x-forwarded-for"), ["192.0.2.7"]);
        assert_eq!(all(&headers, "x-forwarded-proto"), ["http"]);
        assert_eq!(all(&headers, "x-forwarded-host"), ["a.test"]);
        assert_eq!(all(&headers, "x-forwarded-port"), ["8080"]);
        for name in [
            "x-forwarded-user",
            "x-real-ip",
            "x_real_ip",
            "x_forwarded_for",
            "forwarded",
        ] {
            assert!(headers.get(name).is_none(), "{name}");
        }
        assert_eq!(all(&headers, "x-real-ip-of-mine"), ["kept"]);
    }

    #[test]
    fn cookies_of_http_2_are_joined() {
        let lines = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")];
        for (version, cookies) in [
            (Version::HTTP_2, &["a=1; b=2; c=3"][..]),
            (Version::HTTP_11, &["a=1", "b=2", "c=3"]),
        ] {
            let mut headers = headers(&lines);
            prepare_request(&mut headers, version, "a.test", &VISITOR, &arrived(), None);
            assert_eq!(all(&headers, "cookie"), cookies);
        }
    }

    #[test]
    fn via_is_appended() {
        let headers = forwarded(&[("via", "1.1 front")]);
        assert_eq!(all(&headers, "via"), ["1.1 front", "1.1 meteor-launcher"]);
    }

    #[test]
    fn who_came_by_https_is_told() {
        let visitor = Visitor {
            https: true,
            port: 443,
            ..VISITOR
        };
        let mut headers = HeaderMap::new();
        prepare_request(
            &mut headers,
            Version::HTTP_11,
            "a.test",
            &visitor,
            &arrived(),
            None,
        );
        assert_eq!(all(&headers, "x-forwarded-proto"), ["https"]);
        assert_eq!(all(&headers, "x-forwarded-port"), ["443"]);
    }

    #[test]
    fn one_upgrade_is_forwarded_whatever_its_name() {
        for name in ["websocket", "WebSocket", "something/1"] {
            let headers = forwarded(&[("connection", "keep-alive, Upgrade"), ("upgrade", name)]);
            assert_eq!(all(&headers, "upgrade"), [name]);
            assert_eq!(all(&headers, "connection"), ["Upgrade"]);
        }
    }

    #[test]
    fn other_upgrades_are_not() {
        let unforwarded: [&[(&str, &str)]; 5] = [
            &[("upgrade", "websocket")],
            &[("connection", "upgrade")],
            &[("connection", "upgrade"), ("upgrade", "websocket, h2c")],
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("upgrade", "x"),
            ],
            &[("connection", "upgrade"), ("upgrade", "h2c")],
        ];
        for lines in unforwarded {
            assert_eq!(
                requested_upgrade(&headers(lines), Version::HTTP_11),
                None,
                "{lines:?}"
            );
        }
        let websocket = headers(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        assert_eq!(requested_upgrade(&websocket, Version::HTTP_10), None);
    }

    #[test]
    fn an_answer_keeps_upgrade_only_where_it_means_something() {
        let lines = [
            ("connection", "upgrade, x-custom"),
            ("upgrade", "h2c"),
            ("x-custom", "1"),
        ];
        for (status, kept) in [(101, true), (426, true), (200, false)] {
            let mut headers = headers(&lines);
            prepare_response(&mut headers, StatusCode::from_u16(status).unwrap());
            assert_eq!(headers.contains_key(UPGRADE), kept, "{status}");
            assert_eq!(headers.contains_key(CONNECTION), kept, "{status}");
            assert!(!headers.contains_key("x-custom"));
        }
    }
}
