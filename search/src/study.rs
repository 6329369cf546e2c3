//! One search for one or several targets: hands out candidates that keep the bounds, hears what became of
//! them, and says which are worth training to the end.
//!
//! Deterministic in its seed; all its state are its trial records.

use crate::constraint::Constraints;
use crate::latency::{LatencyError, LatencyModel};
use crate::nearest::{Nearest, nearest};
use crate::session::{Budget, Next, Session, Setting};
use crate::space::{Architecture, Choices, Space, SpaceError};
use crate::strategies::StrategyConfig;
use crate::strategy::Goal;
use crate::trial::{Estimate, Feedback, Trial, TrialId, TrialRecord};

mod finalists;
mod landscape;

use landscape::Blocks;

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
    session: Session,
}

/// What [`Study::work`] has for a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    Trial(Box<Trial>),
    /// Other trials have to be told first.
    Wait,
    /// All are asked for, or no target can be met.
    Done,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StudyError {
    #[error("a study needs at least one target")]
    NoTarget,
    #[error("target {target}: {source}")]
    Latency { target: String, source: LatencyError },
    #[error(transparent)]
    Space(#[from] SpaceError),
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
        let session = Session::new(strategy.build(), Budget::of_trials(candidates), seed);
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
            session,
        })
    }

    /// A study that goes on where its records end.
    pub fn resume(
        space: Space,
        targets: Vec<Target>,
        strategy: &StrategyConfig,
        candidates: u32,
        seed: u64,
        mut records: Vec<TrialRecord>,
    ) -> Result<Self, StudyError> {
        let mut study = Self::new(space, targets, strategy, candidates, seed)?;
        for (position, record) in records.iter_mut().enumerate() {
            if record.id.0 as usize != position {
                return Err(StudyError::Disordered {
                    position,
                    found: record.id,
                });
            }
            record.choices = study.space.canonical(&record.choices)?;
            for feedback in &record.feedback {
                study.check(record.id, feedback)?;
            }
        }
        let budget = Budget::of_trials(candidates);
        let strategy = strategy.build();
        let resumed =
            study.with_setting(|_, setting| Session::resume(strategy, budget, seed, records, setting));
        study.session = match resumed {
            Some(session) => session,
            // No target can be met: there was nothing to ask for.
            None => study.session,
        };
        Ok(study)
    }

    /// All the state there is.
    pub fn records(&self) -> &[TrialRecord] {
        self.session.records()
    }

    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The best the space can do for a target, whether or not that is enough; `None` for an unknown target.
    pub fn nearest(&self, target: usize) -> Option<&Nearest> {
        self.nearest.get(target)
    }

    /// The next candidate with what is known by now; `None` when all are asked for or no target can be met.
    ///
    /// For one worker, or a search that trains nothing while it chooses; several workers call [`Self::work`].
    pub fn ask(&mut self) -> Option<Trial> {
        let id = self.with_setting(Session::next_now)??;
        self.trial(id)
    }

    /// Work for one of several workers: what they find together does not depend on how many they are.
    pub fn work(&mut self) -> Work {
        match self.with_setting(Session::next) {
            Some(Next::Trial(id)) => self
                .trial(id)
                .map_or(Work::Done, |trial| Work::Trial(Box::new(trial))),
            Some(Next::Wait) => Work::Wait,
            Some(Next::Done) | None => Work::Done,
        }
    }

    /// Calls with what is searched; `None` when no target can be met.
    fn with_setting<T>(&mut self, call: impl FnOnce(&mut Session, &Setting<'_>) -> T) -> Option<T> {
        let Self {
            space,
            targets,
            nearest,
            session,
        } = self;
        let start = nearest.iter().find(|near| near.is_feasible())?;
        let landscape = Blocks::new(space, targets);
        let feasible = |choices: &Choices| landscape.keeps_a_bound(choices);
        let setting = Setting {
            landscape: &landscape,
            goal: Goal::Accuracy,
            start: &start.choices,
            feasible: &feasible,
        };
        Some(call(session, &setting))
    }

    /// Asks until nothing is left: for strategies that need no training while they search.
    pub fn run(&mut self) {
        while self.ask().is_some() {}
    }

    pub fn tell(&mut self, id: TrialId, feedback: Feedback) -> Result<(), StudyError> {
        self.check(id, &feedback)?;
        self.session
            .tell(id, feedback)
            .ok_or(StudyError::UnknownTrial(id))
    }

    fn check(&self, trial: TrialId, feedback: &Feedback) -> Result<(), StudyError> {
        let targets = self.targets.len();
        match *feedback {
            Feedback::Measured { target, .. } if target >= targets => Err(StudyError::UnknownTarget {
                trial,
                target,
                targets,
            }),
            Feedback::Measured { .. }
            | Feedback::Evaluated { .. }
            | Feedback::Gradients { .. }
            | Feedback::Failed { .. } => Ok(()),
        }
    }

    /// A trial that was asked for.
    pub fn trial(&self, id: TrialId) -> Option<Trial> {
        let record = self.session.records().get(id.0 as usize)?;
        let estimates = estimates(&self.space, &self.targets, &record.choices)?;
        let keeps = |(target, estimate): (&Target, &Estimate)| target.constraints.admits(estimate);
        Some(Trial {
            id,
            choices: record.choices.clone(),
            architecture: self.space.decode(&record.choices).ok()?,
            feasible: self.targets.iter().zip(&estimates).map(keeps).collect(),
            estimates,
            fidelity: record.fidelity,
        })
    }

    /// The `n` candidates most worth training for a target, best first; fewer when there are not as many.
    ///
    /// They keep all bounds as predicted, and none of them was measured above its bound or failed.
    pub fn finalists(&self, target: usize, n: usize) -> Vec<Finalist> {
        finalists::choose(self, target, n)
    }

    /// The candidates of a target in the order they are worth trying: `n` finalists that differ from each other, then up
    /// to `most` others, last the one that fits best. When no network of the space keeps the bounds: why.
    ///
    /// A bound that only the error bar puts out of reach is no reason yet: then the nearest network is the only candidate,
    /// and a measurement decides.
    pub fn shortlist(
        &self,
        target: usize,
        n: usize,
        most: usize,
    ) -> Result<Vec<(Architecture, Estimate)>, String> {
        finalists::shortlist(self, target, n, most)
    }
}

fn estimates(space: &Space, targets: &[Target], choices: &Choices) -> Option<Vec<Estimate>> {
    let architecture = space.decode(choices).ok()?;
    let estimate = |target: &Target| Estimate::of(&architecture, &target.latency).ok();
    targets.iter().map(estimate).collect()
}

#[cfg(test)]
mod tests;
