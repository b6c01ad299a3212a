//! What the proxy counts, as the launcher asks for it.

use launcher_core::{OpenConnections, Traffic};
use launcher_proxy::Proxy;

/// Tells what is open at the proxy's upstreams.
pub(crate) struct ProxyTraffic {
    proxy: Proxy,
}

impl ProxyTraffic {
    pub(crate) fn new(proxy: Proxy) -> Self {
        Self { proxy }
    }
}

impl Traffic for ProxyTraffic {
    fn open(&self, host: &str, port: u16) -> OpenConnections {
        let stats = self.proxy.upstream_stats(host, port);
        stats.map_or_else(OpenConnections::default, |stats| OpenConnections {
            requests: stats.open_requests,
            websockets: stats.upgraded,
            sessions: stats.sessions,
        })
    }
}
