//! `check` and `nodes`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use pipeline::Registry;
use pipeline::reference::{handler_reference, reference, render};
use pipeline::validate::held::Held;

use super::file::load;
use crate::args::CheckArgs;

/// Prints all errors, one a line; fails if there is one.
pub(super) fn check(args: &CheckArgs) -> Result<ExitCode> {
    let name = args.graph.file.display();
    let mut out = std::io::stdout().lock();
    let checked = load(&args.graph)?.and_then(|graph| graph.validate(&Registry::standard()));
    match checked {
        Ok(graph) => {
            writeln!(out, "{name}: {} nodes, nothing wrong", graph.node_names().count())?;
            for Held { entry, packets } in graph.held_at_most() {
                writeln!(
                    out,
                    "{entry}: at most {packets} of its packets wait or are worked on at once"
                )?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            for error in errors {
                writeln!(out, "{name}: {error}")?;
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints the reference of all calculators, then that of the status handlers.
pub(super) fn nodes() -> Result<ExitCode> {
    let registry = Registry::standard();
    let mut out = std::io::stdout().lock();
    write!(out, "{}", render(&reference(&registry)))?;
    write!(
        out,
        "status handlers:\n\n{}",
        render(&handler_reference(&registry))
    )?;
    Ok(ExitCode::SUCCESS)
}
