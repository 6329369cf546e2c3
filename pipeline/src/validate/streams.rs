//! Streams between nodes: one writer each, no cycle, equal types at both ends; then the plan of the run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::contract::{Contract, PortType};
use crate::nearest::suggestion;
use crate::packet::TypeInfo;
use crate::spec::GraphSpec;
use crate::validate::Draft;
use crate::validate::error::{GraphError, Problem};
use crate::validate::plan::{Outlet, Plan, PlannedInput, PlannedNode, RequiredSidePacket};
use crate::validate::ports::{Entry, arrange};

/// Who writes a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Graph(usize),
    Node(usize),
}

/// Checks all streams and gives the drafts in an order in which every writer comes before its readers.
pub(super) fn check(spec: &GraphSpec, drafts: &[Draft], errors: &mut Vec<GraphError>) -> Vec<usize> {
    let writers = writers(spec, drafts, errors);
    for draft in drafts {
        for entry in draft
            .inputs
            .iter()
            .filter(|entry| !writers.contains_key(entry.stream.as_str()))
        {
            let (stream, port) = (entry.stream.clone(), entry.port());
            let hint = hint(&entry.stream, &writers);
            errors.push(GraphError::node(
                &draft.name,
                Problem::NoProducer { stream, port, hint },
            ));
        }
    }
    for stream in spec
        .output_streams
        .iter()
        .filter(|stream| !writers.contains_key(stream.as_str()))
    {
        let hint = hint(stream, &writers);
        errors.push(GraphError::graph(Problem::NoOutput {
            stream: stream.clone(),
            hint,
        }));
    }
    match sort(drafts, &writers) {
        Ok(order) => {
            check_types(drafts, &order, &writers, errors);
            order
        }
        Err(cycle) => {
            let names = cycle
                .into_iter()
                .filter_map(|index| Some(drafts.get(index)?.name.clone()));
            errors.push(GraphError::graph(Problem::Cycle(names.collect())));
            Vec::new()
        }
    }
}

/// Builds the plan of a graph without mistakes.
pub(super) fn plan(
    spec: &GraphSpec,
    drafts: Vec<Draft>,
    order: &[usize],
    queue_limit: usize,
    threads: Option<usize>,
) -> Plan {
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    // Sources first: they are the least urgent, and the run tells them by number.
    let (sources, others): (Vec<usize>, Vec<usize>) = order
        .iter()
        .partition(|index| matches!(drafts.get(**index), Some(Some(draft)) if draft.is_source()));
    let ordered = sources
        .iter()
        .chain(&others)
        .filter_map(|index| drafts.get_mut(*index)?.take());
    let mut nodes: Vec<PlannedNode> = ordered.filter_map(planned).collect();
    let outlets = outlets(spec, &nodes);
    for node in &mut nodes {
        node.outlets = node
            .outputs
            .iter()
            .map(|port| outlets.get(&port.stream).cloned().unwrap_or_default())
            .collect();
    }
    find_ancestors(spec, &mut nodes, sources.len());
    let inputs = spec.input_streams.iter().map(|stream| PlannedInput {
        stream: stream.clone(),
        outlet: outlets.get(stream).cloned().unwrap_or_default(),
    });
    Plan {
        sources: sources.len(),
        inputs: inputs.collect(),
        outputs: spec.output_streams.clone(),
        queue_limit,
        threads,
        side: nodes.iter().flat_map(required_side_packets).collect(),
        nodes,
    }
}

fn writers<'a>(
    spec: &'a GraphSpec,
    drafts: &'a [Draft],
    errors: &mut Vec<GraphError>,
) -> BTreeMap<&'a str, Writer> {
    let graph = spec.input_streams.iter().enumerate();
    let mut writers: BTreeMap<&str, Writer> = graph
        .map(|(index, stream)| (stream.as_str(), Writer::Graph(index)))
        .collect();
    for (index, draft) in drafts.iter().enumerate() {
        for entry in &draft.outputs {
            let before = writers.insert(&entry.stream, Writer::Node(index));
            let other = match before {
                None => continue,
                Some(Writer::Graph(_)) => "the graph's inputStreams".to_owned(),
                Some(Writer::Node(other)) if other == index => "the same node".to_owned(),
                Some(Writer::Node(other)) => drafts
                    .get(other)
                    .map_or(String::new(), |other| format!("node {}", other.name)),
            };
            let stream = entry.stream.clone();
            errors.push(GraphError::node(
                &draft.name,
                Problem::TwoProducers { stream, other },
            ));
        }
    }
    writers
}

fn hint(stream: &str, writers: &BTreeMap<&str, Writer>) -> String {
    match suggestion(stream, writers.keys().copied()) {
        Some(name) => format!("; did you mean {name}?"),
        None => "; write it by a node's outputs, or list it in inputStreams".to_owned(),
    }
}

/// The order of the text where that already works, else the nearest one; or the nodes of a cycle.
fn sort(drafts: &[Draft], writers: &BTreeMap<&str, Writer>) -> Result<Vec<usize>, Vec<usize>> {
    let feeds = |draft: &Draft| -> BTreeSet<usize> {
        let before = draft
            .inputs
            .iter()
            .filter_map(|entry| writers.get(entry.stream.as_str()));
        before
            .filter_map(|writer| {
                if let Writer::Node(index) = writer {
                    Some(*index)
                } else {
                    None
                }
            })
            .collect()
    };
    let needs: Vec<BTreeSet<usize>> = drafts.iter().map(feeds).collect();
    let mut missing: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut free: BinaryHeap<Reverse<usize>> = missing
        .iter()
        .enumerate()
        .filter(|(_, count)| **count == 0)
        .map(|(index, _)| Reverse(index))
        .collect();
    let mut order = Vec::with_capacity(drafts.len());
    while let Some(Reverse(index)) = free.pop() {
        order.push(index);
        for (reader, _) in needs
            .iter()
            .enumerate()
            .filter(|(_, needed)| needed.contains(&index))
        {
            if let Some(count) = missing.get_mut(reader) {
                *count -= 1;
                if *count == 0 {
                    free.push(Reverse(reader));
                }
            }
        }
    }
    if order.len() == drafts.len() {
        Ok(order)
    } else {
        Err(cycle(&needs, &order))
    }
}

/// One cycle among the nodes that couldn't be ordered, from writer to reader, closed by its first node.
fn cycle(needs: &[BTreeSet<usize>], ordered: &[usize]) -> Vec<usize> {
    let stuck = |index: &usize| !ordered.contains(index);
    let mut path: Vec<usize> = (0..needs.len()).find(|index| stuck(index)).into_iter().collect();
    while let Some(next) = path
        .last()
        .and_then(|last| needs.get(*last))
        .and_then(|needed| needed.iter().copied().find(|index| stuck(index)))
    {
        if let Some(start) = path.iter().position(|index| *index == next) {
            let mut cycle: Vec<usize> = path.split_off(start);
            cycle.push(next);
            cycle.reverse();
            return cycle;
        }
        path.push(next);
    }
    path
}

fn check_types(
    drafts: &[Draft],
    order: &[usize],
    writers: &BTreeMap<&str, Writer>,
    errors: &mut Vec<GraphError>,
) {
    let mut types: BTreeMap<&str, TypeInfo> = BTreeMap::new();
    for draft in order.iter().filter_map(|index| drafts.get(*index)) {
        let Some((_, contract)) = &draft.kind else {
            continue;
        };
        for entry in &draft.inputs {
            let found = types.get(entry.stream.as_str()).copied();
            let port = contract.inputs.iter().find(|port| port.tag == entry.tag);
            let (Some(port), Some(found)) = (port, found) else {
                continue;
            };
            if !port.carries.accepts(Some(found)) {
                let producer = match writers.get(entry.stream.as_str()) {
                    Some(Writer::Node(index)) => drafts.get(*index).map_or("", |draft| draft.name.as_str()),
                    _ => "the graph's input",
                };
                let problem = Problem::TypeMismatch {
                    port: entry.port(),
                    wanted: port.carries.to_string(),
                    stream: entry.stream.clone(),
                    found: found.name(),
                    producer: producer.to_owned(),
                };
                errors.push(GraphError::node(&draft.name, problem));
            }
        }
        for entry in &draft.outputs {
            if let Some(carried) = output_type(contract, entry, &draft.inputs, &types) {
                types.insert(&entry.stream, carried);
            }
        }
    }
}

fn output_type(
    contract: &Contract,
    output: &Entry,
    inputs: &[Entry],
    types: &BTreeMap<&str, TypeInfo>,
) -> Option<TypeInfo> {
    match &contract
        .outputs
        .iter()
        .find(|port| port.tag == output.tag)?
        .carries
    {
        PortType::Is(carried) => Some(*carried),
        PortType::SameAs(tag) => {
            let input = inputs
                .iter()
                .find(|input| input.tag == *tag && input.index == output.index)?;
            types.get(input.stream.as_str()).copied()
        }
        PortType::Any | PortType::OneOf(_) => None,
    }
}

/// None for a node without a usable calculator: a mistake that was reported before.
fn planned(draft: Draft) -> Option<PlannedNode> {
    let (kind, contract) = draft.kind?;
    let side = contract.side_inputs.iter().filter_map(|port| {
        draft
            .spec
            .side_packets
            .get(port.tag)
            .map(|name| (port.tag, 0, name.clone()))
    });
    Some(PlannedNode {
        inputs: arrange(&draft.inputs, &contract.inputs),
        outputs: arrange(&draft.outputs, &contract.outputs),
        side: side.collect(),
        side_outputs: Vec::new(),
        policy: draft
            .spec
            .input_policy
            .or_else(|| contract.policy.clone())
            .unwrap_or_default(),
        freshness: draft.spec.freshness,
        max_age: draft
            .spec
            .max_age
            .map(|age| i64::try_from(age.get().as_nanos()).unwrap_or(i64::MAX)),
        options: draft.spec.options,
        name: draft.name,
        outlets: Vec::new(),
        ancestors: Vec::new(),
        kind,
        contract,
    })
}

fn outlets(spec: &GraphSpec, nodes: &[PlannedNode]) -> BTreeMap<String, Outlet> {
    let mut outlets: BTreeMap<String, Outlet> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for (input, port) in node.inputs.iter().enumerate() {
            outlets
                .entry(port.stream.clone())
                .or_default()
                .readers
                .push((index, input));
        }
    }
    for (index, stream) in spec.output_streams.iter().enumerate() {
        outlets.entry(stream.clone()).or_default().observed = Some(index);
    }
    outlets
}

/// Per input of each node: the sources and graph inputs that fill it in the end.
fn find_ancestors(spec: &GraphSpec, nodes: &mut [PlannedNode], sources: usize) {
    let graph = spec.input_streams.iter().enumerate();
    let mut of_stream: BTreeMap<String, BTreeSet<usize>> = graph
        .map(|(index, stream)| (stream.clone(), BTreeSet::from([sources + index])))
        .collect();
    for (index, node) in nodes.iter_mut().enumerate() {
        let of_input = |stream: &String| of_stream.get(stream).cloned().unwrap_or_default();
        let ancestors: Vec<BTreeSet<usize>> = node.inputs.iter().map(|port| of_input(&port.stream)).collect();
        let mut all: BTreeSet<usize> = ancestors.iter().flatten().copied().collect();
        if index < sources {
            all.insert(index);
        }
        node.ancestors = ancestors
            .into_iter()
            .map(|set| set.into_iter().collect())
            .collect();
        for port in &node.outputs {
            of_stream.insert(port.stream.clone(), all.clone());
        }
    }
}

fn required_side_packets(node: &PlannedNode) -> impl Iterator<Item = RequiredSidePacket> {
    node.side.iter().filter_map(|(tag, _, name)| {
        let port = node.contract.side_inputs.iter().find(|port| port.tag == *tag)?;
        let (name, node) = (name.clone(), node.name.clone());
        Some(RequiredSidePacket {
            name,
            node,
            port: port.tag,
            carries: port.carries.clone(),
        })
    })
}
