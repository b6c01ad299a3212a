//! All sessions of a server: who may come, and how all go.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::command::Command;
use crate::config::Config;
use crate::inbox::Commands;

/// What is refused again and again is logged once in this time.
const LOG_PERIOD: Duration = Duration::from_secs(60);
/// Sessions are closed one by one up to so many groups in a second, and together above.
const GROUPS_PER_SECOND: f64 = 50.0;

/// The sessions of a server.
#[derive(Default)]
pub(crate) struct Sessions {
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// All have ended.
    pub(crate) ended: CancellationToken,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    places: u64,
    taken: usize,
    by_address: HashMap<IpAddr, usize>,
    running: HashMap<u64, Commands>,
    logged: Option<Instant>,
}

/// Why a connection is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    ShuttingDown,
    TooMany,
    TooManyFromAddress,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::ShuttingDown | Self::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyFromAddress => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::ShuttingDown => "The server is shutting down",
            Self::TooMany => "The server has too many connections",
            Self::TooManyFromAddress => "There are too many connections from your address",
        }
    }
}

/// The right of one connection to be open, given back when dropped.
pub(crate) struct Place {
    sessions: Arc<Sessions>,
    key: u64,
    counted: Option<IpAddr>,
}

impl Sessions {
    /// A place for a connection from this address, where that is known.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        config: &Config,
    ) -> Result<Place, Refusal> {
        let counted = address.and_then(counted);
        let mut open = self.open.lock();
        let refusal = if self.stop.is_cancelled() {
            Some(Refusal::ShuttingDown)
        } else if open.taken >= config.max_connections {
            Some(Refusal::TooMany)
        } else if counted.is_some_and(|it| open.from(it) >= config.max_connections_per_address) {
            Some(Refusal::TooManyFromAddress)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            open.log(refusal, address);
            return Err(refusal);
        }
        open.places += 1;
        open.taken += 1;
        if let Some(address) = counted {
            *open.by_address.entry(address).or_default() += 1;
        }
        Ok(Place {
            sessions: Arc::clone(self),
            key: open.places,
            counted,
        })
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.open.lock().taken
    }

    /// Says something to every session that runs.
    pub(crate) fn tell_all(&self, command: impl Fn() -> Command) {
        for commands in self.open.lock().running.values() {
            commands.send(command());
        }
    }

    /// Closes all sessions, so many in a second, and all that are left when the time is over;
    /// then waits until they have ended.
    pub(crate) async fn shutdown(&self, pace: f64, patience: Duration) {
        let mut leaving: Vec<Commands> = {
            let mut open = self.open.lock();
            self.stop.cancel();
            open.running.drain().map(|(_, commands)| commands).collect()
        };
        let group = (pace / GROUPS_PER_SECOND).max(1.0);
        let mut close = |number: usize| {
            let stay = leaving.len().saturating_sub(number);
            let closed = leaving.drain(stay..);
            closed.for_each(|commands| commands.send(Command::Close));
            !leaving.is_empty()
        };
        let paced = async {
            while close(group as usize) {
                tokio::time::sleep(Duration::from_secs_f64(group / pace)).await;
            }
        };
        let _too_slow = tokio::time::timeout(patience, paced).await;
        close(usize::MAX);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// As whom an address counts. Whoever has one of IPv6 has as a rule all with the same first 64
/// bits (RFC 6177); the machine itself is nobody.
fn counted(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
        address => Some(address),
    }
}

impl Open {
    fn from(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    fn log(&mut self, refusal: Refusal, address: Option<IpAddr>) {
        let recently = |at: Instant| at.elapsed() < LOG_PERIOD;
        if refusal == Refusal::ShuttingDown || self.logged.is_some_and(recently) {
            return;
        }
        self.logged = Some(Instant::now());
        let (connections, why) = (self.taken, refusal.text());
        tracing::warn!(?address, connections, why, "refused a connection");
    }
}

impl Place {
    /// The session that has this place runs: a shutdown closes it. A server that shuts down
    /// already closes it at once.
    pub(crate) fn run(&self, commands: Commands) {
        let mut open = self.sessions.open.lock();
        if self.sessions.stop.is_cancelled() {
            return commands.send(Command::Close);
        }
        open.running.insert(self.key, commands);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.sessions.open.lock();
        open.taken -= 1;
        open.running.remove(&self.key);
        let Some(address) = self.counted else { return };
        let left = open.from(address).saturating_sub(1);
        if left == 0 {
            open.by_address.remove(&address);
        } else {
            open.by_address.insert(address, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let sessions = Arc::new(Sessions::default());
        let config = Config {
            max_connections_per_address: 1,
            ..Config::default()
        };
        let admit = |address: &str| {
            let place = sessions.admit(address.parse().ok(), &config);
            place.map(std::mem::forget)
        };
        let refused = Err(Refusal::TooManyFromAddress);
        assert_eq!(admit("2001:db8:1:2::1"), Ok(()));
        assert_eq!(admit("2001:db8:1:2:ffff::2"), refused);
        assert_eq!(admit("2001:db8:1:3::1"), Ok(()));
        assert_eq!(admit("1.2.3.4"), Ok(()));
        assert_eq!(admit("::ffff:1.2.3.4"), refused);
        assert_eq!(admit("::1"), Ok(()));
        assert_eq!(admit("::ffff:127.0.0.1"), Ok(()));
        assert_eq!(admit("::1"), Ok(()));
    }
}
