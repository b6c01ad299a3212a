//! Where a proxy by itself has its routes from.

mod ddp;

use launcher_core::routing::{Reachable, RedisFollower, RedisServer, RouteTables};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// A place where routes are told.
#[derive(Clone, Debug)]
pub(crate) enum RouteSource {
    /// A launcher writes them there, or whoever else knows Hipache's schema.
    Redis(RedisServer),
    /// A launcher publishes them: `host:port` of its control port.
    Launcher(String),
}

/// A text that names no such place. It is not repeated: there may be a password in it.
#[derive(Clone, Copy, Debug, Error, Eq, PartialEq)]
pub(crate) enum InvalidSource {
    #[error("it must be redis://[:PASSWORD@]HOST[:PORT][/DATABASE] or ddp://HOST[:PORT]")]
    Unknown,
    #[error("ddps is not supported yet; use ddp:// and a tunnel")]
    Encrypted,
}

/// What is known of the routes.
pub(crate) struct Following {
    pub(crate) tables: RouteTables,
    pub(crate) state: watch::Receiver<Reachable>,
    /// Ends when this is dropped.
    pub(crate) task: AbortOnDropHandle<()>,
}

impl RouteSource {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidSource> {
        if let Ok(server) = RedisServer::at(text) {
            return Ok(Self::Redis(server));
        }
        let url = Url::parse(text).map_err(|_| InvalidSource::Unknown)?;
        if ["ddps", "wss", "https"].contains(&url.scheme()) {
            return Err(InvalidSource::Encrypted);
        }
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_bare = ["", "/"].contains(&url.path()) && url.query().is_none();
        let host = url.host_str().filter(|host| !host.is_empty());
        match host.filter(|_| url.scheme() == "ddp" && is_plain && is_bare) {
            Some(host) => Ok(Self::Launcher(format!(
                "{host}:{}",
                url.port().unwrap_or(8080)
            ))),
            None => Err(InvalidSource::Unknown),
        }
    }

    /// Begins to follow. Nothing waits for the place to be there.
    pub(crate) fn follow(self) -> Following {
        match self {
            Self::Redis(server) => {
                let follower = RedisFollower::new(server);
                let (tables, state) = (follower.tables(), follower.state());
                let task = tokio::spawn(async move { match follower.run().await {} });
                Following {
                    tables,
                    state,
                    task: AbortOnDropHandle::new(task),
                }
            }
            Self::Launcher(address) => ddp::follow(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_by_its_scheme() {
        let read = |text| RouteSource::parse(text);
        assert!(matches!(
            read("redis://:secret@a.test/1"),
            Ok(RouteSource::Redis(_))
        ));
        let launcher = |text| match read(text) {
            Ok(RouteSource::Launcher(address)) => address,
            other => panic!("{other:?}"),
        };
        assert_eq!(launcher("ddp://a.test"), "a.test:8080");
        assert_eq!(launcher("ddp://[::1]:90/"), "[::1]:90");
        for encrypted in ["ddps://a.test", "https://a.test", "wss://a.test"] {
            assert_eq!(read(encrypted).unwrap_err(), InvalidSource::Encrypted);
        }
        for bad in [
            "",
            "a.test:80",
            "http://a.test",
            "ddp://",
            "ddp://u:p@a.test",
            "ddp://a.test/x",
            "redis://",
        ] {
            assert_eq!(read(bad).unwrap_err(), InvalidSource::Unknown, "{bad}");
        }
    }
}
