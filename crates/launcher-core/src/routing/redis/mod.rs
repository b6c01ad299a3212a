//! Routes in Redis: in Hipache's schema, and in the launcher's own form, which tells a proxy more.
//!
//! | key | what it is |
//! |---|---|
//! | `frontend:<hostname>` | Hipache's list |
//! | `launcher:routes` | hash: a launcher's id → the version of its table, which grows; also the channel of its changes, `<id> <version>` |
//! | `launcher:routes:<id>` | hash: address → [`RouteDocument`](super::RouteDocument) as JSON. What is in it that launcher wrote, also for Hipache |

mod follower;
mod hipache;
mod mirror;
mod outcome;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use redis::{
    AsyncConnectionConfig, Client,
    aio::{MultiplexedConnection, PubSub},
};
use thiserror::Error;
use tokio::time::timeout;

pub use follower::{RedisFollower, RouteTables};
pub use mirror::RedisMirror;
pub use outcome::Reachable;

const VERSIONS: &str = "launcher:routes";

/// How long Redis may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How often it is asked whether it is still there.
const PULSE: Duration = Duration::from_secs(1);

/// A Redis server. Its password is shown nowhere.
#[derive(Clone)]
pub struct RedisServer {
    client: Client,
}

/// A text that is no address of a Redis server.
#[derive(Clone, Copy, Debug, Error, Eq, PartialEq)]
#[error(
    "this is not an address of a Redis server, such as redis://127.0.0.1:6379/0 or redis://:PASSWORD@host:6379 (TLS \
     is not supported)"
)]
pub struct InvalidRedisUrl;

/// Why Redis did not do what it was asked, in words and without its password.
#[derive(Debug, Error)]
#[error("{0}")]
struct Trouble(String);

impl RedisServer {
    /// The server at an address, `redis://[[user]:password@]host[:port][/database]`. Does not connect.
    ///
    /// # Errors
    /// [`InvalidRedisUrl`]
    pub fn at(url: &str) -> Result<Self, InvalidRedisUrl> {
        if !url.starts_with("redis://") {
            return Err(InvalidRedisUrl);
        }
        let client = Client::open(url).map_err(|_| InvalidRedisUrl)?;
        Ok(Self { client })
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Trouble> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER));
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        self.in_time(connecting).await
    }

    async fn listen(&self, channels: &[&str], patterns: &[String]) -> Result<PubSub, Trouble> {
        let listening = async {
            let mut listener = self.client.get_async_pubsub().await?;
            listener.subscribe(channels).await?;
            listener.psubscribe(patterns).await?;
            Ok(listener)
        };
        self.in_time(listening).await
    }

    fn database(&self) -> i64 {
        self.client.get_connection_info().redis_settings().db()
    }

    /// Waits for an answer, but not for ever.
    async fn in_time<T>(
        &self,
        answer: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, Trouble> {
        match timeout(ANSWER, answer).await {
            Ok(answer) => answer.map_err(|error| self.trouble(&error)),
            Err(_) => Err(Trouble("it does not answer".to_owned())),
        }
    }

    /// Some servers repeat what they did not understand.
    fn trouble(&self, error: &redis::RedisError) -> Trouble {
        if error.is_timeout() {
            return Trouble("it does not answer".to_owned());
        }
        let said = error.to_string();
        let password = self
            .client
            .get_connection_info()
            .redis_settings()
            .password();
        Trouble(match password.filter(|password| !password.is_empty()) {
            Some(password) => said.replace(password, "…"),
            None => said,
        })
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.client.get_connection_info().addr();
        write!(f, "RedisServer({address})")
    }
}

impl fmt::Display for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.get_connection_info().addr().fmt(f)
    }
}

/// The table of a launcher.
fn table_of(launcher: &str) -> String {
    format!("{VERSIONS}:{launcher}")
}
