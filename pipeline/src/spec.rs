//! The graph as a user writes it: MediaPipe's graph as YAML, with freshness and age declared on the node.
//!
//! Plain data, also the CRD schema and what travels to devices. Nothing here is checked: see `validate`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::Duration;

/// A graph of nodes joined by streams.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GraphSpec {
    /// The nodes, in any order; streams join them by name.
    #[schemars(length(min = 1, max = 200))]
    pub nodes: Vec<NodeSpec>,
    /// Streams fed from outside the graph; empty on a device, where sources feed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub input_streams: Vec<String>,
    /// Streams read from outside the graph.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub output_streams: Vec<String>,
    /// Packets a stream holds before its sources are held back; 100 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_queue_size: Option<u32>,
    /// Worker threads; when not given the number of cores, at most one a node, and at least 2 so that a source
    /// keeps its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub num_threads: Option<u32>,
}

/// One node: a calculator with its streams and options.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    /// Name, unique in the graph; the calculator's name, numbered if needed, when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub name: Option<String>,
    /// What the node runs, for instance Inference; `edge-agent nodes` lists all.
    #[schemars(length(min = 1, max = 63))]
    pub calculator: String,
    /// Input streams as `stream`, `TAG:stream` or `TAG:index:stream`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub inputs: Vec<String>,
    /// Output streams, written like inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub outputs: Vec<String>,
    /// Side packets by port: a model of the pipeline's `models`, for instance {MODEL: dish}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub side_packets: BTreeMap<String, String>,
    /// Options of the calculator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub options: BTreeMap<String, serde_json::Value>,
    /// `newest`: the node runs on the newest packet and what waited longer is dropped as late.
    #[serde(default, skip_serializing_if = "is_default")]
    pub freshness: Freshness,
    /// A packet older than this, counted from its capture, is dropped before the node runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
}

/// What a node does when packets come faster than it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Freshness {
    /// Run on every packet; a full queue holds the sources back.
    #[default]
    All,
    /// Run on the newest packet only.
    Newest,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
