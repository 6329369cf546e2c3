//! Random choice: points drawn evenly, those that keep the bounds are taken.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::space::Choices;
use crate::strategy::{Problem, Proposal, Strategy};

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
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        draw(problem, rng, &|choices| problem.is_new(choices))
            .map(Proposal::full)
            .into_iter()
            .collect()
    }

    fn learns(&self) -> bool {
        false
    }
}

/// A point drawn evenly among the wanted ones inside the bounds.
pub(super) fn draw(
    problem: &Problem<'_>,
    rng: &mut ChaCha8Rng,
    wanted: &dyn Fn(&Choices) -> bool,
) -> Option<Choices> {
    let drawn = (0..DRAWS).map(|_| problem.landscape.sample(rng)).find(wanted);
    drawn.or_else(|| (0..WALKS).find_map(|_| walk(problem, rng, wanted)))
}

/// A random walk that never leaves the bounds: reaches what even draws hardly hit.
fn walk(problem: &Problem<'_>, rng: &mut ChaCha8Rng, wanted: &dyn Fn(&Choices) -> bool) -> Option<Choices> {
    let mut here = problem.start.clone();
    for _ in 0..STEPS {
        if let Some(next) = step(problem, rng, &here).filter(|next| (problem.feasible)(next)) {
            here = next;
        }
    }
    if wanted(&here) {
        Some(here)
    } else {
        wanted(problem.start).then(|| problem.start.clone())
    }
}

/// One slot drawn anew; `None` when that is no point.
pub(super) fn step(problem: &Problem<'_>, rng: &mut ChaCha8Rng, from: &Choices) -> Option<Choices> {
    let options = problem.landscape.options();
    let mut next = from.clone();
    let slot = rng.random_range(0..options.len());
    next.0[slot] = rng.random_range(0..options[slot]) as u8;
    problem.landscape.canonical(&next)
}
