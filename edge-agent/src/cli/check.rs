//! `check` and `nodes`.

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use pipeline::Registry;
use pipeline::load::load;
use pipeline::reference::{reference, render};

use crate::args::CheckArgs;

/// Prints all errors, one a line; fails if there is one.
pub(super) fn check(args: &CheckArgs) -> Result<ExitCode> {
    let text = read(&args.graph)?;
    let name = args.graph.display();
    let mut out = std::io::stdout().lock();
    let checked = load(&text).and_then(|graph| graph.validate(&Registry::standard()));
    match checked {
        Ok(graph) => {
            writeln!(out, "{name}: {} nodes, nothing wrong", graph.node_names().count())?;
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

/// Prints the reference of all calculators.
pub(super) fn nodes() -> Result<ExitCode> {
    write!(std::io::stdout(), "{}", render(&reference(&Registry::standard())))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn read(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("read the graph from standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("read the graph {}", path.display()))
}
