//! The search over a supernet, from fresh weights to one network inside the bounds: the same for the same seed,
//! however often it is interrupted.
//!
//! Three parts: weights and gates are trained; networks drawn evenly are judged by the supernet and trained alone,
//! to see whether its ranks can be trusted; those the gates speak for are judged, and the best is the answer.

use std::collections::BTreeMap;
use std::time::Instant;

use ::search::gates::Gates;
use ::search::latency::LatencyError;
use ::search::latency::expected::ExpectedLatency;
use ::search::nearest::nearest;
use ::search::random::{Purpose, generator};
use ::search::space::{Choices, Space};
use ::search::strategies::StrategyConfig;
use ::search::study::Target;
use tch::TchError;

use super::bounds::{Bounds, Infeasible};
use super::correlation::{Compared, TRUSTED, spearman};
use super::found::{Candidate, Found, Ranking};
use super::gates::{self, Method, Setting};
use super::progress::{Progress, Retrained};
use super::sandwich::{self, Batch};
use super::{Supernet, choose, judge};
use crate::data::{Augmentation, Batches, Dataset};
use crate::training::optimizer::Optimizer;
use crate::training::{
    self, Checkpoint, CheckpointError, Moment, Observer, Place, Recipe, TrainingError, learner, split,
    validate,
};

/// What to search, on what data, for which bounds, and how long.
#[derive(Debug)]
pub struct Task<'a> {
    pub space: &'a Space,
    /// The data at each resolution of the space.
    pub data: &'a BTreeMap<u32, Dataset>,
    pub validation_split: f64,
    /// Use only so many training images.
    pub limit: Option<u32>,
    pub target: &'a Target,
    pub strategy: &'a StrategyConfig,
    pub epochs: u32,
    pub seed: u64,
    pub recipe: &'a Recipe,
    /// Networks the gates speak for that are judged in the end.
    pub candidates: usize,
    /// Networks that are trained alone to see whether the supernet's ranks can be trusted, and for how many epochs.
    pub compared: usize,
    pub alone_epochs: u32,
}

#[derive(Debug)]
pub enum Outcome {
    Finished(Box<Found>),
    /// The observer said so.
    Stopped(Checkpoint),
}

#[derive(Debug, thiserror::Error)]
pub enum SupernetError {
    #[error("the strategy {0} searches no supernet: proxyless, fbnet and random do")]
    Strategy(&'static str),
    #[error(transparent)]
    Infeasible(#[from] Infeasible),
    #[error("the profile: {0}")]
    Latency(#[from] LatencyError),
    #[error("no data of {0} pixels was loaded")]
    NoData(u32),
    #[error(transparent)]
    Training(#[from] TrainingError),
}

impl From<TchError> for SupernetError {
    fn from(error: TchError) -> Self {
        Self::Training(error.into())
    }
}

impl From<CheckpointError> for SupernetError {
    fn from(error: CheckpointError) -> Self {
        Self::Training(error.into())
    }
}

/// How often the loss is read and the observer asked: often, since a step takes a second on a small machine and a pod's
/// grace period is short.
const LOOK_EVERY: usize = 2;

/// The bound is checked before anything is trained, and nothing outside it is ever judged.
pub fn run(
    task: &Task<'_>,
    resume: Option<&Checkpoint>,
    observer: &mut dyn Observer,
) -> Result<Outcome, SupernetError> {
    let mut run = Run::new(task)?;
    if let Some(checkpoint) = resume {
        run.restore(checkpoint)?;
    }
    let goes_on = run.train(observer)? && run.compare(observer)?;
    let found = if goes_on { run.decide(observer)? } else { None };
    Ok(match found {
        Some(found) => Outcome::Finished(Box::new(found)),
        None => Outcome::Stopped(run.checkpoint()?),
    })
}

struct Run<'a> {
    task: &'a Task<'a>,
    method: Method,
    bounds: Bounds<'a>,
    start: Choices,
    /// The largest network and the smallest.
    ends: [Choices; 2],
    expected: ExpectedLatency,
    supernet: Supernet,
    optimizer: Optimizer,
    progress: Progress,
    learned: Vec<usize>,
    held_out: Vec<usize>,
    per_epoch: usize,
    step: usize,
    loss: Option<f64>,
    /// Of earlier runs.
    seconds: f64,
    started: Instant,
    first_step: usize,
}

impl<'a> Run<'a> {
    fn new(task: &'a Task<'a>) -> Result<Self, SupernetError> {
        let method = Method::of(task.strategy).ok_or(SupernetError::Strategy(name(task.strategy)))?;
        let near = nearest(task.space, &task.target.latency, &task.target.constraints)?;
        let bounds = Bounds::new(task.space, task.target);
        let start = bounds.start(near)?;
        let expected = ExpectedLatency::new(task.space, &task.target.latency)?;
        let images = task.data.values().next().map_or(0, |data| data.train.len());
        let (learned, held_out) = split(images, task.limit, task.validation_split, task.seed)?;
        let mut supernet = Supernet::new(task.space, task.seed)?;
        let optimizer = Optimizer::new(supernet.tensors_mut())?;
        let options: Vec<usize> = task.space.slots().iter().map(|slot| slot.options).collect();
        Ok(Self {
            method,
            bounds,
            start,
            ends: [task.space.largest(), task.space.smallest()],
            expected,
            supernet,
            optimizer,
            progress: Progress {
                gates: Gates::new(&options),
                ..Progress::default()
            },
            per_epoch: (learned.len() / task.recipe.batch).max(1),
            learned,
            held_out,
            step: 0,
            loss: None,
            seconds: 0.0,
            started: Instant::now(),
            first_step: 0,
            task,
        })
    }

    fn steps(&self) -> usize {
        self.per_epoch * self.task.epochs as usize
    }

    /// Weights and gates in turn; false when the observer stopped it.
    fn train(&mut self, observer: &mut dyn Observer) -> Result<bool, SupernetError> {
        let task = self.task;
        let recipe = task.recipe;
        while self.step < self.steps() {
            let epoch = (self.step / self.per_epoch) as u32;
            let learned = Views::new(task, &self.learned, recipe.augmentation(), epoch);
            let plain = Augmentation {
                shift: 0,
                flip: false,
            };
            let held_out = Views::new(task, &self.held_out, plain, epoch);
            while self.step < (epoch as usize + 1) * self.per_epoch {
                let within = self.step % self.per_epoch;
                let looks = self.step.is_multiple_of(LOOK_EVERY);
                let loss = self.train_weights(&learned.get(within)?)?;
                self.train_gates(&held_out, within)?;
                self.step += 1;
                if looks {
                    self.look(loss.f_double_value(&[])?, epoch)?;
                    if !observer.go_on(&self.moment()) {
                        return Ok(false);
                    }
                }
            }
            observer.checkpoint(self.checkpoint()?);
        }
        Ok(true)
    }

    fn train_weights(&mut self, batch: &Batch) -> Result<tch::Tensor, TchError> {
        let (task, recipe) = (self.task, self.task.recipe);
        let searching = self.searching().is_some();
        let drawn = |rng: &mut rand_chacha::ChaCha8Rng| {
            if searching {
                self.progress.gates.sample(rng)
            } else {
                task.space.sample(rng)
            }
        };
        let networks = sandwich::networks(task.space, &self.ends, task.seed, self.step, drawn);
        let (loss, own) = sandwich::loss(&self.supernet, &networks, batch, recipe.label_smoothing)?;
        let rate = recipe.rate(self.step, self.steps());
        self.optimizer
            .step(self.supernet.tensors(), &loss, rate, recipe)?;
        Ok(own)
    }

    /// When it is their turn.
    fn train_gates(&mut self, held_out: &Views<'_>, within: usize) -> Result<(), TchError> {
        let (Some(done), every) = (self.searching(), self.method.every()) else {
            return Ok(());
        };
        if within % every != every - 1 {
            return Ok(());
        }
        let setting = Setting {
            supernet: &self.supernet,
            expected: &self.expected,
            bound_us: self.task.target.constraints.latency_p95_us,
            seed: self.task.seed,
        };
        let batch = held_out.get((within / every) % held_out.count())?;
        let gates = &mut self.progress.gates;
        gates::step(&self.method, &setting, gates, &batch, (self.step, done)).map(drop)
    }

    /// The share of the search that is done, once the weights are warm.
    fn searching(&self) -> Option<f64> {
        let steps = self.steps() as f64;
        let warm = self.method.warm_up() * steps;
        let after = self.step as f64 - warm;
        (after >= 0.0 && warm < steps).then(|| after / (steps - warm))
    }

    /// Networks drawn evenly, judged both ways; false when the observer stopped it.
    fn compare(&mut self, observer: &mut dyn Observer) -> Result<bool, SupernetError> {
        let task = self.task;
        let mut rng = generator(task.seed, 0, Purpose::Comparison);
        let keeps = |choices: &Choices| self.bounds.keep(choices);
        let drawn = choose::even(task.space, &keeps, &self.start, task.compared, &mut rng);
        let all = drawn.len();
        for (index, choices) in drawn.into_iter().enumerate().skip(self.progress.compared.len()) {
            let Some(supernet) = self.judge(&choices, observer)? else {
                return Ok(false);
            };
            let Some(alone) = self.train_alone(&choices, observer)? else {
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
    fn decide(&mut self, observer: &mut dyn Observer) -> Result<Option<Found>, SupernetError> {
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
        for choices in chosen {
            let judged = if trusted {
                self.judge(&choices, observer)?
            } else {
                self.retrained(&choices, observer)?
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
            gates: (0..gates.slots()).map(|slot| gates.probabilities(slot)).collect(),
            seconds: self.seconds(),
        }))
    }

    fn retrained(
        &mut self,
        choices: &Choices,
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
        let Some(accuracy) = self.train_alone(choices, observer)? else {
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
        Ok(validate(&alone, &mut Alone(observer))?)
    }

    fn look(&mut self, loss: f64, epoch: u32) -> Result<(), TrainingError> {
        if !loss.is_finite() {
            let (epoch, step) = (epoch + 1, self.step);
            return Err(TrainingError::LossNotFinite { epoch, step, loss });
        }
        self.loss = Some(self.loss.map_or(loss, |mean| 0.9 * mean + 0.1 * loss));
        Ok(())
    }

    /// Of the training; what comes after is counted by networks.
    fn moment(&self) -> Moment {
        let done = self.step.saturating_sub(self.first_step).max(1);
        let pace = self.started.elapsed().as_secs_f64() / done as f64;
        Moment {
            epoch: ((self.step / self.per_epoch) as u32).min(self.task.epochs),
            epochs: self.task.epochs,
            fraction: (self.step % self.per_epoch) as f64 / self.per_epoch as f64,
            loss: self.loss.unwrap_or_default(),
            seconds_left: pace * self.steps().saturating_sub(self.step) as f64,
        }
    }

    fn seconds(&self) -> f64 {
        self.seconds + self.started.elapsed().as_secs_f64()
    }

    fn checkpoint(&self) -> Result<Checkpoint, TchError> {
        Ok(Checkpoint {
            place: Place {
                architecture: self.task.describe(),
                seed: self.task.seed,
                epochs: self.task.epochs,
                step: self.step,
                seconds: self.seconds(),
                search: Some(self.progress.clone()),
            },
            tensors: learner::state(self.supernet.tensors(), &self.optimizer)?,
        })
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), SupernetError> {
        let Checkpoint { place, tensors } = checkpoint;
        let wanted = self.checkpoint()?.place;
        if (&place.architecture, place.seed, place.epochs)
            != (&wanted.architecture, wanted.seed, wanted.epochs)
        {
            let name = |p: &Place| format!("{} (seed {}, {} epochs)", p.architecture, p.seed, p.epochs);
            return Err(CheckpointError::OtherTraining {
                found: name(place),
                wanted: name(&wanted),
            }
            .into());
        }
        let progress = place.search.clone().ok_or(CheckpointError::Foreign)?;
        learner::set_state(
            self.supernet.tensors_mut(),
            &mut self.optimizer,
            std::iter::empty(),
            tensors,
        )?;
        self.progress = progress;
        (self.step, self.first_step, self.seconds) = (place.step, place.step, place.seconds);
        Ok(())
    }
}

impl Task<'_> {
    /// The same text for what leads to the same numbers.
    fn describe(&self) -> String {
        let Self {
            space,
            data: _,
            validation_split,
            limit,
            target,
            strategy,
            epochs: _,
            seed: _,
            recipe,
            candidates,
            compared,
            alone_epochs,
        } = self;
        let all = format!(
            "{space:?} {validation_split} {limit:?} {target:?} {recipe:?} {candidates} {compared} {alone_epochs} {strategy:?}"
        );
        let digest = <sha2::Sha256 as sha2::Digest>::digest(all.as_bytes());
        format!("supernet {} {}", name(strategy), hex::encode(&digest[..8]))
    }
}

fn name(strategy: &StrategyConfig) -> &'static str {
    match strategy {
        StrategyConfig::Random(_) => "random",
        StrategyConfig::Evolution(_) => "evolution",
        StrategyConfig::Mnasnet(_) => "mnasnet",
        StrategyConfig::Proxyless(_) => "proxyless",
        StrategyConfig::Fbnet(_) => "fbnet",
        StrategyConfig::CompoundScaling(_) => "compoundScaling",
    }
}

/// The same batches at every resolution.
struct Views<'a>(BTreeMap<u32, Batches<'a>>);

impl<'a> Views<'a> {
    fn new(task: &Task<'a>, indices: &[usize], augmentation: Augmentation, epoch: u32) -> Self {
        let view = |(resolution, data): (&u32, &'a Dataset)| {
            let seed = (task.seed, epoch);
            let batches = Batches::new(&data.train, indices, task.recipe.batch, augmentation, seed);
            (*resolution, batches)
        };
        Self(task.data.iter().map(view).collect())
    }

    fn count(&self) -> usize {
        self.0.values().next().map_or(1, Batches::count)
    }

    fn get(&self, index: usize) -> Result<Batch, TchError> {
        let mut batch = Batch {
            pixels: BTreeMap::new(),
            labels: tch::Tensor::f_from_slice::<i64>(&[])?,
        };
        for (resolution, batches) in &self.0 {
            let (pixels, labels) = batches.get(index)?;
            batch.pixels.insert(*resolution, pixels);
            batch.labels = labels;
        }
        Ok(batch)
    }
}

/// Passes on the question whether to go on: a network that is trained shortly keeps no checkpoint of its own.
struct Alone<'a>(&'a mut dyn Observer);

impl Observer for Alone<'_> {
    fn go_on(&mut self, at: &Moment) -> bool {
        self.0.go_on(at)
    }

    fn checkpoint(&mut self, _checkpoint: Checkpoint) {}
}

#[cfg(test)]
mod tests;
