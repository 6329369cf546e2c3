use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::{Duration, Percent};

use super::{Judgement, WaveView, judge_figures, nearly_all};

/// The devices' latency from capture to sink, 95th percentile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LatencyP95 {
    /// At most. No default: only the user knows what is fast enough.
    pub max: Duration,
    /// Share of the wave's healthy devices that must keep it.
    #[serde(default = "nearly_all")]
    pub share: Percent,
}

impl LatencyP95 {
    pub(super) fn judge(&self, wave: &WaveView, min_samples: usize) -> Judgement {
        judge_figures(
            "latencyP95",
            wave,
            min_samples,
            self.share,
            &self.max.to_string(),
            |figures| {
                let kept = figures.latency_p95_ms <= self.max.as_millis_f64();
                (kept, format!("{:.1}ms > {}", figures.latency_p95_ms, self.max))
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
    fn judges_devices_that_reported() {
        let gate = LatencyP95 {
            max: Duration::from_millis(120),
            share: "50%".parse().unwrap(),
        };
        // latencies of the healthy devices, None = not reported; open devices
        for (latencies, open, expected) in [
            (vec![Some(100.0)], 0, Outcome::Pass),
            (vec![Some(130.0)], 0, Outcome::Fail),
            (vec![Some(100.0), Some(130.0)], 0, Outcome::Pass),
            (vec![Some(100.0), Some(130.0), Some(131.0)], 0, Outcome::Fail),
            (vec![Some(130.0)], 1, Outcome::Inconclusive),
            (vec![Some(100.0), None], 0, Outcome::Inconclusive),
            (vec![], 0, Outcome::Inconclusive),
        ] {
            let figures = |ms| Figures {
                latency_p95_ms: ms,
                ..Figures::default()
            };
            let healthy: Vec<_> = latencies
                .iter()
                .map(|l| Healthy {
                    device: "d".into(),
                    figures: l.map(figures),
                })
                .collect();
            let wave = WaveView {
                members: healthy.len() + open,
                open,
                healthy,
                failed: vec![],
            };
            let judged = gate.judge(&wave, 1);
            assert_eq!(judged.outcome, expected, "{latencies:?} {open}: {judged}");
        }
    }
}
