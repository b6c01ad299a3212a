//! `meteor-launcher`: launches Meteor apps as Docker containers, routes hostnames to them, and is
//! driven and watched over DDP.

mod access_log;
mod api;
mod cmd;
mod config;
mod exec;
mod hooks;
mod http;
mod log;
mod metrics;
mod observer;
mod origin;
mod probe;
mod route_source;
mod routes;
mod secret_key;
mod traffic;
mod upload_token;
mod uploads;

use std::process::ExitCode;

fn main() -> ExitCode {
    cmd::run(cmd::Cli::read())
}
