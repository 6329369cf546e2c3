//! FBNet (Wu et al. 2019): Gumbel-softmax gates that cool down.
//!
//! A supernet tells the gradients of its masks. Where single networks are told instead, each is a hard draw at
//! the temperature of the time, and the step follows the score of that draw.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::{Baseline, Policy};
use crate::setting::{SettingError, within};
use crate::strategy::{Problem, Proposal, Strategy, Told};
use crate::trial::Feedback;

/// Gumbel-softmax gates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FbnetConfig {
    /// Temperature at the start.
    #[schemars(range(min = 0.1, max = 100.0))]
    pub temperature: f64,
    /// Factor on the temperature after each epoch.
    #[schemars(range(min = 0.5, max = 1.0))]
    pub cooling: f64,
}

impl Default for FbnetConfig {
    fn default() -> Self {
        Self {
            temperature: 5.0,
            cooling: 0.956,
        }
    }
}

impl FbnetConfig {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        let Self { temperature, cooling } = *self;
        within("strategy.fbnet.temperature", temperature, 0.1, 100.0)?;
        within("strategy.fbnet.cooling", cooling, 0.5, 1.0)
    }
}

/// Weight and exponent of the latency in the loss.
const ALPHA: f64 = 0.2;
const BETA: f64 = 0.6;
/// Length of a step.
const RATE: f64 = 1.0;
/// Networks of one generation: an epoch of the temperature's schedule.
const GENERATION: u32 = 4;
const KEEP: f64 = 0.9;
/// Cooler than this a softmax is a maximum.
const COLDEST: f64 = 0.05;

#[derive(Debug)]
pub(super) struct Fbnet {
    config: FbnetConfig,
    gates: Policy,
    baseline: Baseline,
    told: u32,
}

impl Fbnet {
    pub(super) fn new(config: FbnetConfig) -> Self {
        Self {
            config,
            gates: Policy::default(),
            baseline: Baseline::default(),
            told: 0,
        }
    }

    fn temperature(&self) -> f64 {
        let epoch = (self.told / GENERATION) as i32;
        (self.config.temperature * self.config.cooling.powi(epoch)).max(COLDEST)
    }
}

/// Error · alpha · log(latency)^beta, with one more than latency over bound, so that the logarithm is positive.
fn loss(accuracy: f64, latency: f64) -> f64 {
    (1.0 - accuracy) * ALPHA * latency.max(0.0).ln_1p().powf(BETA)
}

impl Strategy for Fbnet {
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        self.gates.fit(problem.landscape.options());
        let temperature = self.temperature();
        let draw = |_| self.gates.sample(problem, temperature, rng);
        (0..GENERATION).filter_map(draw).map(Proposal::full).collect()
    }

    fn tell(&mut self, told: &Told<'_>) {
        let temperature = self.temperature();
        match told.feedback {
            Feedback::Evaluated { accuracy } => {
                self.gates.fit(told.options);
                let advantage = self.baseline.advantage(-loss(*accuracy, told.latency), KEEP);
                for (slot, chosen) in told.choices.0.iter().enumerate() {
                    let mask = self.gates.probabilities(slot, temperature);
                    let score =
                        |(option, p): (usize, &f64)| f64::from(u8::from(option == usize::from(*chosen))) - p;
                    let step: Vec<f64> = mask
                        .iter()
                        .enumerate()
                        .map(score)
                        .map(|score| RATE * advantage * score)
                        .collect();
                    self.gates.add(slot, step);
                }
                self.told += 1;
            }
            Feedback::Gradients { gates } => {
                self.gates.fit(told.options);
                for (slot, gradients) in gates.iter().enumerate() {
                    let mask = self.gates.probabilities(slot, temperature);
                    let mean: f64 = mask.iter().zip(gradients).map(|(p, gradient)| p * gradient).sum();
                    let step: Vec<f64> = mask
                        .iter()
                        .zip(gradients)
                        .map(|(p, gradient)| -p * (gradient - mean) / temperature)
                        .collect();
                    self.gates.add(slot, step);
                }
                self.told += 1;
            }
            Feedback::Measured { .. } | Feedback::Failed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cools_as_the_paper_says() {
        let mut fbnet = Fbnet::new(FbnetConfig::default());
        assert!((fbnet.temperature() - 5.0).abs() < 1e-12);
        fbnet.told = 90 * GENERATION;
        assert!((fbnet.temperature() - 5.0 * 0.956_f64.powi(90)).abs() < 1e-12);
        assert!(loss(0.9, 1.0) < loss(0.8, 1.0) && loss(0.9, 0.5) < loss(0.9, 1.0));
    }
}
