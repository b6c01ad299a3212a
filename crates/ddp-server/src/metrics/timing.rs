use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of a [`Histogram`]'s buckets, in seconds. What took longer is in one more.
pub const BUCKETS: [f64; 11] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0,
];

/// How long the calls of a method have taken, and how many have failed.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    buckets: [AtomicU64; BUCKETS.len() + 1],
    errors: AtomicU64,
    sum_micros: AtomicU64,
    max_micros: AtomicU64,
}

impl Timing {
    pub(crate) fn record(&self, took: Duration, failed: bool) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.partition_point(|bound| *bound < seconds);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(micros, Relaxed);
        self.max_micros.fetch_max(micros, Relaxed);
        self.errors.fetch_add(u64::from(failed), Relaxed);
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    pub(crate) fn histogram(&self) -> Histogram {
        Histogram {
            buckets: self.buckets.each_ref().map(|bucket| bucket.load(Relaxed)),
            sum: Duration::from_micros(self.sum_micros.load(Relaxed)),
            max: Duration::from_micros(self.max_micros.load(Relaxed)),
        }
    }
}

/// Times, by how long they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many there were in each of the [`BUCKETS`], not counting those in smaller ones; the last
    /// is for what took longer than all of them.
    pub buckets: [u64; BUCKETS.len() + 1],
    /// All times together.
    pub sum: Duration,
    /// The longest.
    pub max: Duration,
}

impl Histogram {
    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The mean of the times; zero if there are none.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.sum.as_secs_f64() / self.count().max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_the_first_bucket_that_holds_it() {
        let timing = Timing::default();
        for micros in [1, 100, 101, 9_000_000, 11_000_000] {
            timing.record(Duration::from_micros(micros), micros == 101);
        }
        let histogram = timing.histogram();
        let mut expected = [0; 12];
        (expected[0], expected[1], expected[10], expected[11]) = (2, 1, 1, 1);
        assert_eq!(histogram.buckets, expected);
        assert_eq!((histogram.count(), timing.errors()), (5, 1));
        assert_eq!(histogram.max, Duration::from_secs(11));
        assert_eq!(histogram.mean(), Duration::from_nanos(4_000_040_400));
    }
}
