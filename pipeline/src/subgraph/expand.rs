//! From nested graphs to one list of nodes.

use super::option_values::apply;
use super::switch::{is_switch, switch};
use super::wiring::Wiring;
use super::{Fault, Flat, Origin};
use crate::options::OptionMap;
use crate::spec::{Freshness, GraphSpec, NodeSpec, OnFailure, Priority, StatusHandlerSpec};
use crate::validate::{GraphError, Problem, node_names};

/// Subgraphs in subgraphs multiply: a short text could ask for all memory.
const MOST_NODES: usize = 10_000;
/// Graphs in one another; each has its own name, but names may be shadowed.
const DEEPEST: usize = 64;

/// Gives a graph without subgraphs, or all mistakes in their use.
pub(crate) fn expand(spec: &GraphSpec) -> Result<Flat, Vec<Fault>> {
    let mut expansion = Expansion::default();
    let place = Place {
        chain: vec![Level {
            name: "",
            graph: spec,
        }],
        using: Vec::new(),
        wiring: Wiring::default(),
        within: None,
    };
    expansion.graph(spec, &place, &spec.options);
    if !expansion.faults.is_empty() {
        return Err(expansion.faults);
    }
    Ok(Flat {
        graph: GraphSpec {
            nodes: expansion.nodes,
            status_handlers: expansion.handlers,
            subgraphs: std::collections::BTreeMap::new(),
            options: OptionMap::new(),
            ..spec.clone()
        },
        origins: expansion.origins,
        handler_origins: expansion.handler_origins,
    })
}

/// A graph that names can be looked up in.
#[derive(Debug, Clone, Copy)]
struct Level<'a> {
    name: &'a str,
    graph: &'a GraphSpec,
}

/// Where a graph is put in.
#[derive(Debug)]
struct Place<'a> {
    /// From the outermost graph to the one at hand.
    chain: Vec<Level<'a>>,
    /// Scopes of the subgraphs that are being put in.
    using: Vec<Vec<String>>,
    wiring: Wiring,
    /// Nodes that nobody wrote count as this one.
    within: Option<Origin>,
}

impl Place<'_> {
    fn scope(&self) -> Vec<String> {
        scope(&self.chain)
    }
}

fn scope(chain: &[Level<'_>]) -> Vec<String> {
    chain.iter().skip(1).map(|level| level.name.to_owned()).collect()
}

#[derive(Debug, Default)]
struct Expansion {
    nodes: Vec<NodeSpec>,
    origins: Vec<Origin>,
    handlers: Vec<StatusHandlerSpec>,
    handler_origins: Vec<Origin>,
    faults: Vec<Fault>,
}

impl Expansion {
    fn graph(&mut self, graph: &GraphSpec, place: &Place<'_>, options: &OptionMap) {
        for (index, (name, node)) in node_names(&graph.nodes).into_iter().zip(&graph.nodes).enumerate() {
            let origin = place.within.clone().unwrap_or_else(|| Origin {
                scope: place.scope(),
                index,
            });
            if self.nodes.len() >= MOST_NODES || self.faults.len() >= MOST_NODES {
                return self.too_many();
            }
            let outermost = place.chain.len() == 1 && place.within.is_none();
            let mut flat = if outermost {
                node.clone()
            } else {
                place
                    .wiring
                    .rename(format!("{}{name}", place.wiring.prefix), node)
            };
            let name = flat.name.clone().unwrap_or(name);
            for problem in apply(&mut flat, options) {
                self.fault(&origin, &name, problem);
            }
            self.node(flat, &name, origin, place);
        }
        for (index, handler) in graph.status_handlers.iter().enumerate() {
            let mut handler = handler.clone();
            if place.chain.len() > 1 {
                handler.side_packets = place.wiring.side_packets(&handler.side_packets);
            }
            self.handlers.push(handler);
            self.handler_origins.push(Origin {
                scope: place.scope(),
                index,
            });
        }
    }

    fn node(&mut self, node: NodeSpec, name: &str, origin: Origin, place: &Place<'_>) {
        let found = place
            .chain
            .iter()
            .enumerate()
            .rev()
            .find_map(|(at, level)| Some((at, level.graph.subgraphs.get_key_value(&node.calculator)?)));
        if let Some((at, (subgraph, graph))) = found {
            let mut chain: Vec<Level<'_>> = place.chain.iter().take(at + 1).copied().collect();
            chain.push(Level {
                name: subgraph,
                graph,
            });
            self.subgraph(&node, name, &origin, graph, chain, place);
        } else if is_switch(&node.calculator) {
            match switch(&node) {
                Ok(graph) => self.switch(&node, name, origin, &graph, place),
                Err(problems) => {
                    for problem in problems {
                        self.fault(&origin, name, problem);
                    }
                }
            }
        } else {
            self.nodes.push(node);
            self.origins.push(origin);
        }
    }

    fn subgraph(
        &mut self,
        node: &NodeSpec,
        name: &str,
        origin: &Origin,
        graph: &GraphSpec,
        chain: Vec<Level<'_>>,
        place: &Place<'_>,
    ) {
        let scope = scope(&chain);
        let mut using = place.using.clone();
        if let Some(start) = using.iter().position(|used| *used == scope) {
            let names = using.iter().skip(start).chain([&scope]);
            let names = names.filter_map(|scope| scope.last().cloned()).collect();
            return self.fault(origin, name, Problem::SubgraphCircle(names));
        }
        if using.len() >= DEEPEST {
            return self.too_many();
        }
        using.push(scope);
        let (wiring, problems) = Wiring::join(name, node, graph);
        for problem in problems.into_iter().chain(refused(node)) {
            self.fault(origin, name, problem);
        }
        let mut options = graph.options.clone();
        options.extend(node.options.clone());
        let first = self.nodes.len();
        let inner = Place {
            chain,
            using,
            wiring,
            within: place.within.clone(),
        };
        self.graph(graph, &inner, &options);
        self.inherit(first, node);
    }

    /// The switch's own graph was never written: its nodes count as the switch, and names are those around it.
    fn switch(&mut self, node: &NodeSpec, name: &str, origin: Origin, graph: &GraphSpec, place: &Place<'_>) {
        if place.using.len() >= DEEPEST {
            return self.too_many();
        }
        let (wiring, problems) = Wiring::join(name, node, graph);
        for problem in problems.into_iter().chain(refused(node)) {
            self.fault(&origin, name, problem);
        }
        let mut using = place.using.clone();
        // Counts as a level, so that switches in switches end.
        using.push(vec![String::new()]);
        let first = self.nodes.len();
        let inner = Place {
            chain: place.chain.clone(),
            using,
            wiring,
            within: Some(origin),
        };
        self.graph(graph, &inner, &OptionMap::new());
        self.inherit(first, node);
    }

    /// What the node says about where and how urgently to run holds for what is inside, where that says nothing.
    fn inherit(&mut self, first: usize, from: &NodeSpec) {
        for node in self.nodes.iter_mut().skip(first) {
            if node.executor.is_none() {
                node.executor.clone_from(&from.executor);
            }
            if node.priority == Priority::default() {
                node.priority = from.priority;
            }
            if node.on_failure == OnFailure::default() {
                node.on_failure = from.on_failure;
            }
        }
    }

    fn fault(&mut self, origin: &Origin, name: &str, problem: Problem) {
        self.faults.push(Fault {
            origin: Some(origin.clone()),
            error: GraphError::node(name, problem),
        });
    }

    fn too_many(&mut self) {
        let limit = MOST_NODES;
        let error = GraphError::graph(Problem::TooManyNodes { limit });
        if self.faults.last().is_none_or(|fault| fault.error != error) {
            self.faults.push(Fault { origin: None, error });
        }
    }
}

/// Settings that make sense on a calculator only.
fn refused(node: &NodeSpec) -> impl Iterator<Item = Problem> {
    let fields = [
        (node.source_layer != 0, "sourceLayer"),
        (node.queue_size.is_some(), "queueSize"),
        (!node.back_edges.is_empty(), "backEdges"),
        (node.input_policy.is_some(), "inputPolicy"),
        (node.parallel.is_some(), "parallel"),
        (node.freshness != Freshness::default(), "freshness"),
        (node.max_age.is_some(), "maxAge"),
        (node.deadline.is_some(), "deadline"),
        (node.in_flight.is_some(), "inFlight"),
        (node.stuck_after.is_some(), "stuckAfter"),
    ];
    fields
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, field)| Problem::SubgraphField { field })
}
