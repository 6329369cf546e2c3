//! What a device is and runs: whole, retained, and so the repair for any lost ack.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ack::Phase;
use crate::desired::Order;
use crate::id::{BootId, DeviceClass, DeviceId, Digest, SiteId};

pub const MAX_REPORTED: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    pub version: u32,
    pub device: DeviceId,
    pub site: SiteId,
    pub class: DeviceClass,
    pub labels: BTreeMap<String, String>,
    pub boot_id: BootId,
    pub agent_version: String,
    pub runtime: Runtime,
    /// The last desired document the device took, and how far it is with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Slot>,
    /// What it goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Slot>,
    #[serde(default)]
    pub outbox: OutboxState,
    /// The running graph in figures since it was started or its revision took another one's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// Resident memory of the agent's process, MiB.
    #[serde(default)]
    pub rss_mib: f64,
}

/// What latencies depend on: a profile row is valid for one hash of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// Stable over restarts as long as everything below is the same.
    pub hash: String,
    /// For instance `onnxruntime 1.32.0`.
    pub engine: String,
    /// For instance `CPU`.
    pub provider: String,
    pub threads: u32,
    pub cpu: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub rollout: String,
    pub order: Order,
    pub attempt: u32,
    pub phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    pub revision: String,
    pub pipeline: String,
    /// Digests of its models by name.
    pub models: BTreeMap<String, Digest>,
}

/// Telemetry of this boot: numbers start at 1 and have no gap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxState {
    /// Last number given in this boot.
    pub last_seq: u64,
    /// Samples waiting on the disk, of all boots.
    pub waiting: u64,
    /// Samples lost because the outbox was full, of all boots.
    pub overflowed: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    pub seconds: f64,
    /// Results per second at the graph's sinks.
    pub fps: f64,
    /// Capture to sink, 95th percentile, milliseconds.
    pub latency_p95_ms: f64,
    pub produced: u64,
    pub completed: u64,
    pub errors: u64,
    /// Dropped packets by reason (late, age, full, limited, closed).
    pub drops: BTreeMap<String, u64>,
}
