use std::time::Duration;

use serde_json::{Value, json};

use crate::spent::Spent;

/// What was measured of one server in all rounds.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub(crate) operations: u64,
    pub(crate) spent: Spent,
    /// The server's CPU per operation of each round, in microseconds.
    pub(crate) rounds: Vec<f64>,
    /// In microseconds.
    pub(crate) latencies: Vec<u32>,
    pub(crate) lost: u64,
}

impl Sample {
    pub(crate) fn add(&mut self, operations: u64, spent: Spent) {
        self.operations += operations;
        self.spent += spent;
        self.rounds.push(micros_each(spent.server, operations));
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.operations += other.operations;
        self.spent += other.spent;
        self.rounds.extend(other.rounds);
        self.latencies.extend(other.latencies);
        self.lost += other.lost;
    }

    /// The median round's CPU per operation, in microseconds.
    pub(crate) fn micros(&self) -> f64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_by(f64::total_cmp);
        rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// In milliseconds.
    pub(crate) fn percentile(&mut self, percent: usize) -> f64 {
        self.latencies.sort_unstable();
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        f64::from(self.latencies.get(at).copied().unwrap_or_default()) / 1000.0
    }

    pub(crate) fn report(&mut self, case: &str, server: &str, baseline: Option<f64>) -> Value {
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

pub(crate) fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
