use http::header::{HeaderMap, HeaderValue, UPGRADE};

use crate::websocket::follower::End;

/// What an upgraded connection speaks, as far as that matters for ending it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody knows: it is cut.
    Other,
    WebSocket,
    /// SockJS over a WebSocket.
    SockJs,
}

/// The last that one side hears, and where it may be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) end: End,
    pub(crate) bytes: &'static [u8],
}

impl Kind {
    /// By the headers of the answer that switches protocols. Whether it is SockJS stands in the path.
    pub(crate) fn of(headers: &HeaderMap, is_sockjs: bool) -> Self {
        let protocol = headers.get(UPGRADE).map_or(&[][..], HeaderValue::as_bytes);
        match protocol.eq_ignore_ascii_case(b"websocket") {
            true if is_sockjs => Self::SockJs,
            true => Self::WebSocket,
            false => Self::Other,
        }
    }

    /// `None` where it is not known how to take leave.
    pub(crate) fn to_client(self) -> Option<Farewell> {
        match self {
            Self::Other => None,
            Self::WebSocket => Some(Farewell {
                end: End::Frame,
                bytes: GOING_AWAY,
            }),
            Self::SockJs => Some(Farewell {
                end: End::Message,
                bytes: SOCKJS_GO_AWAY,
            }),
        }
    }

    pub(crate) fn to_upstream(self) -> Option<Farewell> {
        let farewell = Farewell {
            end: End::Frame,
            bytes: MASKED_GOING_AWAY,
        };
        (self != Self::Other).then_some(farewell)
    }
}

/// A close frame with code 1001 (RFC 6455 §7.4.1).
const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";

/// The same from a client; the mask is zero.
const MASKED_GOING_AWAY: &[u8] = b"\x88\x82\0\0\0\0\x03\xe9";

/// A text frame with SockJS's close frame, and a close frame.
const SOCKJS_GO_AWAY: &[u8] = b"\x81\x12c[3000,\"Go away!\"]\x88\x02\x03\xe9";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::Follower;

    #[test]
    fn farewells_are_whole_frames() {
        for (bytes, messages) in [(GOING_AWAY, 0), (MASKED_GOING_AWAY, 0), (SOCKJS_GO_AWAY, 1)] {
            let mut follower = Follower::default();
            assert_eq!(follower.pass(bytes), messages);
            assert!(follower.is_at(End::Message));
        }
    }

    #[test]
    fn only_what_is_known_is_told() {
        let of = |protocol, is_sockjs| {
            let mut headers = HeaderMap::new();
            headers.insert(UPGRADE, HeaderValue::from_static(protocol));
            Kind::of(&headers, is_sockjs)
        };
        assert_eq!(of("WebSocket", false), Kind::WebSocket);
        assert_eq!(of("websocket", true), Kind::SockJs);
        assert_eq!(of("tcp", true), Kind::Other);
        assert_eq!(Kind::of(&HeaderMap::new(), false), Kind::Other);
        assert_eq!(Kind::Other.to_client(), None);
        assert_eq!(Kind::Other.to_upstream(), None);
    }
}
