//! Random choice: points drawn evenly, those that keep the bounds are taken.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::space::Choices;
use crate::strategy::{Problem, Strategy};

/// Random choice has no settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RandomConfig {}

/// Even draws before it walks instead: a bound that leaves less than about 1 in 100 points is tight.
const DRAWS: u32 = 200;
/// Steps of one walk from the start, and walks before giving up.
const STEPS: u32 = 40;
const WALKS: u32 = 20;

#[derive(Debug)]
pub(super) struct Random;

impl Random {
    pub(super) fn new(RandomConfig {}: &RandomConfig) -> Self {
        Self
    }
}

impl Strategy for Random {
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Option<Choices> {
        let new = |choices: &Choices| (problem.feasible)(choices) && !problem.asked.contains(choices);
        let drawn = (0..DRAWS).map(|_| problem.space.sample(rng)).find(&new);
        drawn.or_else(|| (0..WALKS).find_map(|_| walk(problem, rng, &new)))
    }
}

/// A random walk that never leaves the bounds: reaches what even draws hardly hit.
fn walk(problem: &Problem<'_>, rng: &mut ChaCha8Rng, new: &dyn Fn(&Choices) -> bool) -> Option<Choices> {
    let mut here = problem.start.clone();
    for _ in 0..STEPS {
        let next = step(problem, rng, &here);
        if (problem.feasible)(&next) {
            here = next;
        }
    }
    if new(&here) {
        Some(here)
    } else {
        new(problem.start).then(|| problem.start.clone())
    }
}

fn step(problem: &Problem<'_>, rng: &mut ChaCha8Rng, from: &Choices) -> Choices {
    let slots = problem.space.slots();
    let mut next = from.clone();
    let slot = rng.random_range(0..slots.len());
    next.0[slot] = rng.random_range(0..slots[slot].options) as u8;
    problem.space.canonical(&next).unwrap_or(next)
}
