use std::time::{Duration, Instant};

/// How many messages a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRate {
    /// How many in a second, for as long as it likes; 0 sets no limit. Default: 10,000.
    pub per_second: u32,
    /// How many at once, after a pause. Default: 20,000.
    pub burst: u32,
}

impl Default for MessageRate {
    fn default() -> Self {
        Self {
            per_second: 10_000,
            burst: 20_000,
        }
    }
}

/// A bucket that holds a token for each message that may come; it fills as time passes.
///
/// Kept as the time at which it will be full again (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    pub(super) fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes a token for a message. `false` if there is none.
    pub(super) fn take(&mut self, rate: MessageRate, now: Instant) -> bool {
        let Some(each) = Duration::from_secs(1).checked_div(rate.per_second) else {
            return true;
        };
        let full_at = self.full_at.max(now) + each;
        let allowed = full_at - now <= each * rate.burst.max(1);
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: MessageRate = MessageRate {
        per_second: 10,
        burst: 3,
    };

    #[test]
    fn a_burst_is_taken_and_then_the_sustained_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::full(now);
        assert!((0..3).all(|_| bucket.take(RATE, now)));
        assert!(!bucket.take(RATE, now));
        let later = now + Duration::from_millis(100);
        assert!(bucket.take(RATE, later));
        assert!(!bucket.take(RATE, later));
        let much_later = later + Duration::from_secs(100);
        assert!((0..3).all(|_| bucket.take(RATE, much_later)));
        assert!(!bucket.take(RATE, much_later));
    }

    #[test]
    fn a_rate_of_zero_sets_no_limit() {
        let now = Instant::now();
        let mut bucket = Bucket::full(now);
        let unlimited = MessageRate {
            per_second: 0,
            burst: 0,
        };
        assert!((0..100_000).all(|_| bucket.take(unlimited, now)));
    }
}
