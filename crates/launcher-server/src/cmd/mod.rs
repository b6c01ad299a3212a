//! The command line.

mod proxy;
mod serve;

use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable};

use crate::config::{ServeArgs, StandaloneArgs};

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
    /// Runs a proxy by itself, with the routes of a launcher elsewhere.
    Proxy(Box<StandaloneArgs>),
    /// Says where tests can have the launcher killed.
    #[cfg(feature = "failpoints")]
    Failpoints,
}

impl Cli {
    /// Reads flags and environment. An environment variable that is empty counts as not set: compose
    /// files and units write them so.
    pub(crate) fn read() -> Self {
        let is_empty = |arg: &Arg| {
            let variable = arg.get_env().and_then(std::env::var_os);
            variable.is_some_and(|value| value.is_empty())
        };
        let without_empty = |arg: Arg| match is_empty(&arg) {
            true => arg.env(Resettable::Reset),
            false => arg,
        };
        let command = Self::command();
        let command = ["serve", "proxy"]
            .into_iter()
            .fold(command, |command, name| {
                command.mut_subcommand(name, |one| one.mut_args(without_empty))
            });
        let read = Self::from_arg_matches(&command.get_matches());
        read.unwrap_or_else(|error| error.exit())
    }
}

/// Runs a command to its end. What went wrong is said on standard error.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(args) => args.check().map_err(Into::into).and_then(serve::run),
        Command::Proxy(args) => args.check().map_err(Into::into).and_then(proxy::run),
        #[cfg(feature = "failpoints")]
        Command::Failpoints => {
            print_failpoints();
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("meteor-launcher: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "failpoints")]
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
fn print_failpoints() {
    for failpoint in launcher_core::Failpoint::ALL {
        println!("{failpoint:?}");
    }
}
