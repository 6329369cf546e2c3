//! What every strategy keeps: it proposes points of a space and hears what became of them.

use std::fmt;

use rand_chacha::ChaCha8Rng;

use crate::space::{Choices, Space};
use crate::trial::{Feedback, TrialId};

/// One way to choose candidates. One file each in `strategies/`.
///
/// Deterministic: what it proposes depends only on the generator it is handed (one of its own for each trial)
/// and on what was told before.
pub trait Strategy: fmt::Debug + Send {
    /// The next candidate, one of which `problem.feasible` holds; `None` when it knows no other.
    fn ask(&mut self, problem: &Problem<'_>, rng: &mut ChaCha8Rng) -> Option<Choices>;

    /// What became of a candidate; also called, in the same order, when a study is resumed.
    fn tell(&mut self, _trial: TrialId, _choices: &Choices, _feedback: &Feedback) {}
}

/// What a strategy may look at: latency and size are free, accuracy costs training and only comes by `tell`.
pub struct Problem<'a> {
    pub space: &'a Space,
    /// Candidates proposed so far, in order.
    pub asked: &'a [Choices],
    /// A point that keeps the bounds, to start from where few do.
    pub start: &'a Choices,
    /// Whether a point keeps all bounds of at least one target, as predicted.
    pub feasible: &'a dyn Fn(&Choices) -> bool,
}

impl fmt::Debug for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("asked", &self.asked.len())
            .finish_non_exhaustive()
    }
}
