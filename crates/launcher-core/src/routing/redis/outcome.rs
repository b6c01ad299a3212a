//! Whether Redis can be used, as it is told and logged.

use std::time::Duration;

use tokio::sync::watch;

use super::{RedisServer, Trouble};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether a server can be used; `Err`: why not, in words.
pub type Reachable = Result<(), String>;

/// Tells how it is, and each change once to the log.
pub(super) struct Outcome {
    server: RedisServer,
    state: watch::Sender<Reachable>,
    pause: Duration,
    is_known: bool,
}

impl Outcome {
    pub(super) fn of(server: &RedisServer) -> Self {
        Self {
            server: server.clone(),
            state: watch::Sender::new(Err("it has not answered yet".to_owned())),
            pause: FIRST_PAUSE,
            is_known: false,
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Reachable> {
        self.state.subscribe()
    }

    pub(super) fn good(&mut self) {
        self.pause = FIRST_PAUSE;
        let was_good = self.state.send_replace(Ok(())).is_ok();
        if !was_good {
            tracing::info!(redis = %self.server, "routes in Redis are up to date");
        }
        self.is_known = true;
    }

    /// Tells what is wrong, and how long to wait before the next attempt.
    pub(super) fn bad(&mut self, trouble: &Trouble) -> Duration {
        let was_good = self.state.send_replace(Err(trouble.to_string())).is_ok();
        if was_good || !self.is_known {
            tracing::warn!(redis = %self.server, error = %trouble, "Redis cannot be used; what is known stays in force");
        }
        self.is_known = true;
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}
