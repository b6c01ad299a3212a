//! How much goes on between visitors and an app: whoever routes them knows.

/// Tells how much is open. Servers that get no more requests are told
/// of, too, as long as something is open there.
pub trait Traffic: Send + Sync + 'static {
    /// What is open now at the server with this address, as a [`RouteDocument`](crate::routing::RouteDocument) names it.
    ///
    /// Zero of all, read after an [`Observer`](crate::Observer) has been told that the server serves no
    /// more, means that nothing will be sent to it.
    fn open(&self, host: &str, port: u16) -> OpenConnections;
}

/// What visitors have open at one server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OpenConnections {
    /// Requests whose answer has not ended.
    pub requests: usize,
    /// WebSockets, and whatever else a connection was upgraded to.
    pub websockets: usize,
    /// SockJS sessions over HTTP that have not been sent elsewhere yet. Their requests are among those above.
    pub sessions: usize,
}

impl OpenConnections {
    /// Whether any visitor has something there that would be lost.
    #[must_use]
    pub fn are_any(&self) -> bool {
        self.requests + self.websockets + self.sessions > 0
    }
}
