use std::time::Duration;

use ddp_protocol::ejson::TypeRegistry;
use ddp_protocol::session::{MessageRate, SessionConfig};

use crate::transports::Transports;

/// Times and limits of a [`Server`](crate::Server).
#[derive(Debug, Clone)]
pub struct Config {
    /// The longest message that is read; a longer one closes the connection with code 1009.
    /// Default: 67,108,863, as in Meteor.
    pub max_message_bytes: usize,
    /// When clients are pinged and given up.
    pub heartbeat: Heartbeat,
    /// How long a connection may take to say `connect`. Default: 45 s.
    pub connect_timeout: Duration,
    /// How many messages a client may send; one that sends more is closed with code 1008. Default:
    /// 10,000 in a second, 20,000 at once after a pause.
    pub message_rate: MessageRate,
    /// How many messages of one client may wait for their turn. Default: 10,000.
    pub max_queued_messages: usize,
    /// How many methods of one client may run at once, which they do after `unblock`; one more
    /// call is answered with an error. Default: 10,000.
    pub max_running_calls: usize,
    /// How many bytes of messages of one client may wait for their turn, together with those of
    /// its open subscriptions, which are kept to run them again when the user changes. One more
    /// message is then answered with an error. Default: 64 MiB.
    pub max_incoming_bytes: usize,
    /// How many subscriptions one client may have open. Default: 1,000.
    pub max_subscriptions: usize,
    /// From how many bytes on that wait for a client the changes of a document become one, so
    /// that a slow client is told what is true instead of what was. Default: 256 KiB.
    pub drain_bytes: usize,
    /// How many bytes may wait for a client that does not read before it is dropped with code
    /// 1013. Default: 16 MiB.
    pub max_outgoing_bytes: usize,
    /// How many proxies stand between client and server, Meteor's `HTTP_FORWARDED_COUNT`: the
    /// client's address is this many places from the right in `X-Forwarded-For`. Default: 0, the
    /// address of the socket.
    pub http_forwarded_count: i32,
    /// How many connections there may be; one more is answered with 503. Default: as many as the
    /// system allows.
    pub max_connections: usize,
    /// How many connections one client address may have (by
    /// [`http_forwarded_count`](Self::http_forwarded_count)); one more is answered with 429.
    /// Addresses of IPv6 with the same first 64 bits count as one, those of the machine itself do
    /// not. Default: 1,000.
    pub max_connections_per_address: usize,
    /// How many sessions are closed in a second when the server shuts down, so that their clients
    /// do not all come at once to the next server; at least 1. Default: 500.
    pub shutdown_pace: u32,
    /// How long closing at that pace may take; then the rest is closed at once. Default: 5 s.
    pub shutdown_timeout: Duration,
    /// How clients reach the server.
    pub transports: Transports,
    /// How long a client may take to answer the closing of its connection. Default: 2 s.
    pub close_timeout: Duration,
    /// The application's own EJSON types. Default: none.
    pub types: TypeRegistry,
}

/// Heartbeats from server to client, those of DDP or those of SockJS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// How often to look whether a client still talks; zero never pings. Default: 15 s.
    pub interval: Duration,
    /// How long the answer to a ping may take. Default: 15 s.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let session = SessionConfig::default();
        Self {
            max_message_bytes: 0x3ff_ffff,
            heartbeat: Heartbeat::default(),
            connect_timeout: session.connect_timeout,
            message_rate: session.message_rate,
            max_queued_messages: session.max_queued_messages,
            max_running_calls: session.max_running_calls,
            max_incoming_bytes: session.max_incoming_bytes,
            max_subscriptions: session.max_subscriptions,
            drain_bytes: session.drain_bytes,
            max_outgoing_bytes: session.max_queued_bytes,
            http_forwarded_count: 0,
            max_connections: usize::MAX,
            max_connections_per_address: 1_000,
            shutdown_pace: 500,
            shutdown_timeout: Duration::from_secs(5),
            transports: Transports::default(),
            close_timeout: Duration::from_secs(2),
            types: session.types,
        }
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        let session = SessionConfig::default();
        Self {
            interval: session.heartbeat_interval,
            timeout: session.heartbeat_timeout,
        }
    }
}

impl Config {
    pub(crate) fn session(&self) -> SessionConfig {
        SessionConfig {
            connect_timeout: self.connect_timeout,
            heartbeat_interval: self.heartbeat.interval,
            heartbeat_timeout: self.heartbeat.timeout,
            message_rate: self.message_rate,
            max_queued_messages: self.max_queued_messages,
            max_running_calls: self.max_running_calls,
            max_incoming_bytes: self.max_incoming_bytes,
            max_subscriptions: self.max_subscriptions,
            drain_bytes: self.drain_bytes,
            max_queued_bytes: self.max_outgoing_bytes,
            types: self.types.clone(),
            ..SessionConfig::default()
        }
    }
}
