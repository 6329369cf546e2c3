//! What a classifier says about a frame, and which payloads can leave a device as JSON.

use serde::{Deserialize, Serialize};

use crate::detection::{Counts, Detection, Detections};
use crate::packet::{Payload, TypeInfo};

/// One class with its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Label {
    pub index: usize,
    /// Name of the class, where the node was given names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub score: f32,
}

/// The most probable classes of one frame, the best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Labels {
    pub top: Vec<Label>,
}

/// The payload types that `to_json` knows.
pub fn json_types() -> Vec<TypeInfo> {
    vec![
        TypeInfo::of::<Labels>(),
        TypeInfo::of::<Detections>(),
        TypeInfo::of::<Detection>(),
        TypeInfo::of::<Counts>(),
        TypeInfo::of::<Vec<i64>>(),
        TypeInfo::of::<serde_json::Value>(),
        TypeInfo::of::<i64>(),
        TypeInfo::of::<f64>(),
        TypeInfo::of::<bool>(),
        TypeInfo::of::<String>(),
    ]
}

/// A payload as JSON; none for types that stay on the device.
pub fn to_json(payload: &Payload) -> Option<serde_json::Value> {
    if let Some(labels) = payload.get::<Labels>() {
        return serde_json::to_value(labels).ok();
    }
    if let Some(detections) = payload.get::<Detections>() {
        return serde_json::to_value(detections).ok();
    }
    if let Some(detection) = payload.get::<Detection>() {
        return serde_json::to_value(detection).ok();
    }
    if let Some(counts) = payload.get::<Counts>() {
        return serde_json::to_value(counts).ok();
    }
    if let Some(numbers) = payload.get::<Vec<i64>>() {
        return Some(numbers.as_slice().into());
    }
    let plain = payload.get::<serde_json::Value>().cloned();
    plain
        .or_else(|| payload.get::<i64>().map(|value| (*value).into()))
        .or_else(|| payload.get::<f64>().map(|value| (*value).into()))
        .or_else(|| payload.get::<bool>().map(|value| (*value).into()))
        .or_else(|| payload.get::<String>().map(|value| value.as_str().into()))
}
