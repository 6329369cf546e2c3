//! MnasNet (Tan et al. 2019): a policy learned by REINFORCE from rewards that weigh accuracy against latency.
//!
//! The controller is one softmax for each slot instead of a recurrent network: as expressive for independent
//! slots, and learned from tens of candidates rather than thousands.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::{Baseline, Policy};
use crate::setting::{SettingError, within};
use crate::strategy::{Problem, Proposal, Strategy, Told};
use crate::trial::Feedback;

/// A learned policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MnasnetConfig {
    /// Exponent of latency over bound in the reward, for candidates inside the bound.
    #[schemars(range(min = -2.0, max = 0.0))]
    pub alpha: f64,
    /// The same for candidates above the bound.
    #[schemars(range(min = -2.0, max = 0.0))]
    pub beta: f64,
}

impl Default for MnasnetConfig {
    fn default() -> Self {
        Self {
            alpha: -0.07,
            beta: -0.07,
        }
    }
}

impl MnasnetConfig {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        let Self { alpha, beta } = *self;
        within("strategy.mnasnet.alpha", alpha, -2.0, 0.0)?;
        within("strategy.mnasnet.beta", beta, -2.0, 0.0)
    }
}

/// Candidates for one step of the policy.
const GENERATION: usize = 8;
/// Length of a step.
const RATE: f64 = 0.3;
/// Weight of the entropy, which keeps the policy from settling too early.
const ENTROPY: f64 = 0.01;
/// How much of the baseline each reward leaves.
const KEEP: f64 = 0.95;

#[derive(Debug)]
pub(super) struct Mnasnet {
    config: MnasnetConfig,
    policy: Policy,
    baseline: Baseline,
}

impl Mnasnet {
    pub(super) fn new(config: MnasnetConfig) -> Self {
        Self {
            config,
            policy: Policy::default(),
            baseline: Baseline::default(),
        }
    }

    /// accuracy · (latency / bound)^w, with w = alpha inside the bound and beta above it.
    fn reward(&self, accuracy: f64, latency: f64) -> f64 {
        let exponent = if latency <= 1.0 {
            self.config.alpha
        } else {
            self.config.beta
        };
        accuracy * latency.max(1e-3).powf(exponent)
    }
}

impl Strategy for Mnasnet {
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        self.policy.fit(problem.landscape.options());
        (0..GENERATION)
            .filter_map(|_| self.policy.sample(problem, 1.0, rng))
            .map(Proposal::full)
            .collect()
    }

    fn tell(&mut self, told: &Told<'_>) {
        let Feedback::Evaluated { accuracy } = *told.feedback else {
            return;
        };
        self.policy.fit(told.options);
        let advantage = self.baseline.advantage(self.reward(accuracy, told.latency), KEEP);
        for (slot, chosen) in told.choices.0.iter().enumerate() {
            let probabilities = self.policy.probabilities(slot, 1.0);
            let entropy: f64 = probabilities.iter().map(|p| -p * p.max(1e-12).ln()).sum();
            let step = probabilities.iter().enumerate().map(|(option, p)| {
                let score = f64::from(u8::from(option == usize::from(*chosen))) - p;
                RATE * (advantage * score - ENTROPY * p * (p.max(1e-12).ln() + entropy))
            });
            let step: Vec<f64> = step.collect();
            self.policy.add(slot, step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_those_of_the_paper() {
        let soft = Mnasnet::new(MnasnetConfig::default());
        assert!(
            (soft.reward(0.7, 2.0) / soft.reward(0.7, 1.0) - 0.952_6).abs() < 1e-3,
            "5 % for twice the latency"
        );
        let hard = Mnasnet::new(MnasnetConfig {
            alpha: 0.0,
            beta: -1.0,
        });
        assert!((hard.reward(0.7, 0.5) - 0.7).abs() < 1e-12);
        assert!((hard.reward(0.7, 2.0) - 0.35).abs() < 1e-12);
    }
}
