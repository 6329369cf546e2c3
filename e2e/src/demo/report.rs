//! `target/demo/report.json`: what the demo measured.

use std::collections::BTreeMap;

use serde::Serialize;

use crds::EdgePipeline;
use crds::nasjob::NasJob;

use crate::api::{Device, Telemetry};

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub targets: Vec<Target>,
    pub devices: Devices,
    pub waves: Vec<Wave>,
    pub telemetry: Sent,
    /// Dropped packets by reason.
    pub drops: BTreeMap<String, u64>,
    pub seconds: BTreeMap<&'static str, f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    pub name: String,
    pub class: String,
    pub model: String,
    pub accuracy: f64,
    pub predicted_p95_ms: f64,
    pub measured_p95_ms: f64,
    pub bound_p95_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Devices {
    pub matched: u32,
    pub ready: u32,
    pub failed: u32,
    pub unreachable: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    pub devices: u32,
    pub seconds: f64,
}

/// Samples the devices numbered, and those of them that are rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    pub sent: u64,
    pub stored: u64,
    pub gaps: u64,
}

pub fn targets(job: &NasJob) -> Vec<Target> {
    let found = job.status.iter().flat_map(|s| &s.targets);
    found
        .filter_map(|target| {
            let best = target.best.as_ref()?;
            let spec = job.spec.targets.iter().find(|t| t.name == target.name)?;
            Some(Target {
                name: target.name.clone(),
                class: target.class.clone().unwrap_or_default(),
                model: best.model.clone(),
                accuracy: best.accuracy,
                predicted_p95_ms: best.predicted_p95.as_millis_f64(),
                measured_p95_ms: best.measured_p95.as_millis_f64(),
                bound_p95_ms: spec.constraints.latency.p95.as_millis_f64(),
            })
        })
        .collect()
}

pub fn devices(pipeline: &EdgePipeline) -> Devices {
    let counts = pipeline.status.as_ref().map(|s| s.devices).unwrap_or_default();
    Devices {
        matched: counts.matched,
        ready: counts.ready,
        failed: counts.failed,
        unreachable: counts.unreachable,
    }
}

/// Compares what devices said they had numbered with what is stored of it. `devices` must be the older look:
/// samples go on coming.
pub fn sent(devices: &[Device], telemetry: &Telemetry) -> Sent {
    let mut sum = Sent {
        sent: 0,
        stored: 0,
        gaps: 0,
    };
    for reported in devices.iter().filter_map(|d| d.reported.as_ref()) {
        let boot = reported.boot_id.to_string();
        let row = telemetry
            .boots
            .iter()
            .find(|b| b.boot_id == boot && b.device == reported.device.as_str());
        sum.sent += reported.outbox.last_seq;
        sum.stored += row.map_or(0, |b| b.stored_of(reported.outbox.last_seq));
        sum.gaps += row.map_or(0, |b| b.max_seq.saturating_sub(b.stored));
    }
    sum
}

pub fn drops(devices: &[Device]) -> BTreeMap<String, u64> {
    let mut sum: BTreeMap<String, u64> = ["late", "age", "full"]
        .map(|reason| (reason.to_owned(), 0))
        .into();
    for (reason, count) in devices.iter().filter_map(Device::running).flat_map(|r| &r.drops) {
        *sum.entry(reason.clone()).or_default() += count;
    }
    sum
}
