//! Trains one network to the end: same seed, same network, however often it is interrupted.

mod average;
mod checkpoint;
mod evaluate;
pub(crate) mod learner;
pub(crate) mod optimizer;
mod recipe;

use std::time::Instant;

use protocol::trainer::Metrics;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use search::space::Architecture;
use tch::{TchError, Tensor};

use crate::data::{Batches, Dataset};
use crate::model::Net;

pub use checkpoint::{Checkpoint, CheckpointError, Place};
pub use evaluate::{Evaluation, evaluate};
pub use learner::Learner;
pub use recipe::{Recipe, RecipeError};

/// What to train, on what, and how long.
#[derive(Debug)]
pub struct Task<'a> {
    pub architecture: &'a Architecture,
    /// Fitted to the architecture.
    pub data: &'a Dataset,
    pub validation_split: f64,
    /// Use only so many training images.
    pub limit: Option<u32>,
    pub epochs: u32,
    pub seed: u64,
    pub recipe: &'a Recipe,
}

/// Who watches a training and may stop it.
pub trait Observer {
    /// After each step and within the evaluations; `false` stops.
    fn go_on(&mut self, at: &Moment) -> bool;
    /// After each epoch.
    fn checkpoint(&mut self, checkpoint: Checkpoint);
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// From 0.
    pub epoch: u32,
    pub epochs: u32,
    /// Share of the epoch that is done.
    pub fraction: f64,
    /// Mean of the last steps.
    pub loss: f64,
    pub seconds_left: f64,
}

#[derive(Debug)]
pub enum Outcome {
    Finished {
        net: Net,
        metrics: Metrics,
    },
    /// The observer said so.
    Stopped(Checkpoint),
}

#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    #[error("the loss is {loss} in epoch {epoch}, step {step}: lower the learning rate or look at the data")]
    LossNotFinite { epoch: u32, step: usize, loss: f64 },
    #[error("{images} training images are too few for a validation split of {split}")]
    NothingLeft { images: usize, split: f64 },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

/// How often the loss is read and the observer asked: reading waits for nothing on a CPU, but costs on others.
const LOOK_EVERY: usize = 10;

pub fn train(
    task: &Task<'_>,
    resume: Option<&Checkpoint>,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainingError> {
    match learn(task, resume, observer)? {
        Learning::Done(run, held_out) => run.finish(&held_out, observer),
        Learning::Stopped(checkpoint) => Ok(Outcome::Stopped(checkpoint)),
    }
}

/// Trains a network only to say how many held-out images it labels right; `None` when the observer stopped it.
pub fn validate(task: &Task<'_>, observer: &mut dyn Observer) -> Result<Option<f64>, TrainingError> {
    match learn(task, None, observer)? {
        Learning::Done(mut run, held_out) => {
            let moment = run.moment();
            run.learner.swap_average()?;
            let mut go_on = || observer.go_on(&moment);
            let found = evaluate(run.learner.net(), &task.data.train, &held_out, &mut go_on)?;
            Ok(found.map(|found| found.accuracy))
        }
        Learning::Stopped(_) => Ok(None),
    }
}

enum Learning<'a> {
    /// With the images that were held out.
    Done(Run<'a>, Vec<usize>),
    Stopped(Checkpoint),
}

fn learn<'a>(
    task: &'a Task<'a>,
    resume: Option<&Checkpoint>,
    observer: &mut dyn Observer,
) -> Result<Learning<'a>, TrainingError> {
    let (learned, held_out) = split(
        task.data.train.len(),
        task.limit,
        task.validation_split,
        task.seed,
    )?;
    let per_epoch = (learned.len() / task.recipe.batch).max(1);
    let mut run = Run::new(task, per_epoch)?;
    if let Some(checkpoint) = resume {
        run.restore(checkpoint)?;
    }
    while run.step < run.steps {
        let epoch = (run.step / per_epoch) as u32;
        let augmentation = task.recipe.augmentation();
        let batches = Batches::new(
            &task.data.train,
            &learned,
            task.recipe.batch,
            augmentation,
            (task.seed, epoch),
        );
        while run.step < (epoch as usize + 1) * per_epoch {
            let index = run.step % per_epoch;
            let looks = run.step.is_multiple_of(LOOK_EVERY);
            let loss = run.step(&batches.get(index)?)?;
            if looks {
                run.look(&loss, epoch)?;
                if !observer.go_on(&run.moment()) {
                    return Ok(Learning::Stopped(run.checkpoint()?));
                }
            }
        }
        observer.checkpoint(run.checkpoint()?);
    }
    Ok(Learning::Done(run, held_out))
}

/// Training images to learn from and those held out, the same for the same seed.
pub(crate) fn split(
    images: usize,
    limit: Option<u32>,
    split: f64,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>), TrainingError> {
    let mut indices: Vec<_> = (0..images).collect();
    indices.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
    indices.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
    let images = indices.len();
    let held_out = indices.split_off(images - (images as f64 * split).round() as usize);
    if indices.is_empty() || held_out.is_empty() {
        return Err(TrainingError::NothingLeft { images, split });
    }
    Ok((indices, held_out))
}

struct Run<'a> {
    task: &'a Task<'a>,
    learner: Learner,
    step: usize,
    per_epoch: usize,
    /// In all epochs.
    steps: usize,
    loss: Option<f64>,
    /// Of earlier runs.
    seconds: f64,
    started: Instant,
    /// Steps of this run, for the time that is left.
    first_step: usize,
}

impl<'a> Run<'a> {
    fn new(task: &'a Task<'a>, per_epoch: usize) -> Result<Self, TrainingError> {
        let learner = Learner::new(Net::new(task.architecture, task.seed)?)?;
        Ok(Self {
            task,
            learner: match task.recipe.ema {
                Some(_) => learner.averaging()?,
                None => learner,
            },
            step: 0,
            per_epoch,
            steps: per_epoch * task.epochs as usize,
            loss: None,
            seconds: 0.0,
            started: Instant::now(),
            first_step: 0,
        })
    }

    fn step(&mut self, batch: &(Tensor, Tensor)) -> Result<Tensor, TchError> {
        let recipe = self.task.recipe;
        let rate = recipe.rate(self.step, self.steps);
        let loss = self.learner.step(batch, rate, recipe)?;
        if let Some(share) = recipe.average_share(self.step) {
            self.learner.average(share)?;
        }
        self.step += 1;
        Ok(loss)
    }

    fn look(&mut self, loss: &Tensor, epoch: u32) -> Result<(), TrainingError> {
        let loss = loss.f_double_value(&[])?;
        if !loss.is_finite() {
            return Err(TrainingError::LossNotFinite {
                epoch: epoch + 1,
                step: self.step,
                loss,
            });
        }
        self.loss = Some(self.loss.map_or(loss, |mean| 0.9 * mean + 0.1 * loss));
        Ok(())
    }

    fn moment(&self) -> Moment {
        let (per_epoch, steps) = (self.per_epoch, self.steps);
        let done = self.step.saturating_sub(self.first_step).max(1);
        let pace = self.started.elapsed().as_secs_f64() / done as f64;
        Moment {
            epoch: (self.step / per_epoch).min(self.task.epochs as usize) as u32,
            epochs: self.task.epochs,
            fraction: (self.step % per_epoch) as f64 / per_epoch as f64,
            loss: self.loss.unwrap_or_default(),
            seconds_left: pace * steps.saturating_sub(self.step) as f64,
        }
    }

    fn seconds(&self) -> f64 {
        self.seconds + self.started.elapsed().as_secs_f64()
    }

    fn checkpoint(&self) -> Result<Checkpoint, TchError> {
        let tensors = self.learner.state()?;
        let place = Place {
            architecture: self.task.architecture.to_string(),
            seed: self.task.seed,
            epochs: self.task.epochs,
            step: self.step,
            seconds: self.seconds(),
            search: None,
        };
        Ok(Checkpoint { place, tensors })
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainingError> {
        let Checkpoint { place, tensors } = checkpoint;
        let wanted = Place {
            step: place.step,
            seconds: place.seconds,
            ..self.checkpoint()?.place
        };
        if *place != wanted {
            let name = |p: &Place| format!("{} (seed {}, {} epochs)", p.architecture, p.seed, p.epochs);
            return Err(CheckpointError::OtherTraining {
                found: name(place),
                wanted: name(&wanted),
            }
            .into());
        }
        self.learner.set_state(tensors)?;
        (self.step, self.first_step, self.seconds) = (place.step, place.step, place.seconds);
        Ok(())
    }

    fn finish(mut self, held_out: &[usize], observer: &mut dyn Observer) -> Result<Outcome, TrainingError> {
        let (task, train_seconds) = (self.task, self.seconds());
        let moment = self.moment();
        let mut go_on = || observer.go_on(&moment);
        self.learner.swap_average()?;
        let all: Vec<_> = (0..task.data.test.len()).collect();
        let mut judge = |images, indices: &[usize]| evaluate(self.learner.net(), images, indices, &mut go_on);
        let validation = judge(&task.data.train, held_out)?;
        let test = match validation {
            Some(_) => judge(&task.data.test, &all)?,
            None => None,
        };
        let (Some(validation), Some(test)) = (validation, test) else {
            // A checkpoint holds the network that goes on learning.
            self.learner.swap_average()?;
            return Ok(Outcome::Stopped(self.checkpoint()?));
        };
        let cost = task.architecture.cost();
        let metrics = Metrics {
            accuracy: test.accuracy,
            validation_accuracy: validation.accuracy,
            test_images: test.images as u32,
            parameters: cost.parameters,
            macs: cost.macs,
            epochs: task.epochs,
            train_seconds,
            per_class_accuracy: test.per_class_accuracy,
        };
        Ok(Outcome::Finished {
            net: self.learner.into_net(),
            metrics,
        })
    }
}

#[cfg(test)]
mod tests;
