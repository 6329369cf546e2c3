//! Bounds a model has to keep. They are hard: what breaks one is never trained.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::{Bytes, Duration, Energy};

use crate::NotYetSupported;
use crate::trial::Estimate;

/// The bounds as a user writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConstraintsConfig {
    /// How long one inference may take on a device of the target.
    pub latency: LatencyConstraint,
    /// How large the model's file may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_size: Option<Bytes>,
    /// How much memory weights and activations may take together; the runtime's own comes on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<Bytes>,
    /// How much energy one inference may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_per_inference: Option<Energy>,
}

/// A bound on the latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LatencyConstraint {
    /// 19 of 20 inferences take no longer than this.
    pub p95: Duration,
}

/// Checked bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constraints {
    pub latency_p95_us: f64,
    pub model_bytes: Option<u64>,
    pub peak_memory_bytes: Option<u64>,
}

/// One broken bound and by how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Violation {
    /// `value_us` is the prediction with its error bar.
    LatencyP95 {
        bound_us: f64,
        predicted_us: f64,
        value_us: f64,
    },
    ModelSize {
        bound: u64,
        value: u64,
    },
    PeakMemory {
        bound: u64,
        value: u64,
    },
}

impl ConstraintsConfig {
    pub fn constraints(&self) -> Result<Constraints, NotYetSupported> {
        let Self {
            latency,
            model_size,
            peak_memory,
            energy_per_inference,
        } = self;
        if energy_per_inference.is_some() {
            return Err(NotYetSupported {
                field: "constraints.energyPerInference".to_owned(),
                instead: None,
            });
        }
        Ok(Constraints {
            latency_p95_us: latency.p95.as_micros() as f64,
            model_bytes: model_size.map(Bytes::get),
            peak_memory_bytes: peak_memory.map(Bytes::get),
        })
    }
}

impl Constraints {
    /// Whether a candidate may be trained: the one place where a prediction is held against the bounds. Its latency
    /// counts with the error bar on top, so that what is admitted keeps its bound in 19 of 20 cases when it is measured.
    pub fn admits(&self, estimate: &Estimate) -> bool {
        self.violations(estimate).is_empty()
    }

    /// Every bound the estimate breaks.
    pub fn violations(&self, estimate: &Estimate) -> Vec<Violation> {
        let Self {
            latency_p95_us: bound_us,
            model_bytes,
            peak_memory_bytes,
        } = *self;
        let Estimate {
            p95_us: predicted_us,
            p95_at_most_us: value_us,
            model_bytes: size,
            peak_memory_bytes: memory,
            ..
        } = *estimate;
        let mut violations = Vec::new();
        if value_us > bound_us {
            violations.push(Violation::LatencyP95 {
                bound_us,
                predicted_us,
                value_us,
            });
        }
        if let Some(bound) = model_bytes.filter(|bound| size > *bound) {
            violations.push(Violation::ModelSize { bound, value: size });
        }
        if let Some(bound) = peak_memory_bytes.filter(|bound| memory > *bound) {
            violations.push(Violation::PeakMemory { bound, value: memory });
        }
        violations
    }

    /// The largest ratio of value to bound: at most 1 when all bounds are kept.
    pub fn ratio(&self, estimate: &Estimate) -> f64 {
        self.worst_ratio(
            estimate.p95_at_most_us,
            estimate.model_bytes,
            estimate.peak_memory_bytes,
        )
    }

    /// The same of the values themselves.
    pub(crate) fn worst_ratio(&self, p95_us: f64, model_bytes: u64, peak_memory_bytes: u64) -> f64 {
        let ratio = |value: u64, bound: Option<u64>| bound.map_or(0.0, |b| value as f64 / b.max(1) as f64);
        (p95_us / self.latency_p95_us.max(1e-3))
            .max(ratio(model_bytes, self.model_bytes))
            .max(ratio(peak_memory_bytes, self.peak_memory_bytes))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, bound, value, over) = match *self {
            Self::LatencyP95 {
                bound_us,
                predicted_us,
                value_us,
            } => {
                let span = |us: f64| Duration::from_micros(us.round() as u64).to_string();
                let bar = (value_us / predicted_us - 1.0) * 100.0;
                let value = format!(
                    "{} (predicted {}, error bar {bar:.0} %)",
                    span(value_us),
                    span(predicted_us)
                );
                ("latency p95", span(bound_us), value, value_us / bound_us)
            }
            Self::ModelSize { bound, value } => ("model size", kib(bound), kib(value), ratio(value, bound)),
            Self::PeakMemory { bound, value } => ("peak memory", kib(bound), kib(value), ratio(value, bound)),
        };
        write!(
            f,
            "{what} {value} is above the bound {bound} by {:.0} %",
            ((over - 1.0) * 100.0).max(1.0)
        )
    }
}

fn ratio(value: u64, bound: u64) -> f64 {
    value as f64 / bound.max(1) as f64
}

fn kib(bytes: u64) -> String {
    format!("{:.1}Ki", bytes as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_which_bound_is_broken_and_by_how_much() {
        let config: ConstraintsConfig =
            serde_json::from_str(r#"{"latency":{"p95":"2ms"},"modelSize":"64Ki"}"#).unwrap();
        let estimate = Estimate {
            p95_us: 2500.0,
            p95_at_most_us: 2750.0,
            model_bytes: 80_000,
            ..Estimate::default()
        };
        let texts: Vec<_> = config
            .constraints()
            .unwrap()
            .violations(&estimate)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            texts,
            [
                "latency p95 2.75ms (predicted 2.5ms, error bar 10 %) is above the bound 2ms by 38 %",
                "model size 78.1Ki is above the bound 64.0Ki by 22 %"
            ]
        );
    }

    #[test]
    fn refuses_what_it_can_not_check() {
        let text = r#"{"latency":{"p95":"2ms"},"energyPerInference":"5mJ"}"#;
        let config: ConstraintsConfig = serde_json::from_str(text).unwrap();
        let message = config.constraints().unwrap_err().to_string();
        assert_eq!(
            message,
            "constraints.energyPerInference is not supported yet: leave it out"
        );
        assert!(serde_json::from_str::<ConstraintsConfig>(r#"{"modelSize":"1Mi"}"#).is_err());
    }
}
