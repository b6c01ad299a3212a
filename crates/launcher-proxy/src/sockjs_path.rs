/// How a client speaks with its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Polling,
    Streaming,
    EventSource,
    HtmlFile,
    Jsonp,
    /// What it sends, where what it receives comes by another request.
    Sending,
}

impl Transport {
    /// Whether the session speaks in the answer to such a request.
    pub(crate) fn receives_over_http(self) -> bool {
        !matches!(self, Self::WebSocket | Self::Sending)
    }
}

/// The SockJS session that a path belongs to: `…/sockjs/<server>/<session>/<transport>`.
///
/// `None` for what belongs to none: `/sockjs/info`, the raw `/sockjs/websocket`, the page for iframes.
pub(crate) fn session(path: &str) -> Option<(&str, Transport)> {
    let begin = memchr::memmem::find(path.as_bytes(), b"/sockjs/")? + "/sockjs/".len();
    let mut parts = path[begin..].splitn(3, '/');
    let (server, session, transport) = (parts.next()?, parts.next()?, parts.next()?);
    let is_name = |name: &str| !name.is_empty() && !name.contains('.') && name.len() <= LONGEST;
    let named = is_name(server) && is_name(session);
    let mut known = TRANSPORTS.iter();
    let (_, transport) = known.find(|(name, _)| *name == transport)?;
    let end = begin + server.len() + 1 + session.len();
    named.then(|| (&path[begin..end], *transport))
}

/// Whether it is what a SockJS client asks before it connects.
pub(crate) fn is_info(path: &str) -> bool {
    path.ends_with("/sockjs/info")
}

/// Those of sockjs-protocol 0.3.3.
const TRANSPORTS: [(&str, Transport); 8] = [
    ("websocket", Transport::WebSocket),
    ("xhr", Transport::Polling),
    ("xhr_send", Transport::Sending),
    ("xhr_streaming", Transport::Streaming),
    ("eventsource", Transport::EventSource),
    ("htmlfile", Transport::HtmlFile),
    ("jsonp", Transport::Jsonp),
    ("jsonp_send", Transport::Sending),
];

/// Clients make names of three and eight characters.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_by_server_and_session() {
        for path in [
            "/sockjs/123/abcdefgh/xhr",
            "/sockjs/123/abcdefgh/websocket",
            "/app/sockjs/123/abcdefgh/xhr_send",
        ] {
            assert_eq!(session(path).unwrap().0, "123/abcdefgh", "{path}");
        }
    }

    #[test]
    fn other_paths_belong_to_none() {
        for path in [
            "/",
            "/sockjs",
            "/sockjs/info",
            "/sockjs/websocket",
            "/sockjs/123/abcdefgh",
            "/sockjs/123/abcdefgh/",
            "/sockjs/123/abcdefgh/other",
            "/sockjs/123/abcdefgh/xhr/more",
            "/sockjs/1.3/abcdefgh/xhr",
            "/sockjs//abcdefgh/xhr",
            "/notsockjs/123/abcdefgh/xhr",
        ] {
            assert_eq!(session(path), None, "{path}");
        }
        assert!(is_info("/app/sockjs/info") && !is_info("/sockjs/information"));
        let long = format!("/sockjs/123/{}/xhr", "x".repeat(65));
        assert_eq!(session(&long), None);
    }
}
