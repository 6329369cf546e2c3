//! The trainer contract over HTTP: a pod claims trials of its job, reports progress, leaves checkpoints and a
//! model. Any image that speaks this can take the trainer's place.
//!
//! All requests carry `Authorization: Bearer TOKEN`, valid for one job only.
//!
//! | request | body → answer |
//! | --- | --- |
//! | `POST /trainer/v1/jobs/{job}/claim` | [`ClaimRequest`] → 200 [`JobDocument`], or 204: nothing left to do |
//! | `POST /trainer/v1/trials/{trial}/progress` | [`Progress`] → 200 [`Lease`], or 409: someone else has the trial |
//! | `PUT /trainer/v1/trials/{trial}/checkpoint?worker=W` | bytes → 204 |
//! | `GET /trainer/v1/trials/{trial}/checkpoint` | → bytes, or 404 |
//! | `PUT /trainer/v1/trials/{trial}/model?worker=W&sha256=D` | ONNX bytes → 204 |
//! | `POST /trainer/v1/trials/{trial}/result` | [`TrialResult`] → 204; repeating it changes nothing |
//! | `POST /trainer/v1/trials/{trial}/failure` | [`TrialFailure`] → 204 |

use serde::{Deserialize, Serialize};

use crate::id::Digest;

pub const MAX_TRAINER_MESSAGE: usize = 1024 * 1024;
pub const MAX_CHECKPOINT: usize = 256 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRequest {
    /// Name of the pod: the owner of the lease.
    pub worker: String,
}

/// One trial to train, whole: a worker needs nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobDocument {
    pub version: u32,
    pub trial: String,
    /// For people: `namespace/name` of the NasJob.
    pub job: String,
    pub task: Task,
    /// The architecture in the encoding of crate `search`.
    pub architecture: serde_json::Value,
    pub epochs: u32,
    pub seed: u64,
    pub lease_seconds: u32,
    /// A checkpoint of an earlier worker is there.
    pub checkpoint: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Task {
    #[serde(rename_all = "camelCase")]
    ImageClassification {
        /// For instance `file:///usr/share/datasets/fashion-mnist`.
        dataset_uri: String,
        validation_split: f64,
        /// Use only so many training images.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
}

/// Renews the lease; sent at least every third of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub worker: String,
    pub epoch: u32,
    pub epochs: u32,
    /// Share of the current epoch that is done, 0 to 1.
    pub fraction: f64,
    pub loss: f64,
    pub seconds_left: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    pub lease_seconds: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialResult {
    pub worker: String,
    pub model: Digest,
    pub size: u64,
    pub metrics: Metrics,
}

/// Also written as metrics.json beside the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// On the test images, 0 to 1.
    pub accuracy: f64,
    /// On the held-out part of the training images.
    pub validation_accuracy: f64,
    pub test_images: u32,
    pub parameters: u64,
    pub macs: u64,
    pub epochs: u32,
    pub train_seconds: f64,
    pub per_class_accuracy: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialFailure {
    pub worker: String,
    /// CamelCase, for instance `DatasetInvalid`, `LossNotFinite`.
    pub code: String,
    pub message: String,
    /// Another try may succeed.
    pub retryable: bool,
}
