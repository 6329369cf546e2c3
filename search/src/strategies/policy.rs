//! A distribution over points: one softmax for each slot.

use rand_chacha::ChaCha8Rng;

use super::random::draw;
use crate::gates::{option, softmax};
use crate::space::Choices;
use crate::strategy::Problem;

/// Draws before even chance is asked instead: a policy may have settled on what is known or breaks a bound.
const DRAWS: usize = 300;

/// Logits of each slot's options; all equal at first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Policy {
    logits: Vec<Vec<f64>>,
}

impl Policy {
    /// Makes room for a problem's slots.
    pub(super) fn fit(&mut self, options: &[usize]) {
        self.logits.resize(options.len(), Vec::new());
        for (logits, n) in self.logits.iter_mut().zip(options) {
            logits.resize(*n, 0.0);
        }
    }

    pub(super) fn probabilities(&self, slot: usize, temperature: f64) -> Vec<f64> {
        let Some(logits) = self.logits.get(slot) else {
            return Vec::new();
        };
        softmax(logits, temperature)
    }

    /// Adds to the logits of a slot.
    pub(super) fn add(&mut self, slot: usize, step: impl IntoIterator<Item = f64>) {
        if let Some(logits) = self.logits.get_mut(slot) {
            for (logit, step) in logits.iter_mut().zip(step) {
                *logit += step;
            }
        }
    }

    /// A new point inside the bounds.
    pub(super) fn sample(
        &self,
        problem: &Problem<'_>,
        temperature: f64,
        rng: &mut ChaCha8Rng,
    ) -> Option<Choices> {
        let slots: Vec<Vec<f64>> = (0..self.logits.len())
            .map(|slot| self.probabilities(slot, temperature))
            .collect();
        let drawn = (0..DRAWS).find_map(|_| {
            let choices = slots
                .iter()
                .map(|probabilities| option(probabilities, rng))
                .collect();
            problem
                .landscape
                .canonical(&Choices(choices))
                .filter(|point| problem.is_new(point))
        });
        drawn.or_else(|| draw(problem, rng, &|point| problem.is_new(point)))
    }
}

/// Mean and spread of what was told, the older the less it counts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Baseline {
    mean: f64,
    variance: f64,
    count: u32,
}

impl Baseline {
    /// How far a value lies from the baseline before it, in deviations; takes it in.
    pub(super) fn advantage(&mut self, value: f64, keep: f64) -> f64 {
        self.count += 1;
        // The first values count evenly, else zero would count as told.
        let keep = keep.min(1.0 - 1.0 / f64::from(self.count));
        let distance = value - self.mean;
        let advantage = if self.variance > 0.0 {
            (distance / self.variance.sqrt()).clamp(-3.0, 3.0)
        } else {
            0.0
        };
        self.mean += (1.0 - keep) * distance;
        self.variance = keep * (self.variance + (1.0 - keep) * distance * distance);
        advantage
    }
}
