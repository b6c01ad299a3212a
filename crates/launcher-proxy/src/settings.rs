use std::time::Duration;

/// Limits that each site can have of its own. Those without any have [`Config::site`](crate::Config::site).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteSettings {
    /// How long connecting to an upstream may take before another one of its route is tried, or the
    /// client gets 504. For one request it takes as long with two upstreams at most. Default: 5 s.
    pub connect: Duration,
    /// How long an upstream may be silent before the head of its answer, in which time the request's
    /// body did not move either. Then the client gets 504. Checked once per period, so the client
    /// waits between one and two of them. Default: 120 s.
    pub response: Duration,
    /// How long an upgraded connection may be silent after one side has said all it had to say.
    /// While both sides are open it may be silent for ever. Default: 300 s.
    pub half_closed: Duration,
    /// Largest sum of names and values of a request's headers, in bytes. Beyond it the client gets 431.
    /// Only what [`Config::max_header_bytes`](crate::Config::max_header_bytes) lets pass comes so far.
    /// Default: no limit but that.
    pub header_bytes: Option<usize>,
    /// Largest request body, in bytes. Beyond it the client gets 413. Default: no limit.
    pub body_bytes: Option<u64>,
    /// How long a body may stand still that its receiver waits for. Then a client that sends gets 408,
    /// and an answer is broken off. Checked once per period. Default: 300 s.
    pub body_idle: Duration,
    /// Most requests per second of one client address, of which twice as many may come at once. Beyond
    /// it the client gets 429. Default: no limit but [`Config::client_requests`](crate::Config::client_requests).
    pub client_requests: Option<u32>,
    /// Who has more connections open than that gets 429. Default: no limit but
    /// [`Config::client_connections`](crate::Config::client_connections).
    pub client_connections: Option<u32>,
}

impl Default for SiteSettings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(120),
            half_closed: Duration::from_secs(300),
            header_bytes: None,
            body_bytes: None,
            body_idle: Duration::from_secs(300),
            client_requests: None,
            client_connections: None,
        }
    }
}
