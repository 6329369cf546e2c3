//! How the packets of a node's inputs become the sets it processes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An input policy: exactly one of the keys. A node's own comes before its calculator's, that before the graph's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum InputPolicy {
    /// One set per time, in time order, once no input can bring more for it.
    Default(Batch),
    /// Each packet as soon as it is there; times may repeat and go back between inputs.
    Immediate(NoSettings),
    /// Like `default` within each group of inputs, independently of the other groups.
    SyncSet(SyncSet),
    /// Like `default`, on the newest sets only: full inputs are cut down to a few.
    FixedSize(FixedSize),
    /// Like `default`, but the node closes as soon as one input is used up.
    EarlyClose(NoSettings),
    /// The next packet of every input, whatever their times.
    Barrier(NoSettings),
    /// Like `default`, after shifting every input so that its first packet meets the base's time.
    TimestampAlign(TimestampAlign),
    /// The input that the last one, SELECT, chooses.
    Mux(NoSettings),
}

impl Default for InputPolicy {
    fn default() -> Self {
        Self::Default(Batch::default())
    }
}

/// A policy without settings: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Settings of `default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Batch {
    /// Sets gathered before the node is called for each of them.
    #[schemars(range(min = 1, max = 1000))]
    pub batch_size: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self { batch_size: 1 }
    }
}

/// Settings of `syncSet`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SyncSet {
    /// Groups of input ports, each written `TAG`, `TAG:index` or, without a tag, `index`. Inputs that no group
    /// names form one more.
    pub sets: Vec<Vec<String>>,
}

/// Settings of `fixedSize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct FixedSize {
    /// An input with this many packets is cut down.
    #[schemars(range(min = 1, max = 10_000))]
    pub trigger_queue_size: u32,
    /// Packets left by a cut.
    #[schemars(range(min = 1, max = 10_000))]
    pub target_queue_size: u32,
    /// Cuts only when every input has reached the trigger.
    pub fixed_min_size: bool,
}

impl Default for FixedSize {
    fn default() -> Self {
        Self {
            trigger_queue_size: 2,
            target_queue_size: 1,
            fixed_min_size: false,
        }
    }
}

/// Settings of `timestampAlign`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct TimestampAlign {
    /// The input port whose times are kept, written `TAG`, `TAG:index` or `index`; the first when not given.
    pub timestamp_base: String,
}
