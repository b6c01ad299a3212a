use std::time::Duration;

use crate::ejson::TypeRegistry;

/// Times and limits of a [`Session`](super::Session).
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// How long a connection may take to say `connect`. Default: 45 s.
    pub connect_timeout: Duration,
    /// How often to look whether the client still talks; zero never pings. Default: 15 s.
    pub heartbeat_interval: Duration,
    /// How long the answer to a ping may take. Default: 15 s.
    pub heartbeat_timeout: Duration,
    /// How many messages may wait for their turn; one more is answered with an error. Default:
    /// 10,000.
    pub max_queued_messages: usize,
    /// How many subscriptions may be open; one more is answered with an error. Default: 1,000.
    pub max_subscriptions: usize,
    /// How many bytes may wait for a client that does not read. When more do and there is
    /// something to add, the session is closed. Default: 16 MiB.
    pub max_queued_bytes: usize,
    /// The application's own EJSON types. Default: none.
    pub types: TypeRegistry,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(15),
            heartbeat_timeout: Duration::from_secs(15),
            max_queued_messages: 10_000,
            max_subscriptions: 1_000,
            max_queued_bytes: 16 * 1024 * 1024,
            types: TypeRegistry::new(),
        }
    }
}

/// Which methods and publications a server has. A session asks when a message's turn has come,
/// so the answer may change over time.
pub trait Names: Send + Sync {
    /// Whether there is a method of this name.
    fn has_method(&self, name: &str) -> bool;
    /// Whether there is a publication of this name.
    fn has_publication(&self, name: &str) -> bool;
}
