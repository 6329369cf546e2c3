//! `nas-bench`: strategies and latency models measured on tables of finished networks.

mod args;
mod blocks;
mod columns;
mod csv;
mod instance;
mod latency_model;
mod named;
mod network;
mod question;
mod report;
mod run;
mod table;
mod workers;

use std::io::Write;

use clap::Parser;

fn main() -> anyhow::Result<()> {
    let args = args::Args::parse();
    let mut out = std::io::stdout().lock();
    report::write(&args, &mut |line| Ok(writeln!(out, "{line}")?))
}

#[cfg(test)]
mod tests;
