//! The cases of the SockJS project's own test suite (`sockjs-protocol`), newest state, which is that
//! of sockjs-node 0.3.24. Modules are its classes, functions its tests.
//!
//! Of its cases one is missing: `Websocket.test_haproxy` speaks a draft of WebSocket from 2010 that
//! no browser has any more.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod closing;
mod http_versions;
mod streaming;
mod urls;
mod websocket;
mod xhr;

use http::HeaderMap;
use support::Reply;

/// A header, or nothing.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .map(|value| value.to_str().unwrap())
        .unwrap_or_default()
}

fn verify_not_cached(headers: &HeaderMap) {
    assert_eq!(
        header(headers, "cache-control"),
        "no-store, no-cache, no-transform, must-revalidate, max-age=0"
    );
    assert!(!headers.contains_key("expires"));
    assert!(!headers.contains_key("last-modified"));
}

fn verify_cors(headers: &HeaderMap, origin: Option<&str>) {
    let allowed = header(headers, "access-control-allow-origin");
    let credentials = header(headers, "access-control-allow-credentials");
    match origin {
        Some(origin) => assert_eq!((allowed, credentials), (origin, "true")),
        None => assert_eq!((allowed, credentials), ("*", "")),
    }
}

fn verify_cached(headers: &HeaderMap) {
    assert_eq!(header(headers, "cache-control"), "public, max-age=31536000");
    assert!(headers.contains_key("expires"));
}

async fn verify_options(address: std::net::SocketAddr, path: &str, methods: &str) {
    for origin in ["test", "null"] {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", methods),
        ];
        let line = format!("OPTIONS {path}");
        let reply = support::request(address, &line, &headers, b"").await;
        assert_eq!((reply.status, reply.body.as_str()), (204, ""));
        verify_cached(&reply.headers);
        assert_eq!(header(&reply.headers, "access-control-max-age"), "31536000");
        assert_eq!(
            header(&reply.headers, "access-control-allow-methods"),
            methods
        );
        verify_cors(&reply.headers, Some(origin));
    }
}

fn verify_405(reply: &Reply) {
    assert_eq!((reply.status, reply.body.as_str()), (405, ""));
    assert_eq!(header(&reply.headers, "content-type"), "");
    assert_ne!(header(&reply.headers, "allow"), "");
}
