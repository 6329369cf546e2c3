//! Chores of the workspace in Rust: generated files and the checks of ARCHITECTURE's rules.
//!
//! Owns what is derived from the code and what every file must keep. Refuses to build, run or deploy anything.

mod generate;
mod report;
mod rules;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::say;
use crate::workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "xtask", about = "Generated files and checks of the workspace")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the generated files again.
    Codegen,
    /// Say which generated files are stale and which rules are broken.
    Check,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let workspace = Workspace::here()?;
    Ok(match args.command {
        Command::Codegen => codegen(&workspace)?,
        Command::Check => check(&workspace)?,
    })
}

fn codegen(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let written = generate::write(workspace)?;
    for path in &written {
        say(&format!("wrote {path}"));
    }
    if written.is_empty() {
        say("every generated file is up to date");
    }
    Ok(ExitCode::SUCCESS)
}

fn check(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let findings = [generate::stale(workspace)?, rules::broken(workspace)?].concat();
    for finding in &findings {
        say(finding);
    }
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
