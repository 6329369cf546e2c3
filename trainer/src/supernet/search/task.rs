//! What a search over a supernet is asked, and how it may answer.

use std::collections::BTreeMap;

use ::search::latency::LatencyError;
use ::search::space::Space;
use ::search::strategies::StrategyConfig;
use ::search::study::Target;
use sha2::{Digest as _, Sha256};
use tch::TchError;

use crate::data::Dataset;
use crate::supernet::{Found, Infeasible};
use crate::training::{Checkpoint, CheckpointError, Recipe, TrainingError};

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

impl Task<'_> {
    /// The same text for what leads to the same numbers.
    pub(super) fn describe(&self) -> String {
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
        let digest = Sha256::digest(all.as_bytes());
        format!("supernet {} {}", name(strategy), hex::encode(&digest[..8]))
    }
}

/// Its key in a job.
pub(super) fn name(strategy: &StrategyConfig) -> &'static str {
    match strategy {
        StrategyConfig::Random(_) => "random",
        StrategyConfig::Evolution(_) => "evolution",
        StrategyConfig::Mnasnet(_) => "mnasnet",
        StrategyConfig::Proxyless(_) => "proxyless",
        StrategyConfig::Fbnet(_) => "fbnet",
        StrategyConfig::CompoundScaling(_) => "compoundScaling",
    }
}
