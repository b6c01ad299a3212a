use std::sync::Arc;
use std::time::Instant;

/// Whether a client is connected (Meteor's `DDP.connect(…).status()`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// A connection is being made.
    Connecting,
    /// There is a session.
    Connected,
    /// The last attempt has failed, or the connection was lost; the next attempt comes by itself.
    Waiting {
        /// When.
        retry_at: Instant,
        /// How many attempts were made since there was a connection that lasted.
        attempts: u32,
        /// What went wrong.
        reason: Arc<str>,
    },
    /// There will be no attempt by itself: the server speaks another protocol, or reconnects are
    /// switched off. [`Client::reconnect`](crate::Client::reconnect) tries again.
    Failed {
        /// What went wrong.
        reason: Arc<str>,
    },
    /// [`Client::disconnect`](crate::Client::disconnect) was called.
    Offline,
    /// The client was closed.
    Closed,
}
