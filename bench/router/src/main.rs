//! What the router costs, beside nginx and haproxy, which do the same.
//!
//! Each case starts the routers as processes of their own on one processor, drives them in turns from
//! another, and reads the CPU time and the resident memory of each. See `bench/README.md`.

mod bodies;
mod candidate;
mod configuration;
mod drain;
mod idle;
mod messages;
mod requests;
mod slow_heads;
mod visitors;

use std::io::Result;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use measure::say;
use serde_json::Value;

use crate::candidate::{Backend, Candidate, Kind};

#[derive(Parser)]
struct Arguments {
    /// Short rounds with a tenth of the clients, to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Only these cases.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Case>,
    /// How often each router has its turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long each turn is.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// The folder with `router` and `backend`; by default this program's own.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Where to write the numbers as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Case {
    Requests,
    Messages,
    Idle,
    Bodies,
    Changes,
    Drain,
    SlowHeads,
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

    fn with(
        &self,
        kinds: &[Kind],
        measure: impl FnOnce(&Self, Vec<Candidate>) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let scratch = tempfile::tempdir()?;
        let backend = Backend::start(&self.programs)?;
        let candidates = candidate::all(kinds, &backend, &self.programs, scratch.path())?;
        measure(self, candidates)
    }
}

const ALL: [Kind; 3] = [Kind::Nginx, Kind::Haproxy, Kind::Router];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let own = std::env::current_exe()?;
    let own = own.parent().map(PathBuf::from).unwrap_or_default();
    let seconds = if arguments.quick {
        0.5
    } else {
        arguments.seconds
    };
    let options = Options {
        programs: arguments.programs.unwrap_or(own),
        rounds: if arguments.quick { 2 } else { arguments.rounds },
        seconds: Duration::from_secs_f64(seconds),
        quick: arguments.quick,
    };
    let all = [
        Case::Requests,
        Case::Messages,
        Case::Idle,
        Case::Bodies,
        Case::Changes,
        Case::Drain,
        Case::SlowHeads,
    ];
    let wanted = |case: &Case| arguments.only.is_empty() || arguments.only.contains(case);
    let mut report = vec![say(measure::machine()?)];
    leave_the_first_processor()?;
    for case in all.iter().filter(|case| wanted(case)) {
        report.extend(match case {
            Case::Requests => options.with(&ALL, |options, all| {
                requests::run("small requests", options, all)
            })?,
            Case::Messages => options.with(&ALL, messages::run)?,
            Case::Idle => options.with(&ALL, idle::run)?,
            Case::Bodies => options.with(&ALL, |options, all| bodies::run(options, &all))?,
            Case::SlowHeads => options.with(&ALL, slow_heads::run)?,
            Case::Drain => drain::run(&options, &Backend::start(&options.programs)?)?,
            Case::Changes => options.with(&[Kind::Router, Kind::Changing], |options, all| {
                requests::run("requests while routes change", options, all)
            })?,
        });
    }
    if let Some(path) = arguments.json {
        std::fs::write(path, Value::Array(report).to_string())?;
    }
    Ok(())
}

/// It belongs to the routers.
fn leave_the_first_processor() -> Result<()> {
    let own = std::process::id().to_string();
    let mut taskset = Command::new("taskset");
    taskset
        .args(["-apc", "1", &own])
        .stdout(std::process::Stdio::null());
    taskset.status().map(drop)
}
