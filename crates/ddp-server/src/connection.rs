use std::net::SocketAddr;
use std::sync::Arc;

use ddp_protocol::ejson::{Fields, Value};
use http::HeaderMap;

use crate::callbacks::Callbacks;
use crate::command::Command;
use crate::inbox::Commands;
use crate::metrics::Recorder;

/// The headers that handlers may see; cookies and credentials are not among them
/// (`packages/ddp-server/stream_server.js`, sockjs' `transport.js`).
const EXPOSED_HEADERS: [&str; 14] = [
    "referer",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-cluster-client-ip",
    "via",
    "x-real-ip",
    "x-ssl",
    "dnt",
    "host",
    "user-agent",
    "accept-language",
];

/// Of these the first line counts, if there are several.
const SINGLE_HEADERS: [&str; 3] = ["host", "referer", "user-agent"];

/// A client's connection, as methods and publications see it (Meteor's `this.connection`).
#[derive(Debug, Clone)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    peer: SocketAddr,
    client_address: Option<String>,
    headers: Vec<(&'static str, String)>,
    commands: Commands,
    on_close: Callbacks,
    metrics: Arc<Recorder>,
}

impl Connection {
    pub(crate) fn new(
        id: String,
        peer: SocketAddr,
        headers: &HeaderMap,
        forwarded_count: i32,
        commands: Commands,
        metrics: Arc<Recorder>,
    ) -> Self {
        let client_address = client_address(peer, headers, forwarded_count);
        let headers = EXPOSED_HEADERS
            .into_iter()
            .filter_map(|name| Some((name, joined(headers, name)?)))
            .collect();
        Self(Arc::new(Inner {
            id,
            peer,
            client_address,
            headers,
            commands,
            on_close: Callbacks::default(),
            metrics,
        }))
    }

    /// The session's id.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The other end of the socket: the client, or a proxy before it.
    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// The client's address by `http_forwarded_count`, or `None` if the headers do not tell it.
    pub fn client_address(&self) -> Option<&str> {
        self.0.client_address.as_deref()
    }

    /// A header of the request that opened the connection, by its lower-case name; only those
    /// that Meteor shows: `referer`, `x-client-ip`, `x-forwarded-for`, `-host`, `-port`, `-proto`,
    /// `x-cluster-client-ip`, `via`, `x-real-ip`, `x-ssl`, `dnt`, `host`, `user-agent` and
    /// `accept-language`.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.0.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All the headers that [`header`](Self::header) knows of.
    pub fn headers(&self) -> Fields {
        let headers = self.0.headers.iter();
        headers
            .map(|(name, value)| ((*name).to_owned(), Value::from(value)))
            .collect()
    }

    /// Closes the connection. What handlers say later is not sent any more.
    pub fn close(&self) {
        self.0.commands.send(Command::Close);
    }

    /// Calls back when the connection is closed, whoever closed it, after its subscriptions are
    /// stopped; at once if it already is.
    pub fn on_close(&self, callback: impl FnOnce() + Send + 'static) {
        self.0.on_close.add(callback);
    }

    /// Whether the connection is closed.
    pub fn is_closed(&self) -> bool {
        self.0.on_close.is_over()
    }

    /// The session is over.
    pub(crate) fn closed(&self) {
        self.0.on_close.run("on_close");
    }

    pub(crate) fn metrics(&self) -> &Recorder {
        &self.0.metrics
    }

    pub(crate) fn send(&self, command: Command) {
        self.0.commands.send(command);
    }
}

/// The client's address by `HTTP_FORWARDED_COUNT`.
pub(crate) fn client_address(
    peer: SocketAddr,
    headers: &HeaderMap,
    forwarded_count: i32,
) -> Option<String> {
    if forwarded_count == 0 {
        return Some(peer.ip().to_string());
    }
    let from_right = usize::try_from(forwarded_count).ok()?;
    let forwarded = joined(headers, "x-forwarded-for")?;
    let mut addresses = forwarded.rsplit(',');
    addresses
        .nth(from_right - 1)
        .map(|address| address.trim().to_owned())
}

/// A header as Node gives it. Where it comes in several lines they are one list: a proxy may add
/// its line below that of a client which lies.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(name).iter();
    // bytes that are no ASCII are taken for Latin-1
    let mut lines = lines.map(|line| line.as_bytes().iter().copied().map(char::from));
    let mut joined: String = lines.next()?.collect();
    if !SINGLE_HEADERS.contains(&name) {
        for line in lines {
            joined.push_str(", ");
            joined.extend(line);
        }
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(forwarded: Option<&str>, count: i32) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(value) = forwarded.and_then(|text| text.parse().ok()) {
            headers.insert("x-forwarded-for", value);
        }
        client_address(([127, 0, 0, 1], 80).into(), &headers, count)
    }

    #[test]
    fn the_address_is_counted_from_the_right() {
        let forwarded = Some("1.2.3.4 ,5.6.7.8");
        assert_eq!(address(forwarded, 0).as_deref(), Some("127.0.0.1"));
        assert_eq!(address(forwarded, 1).as_deref(), Some("5.6.7.8"));
        assert_eq!(address(forwarded, 2).as_deref(), Some("1.2.3.4"));
    }

    #[test]
    fn a_proxy_may_add_a_line_of_its_own() {
        let mut headers = HeaderMap::new();
        for line in ["6.6.6.6", "1.2.3.4, 5.6.7.8"] {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let address = |count| client_address(([127, 0, 0, 1], 80).into(), &headers, count);
        assert_eq!(address(1).as_deref(), Some("5.6.7.8"));
        assert_eq!(address(3).as_deref(), Some("6.6.6.6"));
    }

    #[test]
    fn what_a_client_claims_cannot_hide_what_a_proxy_says() {
        let mut headers = HeaderMap::new();
        let line = http::HeaderValue::from_bytes(b"\xff, 5.6.7.8").unwrap();
        headers.insert("x-forwarded-for", line);
        let address = client_address(([127, 0, 0, 1], 80).into(), &headers, 1);
        assert_eq!(address.as_deref(), Some("5.6.7.8"));
    }

    #[test]
    fn headers_of_which_there_is_one_are_not_joined() {
        let mut headers = HeaderMap::new();
        for line in ["a", "b"] {
            headers.append("user-agent", line.parse().unwrap());
            headers.append("via", line.parse().unwrap());
        }
        assert_eq!(joined(&headers, "user-agent").as_deref(), Some("a"));
        assert_eq!(joined(&headers, "via").as_deref(), Some("a, b"));
        assert_eq!(joined(&headers, "host"), None);
    }

    #[test]
    fn an_address_that_is_not_told_is_none() {
        assert_eq!(address(Some("1.2.3.4"), 2), None);
        assert_eq!(address(Some("1.2.3.4"), -1), None);
        assert_eq!(address(None, 1), None);
    }
}
