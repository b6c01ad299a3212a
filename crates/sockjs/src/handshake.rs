//! The handshake of a WebSocket (RFC 6455 §4.2), for servers that open some of them themselves.

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// 101, if these are the headers of a request to speak WebSocket in one of these versions. No
/// subprotocol and no extension is selected.
pub fn accept(headers: &HeaderMap, versions: &[&str]) -> Option<Response<()>> {
    let wanted = names(headers, &UPGRADE, "websocket") && names(headers, &CONNECTION, "upgrade");
    let version = headers.get(SEC_WEBSOCKET_VERSION)?.to_str().ok()?;
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    if !wanted || !versions.contains(&version) {
        return None;
    }
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .body(())
        .ok()
}

/// Whether a header that is a list, perhaps in several lines, has this word.
fn names(headers: &HeaderMap, header: &HeaderName, word: &str) -> bool {
    let lines = headers
        .get_all(header)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = http::HeaderValue::from_static(value);
            (HeaderName::from_static(name), value)
        });
        pairs.collect()
    }

    const VERSIONS: [&str; 3] = ["13", "8", "7"];

    const VALID: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw=="),
    ];

    #[test]
    fn the_three_versions_of_the_protocol_are_accepted() {
        for version in ["7", "8", "13"] {
            let mut valid = VALID;
            valid[2].1 = version;
            let response = accept(&headers(&valid), &VERSIONS).unwrap();
            assert_eq!(response.status(), 101);
            let accept = &response.headers()["sec-websocket-accept"];
            assert_eq!(accept, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for missing in 0..VALID.len() {
            let mut pairs = VALID.to_vec();
            pairs.remove(missing);
            assert!(accept(&headers(&pairs), &VERSIONS).is_none());
        }
        let mut other = VALID;
        other[1].1 = "close";
        assert!(accept(&headers(&other), &VERSIONS).is_none());
        assert!(accept(&headers(&VALID), &["8"]).is_none());
    }
}
