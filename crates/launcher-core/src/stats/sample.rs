//! From what has been used until now to what is used in some time.

use jiff::SignedDuration;

use super::document::{MovedBytes, StatsMinute};
use crate::engine::ContainerStats;

/// Samples that lie further apart tell nothing of a minute.
const LONGEST: SignedDuration = SignedDuration::from_secs(150);

/// Time of processors between two samples of one run, in percent of one.
pub(super) fn cpu(before: &ContainerStats, now: &ContainerStats) -> Option<f64> {
    let time = now.at.duration_since(before.at);
    let used = now.cpu_nanos.checked_sub(before.cpu_nanos)?;
    let is_later = time.is_positive();
    is_later.then(|| used as f64 / time.as_nanos() as f64 * 100.0)
}

/// What one container used in a minute, by samples of one run that are about a minute apart.
pub(super) fn minute(before: Option<&ContainerStats>, now: &ContainerStats) -> StatsMinute {
    let before = before.filter(|before| {
        let time = now.at.duration_since(before.at);
        time.is_positive() && time <= LONGEST
    });
    StatsMinute {
        cpu: before.and_then(|before| cpu(before, now)),
        memory_bytes: now.memory_bytes,
        memory_limit_bytes: now.memory_limit_bytes,
        moved: before.map(|before| moved(before, now)),
        pids: now.pids,
        containers: 1,
        open_connections: None,
    }
}

fn moved(before: &ContainerStats, now: &ContainerStats) -> MovedBytes {
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    let moved = |count: fn(&ContainerStats) -> u64| {
        let moved = count(now).saturating_sub(count(before));
        (moved as f64 * 60.0 / seconds).round() as u64
    };
    MovedBytes {
        network_received: moved(|stats| stats.network_received_bytes),
        network_sent: moved(|stats| stats.network_sent_bytes),
        block_read: moved(|stats| stats.block_read_bytes),
        block_written: moved(|stats| stats.block_written_bytes),
    }
}

/// Both together.
pub(super) fn sum(a: StatsMinute, b: &StatsMinute) -> StatsMinute {
    StatsMinute {
        cpu: both(a.cpu, b.cpu, |a, b| a + b),
        memory_bytes: a.memory_bytes + b.memory_bytes,
        memory_limit_bytes: a.memory_limit_bytes.saturating_add(b.memory_limit_bytes),
        moved: both(a.moved, b.moved, |a, b| MovedBytes {
            network_received: a.network_received + b.network_received,
            network_sent: a.network_sent + b.network_sent,
            block_read: a.block_read + b.block_read,
            block_written: a.block_written + b.block_written,
        }),
        pids: a.pids + b.pids,
        containers: a.containers + b.containers,
        open_connections: both(a.open_connections, b.open_connections, |a, b| a + b),
    }
}

fn both<T>(a: Option<T>, b: Option<T>, sum: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(sum(a, b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(second: i64, cpu_millis: u64, received: u64) -> ContainerStats {
        ContainerStats {
            at: Timestamp::from_second(second).unwrap(),
            cpu_nanos: cpu_millis * 1_000_000,
            network_received_bytes: received,
            memory_bytes: 7,
            ..ContainerStats::default()
        }
    }

    #[test]
    fn processors_are_counted_between_two_samples() {
        assert_eq!(cpu(&at(10, 1_000, 0), &at(12, 4_000, 0)), Some(150.0));
        assert_eq!(cpu(&at(10, 1_000, 0), &at(10, 2_000, 0)), None, "no time");
        assert_eq!(
            cpu(&at(10, 1_000, 0), &at(12, 0, 0)),
            None,
            "less than before"
        );
    }

    #[test]
    fn a_minute_is_what_was_moved_in_sixty_seconds() {
        let alone = minute(None, &at(100, 0, 500));
        assert_eq!(
            (alone.memory_bytes, alone.cpu, alone.moved),
            (7, None, None)
        );
        let second = minute(Some(&at(100, 0, 500)), &at(150, 25_000, 600));
        assert_eq!(second.cpu, Some(50.0));
        assert_eq!(second.moved.unwrap().network_received, 120);
        let late = minute(Some(&at(100, 0, 500)), &at(500, 25_000, 600));
        assert_eq!((late.cpu, late.moved), (None, None));

        let both = sum(second, &second);
        assert_eq!((both.cpu, both.containers), (Some(100.0), 2));
        assert_eq!(both.moved.unwrap().network_received, 240);
        assert_eq!(sum(alone, &second).cpu, Some(50.0));
    }
}
