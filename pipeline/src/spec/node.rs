//! One node of a graph as a user writes it.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use units::Duration;

use crate::spec::policy::InputPolicy;
use crate::spec::{any_object, is_default};

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
    /// Side packets by port (`TAG` or `TAG:index`): a model of the pipeline's `models`, for instance {MODEL: dish}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub side_packets: BTreeMap<String, String>,
    /// Side packets that the node makes, by port.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub output_side_packets: BTreeMap<String, String>,
    /// Options of the calculator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "any_object")]
    pub options: BTreeMap<String, serde_json::Value>,
    /// Options taken from those of the graph: option by option, `maxInFlight: options/limit`. A path with `/` goes
    /// into an object; what the graph doesn't have leaves the node's own option as it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 64))]
    pub option_values: BTreeMap<String, String>,
    /// `newest`: the node runs on the newest packet and what waited longer is dropped as late.
    #[serde(default, skip_serializing_if = "is_default")]
    pub freshness: Freshness,
    /// A packet older than this, counted from its capture, is dropped before the node runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// A packet must leave the node at most this long after its capture: what can't make it, as long as the node
    /// takes, is dropped before the node runs, as too old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// Frames under way from this node on to the ends of the graph: `auto`, found from measured stage times, or a
    /// number. `auto` when not given and `freshness` is `newest`; else without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<InFlight>,
    /// Who runs first when there is more to do than the device can.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// What happens when the node fails or panics.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,
    /// With `onFailure: restart`: a call that runs longer than this is given up, and the node is made anew. What the
    /// call still sends is lost, and its thread is left to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck_after: Option<Duration>,
    /// How the packets of the inputs become sets; the calculator's policy when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_policy: Option<InputPolicy>,
    /// Input ports that close a cycle, written `TAG`, `TAG:index` or, without a tag, `index`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub back_edges: Vec<String>,
    /// Calls of this node that may run at once (MediaPipe's `max_in_flight`), each on a copy of the node; results
    /// leave in the order of their sets all the same. Calls of a node that keeps a state from one to the next don't
    /// overlap: `edge-agent nodes` says which do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub parallel: Option<u32>,
    /// The thread pool the node runs in; the graph's own when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub executor: Option<String>,
    /// Sources of a higher layer start when all of the lower ones have ended.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(max = 1000))]
    pub source_layer: u32,
    /// Packets that each input may hold before its sources are held back; the graph's `maxQueueSize` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub queue_size: Option<u32>,
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

/// Classes of urgency; within one, later stages run first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Priority {
    /// Runs when nothing else can.
    Low,
    #[default]
    Normal,
    /// Runs before everything else, and never finds all workers busy with less urgent nodes.
    High,
}

/// What happens when a node fails or panics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// The run ends.
    #[default]
    Fail,
    /// The node is made anew and goes on with the next packet; the packet it failed on is counted as an error. A node
    /// that keeps failing is given longer and longer pauses.
    Restart,
}

/// Frames under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InFlight {
    /// As many as keep the slowest stage busy and no more.
    Auto,
    AtMost(u32),
}

impl Serialize for InFlight {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::AtMost(count) => to.serialize_u32(*count),
        }
    }
}

impl<'de> Deserialize<'de> for InFlight {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(InFlightVisitor)
    }
}

struct InFlightVisitor;

impl de::Visitor<'_> for InFlightVisitor {
    type Value = InFlight;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`auto` or a number from 1 to 1000")
    }

    fn visit_u64<E: de::Error>(self, count: u64) -> Result<InFlight, E> {
        let count = u32::try_from(count)
            .ok()
            .filter(|count| (1..=1000).contains(count));
        count
            .map(InFlight::AtMost)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Other("that number"), &self))
    }

    fn visit_i64<E: de::Error>(self, count: i64) -> Result<InFlight, E> {
        self.visit_u64(u64::try_from(count).unwrap_or(0))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<InFlight, E> {
        match text {
            "auto" => Ok(InFlight::Auto),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
}

impl JsonSchema for InFlight {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InFlight".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"x-kubernetes-int-or-string": true})
    }
}
