//! What every strategy searches, whatever its points are: slots with numbered options, and what is known of a
//! point before anything is trained.
//!
//! The mobile-block space behind a study and a table of finished measurements are both landscapes, so that a
//! figure measured on tables is a figure of the code that searches on devices.

use std::fmt;

use rand_chacha::ChaCha8Rng;

use crate::space::Choices;

/// The points a strategy may propose, and their free properties.
pub trait Landscape: fmt::Debug + Sync {
    /// How many options each slot has.
    fn options(&self) -> &[usize];

    /// The one form of a point, `None` for what is no point.
    fn canonical(&self, choices: &Choices) -> Option<Choices>;

    /// A point drawn evenly.
    fn sample(&self, rng: &mut ChaCha8Rng) -> Choices;

    /// What a point consists of: sorted numbers of its parts. Points that share many behave alike.
    fn parts(&self, choices: &Choices) -> Vec<u32>;

    /// What is known without training.
    fn free(&self, choices: &Choices) -> Free;

    /// All points, when they are few enough to look at each.
    fn points(&self) -> Option<&[Choices]> {
        None
    }

    /// What a slot scales, for strategies that scale rather than choose.
    fn scales(&self) -> Vec<Scale>;
}

/// Known of a point for nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Free {
    /// Latency over its bound: at most 1 inside it. Without a bound, any unit.
    pub latency: f64,
    /// Scores that rise with accuracy as a rule: zero-cost scores, work, parameters. As many for each point.
    pub scores: Vec<f64>,
}

/// The dimension of compound scaling a slot belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scale {
    Depth,
    Width,
    Resolution,
}
