//! What `ddp-server` costs, beside bare servers that send the same bytes.
//!
//! Each case starts the servers as processes of their own, drives them in turns from this one,
//! and reads the CPU time and the resident memory of each process by itself. See `bench/README.md`.

mod echo;
mod fan_out;
mod idle;
mod server;
mod slow_reader;
mod swarm;

use std::io::Result;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::Value;

#[derive(Parser)]
struct Arguments {
    /// Short rounds with a tenth of the clients, to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Only these cases.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Case>,
    /// How often each server has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each turn is.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// The folder with `bare` and `examples/test_service`; by default this program's own.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Where to write the numbers as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Case {
    Echo,
    FanOut,
    Idle,
    SlowReader,
    Growth,
}

/// How long to measure.
struct Options {
    programs: PathBuf,
    rounds: usize,
    seconds: Duration,
    quick: bool,
}

impl Options {
    fn scaled(&self, size: usize) -> usize {
        if self.quick { size / 10 } else { size }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let own = std::env::current_exe()?;
    let own = own.parent().map(PathBuf::from).unwrap_or_default();
    let options = Options {
        programs: arguments.programs.unwrap_or(own),
        rounds: if arguments.quick { 2 } else { arguments.rounds },
        seconds: Duration::from_secs_f64(if arguments.quick {
            0.5
        } else {
            arguments.seconds
        }),
        quick: arguments.quick,
    };
    let all = [
        Case::Echo,
        Case::FanOut,
        Case::Idle,
        Case::SlowReader,
        Case::Growth,
    ];
    let wanted = |case: &Case| arguments.only.is_empty() || arguments.only.contains(case);
    let mut report = vec![measure::say(measure::machine()?)];
    for case in all.iter().filter(|case| wanted(case)) {
        report.extend(measure(*case, &options)?);
    }
    if let Some(path) = arguments.json {
        std::fs::write(path, Value::Array(report).to_string())?;
    }
    Ok(())
}

fn measure(case: Case, options: &Options) -> Result<Vec<Value>> {
    match case {
        Case::Echo => echo::run(options),
        Case::FanOut => {
            let mut report = fan_out::run(options, options.scaled(1_000))?;
            report.extend(fan_out::run(options, options.scaled(5_000))?);
            Ok(report)
        }
        Case::Idle => idle::run(options),
        Case::SlowReader => slow_reader::run(options),
        Case::Growth => fan_out::growth(options),
    }
}
