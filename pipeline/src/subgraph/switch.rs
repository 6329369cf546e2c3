//! `SwitchContainer`: one of several nodes at a time, chosen by SELECT (a number) or ENABLE (false: the first, true:
//! the second). Becomes a `SwitchDemux`, the nodes, and a `SwitchMux`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::spec::{GraphSpec, NodeSpec};
use crate::validate::ports::{Entry, read, read_port};
use crate::validate::{Problem, Side};

const CHOICES: [&str; 2] = ["SELECT", "ENABLE"];
/// One demux has as many outputs as there are nodes and inputs.
const MOST_NODES: usize = 64;

pub(super) fn is_switch(calculator: &str) -> bool {
    calculator.strip_suffix("Calculator").unwrap_or(calculator) == "SwitchContainer"
}

/// The graph that a switch stands for; its ports are the switch's own.
pub(super) fn switch(node: &NodeSpec) -> Result<GraphSpec, Vec<Problem>> {
    let contained = contained(node).map_err(|problem| vec![problem])?;
    let (inputs, mut problems) = read(Side::Input, &node.inputs);
    let (outputs, more) = read(Side::Output, &node.outputs);
    problems.extend(more);
    if !problems.is_empty() {
        return Err(problems);
    }
    let (choice, inputs): (Vec<Entry>, Vec<Entry>) =
        inputs.into_iter().partition(|entry| is_choice(&entry.tag));
    let side_choice = node.side_packets.keys().filter(|port| is_choice(port));
    if choice.len() + side_choice.count() > 1 {
        problems.push(Problem::Settings {
            why: "a switch is chosen by one of SELECT and ENABLE, given once",
        });
    }
    if inputs.is_empty() {
        problems.push(Problem::Settings {
            why: "a switch needs an input besides SELECT and ENABLE: it hands packets to the chosen node",
        });
    }
    if !node.output_side_packets.is_empty() {
        problems.push(Problem::Settings {
            why: "a switch can't give side packets",
        });
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Parts {
        node,
        contained,
        choice,
        inputs,
        outputs,
    }
    .graph())
}

fn contained(node: &NodeSpec) -> Result<Vec<NodeSpec>, Problem> {
    let listed = match node.options.get("containedNode") {
        Some(Value::Array(nodes)) => nodes.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    if listed.is_empty() || listed.len() > MOST_NODES {
        return Err(Problem::Settings {
            why: "a switch needs 1 to 64 nodes to choose from, in its option `containedNode`",
        });
    }
    let nodes: Result<Vec<NodeSpec>, _> = listed.into_iter().map(serde_json::from_value).collect();
    nodes.map_err(|error| Problem::Text(format!("option containedNode: {error}")))
}

fn is_choice(port: &str) -> bool {
    CHOICES.contains(&port)
}

struct Parts<'a> {
    node: &'a NodeSpec,
    contained: Vec<NodeSpec>,
    /// The input SELECT or ENABLE, if it is one.
    choice: Vec<Entry>,
    inputs: Vec<Entry>,
    outputs: Vec<Entry>,
}

impl Parts<'_> {
    fn graph(self) -> GraphSpec {
        let channels = self.contained.len();
        let mut nodes = vec![self.chooser("demux", "SwitchDemux", |demux| {
            demux.inputs.extend(self.inputs.iter().map(inner));
            for channel in 0..channels {
                let streams = self
                    .inputs
                    .iter()
                    .map(|entry| format!("c{channel}_{}", inner(entry)));
                demux.outputs.extend(streams);
            }
        })];
        if !self.outputs.is_empty() {
            nodes.push(self.chooser("mux", "SwitchMux", |mux| {
                for channel in 0..channels {
                    let streams = self
                        .outputs
                        .iter()
                        .map(|entry| format!("c{channel}_{}", outer(entry)));
                    mux.inputs.extend(streams);
                }
                mux.outputs.extend(self.outputs.iter().map(outer));
            }));
        }
        let handed = self.handed_on();
        for (channel, contained) in self.contained.iter().enumerate() {
            let port = |entry: &Entry, stream: String| text(&entry.tag, entry.index, &stream);
            let mut side_packets = handed.clone();
            side_packets.extend(contained.side_packets.clone());
            nodes.push(NodeSpec {
                name: Some(format!("c{channel}")),
                inputs: self
                    .inputs
                    .iter()
                    .map(|entry| port(entry, format!("c{channel}_{}", inner(entry))))
                    .collect(),
                outputs: self
                    .outputs
                    .iter()
                    .map(|entry| port(entry, format!("c{channel}_{}", outer(entry))))
                    .collect(),
                side_packets,
                ..contained.clone()
            });
        }
        let ports = self.inputs.iter().chain(&self.choice);
        GraphSpec {
            nodes,
            input_streams: ports
                .map(|entry| text(&entry.tag, entry.index, &inner(entry)))
                .collect(),
            output_streams: self
                .outputs
                .iter()
                .map(|entry| text(&entry.tag, entry.index, &outer(entry)))
                .collect(),
            input_side_packets: self
                .node
                .side_packets
                .keys()
                .filter_map(|port| read_port(port))
                .map(|(tag, index)| text(tag, index, &side_name(tag, index)))
                .collect(),
            ..GraphSpec::default()
        }
    }

    /// A demux or a mux: both know how many nodes there are and which is chosen.
    fn chooser(&self, name: &str, calculator: &str, wire: impl FnOnce(&mut NodeSpec)) -> NodeSpec {
        let mut node = NodeSpec {
            name: Some(name.to_owned()),
            calculator: calculator.to_owned(),
            ..NodeSpec::default()
        };
        node.options
            .insert("channels".to_owned(), self.contained.len().into());
        for option in ["select", "enable"] {
            if let Some(value) = self.node.options.get(option) {
                node.options.insert(option.to_owned(), value.clone());
            }
        }
        node.inputs.extend(
            self.choice
                .iter()
                .map(|entry| text(&entry.tag, entry.index, &inner(entry))),
        );
        let chosen = self.node.side_packets.keys().filter(|port| is_choice(port));
        node.side_packets
            .extend(chosen.map(|port| (port.clone(), side_name(port, 0))));
        wire(&mut node);
        node
    }

    /// Side packets that every contained node gets.
    fn handed_on(&self) -> BTreeMap<String, String> {
        let others = self.node.side_packets.keys().filter(|port| !is_choice(port));
        let others = others.filter_map(|port| Some((port.clone(), read_port(port)?)));
        others
            .map(|(port, (tag, index))| (port, side_name(tag, index)))
            .collect()
    }
}

/// The stream inside that a port of the switch becomes.
fn inner(entry: &Entry) -> String {
    format!("in_{}_{}", port_name(&entry.tag), entry.index)
}

/// The same of an output.
fn outer(entry: &Entry) -> String {
    format!("out_{}_{}", port_name(&entry.tag), entry.index)
}

fn side_name(tag: &str, index: usize) -> String {
    format!("side_{}_{index}", port_name(tag))
}

fn port_name(tag: &str) -> String {
    if tag.is_empty() {
        "untagged".to_owned()
    } else {
        tag.to_lowercase()
    }
}

/// `TAG:index:stream`.
fn text(tag: &str, index: usize, stream: &str) -> String {
    format!("{tag}:{index}:{stream}")
}
