//! Reads a graph from YAML: a bare one (`nodes:` at the top), or the `spec.graph` of an EdgePipeline.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::registry::Registry;
use crate::spec::{GraphSpec, NodeSpec};
use crate::validate::{GraphError, Problem, ValidatedGraph, missing_side_packets, validate};

/// A graph as it was written, with what helps to point at mistakes.
#[derive(Debug, Clone)]
pub struct LoadedGraph {
    pub graph: GraphSpec,
    /// Names of the EdgePipeline's models; none for a bare graph.
    pub models: Option<Vec<String>>,
    /// Lines by node name.
    lines: BTreeMap<String, u64>,
}

/// Reads a graph; mistakes carry the line.
pub fn load(text: &str) -> Result<LoadedGraph, Vec<GraphError>> {
    let whole: Value = parse(text)?;
    if whole.get("spec").is_some() || whole.get("kind").is_some() {
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
        let models = Some(resource.spec.models.into_keys().collect());
        return Ok(LoadedGraph {
            graph: resource.spec.graph,
            models,
            lines: lines.by_name(),
        });
    }
    let lines = parse::<GraphLines>(text).unwrap_or_default();
    let graph: GraphSpec = parse(text).map_err(|errors| locate(errors, whole.get("nodes"), &lines))?;
    Ok(LoadedGraph {
        graph,
        models: None,
        lines: lines.by_name(),
    })
}

/// Reads a graph and forgets where it came from.
pub fn load_graph(text: &str) -> Result<GraphSpec, Vec<GraphError>> {
    load(text).map(|loaded| loaded.graph)
}

impl LoadedGraph {
    /// Validates, with lines in the errors; of an EdgePipeline also that its models are there.
    pub fn validate(&self, registry: &Registry) -> Result<ValidatedGraph, Vec<GraphError>> {
        let checked = validate(&self.graph, registry).and_then(|graph| {
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
        checked.map_err(|mut errors| {
            for error in &mut errors {
                error.line = error.node.as_ref().and_then(|node| self.lines.get(node)).copied();
            }
            errors
        })
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
    nodes: Vec<Spanned<NodeLine>>,
}

#[derive(Deserialize)]
struct NodeLine {
    name: Option<String>,
    calculator: String,
}

impl GraphLines {
    fn by_name(self) -> BTreeMap<String, u64> {
        let line = |node: Spanned<NodeLine>| {
            let line = node.referenced.line();
            (node.value.name.unwrap_or(node.value.calculator), line)
        };
        self.nodes.into_iter().map(line).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "nodes:\n- {name: camera, calculator: Generator, outputs: [frames]}\n- name: end\n  \
                        calculator: Discard\n  inputs: [frames]\n  maxAge: 20ms\n";

    #[test]
    fn reads_a_bare_graph_and_a_resource_alike() {
        let bare = load(BARE).unwrap();
        let indented = BARE.replace('\n', "\n    ");
        let resource = format!(
            "apiVersion: haizen.dev/v1alpha1\nkind: EdgePipeline\nmetadata: {{name: x}}\nspec:\n  models: {{dish: \
             {{nasJob: {{name: y}}}}}}\n  graph:\n    {indented}\n"
        );
        let resource = load(&resource).unwrap();
        assert_eq!(bare.graph, resource.graph);
        assert_eq!(resource.models, Some(vec!["dish".to_owned()]));
        assert_eq!((bare.lines["end"], resource.lines["end"]), (3, 9));
    }

    #[test]
    fn mistakes_carry_the_line() {
        let table = [
            (
                BARE.replace("maxAge: 20ms", "maxAge: soon"),
                "line 3: node end: \"soon\" is not a duration",
            ),
            (
                BARE.replace("maxAge", "maxage"),
                "line 3: unknown field `maxage`, expected one of name",
            ),
            ("nodes: [".to_owned(), "line 1: "),
            ("kind: NasJob\nspec: {}\n".to_owned(), "this is a NasJob"),
            (String::new(), ""),
        ];
        for (text, start) in table {
            let error = load(&text).unwrap_err().remove(0).to_string();
            assert!(error.starts_with(start), "{text}: {error}");
        }
    }

    #[test]
    fn validation_errors_carry_the_line_of_their_node() {
        let errors = load(&BARE.replace("[frames]\n  maxAge", "[frame]\n  maxAge")).unwrap();
        let errors = errors.validate(&Registry::standard()).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "line 3: node end: input 0 reads stream frame, which nothing writes; did you mean frames?"
        );
    }
}
