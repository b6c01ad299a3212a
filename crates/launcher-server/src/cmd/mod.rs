//! The command line.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ServeArgs;

/// Launches Meteor apps as Docker containers, routes hostnames to them, and speaks DDP.
#[derive(Parser)]
#[command(name = "meteor-launcher", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the launcher: its DDP server, its reconciler and its proxy.
    Serve(Box<ServeArgs>),
}

/// Runs a command to its end. What went wrong is said on standard error.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(args) => args.check().map_err(Into::into).and_then(serve::run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("meteor-launcher: {error}");
            ExitCode::FAILURE
        }
    }
}
