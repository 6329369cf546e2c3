//! What a device shall run: one retained document per device.

use std::collections::BTreeMap;

use pipeline::spec::GraphSpec;
use serde::{Deserialize, Serialize};
use units::Duration;

use crate::id::Digest;

/// Largest desired document. Anything larger belongs into an artifact.
pub const MAX_DESIRED: usize = 8 * 1024;

/// The whole desired state of one device. An empty retained message means: run nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    pub version: u32,
    /// Which document is newer; a device refuses one that isn't above the last it took, durably.
    pub order: Order,
    /// The rollout this belongs to, and the try within it: acks repeat both.
    pub rollout: String,
    pub attempt: u32,
    /// `namespace/name` of the EdgePipeline.
    pub pipeline: String,
    /// Hash of the resolved content: graph + models.
    pub revision: String,
    pub graph: GraphSpec,
    /// Models by the name that the graph's side packets use.
    #[serde(default)]
    pub models: BTreeMap<String, ModelRef>,
    /// How long the device watches itself before it calls the revision good.
    pub bake: Duration,
    /// What the running graph must keep while baking, else the device goes back by itself.
    #[serde(default)]
    pub objectives: Objectives,
}

/// Order of desired documents of one device: epoch first (raised when a database is restored), then generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub epoch: u64,
    pub generation: u64,
}

/// A file by digest and where to get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelRef {
    pub sha256: Digest,
    pub size: u64,
    /// Path on the operator's HTTP address, or a whole URL.
    pub url: String,
}

/// Service objectives a device can judge by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Objectives {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p95: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_drop_ratio: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_epoch_first() {
        let order = |epoch, generation| Order { epoch, generation };
        assert!(order(2, 1) > order(1, 9));
        assert!(order(1, 2) > order(1, 1));
    }

    #[test]
    fn old_reader_takes_new_fields() {
        let text = r#"{"version":1,"order":{"epoch":1,"generation":2},"rollout":"r","attempt":1,"pipeline":"a/b",
            "revision":"x","graph":{"nodes":[]},"bake":"5s","later":"added"}"#;
        let desired: Desired = crate::from_bytes(text.as_bytes(), MAX_DESIRED).unwrap();
        assert_eq!(desired.bake, Duration::from_secs(5));
    }
}
