//! ProxylessNAS (Cai et al. 2019): binary gates over the options of each slot.
//!
//! A supernet tells the gradients of its gates. Where single networks are told instead, two that differ in one
//! slot say what the gates there are worth: the same step, with the difference of their losses for the gradient.

use std::collections::BTreeMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::Policy;
use crate::gates::{binary, option, softmax_gradient};
use crate::setting::{SettingError, within};
use crate::space::Choices;
use crate::strategy::{Problem, Proposal, Strategy, Told};
use crate::trial::Feedback;

/// Binary gates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProxylessConfig {
    /// How the gates' gradients are found.
    pub gradient: GateGradient,
    /// Weight of the latency term in the loss.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub lambda: f64,
}

impl Default for ProxylessConfig {
    fn default() -> Self {
        Self {
            gradient: GateGradient::TwoPath,
            lambda: 0.1,
        }
    }
}

impl ProxylessConfig {
    /// What the latency term adds to the loss for each unit of latency over bound. Below the bound, which is hard,
    /// nothing is gained by speed.
    pub fn latency_slope(&self, ratio: f64) -> f64 {
        if ratio > 1.0 { self.lambda } else { 0.0 }
    }

    pub(super) fn check(&self) -> Result<(), SettingError> {
        let Self { gradient: _, lambda } = *self;
        within("strategy.proxyless.lambda", lambda, 0.0, 10.0)
    }
}

/// How the gradients of binary gates are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GateGradient {
    /// From two sampled paths at a time.
    TwoPath,
    /// From all paths, one after the other.
    Full,
}

/// Length of a step on losses in units of their spread, and on gradients of a supernet's loss.
const RATE: f64 = 2.0;
const GRADIENT_RATE: f64 = 0.1;
/// Networks of one generation, and slots that one of them is varied in.
const GENERATION: usize = 4;

#[derive(Debug)]
pub(super) struct Proxyless {
    config: ProxylessConfig,
    gates: Policy,
    /// Loss of each told network.
    losses: BTreeMap<Choices, f64>,
}

impl Proxyless {
    pub(super) fn new(config: ProxylessConfig) -> Self {
        Self {
            config,
            gates: Policy::default(),
            losses: BTreeMap::new(),
        }
    }

    /// One step of a slot's gates from the losses of some of its options, those of the others unchanged.
    ///
    /// Over the sampled paths alone; then all sampled logits are shifted so that together they stay as likely as
    /// before.
    fn step(&mut self, slot: usize, losses: &[(usize, f64)], rate: f64) {
        let all = self.gates.probabilities(slot, 1.0);
        let Some(among) = binary::among(&all, losses.iter().map(|(option, _)| *option)) else {
            return;
        };
        let found: Vec<f64> = losses.iter().map(|(_, loss)| *loss).collect();
        let gradient = softmax_gradient(&among, &found);
        let moved: Vec<f64> = gradient.iter().map(|value| -rate * value).collect();
        let offset = binary::offset(&among, &moved);
        let mut step = vec![0.0; all.len()];
        for ((option, _), moved) in losses.iter().zip(moved) {
            step[*option] = moved + offset;
        }
        self.gates.add(slot, step);
    }

    /// Spread of the told losses: what is small depends on the task.
    fn spread(&self) -> f64 {
        let n = self.losses.len().max(1) as f64;
        let mean = self.losses.values().sum::<f64>() / n;
        let variance = self
            .losses
            .values()
            .map(|loss| (loss - mean) * (loss - mean))
            .sum::<f64>()
            / n;
        variance.sqrt().max(1e-6)
    }

    /// The told networks that differ from one in this slot alone, itself among them.
    fn siblings(&self, choices: &Choices, slot: usize, options: usize) -> Vec<(usize, f64)> {
        let mut sibling = choices.clone();
        let loss = |option: usize| {
            sibling.0[slot] = option as u8;
            Some((option, *self.losses.get(&sibling)?))
        };
        (0..options).filter_map(loss).collect()
    }
}

impl Strategy for Proxyless {
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        let options = problem.landscape.options();
        self.gates.fit(options);
        let mut proposals = Vec::new();
        let varied: Vec<usize> = (0..options.len()).filter(|slot| options[*slot] > 1).collect();
        while proposals.len() < GENERATION {
            let Some(base) = self.gates.sample(problem, 1.0, rng) else {
                break;
            };
            proposals.push(Proposal::full(base.clone()));
            let Some(slot) = varied.get(rng.random_range(0..varied.len().max(1))).copied() else {
                break;
            };
            let others: Vec<u8> = match self.config.gradient {
                GateGradient::TwoPath => vec![option(&self.gates.probabilities(slot, 1.0), rng)],
                GateGradient::Full => (0..options[slot] as u8).collect(),
            };
            for other in others {
                let mut sibling = base.clone();
                sibling.0[slot] = other;
                let sibling = problem.landscape.canonical(&sibling);
                proposals.extend(
                    sibling
                        .filter(|point| *point != base && problem.is_new(point))
                        .map(Proposal::full),
                );
            }
        }
        proposals
    }

    fn tell(&mut self, told: &Told<'_>) {
        match told.feedback {
            Feedback::Evaluated { accuracy } => {
                self.gates.fit(told.options);
                self.losses.insert(
                    told.choices.clone(),
                    -accuracy + self.config.lambda * (told.latency - 1.0),
                );
                let spread = self.spread();
                for slot in 0..told.choices.0.len() {
                    let options = self.gates.probabilities(slot, 1.0).len();
                    let mut siblings = self.siblings(told.choices, slot, options);
                    for (_, loss) in &mut siblings {
                        *loss /= spread;
                    }
                    if siblings.len() > 1 {
                        self.step(slot, &siblings, RATE);
                    }
                }
            }
            Feedback::Gradients { gates } => {
                self.gates.fit(told.options);
                for (slot, gradients) in gates.iter().enumerate() {
                    let known = self.gates.probabilities(slot, 1.0).len();
                    let losses: Vec<(usize, f64)> =
                        gradients.iter().copied().enumerate().take(known).collect();
                    self.step(slot, &losses, GRADIENT_RATE);
                }
            }
            Feedback::Measured { .. } | Feedback::Failed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_paths_leave_the_others_as_likely_as_before() {
        let mut proxyless = Proxyless::new(ProxylessConfig::default());
        proxyless.gates.fit(&[4]);
        proxyless.step(0, &[(1, 2.0), (3, 1.0)], 0.5);
        let p = proxyless.gates.probabilities(0, 1.0);
        assert!((p[0] - 0.25).abs() < 1e-12 && (p[2] - 0.25).abs() < 1e-12);
        assert!(p[3] > 0.25 && (p[1] + p[3] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_full_step_follows_the_derivative_of_the_softmax() {
        let mut proxyless = Proxyless::new(ProxylessConfig::default());
        proxyless.gates.fit(&[3]);
        let losses = [0.5, -1.0, 2.0];
        let expected = |logits: &[f64]| {
            let weights: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
            weights.iter().zip(losses).map(|(w, l)| w * l).sum::<f64>() / weights.iter().sum::<f64>()
        };
        let small = 1e-6;
        let known: Vec<(usize, f64)> = losses.iter().copied().enumerate().collect();
        proxyless.step(0, &known, small);
        let moved = proxyless.gates.probabilities(0, 1.0);
        for slot in 0..3 {
            let mut logits = [0.0; 3];
            logits[slot] = small;
            let gradient = (expected(&logits) - expected(&[0.0; 3])) / small;
            // A logit's step shows in its logarithm of probability, up to a common shift.
            let shift = (moved[slot] / moved[0]).ln() / small;
            let mut first = [0.0; 3];
            first[0] = small;
            let reference = (expected(&first) - expected(&[0.0; 3])) / small;
            assert!(
                (shift + (gradient - reference)).abs() < 1e-3,
                "{slot}: {shift} {gradient}"
            );
        }
    }
}
