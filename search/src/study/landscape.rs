//! A study's space as strategies see it.

use rand_chacha::ChaCha8Rng;

use super::{Target, estimates};
use crate::landscape::{Free, Landscape, Scale};
use crate::space::{Choices, SlotKind, Space};

/// Networks of mobile blocks with the targets they are meant for.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    space: &'a Space,
    targets: &'a [Target],
    options: Vec<usize>,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(space: &'a Space, targets: &'a [Target]) -> Self {
        Self {
            space,
            targets,
            options: space.slots().iter().map(|slot| slot.options).collect(),
        }
    }

    /// Whether a point keeps all bounds of at least one target, as predicted.
    pub(super) fn keeps_a_bound(&self, choices: &Choices) -> bool {
        let keeps = |all: Vec<_>| {
            let mut pairs = all.iter().zip(self.targets);
            pairs.any(|(estimate, target)| target.constraints.admits(estimate))
        };
        estimates(self.space, self.targets, choices).is_some_and(keeps)
    }
}

impl Landscape for Blocks<'_> {
    fn options(&self) -> &[usize] {
        &self.options
    }

    fn canonical(&self, choices: &Choices) -> Option<Choices> {
        self.space.canonical(choices).ok()
    }

    fn sample(&self, rng: &mut ChaCha8Rng) -> Choices {
        self.space.sample(rng)
    }

    /// The option of each slot that has an effect.
    fn parts(&self, choices: &Choices) -> Vec<u32> {
        const MOST_OPTIONS: u32 = 256;
        let has_effect = self.space.effective(choices);
        let mut parts = Vec::new();
        for (slot, option) in (0_u32..).zip(&choices.0) {
            if has_effect.get(slot as usize) == Some(&true) {
                parts.push(slot * MOST_OPTIONS + u32::from(*option));
            }
        }
        parts
    }

    fn free(&self, choices: &Choices) -> Free {
        let all = estimates(self.space, self.targets, choices).unwrap_or_default();
        let ratios = all
            .iter()
            .zip(self.targets)
            .map(|(estimate, target)| target.constraints.ratio(estimate));
        let (macs, parameters) = all.first().map_or((0, 0), |e| (e.macs, e.parameters));
        Free {
            latency: ratios.fold(f64::INFINITY, f64::min),
            scores: vec![macs as f64, parameters as f64],
        }
    }

    fn scales(&self) -> Vec<Scale> {
        let scale = |kind| match kind {
            SlotKind::Resolution => Scale::Resolution,
            SlotKind::Width | SlotKind::Block { .. } => Scale::Width,
            SlotKind::Depth { .. } => Scale::Depth,
        };
        self.space.slots().iter().map(|slot| scale(slot.kind)).collect()
    }
}
