//! One candidate of a study: what it is, what it is expected to cost, what became of it.

use serde::{Deserialize, Serialize};

use crate::latency::{Latency, LatencyError, LatencyModel};
use crate::space::{Architecture, Choices};
use crate::strategy::Fidelity;

/// Number of a trial in its study, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(pub u32);

/// A candidate a strategy proposed; it keeps the bounds of at least one target as predicted.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    pub id: TrialId,
    pub choices: Choices,
    pub architecture: Architecture,
    /// One for each target of the study.
    pub estimates: Vec<Estimate>,
    /// Whether it keeps the bounds of each target as predicted.
    pub feasible: Vec<bool>,
    /// How far it is to be trained.
    pub fidelity: Fidelity,
}

/// What a candidate costs on one target, before it is trained.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimate {
    pub p50_us: f64,
    pub p95_us: f64,
    /// The same with the latency model's error bar on top: what the bound is held against.
    pub p95_at_most_us: f64,
    pub model_bytes: u64,
    pub peak_memory_bytes: u64,
    pub macs: u64,
    pub parameters: u64,
}

/// What is told about a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Feedback {
    /// The whole network was measured on a device of the target.
    #[serde(rename_all = "camelCase")]
    Measured { target: usize, p95_us: f64 },
    /// It was trained: share of held-out images it labels right.
    Evaluated { accuracy: f64 },
    /// How the loss changes with the weight of each slot's options: for strategies that follow a gradient.
    Gradients { gates: Vec<Vec<f64>> },
    /// It can't be trained.
    Failed { reason: String },
}

/// All that has to be kept of a trial to go on with its study elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialRecord {
    pub id: TrialId,
    pub choices: Choices,
    pub feedback: Vec<Feedback>,
    /// How far it is trained; to the end when not given.
    #[serde(default, skip_serializing_if = "Fidelity::is_full")]
    pub fidelity: Fidelity,
    /// Trials of one generation were proposed together, without knowing of each other.
    #[serde(default)]
    pub generation: u32,
}

impl TrialRecord {
    /// Whether nothing more is to be waited for.
    pub fn is_finished(&self) -> bool {
        self.feedback.iter().any(|feedback| match feedback {
            Feedback::Evaluated { .. } | Feedback::Gradients { .. } | Feedback::Failed { .. } => true,
            Feedback::Measured { .. } => false,
        })
    }

    /// What it was said to reach at its fidelity.
    pub fn accuracy(&self) -> Option<f64> {
        self.feedback.iter().rev().find_map(|feedback| match feedback {
            Feedback::Evaluated { accuracy } => Some(*accuracy),
            Feedback::Measured { .. } | Feedback::Gradients { .. } | Feedback::Failed { .. } => None,
        })
    }
}

impl Estimate {
    /// As a latency model predicts it.
    pub fn of(architecture: &Architecture, model: &LatencyModel) -> Result<Self, LatencyError> {
        let Latency { p50_us, p95_us } = model.predict(architecture)?;
        let cost = architecture.cost();
        Ok(Self {
            p50_us,
            p95_us,
            p95_at_most_us: model.at_most(p95_us),
            model_bytes: cost.model_bytes,
            peak_memory_bytes: cost.peak_memory(),
            macs: cost.macs,
            parameters: cost.parameters,
        })
    }
}
