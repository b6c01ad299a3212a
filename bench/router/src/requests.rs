//! Small requests over 64 keep-alive connections.

use std::io::Result;
use std::time::Instant;

use measure::{Sample, round, say};
use serde_json::{Value, json};

use crate::Options;
use crate::candidate::Candidate;
use crate::visitors::Visitors;

const CONNECTIONS: usize = 64;

struct Run {
    candidate: Candidate,
    visitors: Visitors,
    sample: Sample,
    per_second: Vec<f64>,
}

/// The first candidate is what the others are compared with.
pub(crate) fn run(case: &str, options: &Options, candidates: Vec<Candidate>) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for candidate in candidates {
        all.push(Run {
            visitors: Visitors::new(CONNECTIONS, candidate.address)?,
            candidate,
            sample: Sample::default(),
            per_second: Vec::new(),
        });
    }
    for _ in 0..options.rounds {
        for run in &mut all {
            let (spent, begin) = (run.candidate.process.spent()?, Instant::now());
            let answers = run.visitors.ask(options.seconds, &mut run.sample)?;
            run.per_second
                .push(answers as f64 / begin.elapsed().as_secs_f64());
            run.sample
                .add(answers, run.candidate.process.spent()? - spent);
        }
    }
    let (micros, per_second) = (all[0].sample.micros(), median(&all[0].per_second));
    let report = all.iter_mut().map(|run| {
        let mut line = run.sample.report(case, run.candidate.name, Some(micros));
        let own = median(&run.per_second);
        line["per_second"] = json!(own.round());
        line["per_second_ratio"] = json!(round(own / per_second));
        say(line)
    });
    Ok(report.collect())
}

fn median(numbers: &[f64]) -> f64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
