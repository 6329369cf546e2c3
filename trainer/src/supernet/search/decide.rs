//! After the training: whether the supernet's ranks can be trusted, and which network is the best.

use std::time::Instant;

use ::search::random::{Purpose, generator};
use ::search::space::Choices;

use super::{Run, SupernetError};
use crate::data::Dataset;
use crate::supernet::correlation::TRUSTED;
use crate::supernet::gates::Method;
use crate::supernet::{Candidate, Compared, Found, Ranking, Retrained, choose, judge, spearman};
use crate::training::{self, Checkpoint, Moment, Observer, validate};

impl<'a> Run<'a> {
    /// Networks drawn evenly, judged both ways; false when the observer stopped it.
    pub(super) fn compare(&mut self, observer: &mut dyn Observer) -> Result<bool, SupernetError> {
        let task = self.task;
        let mut rng = generator(task.seed, 0, Purpose::Comparison);
        let keeps = |choices: &Choices| self.bounds.keep(choices);
        let drawn = choose::even(task.space, &keeps, &self.start, task.compared, &mut rng);
        let all = drawn.len();
        for (index, choices) in drawn.into_iter().enumerate().skip(self.progress.compared.len()) {
            let Some(supernet) = self.judge(&choices, observer)? else {
                return Ok(false);
            };
            let Some(alone) = self.train_alone(&choices, all - index - 1, observer)? else {
                return Ok(false);
            };
            let architecture = self.supernet.decode(&choices)?.to_string();
            tracing::info!(supernet, alone, "compared {} of {all}: {architecture}", index + 1);
            self.progress.compared.push(Compared {
                architecture,
                supernet,
                alone,
            });
            observer.checkpoint(self.checkpoint()?);
        }
        Ok(true)
    }

    fn correlation(&self) -> Option<f64> {
        let pairs: Vec<_> = self
            .progress
            .compared
            .iter()
            .map(|one| (one.supernet, one.alone))
            .collect();
        spearman(&pairs)
    }

    /// The best of those the gates speak for; `None` when the observer stopped it.
    pub(super) fn decide(&mut self, observer: &mut dyn Observer) -> Result<Option<Found>, SupernetError> {
        let task = self.task;
        let correlation = self.correlation();
        // Without a comparison there is nothing to distrust.
        let trusted = self.progress.compared.is_empty() || correlation.is_some_and(|rho| rho >= TRUSTED);
        if !trusted {
            tracing::warn!(
                "the supernet's ranks say too little (Spearman {}, trusted from {TRUSTED}): candidates are trained alone \
                 for {} epochs and ranked by that",
                correlation.map_or("none".to_owned(), |rho| format!("{rho:.2}")),
                task.alone_epochs
            );
        }
        let mut rng = generator(task.seed, 0, Purpose::Finalists);
        let keeps = |choices: &Choices| self.bounds.keep(choices);
        let gates = self.progress.gates.clone();
        let n = task.candidates.max(1);
        let chosen = match self.method {
            Method::Even => choose::even(task.space, &keeps, &self.start, n, &mut rng),
            Method::Binary(_) | Method::Gumbel(_) => {
                choose::choose(task.space, &gates, &keeps, &self.start, n, &mut rng)
            }
        };
        let mut candidates = Vec::new();
        let all = chosen.len();
        for (index, choices) in chosen.into_iter().enumerate() {
            let judged = if trusted {
                self.judge(&choices, observer)?
            } else {
                self.retrained(&choices, all - index - 1, observer)?
            };
            let Some(accuracy) = judged else { return Ok(None) };
            candidates.push(Candidate {
                architecture: self.supernet.decode(&choices)?,
                estimate: self.bounds.estimate(&choices)?,
                accuracy,
            });
        }
        // The likeliest first, so that it wins among equals.
        candidates.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
        Ok(Some(Found {
            candidates,
            ranking: if trusted {
                Ranking::Supernet
            } else {
                Ranking::TrainedAlone
            },
            correlation,
            compared: self.progress.compared.clone(),
            gates: gates.all(),
            seconds: self.seconds(),
        }))
    }

    fn retrained(
        &mut self,
        choices: &Choices,
        after: usize,
        observer: &mut dyn Observer,
    ) -> Result<Option<f64>, SupernetError> {
        let architecture = self.supernet.decode(choices)?.to_string();
        let known = self
            .progress
            .retrained
            .iter()
            .find(|one| one.architecture == architecture);
        if let Some(known) = known {
            return Ok(Some(known.accuracy));
        }
        let Some(accuracy) = self.train_alone(choices, after, observer)? else {
            return Ok(None);
        };
        tracing::info!(accuracy, "trained alone: {architecture}");
        self.progress.retrained.push(Retrained {
            architecture,
            accuracy,
        });
        observer.checkpoint(self.checkpoint()?);
        Ok(Some(accuracy))
    }

    fn data(&self, choices: &Choices) -> Result<&'a Dataset, SupernetError> {
        let resolution = self.supernet.decode(choices)?.resolution;
        self.task
            .data
            .get(&resolution)
            .ok_or(SupernetError::NoData(resolution))
    }

    fn judge(&self, choices: &Choices, observer: &mut dyn Observer) -> Result<Option<f64>, SupernetError> {
        let moment = self.moment();
        let mut go_on = || observer.go_on(&moment);
        let images = (self.learned.as_slice(), self.held_out.as_slice());
        Ok(judge::judge(
            &self.supernet,
            choices,
            self.data(choices)?,
            images,
            &mut go_on,
        )?)
    }

    fn train_alone(
        &self,
        choices: &Choices,
        after: usize,
        observer: &mut dyn Observer,
    ) -> Result<Option<f64>, SupernetError> {
        let task = self.task;
        let alone = training::Task {
            architecture: &self.supernet.decode(choices)?,
            data: self.data(choices)?,
            validation_split: task.validation_split,
            limit: task.limit,
            epochs: task.alone_epochs,
            seed: task.seed,
            recipe: task.recipe,
        };
        let mut watcher = Alone {
            observer,
            started: Instant::now(),
            after,
        };
        Ok(validate(&alone, &mut watcher)?)
    }
}

/// Asks for a training alone whether to go on, with the time that all such trainings will take. It is too short for
/// checkpoints of its own.
struct Alone<'a> {
    observer: &'a mut dyn Observer,
    started: Instant,
    /// Others after it.
    after: usize,
}

impl Observer for Alone<'_> {
    fn go_on(&mut self, at: &Moment) -> bool {
        let whole = self.started.elapsed().as_secs_f64() + at.seconds_left;
        self.observer.go_on(&Moment {
            seconds_left: at.seconds_left + whole * self.after as f64,
            ..*at
        })
    }

    fn checkpoint(&mut self, _checkpoint: Checkpoint) {}
}
