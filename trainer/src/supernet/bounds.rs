//! The bounds as a search over a supernet sees them: a network keeps them or is never looked at.

use ::search::latency::LatencyError;
use ::search::nearest::Nearest;
use ::search::space::{Choices, Space};
use ::search::study::Target;
use ::search::trial::Estimate;

#[derive(Debug)]
pub(super) struct Bounds<'a> {
    space: &'a Space,
    target: &'a Target,
}

/// No network of the space keeps the bounds.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("no network of the space keeps the bounds: of the nearest, {nearest}, {problems}")]
pub struct Infeasible {
    pub nearest: String,
    pub problems: String,
}

impl<'a> Bounds<'a> {
    pub(super) fn new(space: &'a Space, target: &'a Target) -> Self {
        Self { space, target }
    }

    /// A network inside the bounds, its latency with the error bar on top.
    pub(super) fn start(&self, nearest: Option<Nearest>) -> Result<Choices, Infeasible> {
        let Some(Nearest {
            choices,
            architecture,
            ..
        }) = nearest
        else {
            let (nearest, problems) = ("none".to_owned(), "the space is empty".to_owned());
            return Err(Infeasible { nearest, problems });
        };
        let estimate = self.estimate(&choices).unwrap_or_default();
        let broken = self.target.constraints.violations(&estimate);
        if broken.is_empty() {
            return Ok(choices);
        }
        let problems: Vec<String> = broken.iter().map(ToString::to_string).collect();
        Err(Infeasible {
            nearest: architecture.to_string(),
            problems: problems.join(", "),
        })
    }

    pub(super) fn keep(&self, choices: &Choices) -> bool {
        let estimate = self.estimate(choices);
        estimate.is_ok_and(|estimate| self.target.constraints.admits(&estimate))
    }

    /// What a network costs, its latency also with the error bar on top.
    pub(super) fn estimate(&self, choices: &Choices) -> Result<Estimate, LatencyError> {
        let Ok(architecture) = self.space.decode(choices) else {
            return Err(LatencyError::NothingToCalibrateOn);
        };
        Estimate::of(&architecture, &self.target.latency)
    }
}
