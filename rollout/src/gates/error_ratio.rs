use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::Percent;

use super::{Judgement, WaveView, judge_figures, nearly_all};

/// The devices' share of failed results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorRatio {
    /// Failed share of all results, at most. No default: only the user knows what is bearable.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max: f64,
    /// Share of the wave's healthy devices that must keep it.
    #[serde(default = "nearly_all")]
    pub share: Percent,
}

impl ErrorRatio {
    pub(super) fn judge(&self, wave: &WaveView, min_samples: usize) -> Judgement {
        judge_figures(
            "errorRatio",
            wave,
            min_samples,
            self.share,
            &self.max.to_string(),
            |figures| {
                // A device that finished nothing at all is no success.
                let all = figures.completed + figures.errors;
                let ratio = if all == 0 {
                    1.0
                } else {
                    figures.errors as f64 / all as f64
                };
                (ratio <= self.max, format!("{ratio:.3} > {}", self.max))
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Healthy, Outcome};
    use super::*;
    use crate::facts::Figures;

    #[test]
    fn counts_errors_against_results() {
        for (completed, errors, expected) in [
            (99, 1, Outcome::Pass),
            (98, 2, Outcome::Fail),
            (0, 0, Outcome::Fail),
        ] {
            let figures = Some(Figures {
                completed,
                errors,
                ..Figures::default()
            });
            let healthy = vec![Healthy {
                device: "d".into(),
                figures,
            }];
            let wave = WaveView {
                members: 1,
                open: 0,
                healthy,
                failed: vec![],
            };
            let judged = ErrorRatio {
                max: 0.01,
                share: nearly_all(),
            }
            .judge(&wave, 1);
            assert_eq!(judged.outcome, expected, "{completed} {errors}: {judged}");
        }
    }
}
