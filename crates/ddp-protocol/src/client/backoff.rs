use std::time::Duration;

/// How long to wait before the next attempt to connect: longer from time to time, and never
/// quite the same, so that the clients of a server that restarts do not all come at once.
///
/// The numbers are those of Meteor's `packages/retry/retry.js`.
///
/// ```
/// use std::time::Duration;
/// use ddp_protocol::client::Backoff;
///
/// let mut backoff = Backoff::default();
/// assert_eq!(backoff.next_delay(0.5), Duration::from_millis(10));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    policy: BackoffPolicy,
    attempts: u32,
}

/// The numbers of a [`Backoff`].
#[derive(Debug, Clone, PartialEq)]
pub struct BackoffPolicy {
    /// What the waiting time grows from. Default: 1 s.
    pub base: Duration,
    /// By how much it grows with each attempt. Default: 2.2.
    pub exponent: f64,
    /// It does not grow beyond this. Default: 5 min.
    pub max: Duration,
    /// How long to wait before the first attempts. Default: 10 ms.
    pub min: Duration,
    /// How many attempts wait for `min` only. Default: 2.
    pub min_count: u32,
    /// Which part of the waiting time is left to chance, from 0 to 1. Default: 0.5, so that the
    /// time is between 3/4 and 5/4 of what it would be otherwise.
    pub fuzz: f64,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            exponent: 2.2,
            max: Duration::from_secs(5 * 60),
            min: Duration::from_millis(10),
            min_count: 2,
            fuzz: 0.5,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(BackoffPolicy::default())
    }
}

impl Backoff {
    /// Begins with no attempt made.
    pub fn new(policy: BackoffPolicy) -> Self {
        Self {
            policy,
            attempts: 0,
        }
    }

    /// How long to wait before the next attempt. `random` is a number from 0 to 1.
    pub fn next_delay(&mut self, random: f64) -> Duration {
        let policy = &self.policy;
        let attempt = self.attempts;
        self.attempts = attempt.saturating_add(1);
        if attempt < policy.min_count {
            return policy.min;
        }
        let growth = policy.exponent.powf(f64::from(attempt));
        let seconds = (policy.base.as_secs_f64() * growth).min(policy.max.as_secs_f64());
        let fuzz = policy.fuzz.clamp(0.0, 1.0);
        let seconds = seconds * (random.clamp(0.0, 1.0) * fuzz + (1.0 - fuzz / 2.0));
        Duration::try_from_secs_f64(seconds).unwrap_or(policy.max)
    }

    /// How many attempts were made since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next attempt is the first one again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// A connection is lost that was there for this long. If that was at least `base`, the next
    /// attempt is the first one again; a connection that is lost as soon as it is made is no
    /// better than none.
    pub fn connection_lost(&mut self, lasted: Duration) {
        if lasted >= self.policy.base {
            self.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(backoff: &mut Backoff, random: f64) -> f64 {
        backoff.next_delay(random).as_secs_f64()
    }

    #[test]
    fn the_times_are_meteors() {
        let mut backoff = Backoff::default();
        let middle: Vec<f64> = (0..10).map(|_| seconds(&mut backoff, 0.5)).collect();
        assert_eq!(middle[..2], [0.01, 0.01]);
        assert!((middle[2] - 4.84).abs() < 1e-6, "{middle:?}");
        assert!((middle[3] - 10.648).abs() < 1e-6, "{middle:?}");
        assert_eq!(middle[8..], [300.0, 300.0]);
        backoff.reset();
        assert_eq!(seconds(&mut backoff, 1.0), 0.01);
    }

    #[test]
    fn chance_decides_half_of_the_time() {
        let mut backoff = Backoff::new(BackoffPolicy {
            min_count: 0,
            exponent: 1.0,
            ..Default::default()
        });
        assert_eq!(seconds(&mut backoff, 0.0), 0.75);
        assert_eq!(seconds(&mut backoff, 1.0), 1.25);
    }

    #[test]
    fn only_a_connection_that_lasted_counts_as_success() {
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            backoff.next_delay(0.5);
        }
        backoff.connection_lost(Duration::from_millis(999));
        assert_eq!(backoff.attempts(), 3);
        backoff.connection_lost(Duration::from_secs(1));
        assert_eq!(backoff.attempts(), 0);
    }

    #[test]
    fn any_number_of_attempts_is_fine() {
        let mut backoff = Backoff::new(BackoffPolicy {
            exponent: f64::INFINITY,
            fuzz: f64::NAN,
            ..Default::default()
        });
        for _ in 0..5 {
            assert!(backoff.next_delay(f64::NAN) <= Duration::from_secs(300));
        }
    }
}
