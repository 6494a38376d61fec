//! Pulsetrail: an event-sourced uptime monitor. This binary is every role, and `up` is all of them.

mod api_document;
mod cli;
mod connect;
mod dead_letters;
mod demo;
mod egress_policy;
mod manners;
mod operator;
mod probe_http;
mod roles;
mod server;
mod shutdown;
mod up;
mod user;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// Jobs, results and events are made and dropped by the thousand, and rarely by the thread that made them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line for each fault, the causes behind it.
            for line in format!("{error:#}").lines() {
                eprintln!("pulsetrail: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
