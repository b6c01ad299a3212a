use std::sync::Arc;
use std::time::Duration;

use super::rate::MessageRate;
use crate::ejson::TypeRegistry;
use crate::merge_box::Strategies;

/// Times and limits of a [`Session`](super::Session).
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// How long a connection may take to say `connect`. Default: 45 s.
    pub connect_timeout: Duration,
    /// How often to look whether the client still talks; zero never pings. Default: 15 s.
    pub heartbeat_interval: Duration,
    /// How long the answer to a ping may take. Default: 15 s.
    pub heartbeat_timeout: Duration,
    /// How many messages a client may send; with more the session is closed.
    pub message_rate: MessageRate,
    /// How many messages may wait for their turn; one more is answered with an error. Default:
    /// 10,000.
    pub max_queued_messages: usize,
    /// How many methods may run at once, which they do after `unblock`, or wait for their writes;
    /// one more call is answered with an error. Default: 10,000.
    pub max_running_calls: usize,
    /// How many bytes of messages may wait for their turn, together with those of open
    /// subscriptions, which are kept to run them again when the user changes. When more do, one
    /// more message is answered with an error. Default: 64 MiB.
    pub max_incoming_bytes: usize,
    /// How many subscriptions a client may have open; one more is answered with an error.
    /// Default: 1,000.
    pub max_subscriptions: usize,
    /// From how many bytes on that wait to be sent it is better to write before anything is
    /// added ([`Session::wants_drain`](super::Session::wants_drain)), and changes of the same
    /// document are sent as one. Default: 256 KiB.
    pub drain_bytes: usize,
    /// How many bytes may wait for a client that does not read. When more do and there is
    /// something to add, the session is closed. Default: 16 MiB.
    pub max_queued_bytes: usize,
    /// The application's own EJSON types. Default: none.
    pub types: TypeRegistry,
    /// How it is remembered what clients have. Default: all is merged.
    pub strategies: Arc<Strategies>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(15),
            heartbeat_timeout: Duration::from_secs(15),
            message_rate: MessageRate::default(),
            max_queued_messages: 10_000,
            max_running_calls: 10_000,
            max_incoming_bytes: 64 * 1024 * 1024,
            max_subscriptions: 1_000,
            drain_bytes: 256 * 1024,
            max_queued_bytes: 16 * 1024 * 1024,
            strategies: Arc::default(),
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
    /// How many publications every client gets without asking. They are numbered from 0; there
    /// can come more (then say [`Session::start_universal`](super::Session::start_universal)),
    /// but not fewer. Default: none.
    fn universal(&self) -> usize {
        0
    }
}
