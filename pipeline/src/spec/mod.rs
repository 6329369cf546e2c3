//! The graph as a user writes it: MediaPipe's graph as YAML, with freshness and age declared on the node.
//!
//! Plain data, also the CRD schema and what travels to devices. Nothing here is checked: see `validate`.

#[cfg(test)]
pub(crate) mod arbitrary;
pub mod node;
pub mod policy;
pub mod status;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::Bytes;

pub use node::{Freshness, InFlight, NodeSpec, OnFailure, Priority};
pub use policy::InputPolicy;
pub use status::StatusHandlerSpec;

/// A graph of nodes joined by streams.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GraphSpec {
    /// The nodes, in any order; streams join them by name.
    #[schemars(length(min = 1, max = 200))]
    pub nodes: Vec<NodeSpec>,
    /// Streams fed from outside the graph, as `stream` or, for a subgraph's ports, `TAG:stream`; empty on a device,
    /// where sources feed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub input_streams: Vec<String>,
    /// Streams read from outside the graph, written like `inputStreams`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub output_streams: Vec<String>,
    /// Side packets given from outside, as `name` or, for a subgraph's ports, `TAG:name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub input_side_packets: Vec<String>,
    /// Side packets that can be read from outside when they are made, written like `inputSidePackets`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub output_side_packets: Vec<String>,
    /// The name under which other graphs can use this one, when it stands in a file of its own.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub graph_type: Option<String>,
    /// Options of the graph itself, which `optionValues` of its nodes read. Of a subgraph, these are the defaults of
    /// what the node that uses it gives as its options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub options: BTreeMap<String, serde_json::Value>,
    /// Graphs that a node of this one can name as its calculator, by that name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub subgraphs: BTreeMap<String, GraphSpec>,
    /// Packets a stream holds before its sources are held back; 100 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_queue_size: Option<u32>,
    /// Memory that the packets of a stream may take before its sources are held back, however few they are; 64 MiB
    /// when not given. One packet always fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_queue_bytes: Option<Bytes>,
    /// Worker threads; when not given the number of cores, at most one a node, and at least 2 so that a source
    /// keeps its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub num_threads: Option<u32>,
    /// Further thread pools that nodes can name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub executors: Vec<ExecutorSpec>,
    /// Input policy of nodes that have none of their own, whatever their calculators ask for otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_policy: Option<InputPolicy>,
    /// What happens to a packet that comes after its time has passed on its stream.
    #[serde(default, skip_serializing_if = "is_default")]
    pub late_packets: LatePackets,
    /// Ends the run when full queues keep everything from running; else they get room, and it is counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub report_deadlock: bool,
    /// Who is told when the run begins and how it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub status_handlers: Vec<StatusHandlerSpec>,
}

/// A pool of threads for some of the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecutorSpec {
    /// What nodes call it; `default`, `gpu` and names that begin with `__` are reserved.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its threads; the number of cores when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub num_threads: Option<u32>,
    /// Niceness of its threads, from 0 to 19: a higher one gives way to others.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(max = 19))]
    pub nice: u32,
    /// Stack of each thread, in KiB; the system's when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 1_048_576))]
    pub stack_kib: Option<u32>,
}

/// What happens to a packet that comes after its time has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LatePackets {
    /// It is dropped and counted.
    #[default]
    Drop,
    /// The run ends with an error: for tests.
    Error,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
