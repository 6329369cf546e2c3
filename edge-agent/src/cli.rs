//! The commands. The only place that writes to the terminal.

mod check;
mod file;
mod graph;
mod measure;
mod metrics;
mod models;
mod reload;
mod replay;
mod run;
mod signals;
mod table;
mod trace;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use pipeline::backend::Backend;

use crate::args::{Cli, Command, RuntimeArgs};
use crate::device;
use crate::io::inference::LazyRuntime;
use crate::profiler::machine;

/// Runs a command; what fails is said in one line, with its causes.
pub fn main(cli: Cli) -> ExitCode {
    log();
    let done = match cli.command {
        Command::Agent(args) => serve(*args),
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Graph(command) => graph::graph(&command),
        Command::Nodes => check::nodes(),
        Command::Measure(args) => measure::measure(&args),
        Command::Runtime(args) => runtime(&args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(args: crate::args::AgentArgs) -> Result<ExitCode> {
    // One thread: the agent waits most of its life, and memory is scarce on a device.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .context("start the agent's runtime")?;
    runtime.block_on(device::run(args))?;
    // A download or a measurement may hold a thread; the state on the disk is whole, so nobody waits for it.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

fn runtime(args: &RuntimeArgs) -> Result<ExitCode> {
    let info = LazyRuntime.probe()?;
    let threads = args.threads.unwrap_or_else(machine::default_threads).max(1);
    let text = serde_json::to_string_pretty(&machine::describe(&info, threads))?;
    writeln!(std::io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// To standard error: as JSON for machines, as lines for people. `HAIZEN_LOG` says how much.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HAIZEN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,ort=warn"));
    let json = std::env::var("HAIZEN_LOG_FORMAT").is_ok_and(|format| format == "json");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        builder.json().init();
    } else {
        builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init();
    }
}
