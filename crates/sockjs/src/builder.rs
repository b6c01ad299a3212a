use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::config::Config;
use crate::connection::Connection;
use crate::path::Transport;
use crate::server::SockJs;

/// Puts a [`SockJs`] together. Defaults are sockjs-node's where it has one.
pub struct Builder {
    prefix: String,
    config: Config,
}

impl Builder {
    pub(crate) fn new(prefix: impl Into<String>) -> Self {
        let mut prefix = prefix.into();
        prefix.truncate(prefix.trim_end_matches('/').len());
        Self {
            prefix,
            config: Config::default(),
        }
    }

    /// Whether WebSockets are served, framed and raw, and offered in `/info`. Default: yes.
    #[must_use]
    pub fn websocket(self, enabled: bool) -> Self {
        self.transport(Transport::WebSocket, enabled)
            .transport(Transport::RawWebSocket, enabled)
    }

    /// Whether a transport is served. All are, unless this says otherwise; the client tries them in
    /// its own order. A disabled one answers 404.
    #[must_use]
    pub fn transport(mut self, transport: Transport, enabled: bool) -> Self {
        self.config
            .disabled
            .retain(|disabled| *disabled != transport);
        if !enabled {
            self.config.disabled.push(transport);
        }
        self
    }

    /// Whether the cookie `JSESSIONID` is set, by which load balancers keep a client at the same
    /// server. Default: no.
    #[must_use]
    pub fn cookie_needed(mut self, needed: bool) -> Self {
        self.config.cookie_needed = needed;
        self
    }

    /// Whether browsers are told that pages of other origins may read what is answered over HTTP, with
    /// cookies. Default: yes.
    ///
    /// It concerns neither WebSockets nor JSONP, for which browsers do not ask, nor the
    /// [`iframe`](Self::iframe) page. A server that must keep other origins' pages out looks at
    /// `Origin` before it gives a request to [`SockJs::handle`], and serves no iframe page.
    #[must_use]
    pub fn cors(mut self, enabled: bool) -> Self {
        self.config.cors = enabled;
        self
    }

    /// Whether the page `iframe*.html` is served, through which some transports work across origins.
    /// Default: yes.
    ///
    /// It speaks for the page that has it in a frame, whoever that is, but what it sends has this
    /// server's own origin: where it is served, `Origin` does not tell who connects.
    #[must_use]
    pub fn iframe(mut self, enabled: bool) -> Self {
        self.config.iframe = enabled;
        self
    }

    /// The client library that the iframe pages load, and run as a page of this server. Must be of the same version as the page's own.
    /// Default: `sockjs-client` 1 from a public network.
    #[must_use]
    pub fn sockjs_url(mut self, url: impl Into<String>) -> Self {
        self.config.sockjs_url = url.into();
        self
    }

    /// Time between two heartbeats: the frame `h`, or a ping on WebSockets. Default: 25 s.
    #[must_use]
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.config.heartbeat = every;
        self
    }

    /// How long the client of a WebSocket may take to answer a ping, before it is closed with
    /// `3000 "No response from heartbeat"`. Default: 10 s.
    #[must_use]
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.config.heartbeat_timeout = timeout;
        self
    }

    /// How long a client may be away between two requests before its session ends, and how long a
    /// closed session tells so. Default: 5 s; Meteor's is 60 s.
    #[must_use]
    pub fn disconnect_delay(mut self, delay: Duration) -> Self {
        self.config.disconnect_delay = delay;
        self
    }

    /// How long the body of a request may take to arrive, and its messages to be taken by the
    /// application. Default: 30 s.
    #[must_use]
    pub fn receive_timeout(mut self, timeout: Duration) -> Self {
        self.config.receive_timeout = timeout;
        self
    }

    /// How long the client of a WebSocket may take to answer a close. Default: 5 s.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.config.close_timeout = timeout;
        self
    }

    /// Bytes after which a streaming response ends and the client asks for another, as browsers
    /// keep all of it in memory. Default: 128 KiB.
    #[must_use]
    pub fn response_limit(mut self, bytes: usize) -> Self {
        self.config.response_limit = bytes.max(1);
        self
    }

    /// Bytes of a WebSocket's message or a request's body. More is answered with close code 1009 or
    /// status 413. Default: 1 MiB.
    #[must_use]
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.config.max_message_bytes = bytes;
        self
    }

    /// Bytes that wait in each direction of a connection before the sender has to wait; one message
    /// may go beyond. Default: 1 MiB.
    #[must_use]
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.config.max_queued_bytes = bytes.max(1);
        self
    }

    /// Connections at a time; more are answered 503. Default: 100,000.
    #[must_use]
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.config.max_sessions = sessions;
        self
    }

    /// Connections at a time of one address of a peer; more are answered 503. Default: as many as
    /// there may be, since behind a proxy all have the same.
    #[must_use]
    pub fn max_sessions_per_address(mut self, sessions: usize) -> Self {
        self.config.max_sessions_per_address = sessions;
        self
    }

    /// The server. Each connection is given to the handler, in a task of its own.
    pub fn build<F, T>(self, handler: F) -> SockJs
    where
        F: Fn(Connection) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let handler = Box::new(move |connection| Box::pin(handler(connection)) as _);
        SockJs::new(self.prefix, self.config, handler)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("prefix", &self.prefix)
            .field("config", &self.config)
            .finish()
    }
}
