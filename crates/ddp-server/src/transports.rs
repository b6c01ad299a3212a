use std::time::Duration;

use crate::config::Heartbeat;

/// How clients reach a [`Server`](crate::Server).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transports {
    /// The path below which `/websocket` and `/sockjs` are, such as that of Meteor's `ROOT_URL`.
    /// Default: none, they are at the root.
    pub path_prefix: String,
    /// Whether WebSockets are served. Without them clients use HTTP, as with Meteor's
    /// `DISABLE_WEBSOCKETS`. Default: yes.
    pub websockets: bool,
    /// Whether browsers are told that pages of other origins may connect over HTTP; Meteor's
    /// `DISABLE_SOCKJS_CORS` says no. Default: yes. It does not keep them from WebSockets, JSONP and
    /// [`iframes`](Self::iframes).
    pub sockjs_cors: bool,
    /// Whether there is the page that a page of another origin can put into a frame to connect
    /// through it. What comes through it has this server's own `Origin`, and it runs a script from
    /// `cdn.jsdelivr.net` (as in Meteor): a server that lets clients in by their `Origin` must not
    /// have it. Default: yes.
    pub iframes: bool,
    /// Whether the cookie `JSESSIONID` is set, by which load balancers keep a client at one
    /// server (Meteor's `USE_JSESSIONID`). Default: no.
    pub jsessionid: bool,
    /// When clients of SockJS are given a sign of life: the frame `h` over HTTP; on a WebSocket a
    /// ping, and a client that does not answer it in time is closed with 3000 `No response from
    /// heartbeat`. An interval of zero gives none. Raw WebSockets have only the heartbeat of DDP.
    /// Default: 45 s, and 10 s for the answer, as in Meteor (`packages/ddp-server/stream_server.js`).
    pub sockjs_heartbeat: Heartbeat,
}

impl Default for Transports {
    fn default() -> Self {
        Self {
            path_prefix: String::new(),
            websockets: true,
            sockjs_cors: true,
            iframes: true,
            jsessionid: false,
            sockjs_heartbeat: Heartbeat {
                interval: Duration::from_secs(45),
                timeout: Duration::from_secs(10),
            },
        }
    }
}
