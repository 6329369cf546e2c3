//! `graph convert` and `graph draw`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use pipeline::GraphError;
use pipeline::load::Form;

use super::file::load;
use crate::args::{ConvertArgs, DrawArgs, FormArg, GraphArgs, GraphCommand};

pub(super) fn graph(command: &GraphCommand) -> Result<ExitCode> {
    match command {
        GraphCommand::Convert(args) => convert(args),
        GraphCommand::Draw(args) => draw(args),
    }
}

fn convert(args: &ConvertArgs) -> Result<ExitCode> {
    let graph = match load(&args.graph)? {
        Ok(graph) => graph,
        Err(errors) => return refused(&args.graph, errors),
    };
    let form = match (args.to, graph.form) {
        (Some(FormArg::Yaml), _) | (None, Form::Pbtxt) => Form::Yaml,
        (Some(FormArg::Pbtxt), _) | (None, Form::Yaml) => Form::Pbtxt,
    };
    write!(std::io::stdout(), "{}", form.write(&graph.graph)?)?;
    Ok(ExitCode::SUCCESS)
}

fn draw(args: &DrawArgs) -> Result<ExitCode> {
    match load(&args.graph)?.and_then(|graph| graph.draw()) {
        Ok(svg) => {
            write!(std::io::stdout(), "{svg}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => refused(&args.graph, errors),
    }
}

fn refused(args: &GraphArgs, errors: Vec<GraphError>) -> Result<ExitCode> {
    let mut err = std::io::stderr().lock();
    for error in errors {
        writeln!(err, "{}: {error}", args.file.display())?;
    }
    Ok(ExitCode::FAILURE)
}
