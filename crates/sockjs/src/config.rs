use std::time::Duration;

use crate::path::Transport;
use crate::session::Limits;

/// What a [`Builder`](crate::Builder) collects.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) disabled: Vec<Transport>,
    pub(crate) cookie_needed: bool,
    pub(crate) cors: bool,
    pub(crate) iframe: bool,
    pub(crate) sockjs_url: String,
    pub(crate) heartbeat: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) disconnect_delay: Duration,
    pub(crate) receive_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) response_limit: usize,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_queued_bytes: usize,
    pub(crate) max_sessions: usize,
    pub(crate) max_sessions_per_address: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            disabled: Vec::new(),
            cookie_needed: false,
            cors: true,
            iframe: true,
            sockjs_url: "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js"
                .to_owned(),
            heartbeat: Duration::from_secs(25),
            heartbeat_timeout: Duration::from_secs(10),
            disconnect_delay: Duration::from_secs(5),
            receive_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            response_limit: 128 * 1024,
            max_message_bytes: 1024 * 1024,
            max_queued_bytes: 1024 * 1024,
            max_sessions: 100_000,
            max_sessions_per_address: usize::MAX,
        }
    }
}

impl Config {
    pub(crate) fn enabled(&self, transport: Transport) -> bool {
        !self.disabled.contains(&transport)
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            heartbeat: self.heartbeat,
            heartbeat_timeout: self.heartbeat_timeout,
            disconnect_delay: self.disconnect_delay,
            max_queued_bytes: self.max_queued_bytes,
        }
    }
}
