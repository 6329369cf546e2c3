//! A pool for spaces too large to list: what was told, what chance draws, and offspring of the best.

use std::collections::BTreeSet;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::guided::Reading;
use crate::predictor::features::Pool;
use crate::space::Choices;
use crate::strategies::random::{draw, step};
use crate::strategy::Problem;

/// Points of a pool.
const SIZE: usize = 600;
/// Share of it that chance draws.
const DRAWN: usize = SIZE / 3;
/// Parents of the offspring: the best told, or the first drawn.
const PARENTS: usize = 20;
/// Attempts for one point, since neighbours may be known or break a bound.
const ATTEMPTS: usize = 4;
/// Changed slots of one child, at most.
const CHANGES: usize = 3;

pub(super) fn breed(problem: &Problem<'_>, told: &[Reading], rng: &mut ChaCha8Rng) -> Pool {
    let mut points: BTreeSet<Choices> = told.iter().map(|reading| reading.choices.clone()).collect();
    points.insert(problem.start.clone());
    for _ in 0..DRAWN {
        points.extend(draw(problem, rng, &|choices| (problem.feasible)(choices)));
    }
    let mut best: Vec<&Reading> = told.iter().collect();
    best.sort_by(|a, b| {
        a.fidelity
            .cmp(&b.fidelity)
            .then(b.accuracy.total_cmp(&a.accuracy))
    });
    let mut parents: Vec<Choices> = best
        .iter()
        .take(PARENTS)
        .map(|reading| reading.choices.clone())
        .collect();
    if parents.is_empty() {
        parents = points.iter().take(PARENTS).cloned().collect();
    }
    for _ in 0..ATTEMPTS * SIZE {
        if points.len() >= SIZE {
            break;
        }
        let mut child = parents[rng.random_range(0..parents.len())].clone();
        for _ in 0..rng.random_range(1..=CHANGES) {
            child = step(problem, rng, &child).unwrap_or(child);
        }
        if (problem.feasible)(&child) {
            points.insert(child);
        }
    }
    Pool::new(problem.landscape, points.into_iter().collect())
}
