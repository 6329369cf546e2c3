//! THE ordered list of gates: one file each, with its configuration, its check and its table test.
//!
//! A gate reads facts of one wave and answers with a verdict and its figures. It never decides what follows.

mod error_ratio;
mod fps;
mod latency_p95;
mod success_ratio;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::Percent;

use crate::facts::Figures;

pub use error_ratio::ErrorRatio;
pub use fps::Fps;
pub use latency_p95::LatencyP95;
pub use success_ratio::SuccessRatio;

/// A check that lets a wave pass: exactly one of the keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum GateConfig {
    /// Enough of the finished devices are healthy.
    SuccessRatio(SuccessRatio),
    /// The devices' latency from capture to sink.
    LatencyP95(LatencyP95),
    /// The devices' results per second.
    Fps(Fps),
    /// The devices' share of failed results.
    ErrorRatio(ErrorRatio),
}

impl Default for GateConfig {
    fn default() -> Self {
        Self::SuccessRatio(SuccessRatio::default())
    }
}

/// What a gate may look at: the devices of one wave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WaveView {
    /// Devices that belong to the wave and are not gone.
    pub members: usize,
    /// Not finished, and still expected to.
    pub open: usize,
    pub healthy: Vec<Healthy>,
    /// Ids of those that failed, refused or ran out of time.
    pub failed: Vec<String>,
}

/// A healthy device and what it says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Healthy {
    pub device: String,
    /// None until the device has reported figures of this revision.
    pub figures: Option<Figures>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    /// No verdict on what is known so far.
    Inconclusive,
}

/// A gate's answer, with everything a person needs to understand it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The gate's key in the policy.
    pub gate: &'static str,
    pub outcome: Outcome,
    /// What was seen against what was asked, for instance `0.5 < 0.95`.
    pub comparison: String,
    /// Devices the value rests on.
    pub samples: usize,
    /// Devices against it, at most 5.
    pub devices: Vec<String>,
}

impl GateConfig {
    pub fn name(&self) -> &'static str {
        match self {
            Self::SuccessRatio(_) => "successRatio",
            Self::LatencyP95(_) => "latencyP95",
            Self::Fps(_) => "fps",
            Self::ErrorRatio(_) => "errorRatio",
        }
    }

    /// What a schema can't refuse; the message starts with the field.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::SuccessRatio(gate) => share("successRatio.min", gate.min),
            Self::ErrorRatio(gate) => share("errorRatio.max", gate.max),
            Self::LatencyP95(_) | Self::Fps(_) => Ok(()),
        }
    }

    /// `min_samples` is the policy's, already lowered to the wave's size.
    pub fn judge(&self, wave: &WaveView, min_samples: usize) -> Judgement {
        match self {
            Self::SuccessRatio(gate) => gate.judge(wave, min_samples),
            Self::LatencyP95(gate) => gate.judge(wave, min_samples),
            Self::Fps(gate) => gate.judge(wave, min_samples),
            Self::ErrorRatio(gate) => gate.judge(wave, min_samples),
        }
    }
}

impl std::fmt::Display for Judgement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}, {} samples", self.gate, self.comparison, self.samples)?;
        if !self.devices.is_empty() {
            write!(f, " ({})", self.devices.join(", "))?;
        }
        Ok(())
    }
}

/// Judges a figure that each healthy device of the wave reports; `share` of them must keep the bound. Nothing
/// is said before the last device of the wave finished: figures of a half-updated wave are no comparison.
fn judge_figures(
    gate: &'static str,
    wave: &WaveView,
    min_samples: usize,
    must_keep: Percent,
    bound: &str,
    keeps: impl Fn(&Figures) -> (bool, String),
) -> Judgement {
    let mut worst = None;
    let mut against = Vec::new();
    let mut samples = 0;
    let mut silent = Vec::new();
    for Healthy { device, figures } in &wave.healthy {
        let Some(figures) = figures else {
            silent.push(device.clone());
            continue;
        };
        samples += 1;
        let (kept, text) = keeps(figures);
        if !kept {
            worst.get_or_insert(text);
            against.push(device.clone());
        }
    }
    let needed = must_keep.of(samples);
    let outcome =
        if wave.open > 0 || !silent.is_empty() || samples < min_samples.min(wave.members) || samples == 0 {
            Outcome::Inconclusive
        } else if samples - against.len() < needed {
            Outcome::Fail
        } else {
            Outcome::Pass
        };
    let comparison = match (outcome, worst) {
        (Outcome::Inconclusive, _) => {
            format!("{} devices have reported no figures", silent.len().max(wave.open))
        }
        (_, Some(text)) => format!(
            "{text}; bound {bound} kept by {} of {samples}",
            samples - against.len()
        ),
        (_, None) => format!("bound {bound} kept by {samples} of {samples}"),
    };
    let mut devices = if outcome == Outcome::Inconclusive {
        silent
    } else {
        against
    };
    devices.truncate(MAX_NAMED);
    Judgement {
        gate,
        outcome,
        comparison,
        samples,
        devices,
    }
}

/// Devices named in a judgement; all of them are in the database.
const MAX_NAMED: usize = 5;

fn share(field: &str, value: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(format!("{field} is {value}: write a share from 0 to 1"))
    }
}

/// Share of the devices that must keep a bound.
fn nearly_all() -> Percent {
    "95%".parse().unwrap_or(Percent::ALL)
}
