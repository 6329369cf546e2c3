//! Architecture parameters of the differentiable strategies: logits over the options of each slot, and the
//! mathematics that moves them.
//!
//! One place for both ways to learn them: from single networks (`strategies/`) and from the gradients of a
//! supernet (the trainer). Knows nothing of networks: gradients of gates and masks come in as numbers.

mod adam;
pub mod binary;
pub mod gumbel;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use adam::Adam;
use adam::Moments;

use crate::space::Choices;

/// Logits of every slot's options with the optimizer's state: all that has to be kept of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gates {
    logits: Vec<Vec<f64>>,
    moments: Vec<Moments>,
}

impl Gates {
    /// All options alike.
    pub fn new(options: &[usize]) -> Self {
        Self {
            logits: options.iter().map(|n| vec![0.0; *n]).collect(),
            moments: options.iter().map(|n| Moments::new(*n)).collect(),
        }
    }

    pub fn slots(&self) -> usize {
        self.logits.len()
    }

    pub fn logits(&self, slot: usize) -> &[f64] {
        self.logits.get(slot).map_or(&[], Vec::as_slice)
    }

    pub fn probabilities(&self, slot: usize) -> Vec<f64> {
        softmax(self.logits(slot), 1.0)
    }

    /// The probabilities of every slot's options.
    pub fn all(&self) -> Vec<Vec<f64>> {
        (0..self.slots()).map(|slot| self.probabilities(slot)).collect()
    }

    /// One option for each slot, by its probability.
    pub fn sample(&self, rng: &mut ChaCha8Rng) -> Choices {
        let slots = 0..self.slots();
        Choices(slots.map(|slot| option(&self.probabilities(slot), rng)).collect())
    }

    /// How much less likely a point is than the likeliest options of its slots, as a logarithm: at most 0. Slots
    /// without effect don't count, so that deep networks are not less likely for their many slots.
    pub fn log_odds(&self, choices: &Choices, has_effect: &[bool]) -> f64 {
        let one = |(slot, chosen): (usize, &u8)| {
            let logits = self.logits(slot);
            let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            logits
                .get(usize::from(*chosen))
                .map_or(f64::NEG_INFINITY, |logit| logit - most)
        };
        let slots = choices.0.iter().enumerate().zip(has_effect);
        slots
            .filter(|(_, counts)| **counts)
            .map(|(slot, _)| one(slot))
            .sum()
    }

    /// Moves the logits of a slot down their gradient.
    pub fn descend(&mut self, slot: usize, gradient: &[f64], adam: &Adam) {
        if let (Some(logits), Some(moments)) = (self.logits.get_mut(slot), self.moments.get_mut(slot)) {
            for (logit, step) in logits.iter_mut().zip(moments.steps(gradient, adam)) {
                *logit += step;
            }
        }
    }

    /// One step of binary gates from the gradients of the sampled ones; the options that were not sampled stay as
    /// likely as before.
    pub fn descend_sampled(&mut self, slot: usize, sampled: &[(usize, f64)], adam: &Adam) {
        let all = self.probabilities(slot);
        let Some(among) = binary::among(&all, sampled.iter().map(|(option, _)| *option)) else {
            return;
        };
        let found: Vec<f64> = sampled.iter().map(|(_, gradient)| *gradient).collect();
        let mut gradient = vec![0.0; all.len()];
        for ((option, _), value) in sampled.iter().zip(softmax_gradient(&among, &found)) {
            gradient[*option] = value;
        }
        let (Some(logits), Some(moments)) = (self.logits.get_mut(slot), self.moments.get_mut(slot)) else {
            return;
        };
        let steps = moments.steps(&gradient, adam);
        let moved: Vec<f64> = sampled.iter().map(|(option, _)| steps[*option]).collect();
        let offset = binary::offset(&among, &moved);
        for ((option, _), step) in sampled.iter().zip(moved) {
            logits[*option] += step + offset;
        }
    }
}

/// Probabilities of logits; the cooler, the more the largest of them has.
pub fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits
        .iter()
        .map(|logit| ((logit - most) / temperature).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// dL/da_i = sum_j dL/dp_j p_j (d_ij - p_i): back through a softmax of temperature 1.
pub fn softmax_gradient(probabilities: &[f64], gradient: &[f64]) -> Vec<f64> {
    let pairs = || probabilities.iter().zip(gradient);
    let mean: f64 = pairs().map(|(p, g)| p * g).sum();
    pairs().map(|(p, g)| p * (g - mean)).collect()
}

/// An option by its probability.
pub fn option(probabilities: &[f64], rng: &mut ChaCha8Rng) -> u8 {
    let mut rest: f64 = rng.random();
    for (option, probability) in (0_u8..=u8::MAX).zip(probabilities) {
        if rest < *probability {
            return option;
        }
        rest -= probability;
    }
    probabilities.len().saturating_sub(1) as u8
}

#[cfg(test)]
mod tests;
