//! NasJob: search a model under the limits of real device classes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use search::budget::BudgetConfig;
use search::constraint::ConstraintsConfig;
use search::space::SearchSpaceConfig;
use search::strategies::StrategyConfig;
use serde::{Deserialize, Serialize};
use units::{Bytes, Duration};

use crate::selector::DeviceSelector;

/// One search for the best model of each target that meets every bound as measured on its devices.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "haizen.dev",
    version = "v1alpha1",
    kind = "NasJob",
    doc = "One search for the best model of each target that meets every bound as measured on its devices.",
    namespaced,
    status = "NasJobStatus",
    shortname = "nas",
    category = "haizen",
    derive = "PartialEq",
    validation = Rule::new("size(self.metadata.name) <= 52").message("the name may have at most 52 characters: its Jobs add to it"),
    printcolumn(name = "Succeeded", type_ = "string", json_path = r#".status.conditions[?(@.type=="Succeeded")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Succeeded")].reason"#),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.progress.stage"),
    printcolumn(name = "Done", type_ = "integer", json_path = ".status.progress.done"),
    printcolumn(name = "Of", type_ = "integer", json_path = ".status.progress.of"),
    printcolumn(name = "Best", type_ = "string", json_path = ".status.summary"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Succeeded")].message"#, priority = 1)
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NasJobSpec {
    /// What the model has to do, and the data to learn it from.
    pub task: TaskSpec,
    /// The architectures to choose from.
    #[serde(default)]
    pub search_space: SearchSpaceConfig,
    /// How to choose among them.
    #[serde(default)]
    pub strategy: StrategyConfig,
    /// The device classes to find a model for; one search serves all.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub targets: Vec<TargetSpec>,
    /// How much work the search may do.
    #[serde(default)]
    pub budget: BudgetConfig,
    /// The pods that train.
    #[serde(default)]
    pub trainer: TrainerSpec,
    /// When to search again; never when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

/// The task: exactly one of the keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum TaskSpec {
    /// One label for each image.
    ImageClassification(ImageClassification),
}

/// Labelled images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageClassification {
    /// The images and their labels.
    pub dataset: Dataset,
    /// Share of the training images held out to compare candidates on.
    #[serde(default = "one_tenth")]
    #[schemars(range(min = 0.01, max = 0.5))]
    pub validation_split: f64,
}

/// Where the data is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dataset {
    /// A folder of IDX files in the trainer's image, for instance `file:///usr/share/datasets/fashion-mnist`.
    #[schemars(length(min = 1, max = 2048))]
    pub uri: String,
    /// Use only so many training images; all when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub limit: Option<u32>,
}

/// One device class to find a model for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetSpec {
    /// Name of the target, unique in the NasJob.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The devices of the class; they must all be of one class.
    pub device_selector: DeviceSelector,
    /// What a model must keep, as measured on a device of the class.
    pub constraints: ConstraintsConfig,
}

/// The pods that train.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrainerSpec {
    /// An image that keeps the trainer contract; the operator's own when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Resources of each pod; the operator's default when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Nodes the pods may run on; any when empty.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Further volumes of the pods, mounted at `/volumes/NAME`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub volumes: Vec<VolumeRef>,
}

/// A volume claim of the same namespace, mounted read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeRef {
    /// Name of the PersistentVolumeClaim.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// When to search again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Schedule {
    /// A cron expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub cron: Option<String>,
    /// Search again when the devices' latencies drift from the profile.
    pub on_drift: bool,
}

/// What the operator observed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NasJobStatus {
    /// The generation of the spec this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Succeeded, Reconciling, Stalled and what explains them.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How far the search is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What was found for each target.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub targets: Vec<TargetStatus>,
    /// The best models in one line, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// How far the search is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Profiling, Searching, Measuring, Training, Verifying or Done.
    pub stage: Stage,
    /// Steps done in this stage.
    pub done: u32,
    /// Steps of this stage.
    pub of: u32,
    /// What is happening right now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The stages of a search, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// Devices measure the blocks of the space.
    Profiling,
    /// Candidates are chosen under the bounds.
    Searching,
    /// Finalists are measured whole on a device, before training.
    Measuring,
    /// Finalists are trained.
    Training,
    /// Trained files are measured once more.
    Verifying,
    /// Nothing is left to do.
    Done,
}

/// What was found for one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The target's name.
    pub name: String,
    /// The class of its devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// How far the strategy is that learns from trained trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchProgress>,
    /// The best model that met every bound as measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<BestModel>,
    /// Trained models that no other beats in both accuracy and latency, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub front: Vec<FrontPoint>,
}

/// How far the search for one target is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchProgress {
    /// Number of the candidates that are at work, from 1: what the strategy proposed together, knowing all before.
    pub generation: u32,
    /// Candidates whose outcome is known.
    pub done: u32,
    /// Candidates that are trained for a short while in all.
    pub of: u32,
    /// Best share of held-out images that a trial labels right so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_accuracy: Option<f64>,
}

/// A model that met every bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BestModel {
    /// Digest of its ONNX file, `sha256:…`.
    #[schemars(with = "String")]
    pub model: String,
    /// Share of the test images it labels right.
    pub accuracy: f64,
    /// 95th percentile of its latency as the profile predicts it.
    pub predicted_p95: Duration,
    /// 95th percentile of its latency as measured on a device of the class.
    pub measured_p95: Duration,
    /// Size of the file.
    pub size: Bytes,
}

/// One point of the front.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrontPoint {
    /// Digest of its ONNX file.
    pub model: String,
    /// Share of the test images it labels right.
    pub accuracy: f64,
    /// 95th percentile of its measured latency.
    pub measured_p95: Duration,
}

fn one_tenth() -> f64 {
    0.1
}
