use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Until when an upstream is tried after the others, because connecting to it has failed.
#[derive(Default)]
pub(crate) struct Avoidance {
    /// Milliseconds of [`now`]; 0 if connecting has not failed since it last went well.
    until: AtomicU64,
}

impl Avoidance {
    pub(crate) fn begin(&self, time: Duration) {
        self.until.store(after(time), Relaxed);
    }

    pub(crate) fn end(&self) {
        // Nearly always there is nothing to do, and a write would cost the other threads.
        if self.until.load(Relaxed) != 0 {
            self.until.store(0, Relaxed);
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        let until = self.until.load(Relaxed);
        until != 0 && now() < until
    }

    /// After a failure one request finds out whether all is well again; the others need not wait with it.
    pub(crate) fn go_on_unless_it_goes_well(&self, time: Duration) {
        if self.until.load(Relaxed) != 0 {
            self.begin(time);
        }
    }
}

fn after(time: Duration) -> u64 {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    now().saturating_add(milliseconds)
}

/// Milliseconds since some moment before the first call, from 1 on.
pub(crate) fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).map_or(u64::MAX, |passed| passed.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_failure_counts_for_its_time_or_until_it_goes_well() {
        let avoidance = Avoidance::default();
        assert!(!avoidance.is_on());
        avoidance.begin(LONG);
        assert!(avoidance.is_on());
        avoidance.end();
        assert!(!avoidance.is_on());
        avoidance.begin(Duration::ZERO);
        assert!(!avoidance.is_on());
    }

    #[test]
    fn only_one_tries_again() {
        let avoidance = Avoidance::default();
        avoidance.go_on_unless_it_goes_well(LONG);
        assert!(!avoidance.is_on(), "nothing has failed");
        avoidance.begin(Duration::ZERO);
        avoidance.go_on_unless_it_goes_well(LONG);
        assert!(avoidance.is_on());
    }
}
