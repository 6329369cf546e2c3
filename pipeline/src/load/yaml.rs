//! Graphs as YAML, which is also JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::lines::Lines;
use super::{Form, LoadedGraph};
use crate::spec::{GraphSpec, NodeSpec};
use crate::validate::{GraphError, Problem};

pub(super) fn load(text: &str) -> Result<LoadedGraph, Vec<GraphError>> {
    let whole: Value = parse(text)?;
    if whole.get("spec").is_none() && whole.get("kind").is_none() {
        let lines = parse::<GraphLines>(text).unwrap_or_default();
        let graph: GraphSpec = parse(text).map_err(|errors| locate(errors, whole.get("nodes"), &lines))?;
        return Ok(loaded(graph, None, lines));
    }
    let kind = whole
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("EdgePipeline");
    if kind != "EdgePipeline" {
        return Err(failed(
            None,
            format!("this is a {kind}; give an EdgePipeline or a graph with `nodes`"),
        ));
    }
    let lines = parse::<ResourceLines>(text)
        .map(|lines| lines.spec.graph)
        .unwrap_or_default();
    let nodes = whole.pointer("/spec/graph/nodes");
    let resource: Resource = parse(text).map_err(|errors| locate(errors, nodes, &lines))?;
    let models = resource.spec.models.into_keys().collect();
    Ok(loaded(resource.spec.graph, Some(models), lines))
}

fn loaded(graph: GraphSpec, models: Option<Vec<String>>, lines: GraphLines) -> LoadedGraph {
    LoadedGraph {
        graph,
        models,
        form: Form::Yaml,
        lines: lines.lines(),
    }
}

#[derive(Deserialize)]
struct Resource {
    spec: ResourceSpec,
}

/// The rest of an EdgePipeline is of no concern to a graph.
#[derive(Deserialize)]
struct ResourceSpec {
    graph: GraphSpec,
    #[serde(default)]
    models: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct ResourceLines {
    spec: SpecLines,
}

#[derive(Deserialize)]
struct SpecLines {
    graph: GraphLines,
}

#[derive(Default, Deserialize)]
struct GraphLines {
    #[serde(default)]
    nodes: Vec<Spanned<NodeLine>>,
    #[serde(default, rename = "statusHandlers")]
    handlers: Vec<Spanned<HandlerLine>>,
    #[serde(default)]
    subgraphs: BTreeMap<String, GraphLines>,
}

#[derive(Deserialize)]
struct NodeLine {
    name: Option<String>,
    calculator: String,
}

#[derive(Deserialize)]
struct HandlerLine {}

impl GraphLines {
    fn lines(self) -> Lines {
        let subgraphs = self
            .subgraphs
            .into_iter()
            .map(|(name, lines)| (name, lines.lines()));
        Lines {
            file: None,
            nodes: self.nodes.iter().map(|node| node.referenced.line()).collect(),
            handlers: self
                .handlers
                .iter()
                .map(|handler| handler.referenced.line())
                .collect(),
            subgraphs: subgraphs.collect(),
        }
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Vec<GraphError>> {
    serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let text = error.without_snippet().to_string();
        // The line stands in front already.
        let problem = text
            .rfind(" at line ")
            .and_then(|end| text.get(..end))
            .unwrap_or(&text);
        failed(line, problem.to_owned())
    })
}

/// The parser knows no place for a value that its own type refused: finds the node that holds it.
fn locate(mut errors: Vec<GraphError>, nodes: Option<&Value>, lines: &GraphLines) -> Vec<GraphError> {
    let nodes = nodes
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .zip(&lines.nodes);
    let refused = nodes
        .filter(|(node, _)| NodeSpec::deserialize(*node).is_err())
        .map(|(_, line)| line)
        .next();
    if let (Some(error), Some(node)) = (errors.first_mut().filter(|error| error.line.is_none()), refused) {
        error.line = Some(node.referenced.line());
        error.node = Some(node.value.name.as_ref().unwrap_or(&node.value.calculator).clone());
    }
    errors
}

fn failed(line: Option<u64>, problem: String) -> Vec<GraphError> {
    vec![GraphError {
        line,
        file: None,
        node: None,
        problem: Problem::Text(problem),
    }]
}
