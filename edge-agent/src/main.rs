//! `edge-agent`: see `args.rs` for what it can do.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    edge_agent::cli::main(edge_agent::args::Cli::parse())
}
