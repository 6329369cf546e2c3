//! Results of the graph's sinks on their way to the database, and the receipt for them.

use serde::{Deserialize, Serialize};

use crate::id::{BootId, DeviceId};

pub const MAX_TELEMETRY: usize = 128 * 1024;

/// Samples of one stream and one boot. A sample's identity is (device, bootId, seq).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    pub version: u32,
    pub device: DeviceId,
    pub boot_id: BootId,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Counts all samples of the boot, over all streams.
    pub seq: u64,
    /// Capture time by the device's clock, microseconds since 1970.
    pub t: i64,
    pub value: serde_json::Value,
}

/// The receipt: every sample of the boot up to `seq` is in the database.
///
/// A broker's own acknowledgement isn't enough: one that is killed forgets what it had acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Committed {
    pub version: u32,
    pub boot_id: BootId,
    pub seq: u64,
}
