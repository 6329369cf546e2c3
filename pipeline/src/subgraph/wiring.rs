//! What the names inside a subgraph are called outside.

use std::collections::BTreeMap;

use crate::nearest::listed;
use crate::spec::{GraphSpec, InputPolicy, NodeSpec};
use crate::validate::ports::{Entry, port_text, read, read_port};
use crate::validate::{Problem, Side};

/// Names of streams or of side packets.
#[derive(Debug, Default)]
struct Names {
    /// By the name inside; none where nothing is given.
    ports: BTreeMap<String, Option<String>>,
}

/// One use of a subgraph; of the outermost graph, all names stay.
#[derive(Debug, Default)]
pub(super) struct Wiring {
    /// Stands in front of every name inside.
    pub(super) prefix: String,
    streams: Names,
    side: Names,
}

impl Wiring {
    /// Joins the ports of a node, whose own names are those outside already, with those of the graph it stands for.
    pub(super) fn join(name: &str, node: &NodeSpec, graph: &GraphSpec) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let subgraph = &node.calculator;
        let mut streams = Names::default();
        for (side, outside, inside) in [
            (Side::Input, &node.inputs, &graph.input_streams),
            (Side::Output, &node.outputs, &graph.output_streams),
        ] {
            let (outside, wrong) = read(side, outside);
            problems.extend(wrong);
            let (inside, wrong) = read(side, inside);
            problems.extend(wrong);
            streams.join(side, subgraph, &outside, &inside, &mut problems);
        }
        let mut side = Names::default();
        for (direction, outside, inside) in [
            (Side::Input, &node.side_packets, &graph.input_side_packets),
            (
                Side::Output,
                &node.output_side_packets,
                &graph.output_side_packets,
            ),
        ] {
            let outside: Vec<Entry> = outside
                .iter()
                .filter_map(|(port, name)| entry(port, name))
                .collect();
            let inside = side_entries(inside);
            // Both lists are side packets to the reader of an error; only outputs stay when nobody takes them.
            side.join(direction, subgraph, &outside, &inside, &mut problems);
        }
        let prefix = format!("{name}__");
        (
            Self {
                prefix,
                streams,
                side,
            },
            problems,
        )
    }

    /// The node under its names outside; what isn't given is taken away.
    pub(super) fn rename(&self, name: String, node: &NodeSpec) -> NodeSpec {
        let mut renamed = node.clone();
        renamed.name = Some(name);
        renamed.outputs = node.outputs.iter().filter_map(|text| self.stream(text)).collect();
        renamed.side_packets = self.side_packets(&node.side_packets);
        renamed.output_side_packets = self.side_packets(&node.output_side_packets);
        let (entries, _) = read(Side::Input, &node.inputs);
        let missing = entries
            .iter()
            .filter(|entry| self.stream(&entry.stream).is_none());
        let missing: Vec<String> = missing.map(Entry::port).collect();
        renamed.inputs = node.inputs.iter().filter_map(|text| self.stream(text)).collect();
        if !missing.is_empty() {
            let is_there = |port: &String| {
                let port = read_port(port).map(|(tag, index)| port_text(tag, index));
                port.is_none_or(|port| !missing.contains(&port))
            };
            renamed.back_edges.retain(is_there);
            if let Some(InputPolicy::SyncSet(sync)) = &mut renamed.input_policy {
                for set in &mut sync.sets {
                    set.retain(is_there);
                }
                sync.sets.retain(|set| !set.is_empty());
            }
        }
        renamed
    }

    /// `TAG:index:stream` with the stream's name outside; none where nothing is given.
    fn stream(&self, text: &str) -> Option<String> {
        let (port, name) = match text.rsplit_once(':') {
            Some((port, name)) => (Some(port), name),
            None => (None, text),
        };
        let outside = self.streams.outside(&self.prefix, name)?;
        Some(port.map_or(outside.clone(), |port| format!("{port}:{outside}")))
    }

    /// Side packets by port under their names outside.
    pub(super) fn side_packets(&self, packets: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let renamed = packets
            .iter()
            .filter_map(|(port, name)| Some((port.clone(), self.side.outside(&self.prefix, name)?)));
        renamed.collect()
    }
}

impl Names {
    fn outside(&self, prefix: &str, inside: &str) -> Option<String> {
        match self.ports.get(inside) {
            Some(outside) => outside.clone(),
            // Names of nodes may have capitals and hyphens, those of streams not.
            None => Some(format!(
                "{}{inside}",
                prefix.to_ascii_lowercase().replace('-', "_")
            )),
        }
    }

    fn join(
        &mut self,
        side: Side,
        subgraph: &str,
        outside: &[Entry],
        inside: &[Entry],
        problems: &mut Vec<Problem>,
    ) {
        let same = |one: &Entry, other: &Entry| one.tag == other.tag && one.index == other.index;
        for given in outside {
            if !inside.iter().any(|port| same(port, given)) {
                let known: Vec<String> = inside.iter().map(Entry::port).collect();
                problems.push(Problem::UnexpectedPort {
                    side,
                    port: given.port(),
                    calculator: subgraph.to_owned(),
                    known: listed(known.iter().map(String::as_str)),
                });
            }
        }
        for port in inside {
            let given = outside.iter().find(|given| same(given, port));
            // An output that nobody takes stays a stream of the subgraph's own.
            if given.is_none() && side == Side::Output {
                continue;
            }
            let given = given.map(|given| given.stream.clone());
            let before = self.ports.insert(port.stream.clone(), given.clone());
            if before.is_some_and(|before| before != given) {
                problems.push(Problem::SharedPort {
                    stream: port.stream.clone(),
                    subgraph: subgraph.to_owned(),
                });
            }
        }
    }
}

fn entry(port: &str, name: &str) -> Option<Entry> {
    let (tag, index) = read_port(port)?;
    Some(Entry {
        tag: tag.to_owned(),
        index,
        stream: name.to_owned(),
    })
}

/// `name`, `TAG:name` and `TAG:index:name`; side packets may have names that streams may not.
fn side_entries(texts: &[String]) -> Vec<Entry> {
    let mut untagged = 0;
    let entries = texts.iter().filter_map(|text| {
        if let Some((port, name)) = text.rsplit_once(':') {
            return entry(port, name);
        }
        untagged += 1;
        entry(&(untagged - 1).to_string(), text)
    });
    entries.collect()
}
