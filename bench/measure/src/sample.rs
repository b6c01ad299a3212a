use std::time::Duration;

use serde_json::{Value, json};

use crate::report::round;
use crate::spent::Spent;

/// What was measured of one server in all rounds.
#[derive(Debug, Default)]
pub struct Sample {
    /// What was done so often.
    pub operations: u64,
    /// The CPU time of all rounds.
    pub spent: Spent,
    /// The server's CPU per operation of each round, in microseconds.
    pub rounds: Vec<f64>,
    /// In microseconds.
    pub latencies: Vec<u32>,
    /// Operations that came to nothing.
    pub lost: u64,
}

impl Sample {
    /// One more round.
    pub fn add(&mut self, operations: u64, spent: Spent) {
        self.operations += operations;
        self.spent += spent;
        self.rounds.push(micros_each(spent.server, operations));
    }

    /// The rounds of both.
    pub fn merge(&mut self, other: Self) {
        self.operations += other.operations;
        self.spent += other.spent;
        self.rounds.extend(other.rounds);
        self.latencies.extend(other.latencies);
        self.lost += other.lost;
    }

    /// The median round's CPU per operation, in microseconds.
    #[must_use]
    pub fn micros(&self) -> f64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_by(f64::total_cmp);
        rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// A latency in milliseconds.
    pub fn percentile(&mut self, percent: usize) -> f64 {
        self.latencies.sort_unstable();
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        f64::from(self.latencies.get(at).copied().unwrap_or_default()) / 1000.0
    }

    /// A line of the table; `baseline` is another server's [`Sample::micros`].
    pub fn report(&mut self, case: &str, server: &str, baseline: Option<f64>) -> Value {
        let micros = self.micros();
        json!({
            "case": case, "server": server, "operations": self.operations,
            "cpu_us": round(micros),
            "load_cpu_us": round(micros_each(self.spent.load, self.operations)),
            "ratio": baseline.map(|baseline| round(micros / baseline)),
            "p50_ms": round(self.percentile(50)), "p99_ms": round(self.percentile(99)),
            "lost": self.lost,
            "rounds_us": self.rounds.iter().copied().map(round).collect::<Vec<_>>(),
        })
    }
}

fn micros_each(time: Duration, operations: u64) -> f64 {
    time.as_secs_f64() * 1e6 / operations.max(1) as f64
}
