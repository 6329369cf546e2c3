//! The search over a supernet, from fresh weights to one network inside the bounds: the same for the same seed,
//! however often it is interrupted.
//!
//! Three parts: weights and gates are trained; networks drawn evenly are judged by the supernet and trained alone,
//! to see whether its ranks can be trusted; those the gates speak for are judged, and the best is the answer.

mod decide;
mod task;
mod views;

use std::time::Instant;

use ::search::gates::Gates;
use ::search::latency::expected::ExpectedLatency;
use ::search::nearest::nearest;
use ::search::space::Choices;
use tch::{TchError, Tensor};

use super::bounds::Bounds;
use super::gates::{self, Method, Setting};
use super::sandwich::{self, Batch};
use super::{Progress, Supernet};
use crate::data::Augmentation;
use crate::training::optimizer::Optimizer;
use crate::training::{Checkpoint, CheckpointError, Moment, Observer, Place, TrainingError, learner, split};

pub use task::{Outcome, SupernetError, Task};
use views::Views;

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
        let method = Method::of(task.strategy).ok_or(SupernetError::Strategy(task::name(task.strategy)))?;
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
                self.train_gates(&held_out)?;
                self.step += 1;
                if looks {
                    self.look(loss.f_double_value(&[])?, epoch)?;
                    if !observer.go_on(&self.moment()) {
                        return Ok(false);
                    }
                }
            }
            observer.checkpoint(self.checkpoint()?);
            if self.searching().is_some() {
                tracing::info!(
                    "networks drawn by the gates are expected to take {:.0} µs of {:.0}",
                    self.expected.at(&self.progress.gates.all()).p95_us,
                    task.target.constraints.latency_p95_us
                );
            }
        }
        Ok(true)
    }

    fn train_weights(&mut self, batch: &Batch) -> Result<Tensor, TchError> {
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
    fn train_gates(&mut self, held_out: &Views<'_>) -> Result<(), TchError> {
        let (Some(done), every) = (self.searching(), self.method.every()) else {
            return Ok(());
        };
        if self.step % every != every - 1 {
            return Ok(());
        }
        let setting = Setting {
            supernet: &self.supernet,
            expected: &self.expected,
            bound_us: self.task.target.constraints.latency_p95_us,
            seed: self.task.seed,
        };
        let batch = held_out.get((self.step / every) % held_out.count())?;
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

#[cfg(test)]
mod tests;
