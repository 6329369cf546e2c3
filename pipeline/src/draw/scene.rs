//! What there is to draw: boxes, and lines between them.

use std::collections::BTreeMap;

use crate::spec::{Freshness, GraphSpec, InFlight, NodeSpec, Priority};
use crate::validate::ports::{port_text, read, read_port};
use crate::validate::{Side, node_names};

#[derive(Debug)]
pub(super) struct Scene {
    pub(super) boxes: Vec<Node>,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Node,
    /// A stream into or out of the graph.
    Port,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) shape: Shape,
    /// The first in bold.
    pub(super) texts: Vec<String>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// A stream to one of its readers.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) from: usize,
    /// Which of the outputs, and of how many.
    pub(super) output: usize,
    pub(super) to: usize,
    pub(super) input: usize,
    pub(super) stream: String,
    pub(super) back: bool,
}

pub(super) fn scene(graph: &GraphSpec) -> Scene {
    let mut boxes = Vec::new();
    let mut writers: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let (given, _) = read(Side::Input, &graph.input_streams);
    for entry in given {
        writers.entry(entry.stream.clone()).or_insert((boxes.len(), 0));
        boxes.push(port(entry.stream, 0, 1));
    }
    let mut readers = Vec::new();
    for (name, node) in node_names(&graph.nodes).into_iter().zip(&graph.nodes) {
        let at = boxes.len();
        let (inputs, _) = read(Side::Input, &node.inputs);
        let (outputs, _) = read(Side::Output, &node.outputs);
        let back: Vec<String> = node
            .back_edges
            .iter()
            .filter_map(|port| read_port(port))
            .map(|(tag, index)| port_text(tag, index))
            .collect();
        for (output, entry) in outputs.iter().enumerate() {
            writers.entry(entry.stream.clone()).or_insert((at, output));
        }
        boxes.push(Node {
            shape: Shape::Node,
            texts: texts(name, node),
            inputs: inputs.len(),
            outputs: outputs.len(),
        });
        for (input, entry) in inputs.into_iter().enumerate() {
            let is_back = back.contains(&entry.port());
            readers.push((at, input, entry.stream, is_back));
        }
    }
    let (taken, _) = read(Side::Output, &graph.output_streams);
    for entry in taken {
        readers.push((boxes.len(), 0, entry.stream.clone(), false));
        boxes.push(port(entry.stream, 1, 0));
    }
    let lines = readers.into_iter().filter_map(|(to, input, stream, back)| {
        let (from, output) = writers.get(&stream).copied()?;
        Some(Line {
            from,
            output,
            to,
            input,
            stream,
            back,
        })
    });
    Scene {
        lines: lines.collect(),
        boxes,
    }
}

fn port(stream: String, inputs: usize, outputs: usize) -> Node {
    Node {
        shape: Shape::Port,
        texts: vec![stream],
        inputs,
        outputs,
    }
}

fn texts(name: String, node: &NodeSpec) -> Vec<String> {
    let mut texts = vec![name, node.calculator.clone()];
    for (port, packet) in &node.side_packets {
        texts.push(format!("{port} = {packet}"));
    }
    for (port, packet) in &node.output_side_packets {
        texts.push(format!("{packet} = {port}"));
    }
    let newest = (node.freshness == Freshness::Newest).then(|| "newest".to_owned());
    let in_flight = node.in_flight.map(|in_flight| match in_flight {
        InFlight::Auto => "in flight: auto".to_owned(),
        InFlight::AtMost(count) => format!("in flight: {count}"),
    });
    let priority = match node.priority {
        Priority::Low => Some("low priority".to_owned()),
        Priority::Normal => None,
        Priority::High => Some("high priority".to_owned()),
    };
    let declared = [
        newest,
        node.max_age.map(|age| format!("max age {age}")),
        node.deadline.map(|deadline| format!("deadline {deadline}")),
        in_flight,
        node.parallel.map(|parallel| format!("{parallel} at once")),
        priority,
    ];
    let declared: Vec<String> = declared.into_iter().flatten().collect();
    if !declared.is_empty() {
        texts.push(declared.join(", "));
    }
    texts
}
