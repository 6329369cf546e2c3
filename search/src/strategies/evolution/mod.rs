//! Evolution: regularised (Real et al. 2019), by default guided by a predictor of accuracy, so that only the
//! most promising of many children are trained.

mod acquisition;
mod breed;
mod guided;
mod regularised;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::predictor::gaussian::Kernel;
use crate::setting::{SettingError, within};
use crate::strategy::Strategy;

/// Regularised evolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EvolutionConfig {
    /// Candidates that live at the same time.
    #[schemars(range(min = 2, max = 10_000))]
    pub population: u32,
    /// How many are drawn to find one parent.
    #[schemars(range(min = 1, max = 10_000))]
    pub sample: u32,
    /// What says which child is worth training.
    pub guide: Guide,
}

/// What says which child is worth training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Guide {
    /// A Gaussian process on parts, free scores and short trainings.
    #[default]
    Gaussian,
    /// A ridge regression on the same.
    Ridge,
    /// Nothing: the children of the best of a random few, the oldest forgotten.
    None,
}

impl Default for EvolutionConfig {
    fn default() -> Self {
        Self {
            population: 64,
            sample: 16,
            guide: Guide::Gaussian,
        }
    }
}

impl EvolutionConfig {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        let Self {
            population,
            sample,
            guide: _,
        } = *self;
        within(
            "strategy.evolution.population",
            f64::from(population),
            2.0,
            10_000.0,
        )?;
        within("strategy.evolution.sample", f64::from(sample), 1.0, 10_000.0)
    }
}

pub(super) fn build(config: &EvolutionConfig) -> Box<dyn Strategy> {
    match config.guide {
        Guide::Gaussian => Box::new(guided::Guided::new(Kernel::smooth())),
        Guide::Ridge => Box::new(guided::Guided::new(Kernel::linear())),
        Guide::None => Box::new(regularised::Regularised::new(config)),
    }
}
