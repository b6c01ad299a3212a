//! Which path is which endpoint. A table without I/O.

/// The transport of a connection. Its name is sockjs-node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// SockJS frames over a WebSocket.
    WebSocket,
    /// A WebSocket without frames around the messages, for programs that know no SockJS.
    RawWebSocket,
    /// One response for each batch of messages.
    XhrPolling,
    /// One long response for many messages.
    XhrStreaming,
    /// A browser's `EventSource`.
    EventSource,
    /// A page in a frame that never finishes loading.
    HtmlFile,
    /// One script element for each batch of messages.
    JsonpPolling,
}

impl Transport {
    /// The name that sockjs-node gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::RawWebSocket => "websocket-raw",
            Self::XhrPolling => "xhr-polling",
            Self::XhrStreaming => "xhr-streaming",
            Self::EventSource => "eventsource",
            Self::HtmlFile => "htmlfile",
            Self::JsonpPolling => "jsonp-polling",
        }
    }
}

/// What a path below the prefix is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// The prefix itself: a greeting.
    Greeting,
    /// `/info`: what the server can do.
    Info,
    /// `/iframe*.html`: the page through which transports reach another origin.
    Iframe,
    /// `/websocket`: a WebSocket without SockJS.
    RawWebSocket,
    /// `/<server>/<session>/<transport>` where the client receives. The session's id is a secret
    /// between client and server.
    Receive(Transport, &'a str),
    /// `/<server>/<session>/xhr_send`.
    XhrSend(&'a str),
    /// `/<server>/<session>/jsonp_send`.
    JsonpSend(&'a str),
    /// Nothing.
    Unknown,
}

/// Longer ids would only cost memory; clients' have 8 characters.
const MAX_SESSION_ID: usize = 128;

impl<'a> Endpoint<'a> {
    /// What the path is, or none if it is not below the prefix. Both without query string.
    pub(crate) fn of(prefix: &str, path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(prefix)?;
        if matches!(rest, "" | "/") {
            return Some(Self::Greeting);
        }
        let rest = rest.strip_prefix('/')?;
        Some(Self::below(rest.strip_suffix('/').unwrap_or(rest)))
    }

    fn below(rest: &'a str) -> Self {
        let mut parts = rest.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("info"), None, _) => Self::Info,
            (Some("websocket"), None, _) => Self::RawWebSocket,
            (Some(page), None, _) if is_iframe(page) => Self::Iframe,
            (Some(server), Some(session), Some(name)) if is_id(server) && is_id(session) => {
                Self::of_session(session, name)
            }
            _ => Self::Unknown,
        }
    }

    fn of_session(session: &'a str, name: &str) -> Self {
        let transport = match name {
            "websocket" => Transport::WebSocket,
            "xhr" => Transport::XhrPolling,
            "xhr_streaming" => Transport::XhrStreaming,
            "eventsource" => Transport::EventSource,
            "htmlfile" => Transport::HtmlFile,
            "jsonp" => Transport::JsonpPolling,
            "xhr_send" => return Self::XhrSend(session),
            "jsonp_send" => return Self::JsonpSend(session),
            _ => return Self::Unknown,
        };
        Self::Receive(transport, session)
    }

    /// The methods that it answers, as sockjs-node lists them in `Allow`.
    pub(crate) fn methods(self) -> &'static str {
        match self {
            Self::Info => "OPTIONS, GET",
            Self::XhrSend(_)
            | Self::Receive(Transport::XhrPolling | Transport::XhrStreaming, _) => "POST, OPTIONS",
            Self::JsonpSend(_) => "POST",
            _ => "GET",
        }
    }
}

/// `iframe.html`, `iframe-0.3.4.html`; anything but capitals.
fn is_iframe(page: &str) -> bool {
    let version = page
        .strip_prefix("iframe")
        .and_then(|page| page.strip_suffix(".html"));
    version.is_some_and(|version| {
        version
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-' | b'.' | b'_'))
    })
}

fn is_id(part: &str) -> bool {
    (1..=MAX_SESSION_ID).contains(&part.len()) && !part.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<Endpoint<'_>> {
        Endpoint::of("/echo", path)
    }

    #[test]
    fn the_prefix_greets() {
        assert_eq!(of("/echo"), Some(Endpoint::Greeting));
        assert_eq!(of("/echo/"), Some(Endpoint::Greeting));
        assert_eq!(Endpoint::of("", "/"), Some(Endpoint::Greeting));
        assert_eq!(Endpoint::of("", "/info"), Some(Endpoint::Info));
    }

    #[test]
    fn what_is_not_below_the_prefix_is_not_ours() {
        for path in ["/", "/echoes", "/ech", "/other/echo", "/echo2/info"] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn sessions_are_found_by_any_two_ids() {
        let xhr = |session| Some(Endpoint::Receive(Transport::XhrPolling, session));
        assert_eq!(of("/echo/a/b/xhr"), xhr("b"));
        assert_eq!(of("/echo/_/_/xhr/"), xhr("_"));
        assert_eq!(
            of("/echo/abcdefgh_i-j%20/abcdefg_i-j%20/xhr"),
            xhr("abcdefg_i-j%20")
        );
        assert_eq!(of("/echo/0/s/xhr_send"), Some(Endpoint::XhrSend("s")));
        assert_eq!(of("/echo/0/s/jsonp_send"), Some(Endpoint::JsonpSend("s")));
        let websocket = Endpoint::Receive(Transport::WebSocket, "s");
        assert_eq!(of("/echo/0/s/websocket"), Some(websocket));
    }

    #[test]
    fn ids_are_not_empty_without_dots_and_not_endless() {
        for id in [
            "//", "/a./a", "/a/a.", "/./.", "/", "///", "", "/a", "/a/b/c",
        ] {
            let path = format!("/echo{id}/xhr");
            assert_eq!(of(&path), Some(Endpoint::Unknown), "{path}");
        }
        let long = format!("/echo/0/{}/xhr", "x".repeat(MAX_SESSION_ID + 1));
        assert_eq!(of(&long), Some(Endpoint::Unknown));
    }

    #[test]
    fn other_paths_are_unknown() {
        let unknown = [
            "/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/", "/INFO", "/a/b/XHR",
        ];
        for path in unknown {
            let path = format!("/echo{path}");
            assert_eq!(of(&path), Some(Endpoint::Unknown), "{path}");
        }
    }

    #[test]
    fn iframe_pages_have_any_version() {
        let pages = [
            "iframe.html",
            "iframe-a.html",
            "iframe-.html",
            "iframe-0.1.2.html",
        ];
        for page in pages.into_iter().chain(["iframe-0.1.2abc-dirty.2144.html"]) {
            let path = format!("/echo/{page}");
            assert_eq!(of(&path), Some(Endpoint::Iframe), "{path}");
        }
        let none = [
            "iframe.htm",
            "iframe",
            "IFRAME.HTML",
            "IFRAME",
            "iframe.HTML",
            "iframe.xml",
        ];
        for page in none.into_iter().chain(["iframe-/.html", "iframe-A.html"]) {
            let path = format!("/echo/{page}");
            assert_eq!(of(&path), Some(Endpoint::Unknown), "{path}");
        }
    }
}
