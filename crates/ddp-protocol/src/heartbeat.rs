//! Heartbeats (Meteor's `packages/ddp-common/heartbeat.js`).

use std::time::{Duration, Instant};

/// When to ping the other side, and when to give it up.
///
/// Every interval in which nothing was received a ping is due; any message counts as its answer.
#[derive(Debug)]
pub struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    next_check: Option<Instant>,
    give_up: Option<Instant>,
    seen_message: bool,
}

/// What [`Heartbeat::handle_timeout`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Nothing.
    Idle,
    /// Send a ping.
    Ping,
    /// The other side did not answer in time: close.
    Dead,
}

impl Heartbeat {
    /// Starts beating. An interval of zero never pings.
    pub fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        let ticking = (!interval.is_zero()).then_some(interval);
        Self {
            interval,
            timeout,
            // an interval without end never pings either
            next_check: ticking.and_then(|interval| now.checked_add(interval)),
            give_up: None,
            seen_message: false,
        }
    }

    /// A message has come in.
    pub fn handle_message(&mut self) {
        self.seen_message = true;
        self.give_up = None;
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_check.into_iter().chain(self.give_up).min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Beat {
        if self.give_up.is_some_and(|deadline| deadline <= now) {
            return Beat::Dead;
        }
        let Some(check) = self.next_check.filter(|check| *check <= now) else {
            return Beat::Idle;
        };
        let next = check.checked_add(self.interval);
        // a machine that slept must not check once for every interval that it missed
        self.next_check = next
            .filter(|next| *next > now)
            .or_else(|| now.checked_add(self.interval));
        let quiet = !std::mem::take(&mut self.seen_message) && self.give_up.is_none();
        if !quiet {
            return Beat::Idle;
        }
        self.give_up = now.checked_add(self.timeout);
        Beat::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn run(heartbeat: &mut Heartbeat, until: Instant) -> Vec<Beat> {
        let mut beats = Vec::new();
        while let Some(at) = heartbeat.poll_timeout().filter(|at| *at <= until) {
            beats.push(heartbeat.handle_timeout(at));
            if beats.last() == Some(&Beat::Dead) {
                break;
            }
        }
        beats
    }

    #[test]
    fn silence_is_pinged_then_given_up() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(2 * SECOND, 3 * SECOND, start);
        let beats = run(&mut heartbeat, start + 5 * SECOND);
        assert_eq!(beats, [Beat::Ping, Beat::Idle, Beat::Dead]);
    }

    #[test]
    fn an_answered_ping_skips_the_next_check() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(2 * SECOND, 3 * SECOND, start);
        assert_eq!(run(&mut heartbeat, start + 2 * SECOND), [Beat::Ping]);
        heartbeat.handle_message();
        assert_eq!(run(&mut heartbeat, start + 5 * SECOND), [Beat::Idle]);
        assert_eq!(run(&mut heartbeat, start + 6 * SECOND), [Beat::Ping]);
    }

    #[test]
    fn an_interval_of_zero_never_pings() {
        let heartbeat = Heartbeat::new(Duration::ZERO, SECOND, Instant::now());
        assert_eq!(heartbeat.poll_timeout(), None);
    }
}
