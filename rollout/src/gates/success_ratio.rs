use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Judgement, MAX_NAMED, Outcome, WaveView};

/// Enough of the finished devices are healthy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SuccessRatio {
    /// Healthy share of the finished devices, at least.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min: f64,
    /// Finished devices before this gate says anything; the policy's `minSamples` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub min_samples: Option<u32>,
}

impl Default for SuccessRatio {
    fn default() -> Self {
        Self {
            min: 0.95,
            min_samples: None,
        }
    }
}

impl SuccessRatio {
    /// Fails as soon as no outcome of the open devices could save the wave; passes only when none is open.
    pub(super) fn judge(&self, wave: &WaveView, min_samples: usize) -> Judgement {
        let (healthy, failed) = (wave.healthy.len(), wave.failed.len());
        let samples = healthy + failed;
        let needed = self
            .min_samples
            .map_or(min_samples, |n| n as usize)
            .min(wave.members)
            .max(1);
        let ratio = |good: usize, all: usize| good as f64 / all.max(1) as f64;
        let best = ratio(healthy + wave.open, samples + wave.open);
        let outcome = if samples < needed {
            Outcome::Inconclusive
        } else if best < self.min {
            Outcome::Fail
        } else if wave.open > 0 {
            Outcome::Inconclusive
        } else {
            Outcome::Pass
        };
        let comparison = match outcome {
            Outcome::Inconclusive if samples < needed => {
                format!("{samples} of {needed} needed devices finished")
            }
            Outcome::Inconclusive => format!("{} devices are not finished", wave.open),
            Outcome::Fail => format!("{:.3} < {}", ratio(healthy, samples), self.min),
            Outcome::Pass => format!("{:.3} ≥ {}", ratio(healthy, samples), self.min),
        };
        let devices = wave.failed.iter().take(MAX_NAMED).cloned().collect();
        Judgement {
            gate: "successRatio",
            outcome,
            comparison,
            samples,
            devices,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Healthy;
    use super::*;

    #[test]
    fn judges_finished_devices() {
        use Outcome::{Fail, Inconclusive, Pass};
        // (healthy, failed, open, min, minSamples) → outcome
        for (healthy, failed, open, min, min_samples, expected) in [
            (1, 0, 0, 0.95, 1, Pass),
            (0, 1, 0, 0.95, 1, Fail),
            (0, 0, 1, 0.95, 1, Inconclusive),
            (0, 0, 0, 0.0, 1, Inconclusive),
            (1, 1, 8, 0.5, 1, Inconclusive),
            (1, 1, 8, 0.95, 1, Fail),
            (0, 1, 9, 0.95, 5, Inconclusive),
            (2, 3, 5, 0.95, 5, Fail),
            (1, 5, 4, 0.5, 5, Inconclusive),
            (0, 6, 4, 0.5, 5, Fail),
            (2, 0, 0, 0.95, 10, Pass),
            (19, 1, 0, 0.95, 1, Pass),
        ] {
            let wave = WaveView {
                members: healthy + failed + open,
                open,
                healthy: vec![
                    Healthy {
                        device: "h".into(),
                        figures: None
                    };
                    healthy
                ],
                failed: vec!["f".into(); failed],
            };
            let judged = SuccessRatio {
                min,
                min_samples: None,
            }
            .judge(&wave, min_samples);
            assert_eq!(judged.outcome, expected, "{healthy} {failed} {open}: {judged}");
        }
    }

    #[test]
    fn unreachable_devices_are_no_samples() {
        let wave = WaveView {
            members: 10,
            open: 0,
            healthy: vec![
                Healthy {
                    device: "h".into(),
                    figures: None
                };
                2
            ],
            failed: vec![],
        };
        let judged = SuccessRatio::default().judge(&wave, 5);
        assert_eq!(judged.outcome, Outcome::Inconclusive);
        assert_eq!(
            judged.to_string(),
            "successRatio: 2 of 5 needed devices finished, 2 samples"
        );
    }
}
