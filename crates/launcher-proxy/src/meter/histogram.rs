use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets of each doubling. Their middle is at most 1/11 off from what is in them.
const STEPS: usize = 5;
/// Binary logarithm of the microseconds that are told from less: 0.128 ms.
const LEAST: u32 = 7;
/// The same of those that are not told from more: 17.9 minutes.
const MOST: u32 = 30;
const BUCKETS: usize = 2 + (MOST - LEAST) as usize * STEPS;

/// How long something took, in less than 1 KiB: each doubling of the time is cut into five equal parts.
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum_micros: AtomicU64::new(0),
        }
    }

    pub(super) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)].fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(micros, Relaxed);
    }

    pub(super) fn times(&self) -> Times {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        Times {
            counts: Box::new(counts),
            sum: Duration::from_micros(self.sum_micros.load(Relaxed)),
        }
    }
}

/// Times, by how long they were, from 0.13 ms to 17 minutes in steps of at most 20 %.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    counts: Box<[u64; BUCKETS]>,
    sum: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            sum: Duration::ZERO,
        }
    }
}

impl Times {
    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The time that `share` of all (0.5: half of them) did not exceed, within 10 % where it is at least
    /// 0.13 ms. `None` if there are no times.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let reaches = |of: &u64| {
            seen += of;
            seen >= rank
        };
        let bucket = self.counts.iter().position(reaches)?;
        Some(Duration::from_micros(middle(bucket)))
    }

    /// How many were not longer than each of `bounds`, which ascend. A bound within a bucket gets all of it.
    pub fn up_to<const N: usize>(&self, bounds: [Duration; N]) -> [u64; N] {
        bounds.map(|bound| {
            let last = bucket(u64::try_from(bound.as_micros()).unwrap_or(u64::MAX));
            self.counts[..=last].iter().sum()
        })
    }

    /// Those that have come since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        for (count, before) in since.counts.iter_mut().zip(earlier.counts.iter()) {
            *count = count.saturating_sub(*before);
        }
        since.sum = self.sum.saturating_sub(earlier.sum);
        since
    }

    /// Adds those of `other`.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count += more;
        }
        self.sum += other.sum;
    }
}

fn bucket(micros: u64) -> usize {
    let Some(doublings) = micros.checked_ilog2().filter(|log| *log >= LEAST) else {
        return 0;
    };
    if doublings >= MOST {
        return BUCKETS - 1;
    }
    let beyond = micros - (1 << doublings);
    let step = (beyond * STEPS as u64) >> doublings;
    1 + (doublings - LEAST) as usize * STEPS + step as usize
}

/// The time that is off by the same share from both ends of a bucket.
fn middle(bucket: usize) -> u64 {
    let (least, most) = (begin(bucket), begin(bucket + 1));
    match bucket {
        0 => most / 2,
        _ if bucket == BUCKETS - 1 => least,
        _ => 2 * least * most / (least + most),
    }
}

/// The least that is in a bucket.
fn begin(bucket: usize) -> u64 {
    let Some(place) = bucket.checked_sub(1) else {
        return 0;
    };
    let doubling = 1_u64 << (place / STEPS + LEAST as usize);
    doubling + (doubling * (place % STEPS) as u64).div_ceil(STEPS as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(all: &[Duration]) -> Times {
        let histogram = Histogram::new();
        all.iter().for_each(|took| histogram.record(*took));
        histogram.times()
    }

    #[test]
    fn it_needs_less_than_a_kibibyte() {
        assert!(size_of::<Histogram>() < 1024);
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(begin(at)), at, "begin of {at}");
            assert_eq!(bucket(begin(at + 1) - 1), at, "end of {at}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn what_is_too_short_or_too_long_counts_too() {
        let times = of(&[Duration::ZERO, Duration::from_secs(100_000)]);
        assert_eq!(times.count(), 2);
        assert_eq!(times.quantile(0.5), Some(Duration::from_micros(64)));
        assert!(times.quantile(1.0).unwrap() > Duration::from_mins(10));
        assert_eq!(Times::default().quantile(0.5), None);
    }

    #[test]
    fn what_came_since_is_the_difference_and_adding_it_is_the_whole() {
        let took = |millis: &[u64]| -> Vec<_> {
            millis.iter().copied().map(Duration::from_millis).collect()
        };
        let (first, all) = (of(&took(&[1, 20])), of(&took(&[1, 20, 20, 500])));
        let mut since = all.since(&first);
        assert_eq!(
            (since.count(), since.sum()),
            (2, Duration::from_millis(520))
        );
        since.add(&first);
        assert_eq!(since, all);
    }

    #[test]
    fn bounds_hold_what_is_below_them() {
        let times = of(&[1, 4, 40, 4_000].map(Duration::from_millis));
        let bounds = [5, 50, 1_000, 10_000].map(Duration::from_millis);
        assert_eq!(times.up_to(bounds), [2, 3, 3, 4]);
    }

    proptest! {
        #[test]
        fn a_quantile_is_at_most_a_tenth_off(
            mut micros in prop::collection::vec(1_000_u64..600_000_000, 1..200),
            share in 0.0..=1.0,
        ) {
            let all: Vec<_> = micros.iter().copied().map(Duration::from_micros).collect();
            let told = of(&all).quantile(share).unwrap().as_micros() as f64;
            micros.sort_unstable();
            let rank = ((share * micros.len() as f64).ceil() as usize).max(1);
            let exact = micros[rank - 1] as f64;
            prop_assert!((told - exact).abs() <= exact / 10.0, "{told} instead of {exact}");
        }
    }
}
