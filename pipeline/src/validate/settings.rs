//! Settings that a graph's text alone decides on: executors, ranges, and what doesn't go together.

use std::collections::BTreeSet;

use crate::nearest::{listed, suggestion};
use crate::spec::policy::{FixedSize, SyncSet};
use crate::spec::{ExecutorSpec, GraphSpec, InFlight, InputPolicy, NodeSpec, OnFailure};
use crate::validate::error::{GraphError, Problem, Side};
use crate::validate::node_names;
use crate::validate::ports::{Entry, port_text, read, read_port};

const LONGEST_QUEUE: u32 = 10_000;

/// Every mistake in the settings of a graph without subgraphs.
pub(super) fn check(spec: &GraphSpec) -> Vec<GraphError> {
    let mut problems = executors(&spec.executors);
    if let Some(policy) = &spec.input_policy {
        problems.extend(ranges_of_policy(policy));
        if matches!(policy, InputPolicy::SyncSet(sync) if !sync.sets.is_empty())
            || matches!(policy, InputPolicy::TimestampAlign(align) if !align.timestamp_base.is_empty())
        {
            problems.push(Problem::Settings {
                why: "the graph's `inputPolicy` is for all nodes and can't name ports; set it on the node",
            });
        }
    }
    let of_graph = problems.into_iter().map(GraphError::graph);
    let declared: Vec<&str> = spec
        .executors
        .iter()
        .map(|executor| executor.name.as_str())
        .collect();
    let nodes = node_names(&spec.nodes).into_iter().zip(&spec.nodes);
    let of_nodes = nodes.flat_map(|(name, node)| {
        let problems = check_node(node, &declared).into_iter();
        problems.map(move |problem| GraphError::node(&name, problem))
    });
    of_graph.chain(of_nodes).collect()
}

fn executors(executors: &[ExecutorSpec]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, executor) in executors.iter().enumerate() {
        let ExecutorSpec {
            name,
            num_threads,
            nice,
            stack_kib,
        } = executor;
        if is_reserved(name) {
            problems.push(Problem::ReservedExecutor(name.clone()));
        }
        if executors.iter().take(index).any(|before| before.name == *name) {
            problems.push(Problem::RepeatedExecutor(name.clone()));
        }
        problems.extend(range("numThreads", *num_threads, 1, 64, "1 to 64"));
        problems.extend(range("nice", Some(*nice), 0, 19, "0 to 19"));
        problems.extend(range("stackKib", *stack_kib, 64, 1_048_576, "64 to 1048576"));
    }
    problems
}

fn is_reserved(name: &str) -> bool {
    name.is_empty() || matches!(name, "default" | "gpu") || name.starts_with("__")
}

fn range(
    field: &'static str,
    value: Option<u32>,
    min: u32,
    max: u32,
    limits: &'static str,
) -> Option<Problem> {
    let value = value.filter(|value| !(min..=max).contains(value))?;
    Some(Problem::Range { field, value, limits })
}

fn check_node(node: &NodeSpec, executors: &[&str]) -> Vec<Problem> {
    // What is wrong with the ports themselves is told elsewhere.
    let (inputs, _) = read(Side::Input, &node.inputs);
    let mut problems = Vec::new();
    problems.extend(executor(node, executors));
    problems.extend(range("parallel", node.parallel, 1, 64, "1 to 64"));
    problems.extend(range(
        "queueSize",
        node.queue_size,
        1,
        LONGEST_QUEUE,
        "1 to 10000",
    ));
    problems.extend(range(
        "sourceLayer",
        Some(node.source_layer),
        0,
        1_000,
        "0 to 1000",
    ));
    if let Some(InFlight::AtMost(count)) = node.in_flight {
        problems.extend(range("inFlight", Some(count), 1, 1_000, "auto or 1 to 1000"));
    }
    let back_edges = node.back_edges.iter().map(String::as_str);
    problems.extend(named_inputs("backEdges", back_edges, &inputs));
    if let Some(policy) = &node.input_policy {
        problems.extend(ranges_of_policy(policy));
        problems.extend(ports_of_policy(policy, &inputs));
        let batch = matches!(policy, InputPolicy::Default(batch) if batch.batch_size > 1);
        if batch && node.parallel.is_some_and(|parallel| parallel > 1) {
            problems.push(Problem::Settings {
                why: "`batchSize` and `parallel` don't go together; keep one of them",
            });
        }
    }
    if node.stuck_after.is_some() && node.on_failure != OnFailure::Restart {
        problems.push(Problem::Settings {
            why: "`stuckAfter` is for nodes that are made anew; add `onFailure: restart`",
        });
    }
    problems.extend(role(node));
    problems
}

fn executor(node: &NodeSpec, executors: &[&str]) -> Option<Problem> {
    let executor = node.executor.as_deref()?;
    if is_reserved(executor) {
        return Some(Problem::ReservedExecutor(executor.to_owned()));
    }
    if executors.contains(&executor) {
        return None;
    }
    let hint = suggestion(executor, executors.iter().copied()).map_or_else(
        || "; list it in the graph's `executors`".to_owned(),
        |near| format!("; did you mean {near}?"),
    );
    let executor = executor.to_owned();
    Some(Problem::UnknownExecutor { executor, hint })
}

/// What only sources have, and what they can't have.
fn role(node: &NodeSpec) -> Vec<Problem> {
    let source = node.inputs.is_empty() && !node.outputs.is_empty();
    if !source {
        let layer = (node.source_layer > 0).then_some(Problem::NoSourceField { field: "sourceLayer" });
        return layer.into_iter().collect();
    }
    [
        node.deadline.map(|_| "deadline"),
        node.queue_size.map(|_| "queueSize"),
        node.input_policy.as_ref().map(|_| "inputPolicy"),
        node.parallel.filter(|parallel| *parallel > 1).map(|_| "parallel"),
    ]
    .into_iter()
    .flatten()
    .map(|field| Problem::SourceField { field })
    .collect()
}

fn ranges_of_policy(policy: &InputPolicy) -> Vec<Problem> {
    match policy {
        InputPolicy::Default(batch) => range("batchSize", Some(batch.batch_size), 1, 1_000, "1 to 1000")
            .into_iter()
            .collect(),
        InputPolicy::FixedSize(FixedSize {
            trigger_queue_size: trigger,
            target_queue_size: target,
            fixed_min_size: _,
        }) => {
            let mut problems = Vec::new();
            problems.extend(range(
                "triggerQueueSize",
                Some(*trigger),
                1,
                LONGEST_QUEUE,
                "1 to 10000",
            ));
            problems.extend(range(
                "targetQueueSize",
                Some(*target),
                1,
                LONGEST_QUEUE,
                "1 to 10000",
            ));
            if target > trigger {
                problems.push(Problem::Settings {
                    why: "`targetQueueSize` is larger than `triggerQueueSize`: a full input would never be cut down",
                });
            }
            problems
        }
        InputPolicy::SyncSet(sync) if sync.sets.iter().any(Vec::is_empty) => vec![Problem::Settings {
            why: "a set of `syncSet` is empty; name its inputs",
        }],
        InputPolicy::SyncSet(_)
        | InputPolicy::Immediate(_)
        | InputPolicy::EarlyClose(_)
        | InputPolicy::Barrier(_)
        | InputPolicy::TimestampAlign(_)
        | InputPolicy::Mux(_) => Vec::new(),
    }
}

fn ports_of_policy(policy: &InputPolicy, inputs: &[Entry]) -> Vec<Problem> {
    match policy {
        InputPolicy::SyncSet(SyncSet { sets }) => {
            named_inputs("syncSet", sets.iter().flatten().map(String::as_str), inputs)
        }
        InputPolicy::TimestampAlign(align) if !align.timestamp_base.is_empty() => named_inputs(
            "timestampBase",
            std::iter::once(align.timestamp_base.as_str()),
            inputs,
        ),
        InputPolicy::Mux(_) if inputs.len() < 2 => vec![Problem::Settings {
            why: "`mux` needs inputs to choose from and, as the last one, SELECT",
        }],
        InputPolicy::Default(_)
        | InputPolicy::Immediate(_)
        | InputPolicy::FixedSize(_)
        | InputPolicy::EarlyClose(_)
        | InputPolicy::Barrier(_)
        | InputPolicy::TimestampAlign(_)
        | InputPolicy::Mux(_) => Vec::new(),
    }
}

/// Ports that a setting names: each an input, each once.
fn named_inputs<'a>(
    field: &'static str,
    ports: impl Iterator<Item = &'a str>,
    inputs: &[Entry],
) -> Vec<Problem> {
    let known: Vec<String> = inputs.iter().map(Entry::port).collect();
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for port in ports {
        let found = read_port(port).map(|(tag, index)| port_text(tag, index));
        match found.filter(|found| known.contains(found)) {
            None => {
                let hint = format!("; it has {}", listed(known.iter().map(String::as_str)));
                let port = port.to_owned();
                problems.push(Problem::UnknownInput { field, port, hint });
            }
            Some(found) if !seen.insert(found.clone()) => {
                problems.push(Problem::RepeatedInput { field, port: found });
            }
            Some(_) => {}
        }
    }
    problems
}

#[cfg(test)]
mod tests;
