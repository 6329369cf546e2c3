//! From a graph without mistakes to the plan of its run: numbers by urgency, readers, ancestors, branches.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::contract::{Arity, Contract};
use crate::spec::{
    ExecutorSpec, Freshness, GraphSpec, InFlight, InputPolicy, LatePackets, NodeSpec, Priority,
};
use crate::validate::plan::{
    GivenSidePacket, Limit, Outlet, Plan, PlannedExecutor, PlannedInput, PlannedNode, PlannedPolicy,
    PlannedPort,
};
use crate::validate::ports::{Entry, arrange, read_port};
use crate::validate::{Draft, Drafts};

/// Queue length of a stream that declares none.
const QUEUE_LIMIT: u32 = 100;
/// Ten frames of full HD in RGB, or seventy of VGA.
const QUEUE_BYTES: u64 = 64 << 20;

/// Builds the plan. `order` has every writer before its readers.
pub(super) fn plan(spec: &GraphSpec, graph: Drafts, order: &[usize]) -> Plan {
    let given: BTreeSet<String> = made_by_nodes(&graph);
    let mut drafts: Vec<Option<Draft>> = graph.nodes.into_iter().map(Some).collect();
    let in_order = order
        .iter()
        .filter_map(|index| drafts.get_mut(*index)?.take())
        .filter_map(|draft| planned(spec, draft));
    let mut nodes: Vec<PlannedNode> = in_order.collect();
    raise_classes(&mut nodes);
    // A stable sort: within a class writers stay before readers. Sources come first: the run tells them by number.
    let mut by_urgency: Vec<(usize, PlannedNode)> = nodes.into_iter().enumerate().collect();
    by_urgency.sort_by_key(|(_, node)| (!is_source(node), node.class));
    let mut opening: Vec<(usize, usize)> = by_urgency
        .iter()
        .enumerate()
        .map(|(number, (place, _))| (*place, number))
        .collect();
    opening.sort_unstable();
    let mut nodes: Vec<PlannedNode> = by_urgency.into_iter().map(|(_, node)| node).collect();
    let sources = nodes.iter().filter(|node| is_source(node)).count();
    let outlets = outlets(&graph.outputs, &nodes);
    for node in &mut nodes {
        node.outlets = node
            .outputs
            .iter()
            .map(|port| outlets.get(&port.stream).cloned().unwrap_or_default())
            .collect();
    }
    find_ancestors(&graph.inputs, &mut nodes, sources);
    let open_order: Vec<usize> = opening.into_iter().map(|(_, number)| number).collect();
    find_descendants(&mut nodes, &open_order);
    limit_heads(&mut nodes);
    let branches = number_branches(&mut nodes, sources);
    let (reader_branches, top_from) = (reader_branches(&nodes, sources), top_from(&nodes, sources));
    let inputs = graph.inputs.iter().map(|stream| PlannedInput {
        stream: stream.clone(),
        outlet: outlets.get(stream).cloned().unwrap_or_default(),
    });
    let side: Vec<GivenSidePacket> = nodes
        .iter()
        .flat_map(given_side_packets)
        .filter(|side| !given.contains(&side.name))
        .collect();
    for node in &mut nodes {
        let missing = side.iter().filter(|side| side.optional && side.node == node.name);
        node.optional_side = missing.map(|side| side.name.clone()).collect();
    }
    Plan {
        sources,
        open_order,
        inputs: inputs.collect(),
        outputs: graph.outputs.clone(),
        threads: spec.num_threads.map(|threads| threads as usize),
        executors: spec.executors.iter().map(executor).collect(),
        side,
        side_outputs: graph.side_outputs,
        branches,
        reader_branches,
        top_from,
        late_is_error: spec.late_packets == LatePackets::Error,
        report_deadlock: spec.report_deadlock,
        handlers: graph.handlers,
        nodes,
    }
}

fn is_source(node: &PlannedNode) -> bool {
    node.inputs.is_empty() && !node.outputs.is_empty()
}

fn made_by_nodes(graph: &Drafts) -> BTreeSet<String> {
    let made = graph.nodes.iter().flat_map(|draft| &draft.side_outputs);
    made.map(|entry| entry.stream.clone()).collect()
}

fn executor(spec: &ExecutorSpec) -> PlannedExecutor {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    PlannedExecutor {
        name: spec.name.clone(),
        threads: spec.num_threads.map_or(cores, |threads| threads as usize),
        nice: spec.nice,
        stack: spec.stack_kib.map(|kib| kib as usize * 1024),
    }
}

/// None for a node without a usable calculator: a mistake that was reported before.
fn planned(spec: &GraphSpec, draft: Draft) -> Option<PlannedNode> {
    let inputs = {
        let (_, contract) = draft.kind.as_ref()?;
        let packets = draft.spec.queue_size.or(spec.max_queue_size);
        let bytes = spec.max_queue_bytes.map_or(QUEUE_BYTES, units::Bytes::get);
        let limit = Limit {
            packets: packets.unwrap_or(QUEUE_LIMIT) as usize,
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        let port = |(tag, entry): (&'static str, &Entry)| PlannedPort {
            tag,
            index: entry.index,
            stream: entry.stream.clone(),
            back_edge: draft.is_back_edge(entry),
            limit,
        };
        arrange(&draft.inputs, &contract.inputs)
            .into_iter()
            .map(port)
            .collect::<Vec<_>>()
    };
    let (kind, contract) = draft.kind?;
    let outputs = arrange(&draft.outputs, &contract.outputs)
        .into_iter()
        .map(|(tag, entry)| PlannedPort {
            tag,
            index: entry.index,
            stream: entry.stream.clone(),
            back_edge: false,
            // Of no account: it is the readers' that holds a source back.
            limit: Limit { packets: 0, bytes: 0 },
        });
    let named = |entries: &[Entry], ports| {
        let arranged = arrange(entries, ports).into_iter();
        arranged
            .map(|(tag, entry)| (tag, entry.index, entry.stream.clone()))
            .collect::<Vec<_>>()
    };
    let policy = draft
        .spec
        .input_policy
        .clone()
        // As the reference does it: the graph's default stands for every node that says nothing itself.
        .or_else(|| spec.input_policy.clone())
        .or_else(|| contract.policy.clone())
        .unwrap_or_default();
    let executor = draft
        .spec
        .executor
        .as_ref()
        .and_then(|name| spec.executors.iter().position(|executor| executor.name == *name));
    let nanos = |span: units::Duration| i64::try_from(span.get().as_nanos()).unwrap_or(i64::MAX);
    Some(PlannedNode {
        policy: policy_of(&policy, &inputs),
        outputs: outputs.collect(),
        side: named(&draft.side_inputs, &contract.side_inputs),
        side_outputs: named(&draft.side_outputs, &contract.side_outputs),
        optional_side: BTreeSet::new(),
        freshness: draft.spec.freshness,
        max_age: draft.spec.max_age.map(nanos),
        deadline: draft.spec.deadline.map(nanos),
        in_flight: draft.spec.in_flight,
        parallel: parallel(&draft.spec, &contract),
        class: draft.spec.priority,
        on_failure: draft.spec.on_failure,
        stuck_after: draft.spec.stuck_after.map(nanos),
        executor: executor.map_or(0, |place| place + 1),
        layer: draft.spec.source_layer,
        branch: 0,
        fed_by: 0,
        leads_to: 0,
        options: draft.spec.options,
        name: draft.name,
        outlets: SmallVec::new(),
        ancestors: Vec::new(),
        descendants: Vec::new(),
        opens_after: Vec::new(),
        inputs,
        kind,
        contract,
    })
}

/// Calls of a node with a state can't overlap, whatever was asked for: its next call goes by what the last one left.
fn parallel(node: &NodeSpec, contract: &Contract) -> usize {
    if contract.stateless && !contract.inputs.is_empty() {
        node.parallel.map_or(1, |parallel| parallel as usize)
    } else {
        1
    }
}

fn policy_of(policy: &InputPolicy, inputs: &[PlannedPort]) -> PlannedPolicy {
    let place = |text: &String| {
        let (tag, index) = read_port(text)?;
        inputs
            .iter()
            .position(|port| port.tag == tag && port.index == index)
    };
    match policy {
        InputPolicy::Default(batch) => PlannedPolicy::Default {
            batch: batch.batch_size.max(1) as usize,
        },
        InputPolicy::Immediate(_) => PlannedPolicy::Immediate,
        InputPolicy::SyncSet(settings) => {
            let named = settings
                .sets
                .iter()
                .map(|set| set.iter().filter_map(place).collect::<Vec<_>>());
            let mut sets: Vec<Vec<usize>> = named.filter(|set| !set.is_empty()).collect();
            let rest: Vec<usize> = (0..inputs.len())
                .filter(|input| !sets.iter().flatten().any(|named| named == input))
                .collect();
            sets.extend((!rest.is_empty()).then_some(rest));
            PlannedPolicy::SyncSet(sets)
        }
        InputPolicy::FixedSize(settings) => PlannedPolicy::FixedSize(*settings),
        InputPolicy::EarlyClose(_) => PlannedPolicy::EarlyClose,
        InputPolicy::Barrier(_) => PlannedPolicy::Barrier,
        InputPolicy::TimestampAlign(settings) => PlannedPolicy::Align {
            base: place(&settings.timestamp_base).unwrap_or(0),
        },
        InputPolicy::Mux(_) => PlannedPolicy::Mux,
    }
}

/// A node is as urgent as the most urgent of those it feeds: they would wait for it.
fn raise_classes(nodes: &mut [PlannedNode]) {
    let mut wanted: BTreeMap<String, Priority> = BTreeMap::new();
    for node in nodes.iter_mut().rev() {
        let readers = node.outputs.iter().filter_map(|port| wanted.get(&port.stream));
        node.class = readers.copied().chain([node.class]).max().unwrap_or_default();
        for port in node.inputs.iter().filter(|port| !port.back_edge) {
            let class = wanted.entry(port.stream.clone()).or_insert(node.class);
            *class = (*class).max(node.class);
        }
    }
}

fn outlets(graph_outputs: &[String], nodes: &[PlannedNode]) -> BTreeMap<String, Outlet> {
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
    for (index, stream) in graph_outputs.iter().enumerate() {
        outlets.entry(stream.clone()).or_default().observed = Some(index);
    }
    outlets
}

/// Per input of each node: the sources and graph inputs that fill it in the end, through back edges too.
fn find_ancestors(graph_inputs: &[String], nodes: &mut [PlannedNode], sources: usize) {
    let inputs = graph_inputs.iter().enumerate();
    let mut of_stream: BTreeMap<String, BTreeSet<usize>> = inputs
        .map(|(index, stream)| (stream.clone(), BTreeSet::from([sources + index])))
        .collect();
    loop {
        let mut changed = false;
        for (index, node) in nodes.iter().enumerate() {
            let before = node.inputs.iter().filter_map(|port| of_stream.get(&port.stream));
            let mut all: BTreeSet<usize> = before.flatten().copied().collect();
            if index < sources {
                all.insert(index);
            }
            for port in &node.outputs {
                let known = of_stream.entry(port.stream.clone()).or_default();
                let count = known.len();
                known.extend(&all);
                changed |= known.len() > count;
            }
        }
        if !changed {
            break;
        }
    }
    for node in nodes {
        let of_input = |port: &PlannedPort| {
            of_stream
                .get(&port.stream)
                .into_iter()
                .flatten()
                .copied()
                .collect()
        };
        node.ancestors = node.inputs.iter().map(of_input).collect();
    }
}

fn find_descendants(nodes: &mut [PlannedNode], open_order: &[usize]) {
    let mut rank = vec![0; nodes.len()];
    for (place, node) in open_order.iter().enumerate() {
        if let Some(rank) = rank.get_mut(*node) {
            *rank = place;
        }
    }
    let forward: Vec<BTreeSet<usize>> = nodes
        .iter()
        .map(|node| {
            let readers = node.outlets.iter().flat_map(|outlet| &outlet.readers);
            let forward = readers.filter(|(reader, input)| {
                let port = nodes.get(*reader).and_then(|node| node.inputs.get(*input));
                port.is_some_and(|port| !port.back_edge)
            });
            forward.map(|(reader, _)| *reader).collect()
        })
        .collect();
    for (index, node) in nodes.iter_mut().enumerate() {
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut open: Vec<usize> = vec![index];
        while let Some(next) = open.pop() {
            for reader in forward.get(next).into_iter().flatten() {
                if seen.insert(*reader) {
                    open.push(*reader);
                }
            }
        }
        let mut descendants: Vec<usize> = seen.into_iter().collect();
        descendants.sort_by_key(|node| rank.get(*node).copied());
        node.descendants = descendants;
        node.opens_after = (0..forward.len())
            .filter(|writer| {
                forward
                    .get(*writer)
                    .is_some_and(|readers| readers.contains(&index))
            })
            .collect();
    }
}

/// The first node on a way that takes the newest only decides for those after it how many frames are under way.
fn limit_heads(nodes: &mut [PlannedNode]) {
    let newest = |node: &PlannedNode| node.freshness == Freshness::Newest;
    let after_newest: BTreeSet<usize> = nodes
        .iter()
        .filter(|node| newest(node))
        .flat_map(|node| node.descendants.iter().copied())
        .collect();
    for (index, node) in nodes.iter_mut().enumerate() {
        if newest(node) && node.in_flight.is_none() && !after_newest.contains(&index) {
            node.in_flight = Some(InFlight::Auto);
        }
    }
}

/// Nodes that are fed by the same sources and lead to the same ends form a branch.
fn number_branches(nodes: &mut [PlannedNode], sources: usize) -> usize {
    let ends: BTreeSet<usize> = (0..nodes.len())
        .filter(|index| nodes.get(*index).is_some_and(|node| node.descendants.is_empty()))
        .collect();
    let mut numbers: BTreeMap<(BTreeSet<usize>, BTreeSet<usize>), usize> = BTreeMap::new();
    for (index, node) in nodes.iter_mut().enumerate() {
        let mut leads_to: BTreeSet<usize> = node.descendants.iter().copied().collect();
        leads_to.insert(index);
        leads_to.retain(|node| ends.contains(node));
        let mut fed_by: BTreeSet<usize> = node.ancestors.iter().flatten().copied().collect();
        if index < sources {
            fed_by.insert(index);
        }
        let next = numbers.len();
        node.fed_by = fed_by.len();
        node.leads_to = leads_to.len();
        node.branch = *numbers.entry((fed_by, leads_to)).or_insert(next);
    }
    numbers.len()
}

fn reader_branches(nodes: &[PlannedNode], sources: usize) -> usize {
    let branches: BTreeSet<usize> = nodes.iter().skip(sources).map(|node| node.branch).collect();
    branches.len()
}

/// Number of the first node of the most urgent class.
fn top_from(nodes: &[PlannedNode], sources: usize) -> usize {
    let top = nodes.last().map(|node| node.class);
    nodes
        .iter()
        .skip(sources)
        .position(|node| Some(node.class) == top)
        .map_or(sources, |place| sources + place)
}

fn given_side_packets(node: &PlannedNode) -> impl Iterator<Item = GivenSidePacket> {
    node.side.iter().filter_map(|(tag, _, name)| {
        let port = node.contract.side_inputs.iter().find(|port| port.tag == *tag)?;
        let (name, node) = (name.clone(), node.name.clone());
        Some(GivenSidePacket {
            name,
            node,
            port: port.tag,
            carries: port.carries.clone(),
            optional: matches!(port.arity, Arity::Optional | Arity::Any),
        })
    })
}
