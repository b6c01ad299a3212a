use std::time::{Duration, Instant};

/// A time from now on. One that is too far away to be said is in a year: tokio's clock goes no
/// further than two, and nobody waits that long.
pub(crate) fn later(time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + time.min(YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_too_far_away() {
        assert!(later(Duration::MAX) > later(Duration::from_secs(1_000_000)));
    }
}
