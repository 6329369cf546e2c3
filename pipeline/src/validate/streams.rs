//! Streams between nodes: one writer each, and no cycle but through inputs that are declared to close one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::nearest::suggestion;
use crate::validate::error::{GraphError, Problem};
use crate::validate::types::check_types;
use crate::validate::{Draft, Drafts};

/// Who writes a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Graph(usize),
    Node(usize),
}

/// Checks all streams and gives the drafts in an order in which every writer comes before its readers.
pub(super) fn check(graph: &Drafts, errors: &mut Vec<GraphError>) -> Vec<usize> {
    let drafts = graph.nodes.as_slice();
    let writers = writers(graph, errors);
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
    for stream in graph
        .outputs
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

fn writers<'a>(graph: &'a Drafts, errors: &mut Vec<GraphError>) -> BTreeMap<&'a str, Writer> {
    let drafts = graph.nodes.as_slice();
    let inputs = graph.inputs.iter().enumerate();
    let mut writers: BTreeMap<&str, Writer> = inputs
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
            .filter(|entry| !draft.is_back_edge(entry))
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
