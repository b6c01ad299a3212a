use std::time::Duration;

use crate::ejson::TypeRegistry;

/// Times and limits of a [`Connection`](super::Connection).
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// How long the server may take to answer `connect`. Default: 10 s.
    pub connect_timeout: Duration,
    /// How long the server may take to answer the login that is repeated on a new connection. When
    /// it takes longer, the connection is closed, and the login repeated on the next. Default:
    /// 30 s.
    pub login_timeout: Duration,
    /// How often to look whether the server still talks; zero never pings. Default: 17.5 s.
    pub heartbeat_interval: Duration,
    /// How long the answer to a ping may take. Default: 15 s.
    pub heartbeat_timeout: Duration,
    /// How many calls may be unfinished, those that wait for a connection among them. Default:
    /// 10,000.
    pub max_calls: usize,
    /// How many bytes the messages of unfinished calls may have together. What counts is what
    /// already waits: a single call may be larger. Default: 16 MiB.
    pub max_call_bytes: usize,
    /// How many subscriptions may be open. Default: 1,000.
    pub max_subscriptions: usize,
    /// How many bytes of data may be held back, after a reconnect or while a `wait` method runs.
    /// When it is more, it takes effect at once. Default: 64 MiB.
    pub max_held_bytes: usize,
    /// How long data may be held back, counted from a reconnect, or else from the first message
    /// that is held. Then it takes effect, and the documents of subscriptions that are not ready
    /// again are gone until they come. Default: 60 s.
    pub max_hold_time: Duration,
    /// The application's own EJSON types. Default: none.
    pub types: TypeRegistry,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(30),
            heartbeat_interval: Duration::from_millis(17_500),
            heartbeat_timeout: Duration::from_secs(15),
            max_calls: 10_000,
            max_call_bytes: 16 * 1024 * 1024,
            max_subscriptions: 1_000,
            max_held_bytes: 64 * 1024 * 1024,
            max_hold_time: Duration::from_secs(60),
            types: TypeRegistry::new(),
        }
    }
}
