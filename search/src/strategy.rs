//! What every strategy keeps: it proposes points of a landscape and hears what became of them.

use std::collections::BTreeSet;
use std::fmt;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::landscape::Landscape;
use crate::space::Choices;
use crate::trial::{Feedback, TrialId};

/// One way to choose candidates. One file each in `strategies/`.
///
/// Deterministic: what it proposes depends only on the generator it is handed and on what was told before, in
/// the order of trials. `ask` may keep what it computed, never what it drew: a study that is resumed replays
/// `tell` alone.
pub trait Strategy: fmt::Debug + Send {
    /// The next generation: candidates that can be trained side by side, each of which `problem.feasible`
    /// holds. Empty when it knows no other.
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Vec<Proposal>;

    /// What became of a candidate, once its whole generation is told.
    fn tell(&mut self, _told: &Told<'_>) {}

    /// Whether outcomes change what it proposes; if not, no generation waits for another.
    fn learns(&self) -> bool {
        true
    }
}

/// A candidate and how far to train it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proposal {
    pub choices: Choices,
    pub fidelity: Fidelity,
}

/// How far a candidate is trained: 0 to the end, 1 the next shorter training the problem offers, and so on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fidelity(pub u8);

impl Fidelity {
    /// Trained to the end.
    pub const FULL: Self = Self(0);

    pub fn is_full(&self) -> bool {
        *self == Self::FULL
    }
}

/// One trial's outcome with what was free to know of it.
#[derive(Debug)]
pub struct Told<'a> {
    pub trial: TrialId,
    pub choices: &'a Choices,
    /// How many options each slot of the landscape has.
    pub options: &'a [usize],
    pub fidelity: Fidelity,
    pub generation: u32,
    /// Latency over its bound.
    pub latency: f64,
    pub feedback: &'a Feedback,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Goal {
    /// The most accurate candidate inside the bounds.
    #[default]
    Accuracy,
    /// The front of accuracy and latency.
    Front,
}

/// What a strategy may look at: latency and size are free, accuracy costs training and only comes by `tell`.
pub struct Problem<'a> {
    pub landscape: &'a dyn Landscape,
    pub goal: Goal,
    /// Candidates proposed so far, at any fidelity.
    pub asked: &'a BTreeSet<Proposal>,
    /// A point that keeps the bounds, to start from where few do.
    pub start: &'a Choices,
    /// Whether a point keeps all bounds of at least one target, as predicted.
    pub feasible: &'a dyn Fn(&Choices) -> bool,
    /// What each fidelity costs, the full one 1; its length is how many there are.
    pub prices: &'a [f64],
    /// What is left of the budget, in full trainings.
    pub left: f64,
    /// Full trainings at the start.
    pub budget: f64,
}

impl Problem<'_> {
    /// Whether a point keeps the bounds and was not proposed for full training yet.
    pub fn is_new(&self, choices: &Choices) -> bool {
        (self.feasible)(choices) && !self.asked.contains(&Proposal::full(choices.clone()))
    }
}

impl Proposal {
    pub fn full(choices: Choices) -> Self {
        Self {
            choices,
            fidelity: Fidelity::FULL,
        }
    }
}

impl fmt::Debug for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("goal", &self.goal)
            .field("asked", &self.asked.len())
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
