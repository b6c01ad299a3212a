use std::time::Instant;

use ddp_protocol::heartbeat::Beat;

use crate::config::Heartbeat;

/// When the client of SockJS on a WebSocket is asked for a pong, and when it is given up: at each
/// interval, whatever else it says (sockjs-node's `lib/trans-websocket.js`).
#[derive(Debug)]
pub(super) struct Vigil {
    times: Heartbeat,
    ask_at: Instant,
    answer_by: Option<Instant>,
}

impl Vigil {
    /// Begins to watch, unless the interval is zero.
    pub(super) fn new(times: Heartbeat, now: Instant) -> Option<Self> {
        (!times.interval.is_zero()).then(|| Self {
            times,
            ask_at: now + times.interval,
            answer_by: None,
        })
    }

    /// The client has answered.
    pub(super) fn handle_pong(&mut self) {
        self.answer_by = None;
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.answer_by.unwrap_or(self.ask_at)
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Beat {
        if now < self.poll_timeout() {
            return Beat::Idle;
        }
        if self.answer_by.is_some() {
            return Beat::Dead;
        }
        self.ask_at = now + self.times.interval;
        self.answer_by = Some(now + self.times.timeout);
        Beat::Ping
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn vigil(interval: u32, timeout: u32, now: Instant) -> Option<Vigil> {
        let times = Heartbeat {
            interval: interval * SECOND,
            timeout: timeout * SECOND,
        };
        Vigil::new(times, now)
    }

    #[test]
    fn who_does_not_answer_is_given_up() {
        let start = Instant::now();
        let mut vigil = vigil(45, 10, start).unwrap();
        assert_eq!(vigil.poll_timeout(), start + 45 * SECOND);
        assert_eq!(vigil.handle_timeout(start + 44 * SECOND), Beat::Idle);
        assert_eq!(vigil.handle_timeout(start + 45 * SECOND), Beat::Ping);
        assert_eq!(vigil.poll_timeout(), start + 55 * SECOND);
        assert_eq!(vigil.handle_timeout(start + 54 * SECOND), Beat::Idle);
        assert_eq!(vigil.handle_timeout(start + 55 * SECOND), Beat::Dead);
    }

    #[test]
    fn who_answers_is_asked_again_after_the_interval() {
        let start = Instant::now();
        let mut vigil = vigil(45, 10, start).unwrap();
        for round in 1..4 {
            let at = start + 45 * round * SECOND;
            assert_eq!(vigil.poll_timeout(), at);
            assert_eq!(vigil.handle_timeout(at), Beat::Ping);
            vigil.handle_pong();
        }
    }

    #[test]
    fn an_interval_of_zero_never_asks() {
        assert!(vigil(0, 10, Instant::now()).is_none());
    }
}
