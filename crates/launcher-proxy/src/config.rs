use std::time::Duration;

/// The proxy's limits. Every field has a default that suits a public proxy in front of Meteor apps.
///
/// ```
/// use launcher_proxy::Config;
/// use std::time::Duration;
///
/// let config = Config { drain: Duration::from_secs(5), ..Config::default() };
/// assert_eq!(config.max_headers, 100);
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// Largest request head (request line and headers), and largest trailer section, in bytes.
    /// Beyond it the client gets 431. Default: 65,536.
    pub max_header_bytes: usize,
    /// Most header lines in one request or in one upstream's answer. Beyond it the client gets 431
    /// (or 502 for an answer). Default: 100; any other number costs an allocation per request.
    pub max_headers: usize,
    /// How long a request head may take from its first byte (on a new connection: from accepting
    /// it) to its last. Then the connection is closed. Default: 10 s.
    pub header_read: Duration,
    /// How long a client's connection may stay open between two requests. Default: 75 s.
    pub idle_keep_alive: Duration,
    /// How long connecting to an upstream may take before another one of its route is tried, or the
    /// client gets 504. For one request it takes as long with two upstreams at most. Default: 5 s.
    pub connect: Duration,
    /// How long an upstream that could not be connected to is tried after all others of its route, and
    /// by one request only at the end of that time. Default: 1 s.
    pub avoid_failed: Duration,
    /// How long an upstream may be silent before the head of its answer, in which time the request's
    /// body did not move either. Then the client gets 504. Checked once per period, so the client
    /// waits between one and two of them. Default: 120 s.
    pub response: Duration,
    /// How long an upstream that was asked whether it wants a body (`Expect: 100-continue`) may
    /// leave that open before the body is sent anyway (RFC 9110 §10.1.1). Default: 1 s.
    pub continue_wait: Duration,
    /// How long an upgraded connection may be silent after one side has said all it had to say.
    /// While both sides are open it may be silent for ever. Default: 300 s.
    pub half_closed: Duration,
    /// How long an unused connection to an upstream is kept for the next request. Below the 5 s after
    /// which Node closes its own, so that a request rarely meets a closing one. Default: 4 s.
    pub upstream_idle: Duration,
    /// Most unused connections kept per upstream. Default: 64.
    pub max_idle_per_upstream: usize,
    /// Most client connections open at once, upgraded ones included. Further ones wait in the
    /// listener's backlog until one closes. Default: 16,384.
    pub max_connections: usize,
    /// How long [`Proxy::run`](crate::Proxy::run) waits for answers in flight after its shutdown
    /// signal before it cuts them. Default: 8 s.
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_header_bytes: 64 * 1024,
            max_headers: 100,
            header_read: Duration::from_secs(10),
            idle_keep_alive: Duration::from_secs(75),
            connect: Duration::from_secs(5),
            avoid_failed: Duration::from_secs(1),
            response: Duration::from_secs(120),
            continue_wait: Duration::from_secs(1),
            half_closed: Duration::from_secs(300),
            upstream_idle: Duration::from_secs(4),
            max_idle_per_upstream: 64,
            max_connections: 16 * 1024,
            drain: Duration::from_secs(8),
        }
    }
}
