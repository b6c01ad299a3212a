use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use ddp_protocol::session::CloseReason;
use parking_lot::Mutex;

/// Counts that many sessions add to.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) sessions_opened: Count,
    pub(crate) messages_in: Count,
    pub(crate) messages_out: Count,
    pub(crate) bytes_in: Count,
    pub(crate) bytes_out: Count,
    pub(crate) unknown_methods: Count,
    pub(crate) unknown_publications: Count,
    pub(crate) rate_limited: Count,
    pub(crate) subscriptions_started: Count,
    pub(crate) subscriptions: Level,
    pub(crate) queued_messages: Level,
    pub(crate) queued_bytes: Level,
    closed: Mutex<BTreeMap<&'static str, u64>>,
}

impl Recorder {
    pub(crate) fn closed(&self, reason: CloseReason) {
        *self.closed.lock().entry(label(reason)).or_default() += 1;
    }

    pub(crate) fn closed_by_reason(&self) -> BTreeMap<&'static str, u64> {
        self.closed.lock().clone()
    }
}

/// Something that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        if more > 0 {
            self.0.fetch_add(more, Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Something that grows and shrinks, as the sum of what several have.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicI64);

impl Level {
    pub(crate) fn add(&self, more: i64) {
        if more != 0 {
            self.0.fetch_add(more, Relaxed);
        }
    }

    /// Zero where the parts are out of step for a moment.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed).try_into().unwrap_or(0)
    }
}

fn label(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::VersionMismatch => "version_mismatch",
        CloseReason::ConnectTimeout => "connect_timeout",
        CloseReason::HeartbeatTimeout => "heartbeat_timeout",
        CloseReason::Application => "application",
        CloseReason::Disconnected => "disconnected",
        CloseReason::SlowReader => "slow_reader",
        CloseReason::TooManyMessages => "too_many_messages",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_never_negative() {
        let level = Level::default();
        level.add(-1);
        assert_eq!(level.get(), 0);
        level.add(3);
        assert_eq!(level.get(), 2);
    }
}
