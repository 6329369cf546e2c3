//! Regularised evolution: the children of the best of a random few; the oldest die, however good.

use std::collections::VecDeque;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::EvolutionConfig;
use crate::space::Choices;
use crate::strategies::random::{draw, step};
use crate::strategy::{Problem, Proposal, Strategy, Told};
use crate::trial::Feedback;

/// Children of one generation.
const GENERATION: usize = 4;
/// Share of the budget that chance draws at most, before there are children.
const MOST_DRAWN: f64 = 0.2;
/// Attempts at a child that is new and keeps the bounds.
const ATTEMPTS: usize = 100;

#[derive(Debug)]
pub(super) struct Regularised {
    population: usize,
    sample: usize,
    /// The living, oldest first.
    living: VecDeque<(Choices, f64)>,
}

impl Regularised {
    pub(super) fn new(config: &EvolutionConfig) -> Self {
        Self {
            population: config.population.max(2) as usize,
            sample: config.sample.max(1) as usize,
            living: VecDeque::new(),
        }
    }

    fn child(&self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Option<Choices> {
        let few = (0..self.sample.min(self.living.len()))
            .map(|_| &self.living[rng.random_range(0..self.living.len())]);
        let parent = few.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
        let mut child = parent.0.clone();
        // A neighbour that is known is stepped over.
        for _ in 0..ATTEMPTS {
            let next = step(problem, rng, &child).filter(|next| (problem.feasible)(next));
            child = next.unwrap_or(child);
            if problem.is_new(&child) {
                return Some(child);
            }
        }
        None
    }
}

impl Strategy for Regularised {
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        let drawn = self.population.min((MOST_DRAWN * problem.budget) as usize).max(2);
        let is_young = self.living.len() < drawn;
        let next = |_| {
            let child = if is_young { None } else { self.child(problem, rng) };
            child.or_else(|| draw(problem, rng, &|choices| problem.is_new(choices)))
        };
        (0..GENERATION).filter_map(next).map(Proposal::full).collect()
    }

    fn tell(&mut self, told: &Told<'_>) {
        if let Feedback::Evaluated { accuracy } = told.feedback {
            self.living.push_back((told.choices.clone(), *accuracy));
            while self.living.len() > self.population {
                self.living.pop_front();
            }
        }
    }
}
