//! Checks a graph against the calculators it names and finds every mistake at once.
//!
//! Pure: opens nothing, loads nothing, links no inference runtime.

pub mod error;
mod handlers;
pub mod held;
pub mod plan;
mod planning;
pub(crate) mod ports;
mod settings;
mod side;
mod streams;
mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use error::{GraphError, Problem, Side};
pub use plan::{GivenSidePacket, ValidatedGraph};

use crate::contract::Contract;
use crate::given::GivenPorts;
use crate::nearest::{listed, suggestion};
use crate::node::NodeType;
use crate::registry::Registry;
use crate::spec::{Freshness, GraphSpec, NodeSpec};
use crate::subgraph::expand;
use crate::validate::plan::PlannedHandler;
use crate::validate::ports::{Entry, check, check_pairs, read, read_port};

/// One node as far as it could be understood.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) spec: NodeSpec,
    pub(crate) inputs: Vec<Entry>,
    pub(crate) outputs: Vec<Entry>,
    pub(crate) side_inputs: Vec<Entry>,
    pub(crate) side_outputs: Vec<Entry>,
    /// Tag and index of the inputs that close a cycle.
    back_edges: Vec<(String, usize)>,
    /// None where the calculator or its options can't be used.
    pub(crate) kind: Option<(NodeType, Contract)>,
}

impl Draft {
    /// A source has no inputs to wait for, and something to give.
    pub(crate) fn is_source(&self) -> bool {
        self.spec.inputs.is_empty() && !self.spec.outputs.is_empty()
    }

    pub(crate) fn is_back_edge(&self, input: &Entry) -> bool {
        let mut back_edges = self.back_edges.iter();
        back_edges.any(|(tag, index)| *tag == input.tag && *index == input.index)
    }
}

/// A graph as far as it could be understood.
#[derive(Debug)]
pub(crate) struct Drafts {
    pub(crate) nodes: Vec<Draft>,
    /// Names of the streams that come from outside, and of those read there.
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) given_side: Vec<String>,
    pub(crate) side_outputs: Vec<String>,
    pub(crate) handlers: Vec<PlannedHandler>,
}

/// Checks a graph. On success the result can be started; else every mistake is listed.
pub fn validate(spec: &GraphSpec, registry: &Registry) -> Result<ValidatedGraph, Vec<GraphError>> {
    let flat =
        expand(spec).map_err(|faults| faults.into_iter().map(|fault| fault.error).collect::<Vec<_>>())?;
    validate_flat(&flat.graph, registry)
}

/// Checks a graph whose subgraphs were put in their places.
pub(crate) fn validate_flat(
    spec: &GraphSpec,
    registry: &Registry,
) -> Result<ValidatedGraph, Vec<GraphError>> {
    let mut errors = graph_fields(spec);
    errors.extend(settings::check(spec));
    let drafts: Vec<Draft> = name_nodes(&spec.nodes, &mut errors)
        .into_iter()
        .zip(&spec.nodes)
        .map(|(name, node)| draft(name, node, registry, &mut errors))
        .collect();
    let names = |texts: &[String]| -> Vec<String> {
        let (entries, _) = read(Side::Input, texts);
        entries.into_iter().map(|entry| entry.stream).collect()
    };
    let graph = Drafts {
        nodes: drafts,
        inputs: names(&spec.input_streams),
        outputs: names(&spec.output_streams),
        given_side: names(&spec.input_side_packets),
        side_outputs: names(&spec.output_side_packets),
        handlers: handlers::plan(spec, registry, &mut errors),
    };
    let order = streams::check(&graph, &mut errors);
    side::check(&graph, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(ValidatedGraph(Arc::new(planning::plan(spec, graph, &order))))
}

/// The mistakes in a graph's side packets, given the names that will be there: of an EdgePipeline, its models.
pub fn missing_side_packets<'a>(
    graph: &ValidatedGraph,
    given: impl Iterator<Item = &'a str>,
) -> Vec<GraphError> {
    let given: Vec<&str> = given.collect();
    let missing = graph
        .given_side_packets()
        .iter()
        .filter(|side| !given.contains(&side.name.as_str()));
    missing
        .map(|side| {
            let hint = suggestion(&side.name, given.iter().copied());
            let hint = hint.map_or(String::new(), |name| format!("; did you mean {name}?"));
            let (name, port) = (side.name.clone(), side.port.to_owned());
            GraphError::node(&side.node, Problem::MissingSidePacket { name, port, hint })
        })
        .collect()
}

fn graph_fields(spec: &GraphSpec) -> Vec<GraphError> {
    let mut problems = Vec::new();
    if spec.nodes.is_empty() {
        problems.push(Problem::Empty);
    }
    if let Some(value) = spec.max_queue_size.filter(|size| !(1..=10_000).contains(size)) {
        problems.push(Problem::Range {
            field: "maxQueueSize",
            value,
            limits: "1 to 10000",
        });
    }
    if let Some(value) = spec.num_threads.filter(|threads| !(1..=64).contains(threads)) {
        problems.push(Problem::Range {
            field: "numThreads",
            value,
            limits: "1 to 64",
        });
    }
    for streams in [
        &spec.input_streams,
        &spec.output_streams,
        &spec.input_side_packets,
        &spec.output_side_packets,
    ] {
        let (entries, wrong) = read(Side::Graph, streams);
        problems.extend(wrong);
        for (index, entry) in entries.iter().enumerate() {
            if entries
                .iter()
                .take(index)
                .any(|before| before.stream == entry.stream)
            {
                problems.push(Problem::RepeatedStream(entry.stream.clone()));
            }
        }
    }
    problems.into_iter().map(GraphError::graph).collect()
}

/// The names given, or the calculator's, numbered where several nodes without a name share it.
pub(crate) fn node_names(nodes: &[NodeSpec]) -> Vec<String> {
    let mut unnamed: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes.iter().filter(|node| node.name.is_none()) {
        *unnamed.entry(&node.calculator).or_default() += 1;
    }
    let mut numbered: BTreeMap<&str, usize> = BTreeMap::new();
    nodes
        .iter()
        .map(|node| match &node.name {
            Some(name) => name.clone(),
            None if unnamed
                .get(node.calculator.as_str())
                .is_some_and(|count| *count > 1) =>
            {
                let number = numbered.entry(&node.calculator).or_default();
                *number += 1;
                format!("{}_{number}", node.calculator)
            }
            None => node.calculator.clone(),
        })
        .collect()
}

fn name_nodes(nodes: &[NodeSpec], errors: &mut Vec<GraphError>) -> Vec<String> {
    let names = node_names(nodes);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in &names {
        *counts.entry(name).or_default() += 1;
        if !is_node_name(name) {
            errors.push(GraphError::node(name, Problem::NodeName(name.clone())));
        }
    }
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 1) {
        errors.push(GraphError::node(name, Problem::RepeatedNode { count }));
    }
    names
}

/// Names of nodes in subgraphs are joined by `__`; each may be as long as a node's own.
fn is_node_name(text: &str) -> bool {
    text.split("__").all(|part| part.len() <= 63)
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn draft(name: String, spec: &NodeSpec, registry: &Registry, errors: &mut Vec<GraphError>) -> Draft {
    let (inputs, mut problems) = read(Side::Input, &spec.inputs);
    let (outputs, more) = read(Side::Output, &spec.outputs);
    let readable = problems.is_empty() && more.is_empty();
    problems.extend(more);
    let side_inputs = side_entries(&spec.side_packets, &mut problems);
    let side_outputs = side_entries(&spec.output_side_packets, &mut problems);
    let kind = match registry.get(&spec.calculator) {
        None => {
            problems.push(unknown_calculator(&spec.calculator, registry));
            None
        }
        Some(kind) => match kind.contract(&spec.options) {
            Ok(mut contract) => {
                if readable {
                    match kind.contract_for(&spec.options, &given_ports(&inputs, &outputs, spec)) {
                        // The calculator's own words say more than that a port or a pair is missing.
                        Some(Err(error)) => problems.push(Problem::Text(error.to_string())),
                        fitted => {
                            contract = fitted.and_then(Result::ok).unwrap_or(contract);
                            problems.extend(check(kind.name, Side::Input, &inputs, &contract.inputs));
                            problems.extend(check(kind.name, Side::Output, &outputs, &contract.outputs));
                            problems.extend(check_pairs(&contract, &inputs, &outputs));
                        }
                    }
                }
                problems.extend(check(
                    kind.name,
                    Side::SidePacket,
                    &side_inputs,
                    &contract.side_inputs,
                ));
                problems.extend(check(
                    kind.name,
                    Side::SidePacket,
                    &side_outputs,
                    &contract.side_outputs,
                ));
                Some((kind, contract))
            }
            Err(wrong) => {
                problems.extend(wrong.into_iter().map(Problem::Option));
                None
            }
        },
    };
    let draft = Draft {
        name,
        spec: spec.clone(),
        inputs,
        outputs,
        side_inputs,
        side_outputs,
        back_edges: spec
            .back_edges
            .iter()
            .filter_map(|port| read_port(port))
            .map(|(tag, index)| (tag.to_owned(), index))
            .collect(),
        kind,
    };
    if draft.is_source() {
        let freshness = (spec.freshness != Freshness::All).then_some("freshness");
        let max_age = spec.max_age.map(|_| "maxAge");
        problems.extend(
            [freshness, max_age]
                .into_iter()
                .flatten()
                .map(|field| Problem::SourceField { field }),
        );
    }
    errors.extend(
        problems
            .into_iter()
            .map(|problem| GraphError::node(&draft.name, problem)),
    );
    draft
}

fn given_ports(inputs: &[Entry], outputs: &[Entry], spec: &NodeSpec) -> GivenPorts {
    let ports = |entries: &[Entry]| {
        entries
            .iter()
            .map(|entry| (entry.tag.clone(), entry.index))
            .collect()
    };
    let side = |given: &BTreeMap<String, String>| {
        given
            .keys()
            .map(|port| match port.split_once(':') {
                Some((tag, index)) => (tag.to_owned(), index.parse().unwrap_or(0)),
                None => port
                    .parse()
                    .map_or((port.clone(), 0), |index| (String::new(), index)),
            })
            .collect()
    };
    GivenPorts {
        inputs: ports(inputs),
        outputs: ports(outputs),
        side_inputs: side(&spec.side_packets),
        side_outputs: side(&spec.output_side_packets),
    }
}

fn unknown_calculator(calculator: &str, registry: &Registry) -> Problem {
    let hint = registry.nearest(calculator).map_or_else(
        || format!("; known are {}", listed(registry.iter().map(|node| node.name))),
        |name| format!("; did you mean {name}?"),
    );
    Problem::UnknownCalculator {
        calculator: calculator.to_owned(),
        hint,
    }
}

fn side_entries(given: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (port, name) in given {
        let Some((tag, index)) = read_port(port) else {
            problems.push(Problem::Syntax {
                side: Side::SidePacket,
                text: port.clone(),
                why: "the port isn't one",
            });
            continue;
        };
        if !is_side_packet_name(name) {
            problems.push(Problem::SidePacketName {
                port: port.clone(),
                name: name.clone(),
            });
        }
        entries.push(Entry {
            tag: tag.to_owned(),
            index,
            stream: name.clone(),
        });
    }
    entries
}

fn is_side_packet_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests;
