//! A graph that was checked: what the run is built from. Node numbers are the order of urgency: sources first
//! (least urgent), then the others so that whoever reads a stream comes after whoever fills it.

use std::sync::Arc;

use crate::contract::{Contract, PortType};
use crate::node::NodeType;
use crate::options::OptionMap;
use crate::packet::TypeInfo;
use crate::spec::{Freshness, InputPolicy};

/// Proof that a graph can be started. Cheap to clone; can be started any number of times.
#[derive(Debug, Clone)]
pub struct ValidatedGraph(pub(crate) Arc<Plan>);

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<PlannedNode>,
    /// How many of the first nodes are sources.
    pub(crate) sources: usize,
    pub(crate) inputs: Vec<PlannedInput>,
    pub(crate) outputs: Vec<String>,
    pub(crate) queue_limit: usize,
    pub(crate) threads: Option<usize>,
    pub(crate) side: Vec<RequiredSidePacket>,
}

#[derive(Debug)]
pub(crate) struct PlannedNode {
    pub(crate) name: String,
    pub(crate) kind: NodeType,
    pub(crate) options: OptionMap,
    pub(crate) contract: Contract,
    pub(crate) inputs: Vec<PlannedPort>,
    pub(crate) outputs: Vec<PlannedPort>,
    /// Port and the graph's name for the side packet.
    pub(crate) side: Vec<(&'static str, usize, String)>,
    pub(crate) side_outputs: Vec<(&'static str, usize, String)>,
    pub(crate) policy: InputPolicy,
    pub(crate) freshness: Freshness,
    /// Nanoseconds.
    pub(crate) max_age: Option<i64>,
    /// Per output: who reads it.
    pub(crate) outlets: Vec<Outlet>,
    /// Per input: the sources and graph inputs that fill it in the end. Sources by node number, then graph inputs.
    pub(crate) ancestors: Vec<Vec<usize>>,
}

#[derive(Debug, Clone)]
pub(crate) struct PlannedPort {
    pub(crate) tag: &'static str,
    pub(crate) index: usize,
    pub(crate) stream: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Outlet {
    /// (node, input)
    pub(crate) readers: Vec<(usize, usize)>,
    /// Number among the graph's outputs.
    pub(crate) observed: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct PlannedInput {
    pub(crate) stream: String,
    pub(crate) outlet: Outlet,
}

/// A side packet that must be given when the graph starts.
#[derive(Debug, Clone)]
pub struct RequiredSidePacket {
    pub name: String,
    pub node: String,
    pub port: &'static str,
    pub carries: PortType,
}

impl RequiredSidePacket {
    pub fn takes(&self, found: TypeInfo) -> bool {
        self.carries.accepts(Some(found))
    }
}

impl ValidatedGraph {
    /// What must be given at the start: of an EdgePipeline, its models.
    pub fn required_side_packets(&self) -> &[RequiredSidePacket] {
        &self.0.side
    }

    /// Names of all nodes, in the order of urgency.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.0.nodes.iter().map(|node| node.name.as_str())
    }

    /// Streams that must be fed from outside.
    pub fn input_streams(&self) -> impl Iterator<Item = &str> {
        self.0.inputs.iter().map(|input| input.stream.as_str())
    }

    pub fn output_streams(&self) -> impl Iterator<Item = &str> {
        self.0.outputs.iter().map(String::as_str)
    }

    /// The nodes without outputs that aren't sources: where a packet's way ends.
    pub fn sinks(&self) -> impl Iterator<Item = &str> {
        let nodes = self.0.nodes.iter().skip(self.0.sources);
        nodes
            .filter(|node| node.outputs.is_empty())
            .map(|node| node.name.as_str())
    }
}
