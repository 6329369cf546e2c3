use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::Percent;

use super::{Judgement, WaveView, judge_figures, nearly_all};

/// The devices' results per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fps {
    /// At least. No default: only the user knows what is enough.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub min: f64,
    /// Share of the wave's healthy devices that must keep it.
    #[serde(default = "nearly_all")]
    pub share: Percent,
}

impl Fps {
    pub(super) fn judge(&self, wave: &WaveView, min_samples: usize) -> Judgement {
        judge_figures(
            "fps",
            wave,
            min_samples,
            self.share,
            &self.min.to_string(),
            |figures| {
                (
                    figures.fps >= self.min,
                    format!("{:.1} < {}", figures.fps, self.min),
                )
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
    fn names_the_slow_device() {
        let healthy = |device: &str, fps| Healthy {
            device: device.into(),
            figures: Some(Figures {
                fps,
                ..Figures::default()
            }),
        };
        let wave = WaveView {
            members: 2,
            open: 0,
            healthy: vec![healthy("a", 10.0), healthy("b", 4.0)],
            failed: vec![],
        };
        let judged = Fps {
            min: 9.0,
            share: nearly_all(),
        }
        .judge(&wave, 1);
        assert_eq!(judged.outcome, Outcome::Fail);
        assert_eq!(
            judged.to_string(),
            "fps: 4.0 < 9; bound 9 kept by 1 of 2, 2 samples (b)"
        );
    }
}
