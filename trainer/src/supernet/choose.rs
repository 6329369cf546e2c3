//! Which networks the gates speak for, all of them inside the bounds.

use std::collections::BTreeSet;

use ::search::gates::Gates;
use ::search::space::{Choices, Space};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

/// Draws from the gates.
const DRAWS: usize = 2000;
/// Steps of the walk that goes on where too few draws keep the bounds.
const STEPS: usize = 2000;

/// Up to `n` different networks inside the bounds, the one that the gates speak most for first. `start` is one
/// inside the bounds, so there always is one.
pub(super) fn choose(
    space: &Space,
    gates: &Gates,
    keeps: &dyn Fn(&Choices) -> bool,
    start: &Choices,
    n: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Choices> {
    let mut found = drawn(space, gates, keeps, n, rng);
    if found.len() < n {
        walk(space, keeps, start, n, &mut found, rng);
    }
    let odds = |choices: &Choices| gates.log_odds(choices, &space.effective(choices));
    let mut ranked: Vec<(f64, Choices)> = found
        .into_iter()
        .map(|choices| (odds(&choices), choices))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let best = ranked.first().map_or(start, |(_, choices)| choices);
    let top = climb(space, keeps, best, &odds);
    let mut chosen = vec![top];
    for (_, choices) in ranked {
        if chosen.len() < n && !chosen.contains(&choices) {
            chosen.push(choices);
        }
    }
    chosen
}

/// Drawn evenly from what keeps the bounds, as far as that can be: `n` different ones, or as many as are found.
pub(super) fn even(
    space: &Space,
    keeps: &dyn Fn(&Choices) -> bool,
    start: &Choices,
    n: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<Choices> {
    let mut found = BTreeSet::new();
    let mut order = Vec::new();
    for _ in 0..DRAWS {
        let choices = space.sample(rng);
        if order.len() < n && keeps(&choices) && found.insert(choices.clone()) {
            order.push(choices);
        }
    }
    if order.len() < n {
        walk(space, keeps, start, n, &mut found, rng);
        let rest = found.into_iter().filter(|choices| !order.contains(choices));
        let rest: Vec<_> = rest.take(n - order.len()).collect();
        order.extend(rest);
    }
    order
}

fn drawn(
    space: &Space,
    gates: &Gates,
    keeps: &dyn Fn(&Choices) -> bool,
    n: usize,
    rng: &mut ChaCha8Rng,
) -> BTreeSet<Choices> {
    let mut found = BTreeSet::new();
    // More than asked for: the likeliest of many are wanted.
    let enough = 20 * n.max(1);
    for _ in 0..DRAWS {
        let Ok(choices) = space.canonical(&gates.sample(rng)) else {
            continue;
        };
        if found.len() < enough && keeps(&choices) {
            found.insert(choices);
        }
    }
    found
}

/// From one network inside the bounds to its neighbours.
fn walk(
    space: &Space,
    keeps: &dyn Fn(&Choices) -> bool,
    start: &Choices,
    n: usize,
    found: &mut BTreeSet<Choices>,
    rng: &mut ChaCha8Rng,
) {
    let mut at = start.clone();
    found.insert(at.clone());
    for _ in 0..STEPS {
        if found.len() >= n {
            return;
        }
        let slot = rng.random_range(0..space.slots().len());
        let mut next = at.clone();
        next.0[slot] = rng.random_range(0..space.slots()[slot].options) as u8;
        let Ok(next) = space.canonical(&next) else {
            continue;
        };
        if keeps(&next) {
            found.insert(next.clone());
            at = next;
        }
    }
}

/// Changes one slot at a time for the better until none is left.
fn climb(
    space: &Space,
    keeps: &dyn Fn(&Choices) -> bool,
    start: &Choices,
    odds: &dyn Fn(&Choices) -> f64,
) -> Choices {
    let mut best = (odds(start), start.clone());
    loop {
        let before = best.0;
        let from = best.1.clone();
        for (slot, described) in space.slots().iter().enumerate() {
            for option in 0..described.options as u8 {
                let mut next = from.clone();
                next.0[slot] = option;
                let Ok(next) = space.canonical(&next) else {
                    continue;
                };
                let value = odds(&next);
                if value > best.0 && keeps(&next) {
                    best = (value, next);
                }
            }
        }
        if best.0 <= before {
            return best.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use ::search::gates::Adam;
    use ::search::random::{Purpose, generator};
    use ::search::space::SearchSpaceConfig;

    use super::*;

    fn work(space: &Space, choices: &Choices) -> u64 {
        space.decode(choices).unwrap().cost().macs
    }

    /// Gates that want what is large, more than the bound allows.
    #[test]
    fn the_bound_is_hard_whatever_the_gates_want() {
        let space = Space::from_config(&SearchSpaceConfig::default()).unwrap();
        let options: Vec<usize> = space.slots().iter().map(|slot| slot.options).collect();
        let mut gates = Gates::new(&options);
        let adam = Adam {
            rate: 1.0,
            betas: (0.0, 0.999),
        };
        for (slot, wanted) in space.largest().0.iter().enumerate() {
            let gradient: Vec<f64> = (0..options[slot])
                .map(|option| if option == usize::from(*wanted) { -1.0 } else { 1.0 })
                .collect();
            gates.descend(slot, &gradient, &adam);
        }
        let mut rng = generator(1, 0, Purpose::Finalists);
        for share in [1.0, 0.5, 0.1, 0.02] {
            let least = work(&space, &space.smallest());
            let bound = least.max((work(&space, &space.largest()) as f64 * share) as u64);
            let keeps = |choices: &Choices| work(&space, choices) <= bound;
            let chosen = choose(&space, &gates, &keeps, &space.smallest(), 5, &mut rng);
            assert!(!chosen.is_empty() && chosen.iter().all(keeps), "{share}");
            let most = work(&space, &chosen[0]) as f64;
            assert!(
                share < 0.05 || most > 0.7 * bound as f64,
                "{share}: {most} of {bound}"
            );
        }
    }

    #[test]
    fn even_draws_are_different_and_inside() {
        let space = Space::from_config(&SearchSpaceConfig::default()).unwrap();
        let bound = 2 * work(&space, &space.smallest());
        let keeps = |choices: &Choices| work(&space, choices) <= bound;
        let mut rng = generator(1, 0, Purpose::Comparison);
        let found = even(&space, &keeps, &space.smallest(), 10, &mut rng);
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 10);
        assert!(found.iter().all(keeps));
    }
}
