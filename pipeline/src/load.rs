//! Reads a graph from a text: YAML, bare (`nodes:` at the top) or the `spec.graph` of an EdgePipeline, or protobuf's
//! text form.

mod form;
mod lines;
#[cfg(test)]
mod tests;
mod yaml;

pub use form::{Form, WriteError};
pub(crate) use lines::Lines;

use crate::pbtxt;
use crate::registry::Registry;
use crate::spec::GraphSpec;
use crate::subgraph::{Fault, Origin, expand};
use crate::validate::{GraphError, Problem, ValidatedGraph, missing_side_packets, node_names, validate_flat};

/// A graph as it was written, with what helps to point at mistakes.
#[derive(Debug, Clone)]
pub struct LoadedGraph {
    pub graph: GraphSpec,
    /// Names of the EdgePipeline's models; none for a bare graph.
    pub models: Option<Vec<String>>,
    pub form: Form,
    lines: Lines,
}

/// Reads a graph of either form; mistakes carry the line.
pub fn load(text: &str) -> Result<LoadedGraph, Vec<GraphError>> {
    load_as(text, Form::of_text(text))
}

/// Reads a graph from a file of this name, whose ending may tell the form.
pub fn load_file(name: &str, text: &str) -> Result<LoadedGraph, Vec<GraphError>> {
    load_as(text, Form::of_name(name).unwrap_or_else(|| Form::of_text(text)))
}

pub fn load_as(text: &str, form: Form) -> Result<LoadedGraph, Vec<GraphError>> {
    match form {
        Form::Yaml => yaml::load(text),
        Form::Pbtxt => {
            let pbtxt::Read { graph, lines } = pbtxt::read(text)?;
            Ok(LoadedGraph {
                graph,
                models: None,
                form,
                lines,
            })
        }
    }
}

/// Reads a graph and forgets where it came from.
pub fn load_graph(text: &str) -> Result<GraphSpec, Vec<GraphError>> {
    load(text).map(|loaded| loaded.graph)
}

impl LoadedGraph {
    /// Lets nodes of this graph name another one as their calculator: by its `type`, or else by its file's name
    /// without the ending.
    pub fn add_subgraph(&mut self, file: &str, subgraph: Self) -> Result<(), Vec<GraphError>> {
        let stem = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let stem = stem.split('.').next().unwrap_or(stem);
        let Self { mut graph, lines, .. } = subgraph;
        let name = graph.graph_type.take().unwrap_or_else(|| stem.to_owned());
        if self.graph.subgraphs.contains_key(&name) {
            return Err(vec![GraphError {
                line: None,
                file: Some(file.to_owned()),
                node: None,
                problem: Problem::RepeatedSubgraph(name),
            }]);
        }
        self.graph.subgraphs.insert(name.clone(), graph);
        self.lines.subgraphs.insert(name, lines.of_file(file));
        Ok(())
    }

    /// Validates, with lines in the errors; of an EdgePipeline also that its models are there.
    pub fn validate(&self, registry: &Registry) -> Result<ValidatedGraph, Vec<GraphError>> {
        let flat = expand(&self.graph).map_err(|faults| {
            let placed = faults
                .into_iter()
                .map(|Fault { origin, error }| self.placed(error, origin.as_ref()));
            placed.collect::<Vec<_>>()
        })?;
        let checked = validate_flat(&flat.graph, registry).and_then(|graph| {
            let missing = match &self.models {
                Some(models) => missing_side_packets(&graph, models.iter().map(String::as_str)),
                None => Vec::new(),
            };
            if missing.is_empty() {
                Ok(graph)
            } else {
                Err(missing)
            }
        });
        checked.map_err(|errors| {
            let names = node_names(&flat.graph.nodes);
            let origin = |node: &str| {
                // Of several nodes with one name, the last is the one too many.
                let index = names.iter().rposition(|name| name == node)?;
                flat.origins.get(index)
            };
            let errors = errors.into_iter();
            errors
                .map(|mut error| {
                    if let Problem::StatusHandler { index, .. } = &error.problem
                        && let Some(origin) = flat.handler_origins.get(*index)
                    {
                        (error.file, error.line) = self.lines.handler(origin);
                        return error;
                    }
                    let origin = error.node.as_deref().and_then(origin);
                    self.placed(error, origin)
                })
                .collect()
        })
    }

    fn placed(&self, mut error: GraphError, origin: Option<&Origin>) -> GraphError {
        if let (None, Some(origin)) = (error.line, origin) {
            (error.file, error.line) = self.lines.node(origin);
        }
        error
    }
}
