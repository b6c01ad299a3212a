//! How much may be done, in the long run and at once.

use std::time::Duration;

use tokio::time::Instant;

/// An amount that grows with time until it is full.
#[derive(Debug)]
pub(crate) struct Budget {
    full: f64,
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Budget {
    pub(crate) fn new(full: f64, per_second: f64) -> Self {
        Self {
            full,
            per_second,
            left: full,
            at: Instant::now(),
        }
    }

    /// Takes so much, if there is so much.
    pub(crate) fn take(&mut self, amount: usize) -> bool {
        self.grow();
        let is_enough = amount as f64 <= self.left;
        if is_enough {
            self.left -= amount as f64;
        }
        is_enough
    }

    /// How long it takes until there is so much, which is no more than fits.
    pub(crate) fn time_until(&mut self, amount: usize) -> Duration {
        self.grow();
        let missing = (amount as f64).min(self.full) - self.left;
        Duration::from_secs_f64(missing.max(0.0) / self.per_second)
    }

    fn grow(&mut self) {
        let now = Instant::now();
        let seconds = now.duration_since(self.at).as_secs_f64();
        self.left = (self.left + seconds * self.per_second).min(self.full);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_grows_until_it_is_full() {
        let mut budget = Budget::new(100.0, 10.0);
        assert!(budget.take(100));
        assert!(!budget.take(1));
        assert_eq!(budget.time_until(20), Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!budget.take(21));
        assert!(budget.take(20));
        tokio::time::advance(Duration::from_secs(1_000)).await;
        assert!(!budget.take(101));
        assert_eq!(budget.time_until(1_000), Duration::ZERO);
    }
}
