//! EdgePipeline: which graph with which models runs on which devices, and how a change reaches them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use pipeline::spec::GraphSpec;
use protocol::id::Digest;
use rollout::policy::RolloutPolicy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::Duration;

use crate::selector::DeviceSelector;

/// A pipeline that runs on every device the selector matches.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "haizen.dev",
    version = "v1alpha1",
    kind = "EdgePipeline",
    doc = "A pipeline that runs on every device the selector matches.",
    namespaced,
    status = "EdgePipelineStatus",
    shortname = "epl",
    category = "haizen",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 63").message("the name may have at most 63 characters"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Revision", type_ = "string", json_path = ".status.revision"),
    printcolumn(name = "Wave", type_ = "string", json_path = ".status.wave"),
    printcolumn(name = "Devices", type_ = "integer", json_path = ".status.devices.matched"),
    printcolumn(name = "Updated", type_ = "integer", json_path = ".status.devices.updated"),
    printcolumn(name = "Healthy", type_ = "integer", json_path = ".status.devices.ready"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.devices.failed"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Paused", type_ = "boolean", json_path = ".spec.paused", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1)
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EdgePipelineSpec {
    /// Devices that run the pipeline. No default: a pipeline for every device is written as `{}`.
    pub device_selector: DeviceSelector,
    /// A device that several pipelines match runs the one of highest priority, then of lowest name.
    #[serde(default)]
    pub priority: i32,
    /// Models by the name that the graph's side packets use.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16))]
    pub models: BTreeMap<String, ModelSource>,
    /// The graph every device runs.
    pub graph: GraphSpec,
    /// What the running pipeline must keep on each device.
    #[serde(default)]
    pub objectives: Objectives,
    /// How a new revision reaches the devices.
    #[serde(default)]
    pub rollout: RolloutPolicy,
    /// Offers the revision to no further device; devices already on their way finish.
    #[serde(default)]
    pub paused: bool,
}

/// Where a model comes from: exactly one of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ModelSource {
    /// The best model that a NasJob of this namespace found for each device's class.
    NasJob(NasJobRef),
    /// One ONNX file for all devices.
    Artifact(Artifact),
}

/// A NasJob of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NasJobRef {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// A file by address and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifact {
    /// `blob:` for a file already in the operator's store, or an http(s) address the operator can reach.
    #[schemars(length(min = 1, max = 2048))]
    pub uri: String,
    /// SHA-256 of the file: 64 hexadecimal digits, with or without `sha256:` in front.
    #[schemars(regex(pattern = r"^(sha256:)?[0-9a-f]{64}$"))]
    #[schemars(with = "String")]
    pub sha256: Digest,
}

/// What the running pipeline must keep; a device that misses one while it bakes goes back by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objectives {
    /// Results per second, at least; not judged when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub fps: Option<f64>,
    /// Capture to sink, 95th percentile, at most; not judged when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p95: Option<Duration>,
    /// Dropped share of the captured packets, at most; not judged when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_drop_ratio: Option<f64>,
}

/// What the operator observed. Counts only: rows per device are in its database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgePipelineStatus {
    /// The generation of the spec this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled and what explains them.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Hash of the resolved graph and models that the devices move to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The revision they come from, and go back to when a gate fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_revision: Option<String>,
    /// Waves passed or running, of all: `2/4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    /// Devices by state.
    #[serde(default)]
    pub devices: DeviceCounts,
    /// The worst devices, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub failing: Vec<FailingDevice>,
}

/// Devices of a pipeline by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCounts {
    /// Matched by the selector and owned by this pipeline.
    pub matched: u32,
    /// Offered the current revision.
    pub updated: u32,
    /// Healthy on the current revision.
    pub ready: u32,
    /// Failed or rejected it.
    pub failed: u32,
    /// Not heard of for longer than the policy's grace.
    pub unreachable: u32,
}

/// A device that doesn't run the revision, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailingDevice {
    /// Its id.
    pub device: String,
    /// CamelCase reason.
    pub reason: String,
    /// What failed on what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
