//! The trainer's program: `trainer run` in a search Job's pod, the rest without a cluster.

use clap::Parser;

fn main() -> std::process::ExitCode {
    trainer::process::settle();
    trainer::args::Args::parse().run()
}
