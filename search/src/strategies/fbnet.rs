//! FBNet (Wu et al. 2019): Gumbel-softmax gates that cool down.
//!
//! A supernet tells the gradients of its masks. Where single networks are told instead, each is a hard draw at
//! the temperature of the time, and the step follows the score of that draw.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::{Baseline, Policy};
use crate::gates::gumbel;
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
    /// After so many epochs of the schedule.
    pub fn temperature(&self, epoch: f64) -> f64 {
        (self.temperature * self.cooling.powf(epoch)).max(COLDEST)
    }

    /// Derivatives of the loss of a supernet: by its cross-entropy, and by its latency over bound. Below the bound,
    /// which is hard, nothing is gained by speed.
    pub fn slopes(&self, cross_entropy: f64, ratio: f64) -> (f64, f64) {
        let counted = ratio.max(1.0);
        let by_latency = cross_entropy * ALPHA * BETA * counted.ln_1p().powf(BETA - 1.0) / (1.0 + counted);
        let by_entropy = loss(0.0, counted);
        (by_entropy, if ratio > 1.0 { by_latency } else { 0.0 })
    }

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
        self.config.temperature(f64::from(self.told / GENERATION))
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
                    let found = gumbel::gradient(&mask, gradients, temperature);
                    let step: Vec<f64> = found.iter().map(|value| -RATE * value).collect();
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
        let config = FbnetConfig::default();
        let (by_entropy, by_latency) = config.slopes(0.7, 1.5);
        let (small, whole) = (1e-6, |entropy: f64, ratio: f64| loss(1.0 - entropy, ratio));
        assert!((by_entropy - (whole(0.7 + small, 1.5) - whole(0.7, 1.5)) / small).abs() < 1e-6);
        assert!((by_latency - (whole(0.7, 1.5 + small) - whole(0.7, 1.5)) / small).abs() < 1e-6);
        assert!(config.slopes(0.7, 0.9).1.abs() < 1e-12);
        assert!(loss(0.9, 1.0) < loss(0.8, 1.0) && loss(0.9, 0.5) < loss(0.9, 1.0));
    }
}
