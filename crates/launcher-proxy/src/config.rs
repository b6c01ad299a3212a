use std::sync::Arc;
use std::time::Duration;

use crate::access_log::AccessLog;
use crate::admission::AdmissionSettings;
use crate::affinity::Affinity;
use crate::pages::CustomPages;
use crate::settings::SiteSettings;
use crate::trusted_proxies::TrustedProxies;

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
    /// it) to its last. Then the client gets 408 if anything has come, and the connection is closed. Default: 10 s.
    pub header_read: Duration,
    /// How long a client's connection may stay open between two requests. Default: 75 s.
    pub idle_keep_alive: Duration,
    /// How long an upstream that could not be connected to is tried after all others of its route, and
    /// by one request only at the end of that time. Default: 3 s.
    pub avoid_failed: Duration,
    /// How long an upstream that was asked whether it wants a body (`Expect: 100-continue`) may
    /// leave that open before the body is sent anyway (RFC 9110 §10.1.1). Default: 1 s.
    pub continue_wait: Duration,
    /// How long a client that has closed its sending side, as those do that leave, still gets the answer
    /// to what it asked before. Default: 10 s.
    pub half_closed_request: Duration,
    /// How long an unused connection to an upstream is kept for the next request. Below the 5 s after
    /// which Node closes its own, so that a request rarely meets a closing one. Default: 4 s.
    pub upstream_idle: Duration,
    /// Most unused connections kept per upstream. Default: 64.
    pub max_idle_per_upstream: usize,
    /// Most client connections open at once, upgraded ones included. Further ones wait in the
    /// listener's backlog until one closes. Default: 16,384.
    pub max_connections: usize,
    /// Most connections of one client address that are open at once; an IPv6 client has all addresses of
    /// its /64. Further ones are told 429 and closed. Trusted proxies have as many as they like. 0: no limit.
    /// Default: 1,000, but as many as they like for loopback addresses.
    pub client_connections: Option<u32>,
    /// Most requests per second of one client address, of which twice as many may come at once. Beyond
    /// it the client gets 429. 0: no limit. Default: 2,000, but as many as they like for loopback addresses.
    pub client_requests: Option<u32>,
    /// How long [`Proxy::run`](crate::Proxy::run) waits for answers in flight after its shutdown
    /// signal before it cuts them. Default: 8 s.
    pub drain: Duration,
    /// Whose `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` are believed. Default: nobody's.
    pub trusted_proxies: TrustedProxies,
    /// Whether connections of trusted proxies begin with a header of the PROXY protocol (version 1 or
    /// 2), as they all must then. Default: no.
    pub proxy_protocol: bool,
    /// In which time the upgraded connections to an upstream that is taken out of service, and the SockJS sessions over
    /// HTTP that it has, are ended, one by one: so
    /// their clients come back a few at a time. WebSockets are told 1001 (going away), SockJS clients
    /// `c[3000,"Go away!"]`. Default: 30 s.
    pub draining: Duration,
    /// How upstreams that begin to serve are kept from more new clients than they can take. Default: so that one
    /// that answers in normal time is never held back; `None`: none ever is.
    pub admission: Option<AdmissionSettings>,
    /// How many bytes of assets, by which pages of one version of an app ask for their scripts and styles, are kept for
    /// those who ask when other versions answer. Each is one answer of 8 MiB at most; copies under way take up
    /// to a quarter more, and what is larger than that is not kept. 0: none. Default: 64 MiB.
    pub asset_cache_bytes: usize,
    /// How long they are kept when their release has left. Default: 10 min.
    pub asset_cache_time: Duration,
    /// How clients stay at one of several upstreams. Default: those of SockJS sessions do, others take turns.
    pub affinity: Option<Affinity>,
    /// Pages of the operator's, in the place of the proxy's own. Default: none.
    pub pages: Arc<CustomPages>,
    /// Where each request is told of when it is over. Default: nowhere.
    pub access_log: Option<AccessLog>,
    /// What holds for each site that has no settings of its own.
    pub site: Arc<SiteSettings>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_header_bytes: 64 * 1024,
            max_headers: 100,
            header_read: Duration::from_secs(10),
            idle_keep_alive: Duration::from_secs(75),
            avoid_failed: Duration::from_secs(3),
            continue_wait: Duration::from_secs(1),
            half_closed_request: Duration::from_secs(10),
            upstream_idle: Duration::from_secs(4),
            max_idle_per_upstream: 64,
            max_connections: 16 * 1024,
            client_connections: None,
            client_requests: None,
            drain: Duration::from_secs(8),
            draining: Duration::from_secs(30),
            admission: Some(AdmissionSettings::default()),
            asset_cache_bytes: 64 * 1024 * 1024,
            asset_cache_time: Duration::from_secs(600),
            affinity: None,
            pages: Arc::default(),
            access_log: None,
            site: Arc::default(),
            trusted_proxies: TrustedProxies::default(),
            proxy_protocol: false,
        }
    }
}
