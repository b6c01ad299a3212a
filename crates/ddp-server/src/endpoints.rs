//! Which path leads to which transport.

use std::time::Duration;

use ddp_protocol::merge_box::Framing;
use sockjs::{Connection, Endpoint, SockJs, Transport};

use crate::config::{Config, Heartbeat};

/// As Meteor sets it (`packages/ddp-server/stream_server.js`).
const DISCONNECT_DELAY: Duration = Duration::from_secs(60);
/// What waits for a client that polls is the session's business, which can still merge it.
const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// The paths of a server.
pub(crate) struct Endpoints {
    prefix: String,
    websockets: bool,
    pub(crate) sockjs: SockJs,
}

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    WebSocket(Framing),
    SockJs,
    NotFound,
}

impl Endpoints {
    /// Connections that came over HTTP are given to `accept`.
    pub(crate) fn new(
        config: &Config,
        accept: impl Fn(Connection) + Send + Sync + 'static,
    ) -> Self {
        let transports = &config.transports;
        let prefix = transports.path_prefix.trim_end_matches('/').to_owned();
        let sockjs = SockJs::builder(format!("{prefix}/sockjs"))
            .websocket(transports.websockets)
            .cors(transports.sockjs_cors)
            .iframe(transports.iframes)
            .cookie_needed(transports.jsessionid)
            .heartbeat(interval_of(transports.sockjs_heartbeat))
            .disconnect_delay(DISCONNECT_DELAY)
            .max_message_bytes(config.max_message_bytes)
            .max_queued_bytes(MAX_QUEUED_BYTES)
            .max_sessions(config.max_connections)
            .build(move |connection| {
                accept(connection);
                std::future::ready(())
            });
        Self {
            prefix,
            websockets: transports.websockets,
            sockjs,
        }
    }

    /// The way of a path, if it is one of ours.
    pub(crate) fn way(&self, path: &str) -> Option<Way> {
        let raw = Way::WebSocket(Framing::WebSocket);
        let way = match path.strip_prefix(&self.prefix) {
            Some("/websocket" | "/websocket/") if !self.websockets => Way::NotFound,
            Some("/websocket" | "/websocket/") => raw,
            _ => match self.sockjs.endpoint(path)? {
                Endpoint::RawWebSocket if self.websockets => raw,
                Endpoint::Receive(Transport::WebSocket, _) if self.websockets => {
                    Way::WebSocket(Framing::SockJs)
                }
                _ => Way::SockJs,
            },
        };
        Some(way)
    }
}

/// None at all is one that nobody lives to see.
fn interval_of(heartbeat: Heartbeat) -> Duration {
    const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    match heartbeat.interval {
        Duration::ZERO => NEVER,
        interval => interval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::Transports;

    const RAW: Option<Way> = Some(Way::WebSocket(Framing::WebSocket));
    const FRAMED: Option<Way> = Some(Way::WebSocket(Framing::SockJs));

    fn endpoints(prefix: &str, websockets: bool) -> Endpoints {
        let transports = Transports {
            path_prefix: prefix.to_owned(),
            websockets,
            ..Transports::default()
        };
        let config = Config {
            transports,
            ..Config::default()
        };
        Endpoints::new(&config, drop)
    }

    #[test]
    fn every_transport_has_its_paths() {
        let endpoints = endpoints("", true);
        for path in ["/websocket", "/websocket/", "/sockjs/websocket"] {
            assert_eq!(endpoints.way(path), RAW, "{path}");
        }
        assert_eq!(endpoints.way("/sockjs/1/2/websocket"), FRAMED);
        for path in ["/sockjs", "/sockjs/info", "/sockjs/1/2/xhr", "/sockjs/no"] {
            assert_eq!(endpoints.way(path), Some(Way::SockJs), "{path}");
        }
        for path in ["/", "/websockets", "/a/websocket", "/sockjsx"] {
            assert_eq!(endpoints.way(path), None, "{path}");
        }
    }

    #[test]
    fn all_of_it_can_be_below_a_path() {
        let endpoints = endpoints("/app/", true);
        assert_eq!(endpoints.way("/app/websocket"), RAW);
        assert_eq!(endpoints.way("/app/sockjs/1/2/websocket"), FRAMED);
        assert_eq!(endpoints.way("/websocket"), None);
        assert_eq!(endpoints.way("/sockjs/info"), None);
    }

    #[test]
    fn without_websockets_there_is_only_http() {
        let endpoints = endpoints("", false);
        assert_eq!(endpoints.way("/websocket"), Some(Way::NotFound));
        for path in ["/sockjs/websocket", "/sockjs/1/2/websocket"] {
            assert_eq!(endpoints.way(path), Some(Way::SockJs), "{path}");
        }
    }
}
