//! Asynchronous successive halving (Li et al. 2020, ASHA): short trainings for many, longer ones for the best of
//! them, and nobody waits for a rung to fill.

use std::collections::{BTreeMap, BTreeSet};

use crate::trial::TrialId;

/// Who has reached how many epochs with what accuracy.
#[derive(Debug, Clone, PartialEq)]
pub struct Halving {
    /// One in so many goes on.
    eta: usize,
    rungs: Vec<Rung>,
}

#[derive(Debug, Clone, PartialEq)]
struct Rung {
    epochs: u32,
    reached: BTreeMap<TrialId, f64>,
    promoted: BTreeSet<TrialId>,
}

/// A trial whose training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promotion {
    pub trial: TrialId,
    /// Rung it goes to, from 1.
    pub rung: usize,
    /// Epochs it is trained for there, those before counted in.
    pub epochs: u32,
}

impl Halving {
    /// Rungs of `least`, `least · eta`, … epochs, the last one `most`. `eta` is at least 2.
    pub fn new(least: u32, most: u32, eta: u32) -> Self {
        let (least, eta) = (least.max(1), eta.max(2));
        let mut rungs = Vec::new();
        let mut epochs = least;
        while epochs < most {
            rungs.push(Rung::of(epochs));
            epochs = epochs.saturating_mul(eta);
        }
        rungs.push(Rung::of(most.max(least)));
        Self {
            eta: eta as usize,
            rungs,
        }
    }

    /// Epochs of the first rung, where every trial starts.
    pub fn first_epochs(&self) -> u32 {
        self.rungs.first().map_or(0, |rung| rung.epochs)
    }

    /// Takes the accuracy a trial has reached on a rung; said twice it counts once. False for an unknown rung.
    pub fn tell(&mut self, trial: TrialId, rung: usize, accuracy: f64) -> bool {
        let Some(rung) = self.rungs.get_mut(rung) else {
            return false;
        };
        rung.reached.insert(trial, accuracy);
        true
    }

    /// The trial to train on, from the highest rung that has one: among the best 1/eta there and not promoted
    /// yet. `None`: start a new trial.
    pub fn promote(&mut self) -> Option<Promotion> {
        for index in (0..self.rungs.len().saturating_sub(1)).rev() {
            let epochs = self.rungs[index + 1].epochs;
            let rung = &mut self.rungs[index];
            if let Some(trial) = rung.candidate(self.eta) {
                rung.promoted.insert(trial);
                return Some(Promotion {
                    trial,
                    rung: index + 1,
                    epochs,
                });
            }
        }
        None
    }
}

impl Rung {
    fn of(epochs: u32) -> Self {
        Self {
            epochs,
            reached: BTreeMap::new(),
            promoted: BTreeSet::new(),
        }
    }

    fn candidate(&self, eta: usize) -> Option<TrialId> {
        let mut sorted: Vec<(f64, TrialId)> = self
            .reached
            .iter()
            .map(|(trial, accuracy)| (*accuracy, *trial))
            .collect();
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let best = sorted.iter().take(sorted.len() / eta);
        best.map(|(_, trial)| *trial)
            .find(|trial| !self.promoted.contains(trial))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rungs_grow_to_the_whole_training() {
        let epochs = |halving: Halving| halving.rungs.iter().map(|rung| rung.epochs).collect::<Vec<_>>();
        assert_eq!(epochs(Halving::new(1, 27, 3)), [1, 3, 9, 27]);
        assert_eq!(epochs(Halving::new(1, 20, 3)), [1, 3, 9, 20]);
        assert_eq!(epochs(Halving::new(5, 5, 3)), [5]);
        assert_eq!(epochs(Halving::new(0, 0, 0)), [1]);
    }

    #[test]
    fn the_best_third_goes_on_without_waiting() {
        let mut halving = Halving::new(1, 9, 3);
        for (trial, accuracy) in [(0, 0.5), (1, 0.7)] {
            halving.tell(TrialId(trial), 0, accuracy);
        }
        assert_eq!(halving.promote(), None);
        halving.tell(TrialId(2), 0, 0.6);
        let promotion = Promotion {
            trial: TrialId(1),
            rung: 1,
            epochs: 3,
        };
        assert_eq!(halving.promote(), Some(promotion));
        assert_eq!(halving.promote(), None);
        assert!(!halving.tell(TrialId(1), 7, 0.9));
    }

    proptest! {
        #[test]
        fn nobody_is_promoted_twice_nor_too_many(accuracies in prop::collection::vec(0.0..1.0_f64, 1..60), eta in 2..5_u32) {
            let mut halving = Halving::new(1, 27, eta);
            let mut promotions = Vec::new();
            for (trial, accuracy) in (0..).map(TrialId).zip(&accuracies) {
                halving.tell(trial, 0, *accuracy);
                while let Some(promotion) = halving.promote() {
                    promotions.push((promotion.rung, promotion.trial));
                    halving.tell(promotion.trial, promotion.rung, accuracies[promotion.trial.0 as usize]);
                }
            }
            let different: BTreeSet<_> = promotions.iter().collect();
            prop_assert_eq!(different.len(), promotions.len());
            for rung in &halving.rungs[..halving.rungs.len() - 1] {
                // What was among the best once may have been overtaken since.
                prop_assert!(rung.promoted.len() >= rung.reached.len() / eta as usize);
            }
        }
    }
}
