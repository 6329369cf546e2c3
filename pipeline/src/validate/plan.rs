//! A graph that was checked: what the run is built from. Node numbers are the order of urgency: sources first
//! (least urgent), then the others so that whoever reads a stream comes after whoever fills it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::contract::{Contract, Port, PortType};
use crate::node::NodeType;
use crate::options::OptionMap;
use crate::packet::{SidePacket, TypeInfo};
use crate::spec::policy::FixedSize;
use crate::spec::{Freshness, InFlight, OnFailure, Priority};
use crate::status_handler::HandlerType;

/// Proof that a graph can be started. Cheap to clone; can be started any number of times.
#[derive(Debug, Clone)]
pub struct ValidatedGraph(pub(crate) Arc<Plan>);

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<PlannedNode>,
    /// How many of the first nodes are sources.
    pub(crate) sources: usize,
    /// The order in which nodes open: every writer before its readers.
    pub(crate) open_order: Vec<usize>,
    pub(crate) inputs: Vec<PlannedInput>,
    pub(crate) outputs: Vec<String>,
    pub(crate) threads: Option<usize>,
    /// Further thread pools; a node's executor 0 is the graph's own, 1 the first of these.
    pub(crate) executors: Vec<PlannedExecutor>,
    /// Side packets that no node makes.
    pub(crate) side: Vec<GivenSidePacket>,
    /// Names of side packets that can be read from outside.
    pub(crate) side_outputs: Vec<String>,
    /// Number of branches: groups of nodes that are fed by the same sources and lead to the same ends.
    pub(crate) branches: usize,
    /// Branches with nodes other than sources.
    pub(crate) reader_branches: usize,
    /// Nodes from this number on are of the graph's most urgent class.
    pub(crate) top_from: usize,
    /// A late packet ends the run.
    pub(crate) late_is_error: bool,
    pub(crate) report_deadlock: bool,
    pub(crate) handlers: Vec<PlannedHandler>,
}

/// A status handler, called in the order of the list.
#[derive(Debug)]
pub(crate) struct PlannedHandler {
    pub(crate) name: String,
    pub(crate) kind: HandlerType,
    pub(crate) options: OptionMap,
    pub(crate) side_inputs: Vec<Port>,
    /// Port, index and the graph's name for the side packet.
    pub(crate) side: Vec<(&'static str, usize, String)>,
}

impl PlannedHandler {
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.options == other.options && self.side == other.side
    }
}

#[derive(Debug)]
pub(crate) struct PlannedNode {
    pub(crate) name: String,
    pub(crate) kind: NodeType,
    pub(crate) options: OptionMap,
    pub(crate) contract: Contract,
    pub(crate) inputs: Vec<PlannedPort>,
    pub(crate) outputs: Vec<PlannedPort>,
    /// Port, index and the graph's name for the side packet.
    pub(crate) side: Vec<(&'static str, usize, String)>,
    /// Side packets that nobody makes and that the node does without.
    pub(crate) optional_side: BTreeSet<String>,
    pub(crate) side_outputs: Vec<(&'static str, usize, String)>,
    pub(crate) policy: PlannedPolicy,
    pub(crate) freshness: Freshness,
    /// Nanoseconds.
    pub(crate) max_age: Option<i64>,
    /// Nanoseconds from capture to the end of the node's call.
    pub(crate) deadline: Option<i64>,
    pub(crate) in_flight: Option<InFlight>,
    /// Calls that may overlap.
    pub(crate) parallel: usize,
    /// The node's own or, where that is higher, that of the nodes it feeds.
    pub(crate) class: Priority,
    pub(crate) on_failure: OnFailure,
    /// Nanoseconds after which a call is given up and the node made anew.
    pub(crate) stuck_after: Option<i64>,
    pub(crate) executor: usize,
    pub(crate) layer: u32,
    /// Which group of nodes it belongs to, for fairness between them.
    pub(crate) branch: usize,
    /// Sources and graph inputs that feed it.
    pub(crate) fed_by: usize,
    /// Ends of the graph that it leads to.
    pub(crate) leads_to: usize,
    /// Per output: who reads it.
    pub(crate) outlets: SmallVec<[Outlet; 1]>,
    /// Per input: the sources and graph inputs that fill it in the end. Sources by node number, then graph inputs.
    pub(crate) ancestors: Vec<Vec<usize>>,
    /// Nodes that this one feeds, at any distance, back edges apart.
    pub(crate) descendants: Vec<usize>,
    /// Nodes that write an input which is no back edge: they open first.
    pub(crate) opens_after: Vec<usize>,
}

impl PlannedNode {
    /// Side packets that it lacks to open.
    pub(crate) fn unmade<'a>(
        &'a self,
        made: &'a BTreeMap<String, SidePacket>,
    ) -> impl Iterator<Item = &'a String> {
        let names = self.side.iter().map(|(_, _, name)| name);
        names.filter(|name| !made.contains_key(*name) && !self.optional_side.contains(*name))
    }
}

/// An input policy with its ports found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlannedPolicy {
    Default { batch: usize },
    Immediate,
    SyncSet(Vec<Vec<usize>>),
    FixedSize(FixedSize),
    EarlyClose,
    Barrier,
    Align { base: usize },
    Mux,
}

#[derive(Debug, Clone)]
pub(crate) struct PlannedExecutor {
    pub(crate) name: String,
    pub(crate) threads: usize,
    pub(crate) nice: u32,
    /// Bytes.
    pub(crate) stack: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct PlannedPort {
    pub(crate) tag: &'static str,
    pub(crate) index: usize,
    pub(crate) stream: String,
    pub(crate) back_edge: bool,
    pub(crate) limit: Limit,
}

/// What a stream holds before its sources are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Outlet {
    /// (node, input)
    pub(crate) readers: SmallVec<[(usize, usize); 1]>,
    /// Number among the graph's outputs.
    pub(crate) observed: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct PlannedInput {
    pub(crate) stream: String,
    pub(crate) outlet: Outlet,
}

/// A side packet that is given when the graph starts, as one node takes it.
#[derive(Debug, Clone)]
pub struct GivenSidePacket {
    pub name: String,
    pub node: String,
    pub port: &'static str,
    pub carries: PortType,
    /// The node does without it.
    pub optional: bool,
}

impl GivenSidePacket {
    pub fn takes(&self, found: TypeInfo) -> bool {
        self.carries.accepts(Some(found))
    }
}

impl ValidatedGraph {
    /// What is given at the start: of an EdgePipeline, its models.
    pub fn given_side_packets(&self) -> &[GivenSidePacket] {
        &self.0.side
    }

    /// Names of all nodes, in the order of urgency.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.0.nodes.iter().map(|node| node.name.as_str())
    }

    /// Side packets that the graph gives out.
    pub fn output_side_packets(&self) -> impl Iterator<Item = &str> {
        self.0.side_outputs.iter().map(String::as_str)
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
