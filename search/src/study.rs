//! One search for one or several targets: hands out candidates that keep the bounds, hears what became of
//! them, and says which are worth training to the end.
//!
//! Deterministic in its seed; all its state are its trial records.

use crate::NotYetSupported;
use crate::constraint::Constraints;
use crate::latency::{LatencyError, LatencyModel};
use crate::nearest::{Nearest, nearest};
use crate::random::{Purpose, generator};
use crate::space::{Choices, Space, SpaceError};
use crate::strategies::StrategyConfig;
use crate::strategy::{Problem, Strategy};
use crate::trial::{Estimate, Feedback, Trial, TrialId, TrialRecord};

mod finalists;

pub use finalists::{Finalist, capacity};

/// One device class with its bounds and its profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub name: String,
    pub constraints: Constraints,
    pub latency: LatencyModel,
}

#[derive(Debug)]
pub struct Study {
    space: Space,
    targets: Vec<Target>,
    nearest: Vec<Nearest>,
    strategy: Box<dyn Strategy>,
    candidates: u32,
    seed: u64,
    records: Vec<TrialRecord>,
    asked: Vec<Choices>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StudyError {
    #[error("a study needs at least one target")]
    NoTarget,
    #[error("target {target}: {source}")]
    Latency { target: String, source: LatencyError },
    #[error(transparent)]
    Space(#[from] SpaceError),
    #[error(transparent)]
    NotYetSupported(#[from] NotYetSupported),
    #[error("trial {0:?} was never asked for")]
    UnknownTrial(TrialId),
    #[error("trial {trial:?} speaks of target {target}, of which there are {targets}")]
    UnknownTarget {
        trial: TrialId,
        target: usize,
        targets: usize,
    },
    #[error("record {position} is of trial {found:?}: records are kept in order")]
    Disordered { position: usize, found: TrialId },
}

impl Study {
    /// `candidates` are all that will be asked for.
    pub fn new(
        space: Space,
        targets: Vec<Target>,
        strategy: &StrategyConfig,
        candidates: u32,
        seed: u64,
    ) -> Result<Self, StudyError> {
        if targets.is_empty() {
            return Err(StudyError::NoTarget);
        }
        let strategy = strategy.build()?;
        let mut found = Vec::with_capacity(targets.len());
        for target in &targets {
            let near = nearest(&space, &target.latency, &target.constraints).map_err(|source| {
                StudyError::Latency {
                    target: target.name.clone(),
                    source,
                }
            })?;
            found.extend(near);
        }
        Ok(Self {
            space,
            targets,
            nearest: found,
            strategy,
            candidates,
            seed,
            records: Vec::new(),
            asked: Vec::new(),
        })
    }

    /// A study that goes on where its records end.
    pub fn resume(
        space: Space,
        targets: Vec<Target>,
        strategy: &StrategyConfig,
        candidates: u32,
        seed: u64,
        records: Vec<TrialRecord>,
    ) -> Result<Self, StudyError> {
        let mut study = Self::new(space, targets, strategy, candidates, seed)?;
        for (position, record) in records.into_iter().enumerate() {
            let TrialRecord {
                id,
                choices,
                feedback,
            } = record;
            if id.0 as usize != position {
                return Err(StudyError::Disordered { position, found: id });
            }
            let choices = study.space.canonical(&choices)?;
            study.asked.push(choices.clone());
            study.records.push(TrialRecord {
                id,
                choices,
                feedback: Vec::new(),
            });
            for feedback in feedback {
                study.tell(id, feedback)?;
            }
        }
        Ok(study)
    }

    /// All the state there is.
    pub fn records(&self) -> &[TrialRecord] {
        &self.records
    }

    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The best the space can do for a target, whether or not that is enough; `None` for an unknown target.
    pub fn nearest(&self, target: usize) -> Option<&Nearest> {
        self.nearest.get(target)
    }

    /// The next candidate; `None` when all are asked for or no target can be met.
    pub fn ask(&mut self) -> Option<Trial> {
        let start = self
            .nearest
            .iter()
            .find(|near| near.is_feasible())?
            .choices
            .clone();
        if self.records.len() >= self.candidates as usize {
            return None;
        }
        let id = TrialId(self.records.len() as u32);
        let (space, targets) = (&self.space, &self.targets);
        let feasible = |choices: &Choices| {
            estimates(space, targets, choices).is_some_and(|all| {
                all.iter()
                    .zip(targets)
                    .any(|(e, t)| t.constraints.violations(e).is_empty())
            })
        };
        let problem = Problem {
            space,
            asked: &self.asked,
            start: &start,
            feasible: &feasible,
        };
        let mut rng = generator(self.seed, u64::from(id.0), Purpose::Ask);
        let choices = self.strategy.ask(&problem, &mut rng)?;
        // A strategy's mistake must not reach a trainer.
        if !feasible(&choices) {
            return None;
        }
        let choices = self.space.canonical(&choices).ok()?;
        self.asked.push(choices.clone());
        self.records.push(TrialRecord {
            id,
            choices,
            feedback: Vec::new(),
        });
        self.trial(id)
    }

    /// Asks until nothing is left: for strategies that need no training while they search.
    pub fn run(&mut self) {
        while self.ask().is_some() {}
    }

    pub fn tell(&mut self, id: TrialId, feedback: Feedback) -> Result<(), StudyError> {
        let targets = self.targets.len();
        let record = self
            .records
            .get_mut(id.0 as usize)
            .ok_or(StudyError::UnknownTrial(id))?;
        if let Feedback::Measured { target, .. } = feedback
            && target >= targets
        {
            return Err(StudyError::UnknownTarget {
                trial: id,
                target,
                targets,
            });
        }
        self.strategy.tell(id, &record.choices, &feedback);
        record.feedback.push(feedback);
        Ok(())
    }

    /// A trial that was asked for.
    pub fn trial(&self, id: TrialId) -> Option<Trial> {
        let record = self.records.get(id.0 as usize)?;
        let estimates = estimates(&self.space, &self.targets, &record.choices)?;
        let keeps =
            |(target, estimate): (&Target, &Estimate)| target.constraints.violations(estimate).is_empty();
        Some(Trial {
            id,
            choices: record.choices.clone(),
            architecture: self.space.decode(&record.choices).ok()?,
            feasible: self.targets.iter().zip(&estimates).map(keeps).collect(),
            estimates,
        })
    }

    /// The `n` candidates most worth training for a target, best first; fewer when there are not as many.
    ///
    /// They keep all bounds as predicted, and none of them was measured above its bound or failed.
    pub fn finalists(&self, target: usize, n: usize) -> Vec<Finalist> {
        finalists::choose(self, target, n)
    }
}

fn estimates(space: &Space, targets: &[Target], choices: &Choices) -> Option<Vec<Estimate>> {
    let architecture = space.decode(choices).ok()?;
    let cost = architecture.cost();
    let estimate = |target: &Target| {
        target
            .latency
            .predict(&architecture)
            .ok()
            .map(|latency| Estimate::new(cost, latency))
    };
    targets.iter().map(estimate).collect()
}

#[cfg(test)]
mod tests;
