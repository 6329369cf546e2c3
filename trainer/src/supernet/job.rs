//! What a user writes to search over a supernet: a job document.

use std::collections::BTreeMap;

use ::search::NotYetSupported;
use ::search::constraint::ConstraintsConfig;
use ::search::latency::LatencyModel;
use ::search::space::{SearchSpaceConfig, Space, SpaceError};
use ::search::strategies::StrategyConfig;
use ::search::study::Target;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::data::{DataError, Dataset};
use crate::training::Recipe;

/// A NasJob's spec for one device. What is a cluster's is passed over.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    pub task: TaskConfig,
    #[serde(default)]
    pub search_space: SearchSpaceConfig,
    pub strategy: StrategyConfig,
    pub targets: Vec<TargetConfig>,
    #[serde(default)]
    pub budget: Budget,
    #[serde(default)]
    pub recipe: Recipe,
    #[serde(default, rename = "trainer")]
    _trainer: IgnoredAny,
    #[serde(default, rename = "schedule")]
    _schedule: IgnoredAny,
}

/// The device and its bounds.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetConfig {
    pub name: String,
    pub constraints: ConstraintsConfig,
    #[serde(default, rename = "deviceSelector")]
    _device_selector: IgnoredAny,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum TaskConfig {
    #[serde(rename_all = "camelCase")]
    ImageClassification {
        dataset: DatasetConfig,
        /// Share of the training images held out: the gates learn from them, and candidates are compared on them.
        #[serde(default = "one_tenth")]
        validation_split: f64,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatasetConfig {
    pub uri: String,
    /// Use only so many training images.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// How much work the search may do.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Budget {
    pub search_epochs: u32,
    /// Networks the gates speak for that are judged in the end.
    pub judged: u32,
    /// Networks trained alone to see whether the supernet's ranks can be trusted: 0 for none.
    pub compared: u32,
    /// Epochs for which a network is trained alone in the search.
    pub trial_epochs: u32,
    pub seed: u64,
    // Of searches without a supernet, and of what comes after the search.
    #[serde(rename = "candidates")]
    _candidates: IgnoredAny,
    #[serde(rename = "trials")]
    _trials: IgnoredAny,
    #[serde(rename = "trainEpochs")]
    _train_epochs: IgnoredAny,
    #[serde(rename = "finalists")]
    _finalists: IgnoredAny,
    #[serde(rename = "parallelism")]
    _parallelism: IgnoredAny,
    #[serde(rename = "deadline")]
    _deadline: IgnoredAny,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            search_epochs: 10,
            judged: 10,
            compared: 20,
            trial_epochs: 2,
            seed: 1,
            _candidates: IgnoredAny,
            _trials: IgnoredAny,
            _train_epochs: IgnoredAny,
            _finalists: IgnoredAny,
            _parallelism: IgnoredAny,
            _deadline: IgnoredAny,
        }
    }
}

fn one_tenth() -> f64 {
    0.1
}

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Space(#[from] SpaceError),
    #[error(transparent)]
    Constraints(#[from] NotYetSupported),
    #[error("{field}: {problem}")]
    Field { field: &'static str, problem: String },
    #[error(transparent)]
    Data(#[from] DataError),
}

impl Job {
    /// A NasJob, or its spec alone.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        let mut value: Value = serde_json::from_slice(bytes)?;
        if let Some(spec) = value.get_mut("spec") {
            value = spec.take();
        }
        serde_json::from_value(value)
    }

    /// The space, after a look at the numbers that have limits.
    pub fn space(&self) -> Result<Space, JobError> {
        let field = |field, problem: String| JobError::Field { field, problem };
        let Budget {
            search_epochs,
            judged,
            trial_epochs,
            ..
        } = self.budget;
        for (name, value) in [
            ("budget.searchEpochs", search_epochs),
            ("budget.judged", judged),
            ("budget.trialEpochs", trial_epochs),
        ] {
            if !(1..=10_000).contains(&value) {
                return Err(field(name, format!("{value} is not between 1 and 10000")));
            }
        }
        let TaskConfig::ImageClassification { validation_split, .. } = &self.task;
        if !(0.01..=0.5).contains(validation_split) {
            return Err(field(
                "task.imageClassification.validationSplit",
                format!("{validation_split} is not between 0.01 and 0.5"),
            ));
        }
        self.recipe
            .check()
            .map_err(|error| field("recipe", error.to_string()))?;
        Ok(Space::from_config(&self.search_space)?)
    }

    /// The device whose latencies these are, with the job's bounds.
    pub fn target(&self, latency: LatencyModel) -> Result<Target, JobError> {
        let [
            TargetConfig {
                name, constraints, ..
            },
        ] = self.targets.as_slice()
        else {
            return Err(JobError::Field {
                field: "targets",
                problem: format!("{} targets: a supernet is searched for one", self.targets.len()),
            });
        };
        Ok(Target {
            name: name.clone(),
            constraints: constraints.constraints()?,
            latency,
        })
    }

    /// The data at each resolution of the space.
    pub fn data(&self, space: &Space) -> Result<BTreeMap<u32, Dataset>, JobError> {
        let TaskConfig::ImageClassification { dataset, .. } = &self.task;
        let loaded = Dataset::load(&dataset.uri)?;
        let smallest = space.decode(&space.smallest())?;
        let fitted = |resolution: u32| {
            let data = loaded.clone();
            Ok((
                resolution,
                data.fitted(resolution, smallest.channels, smallest.classes())?,
            ))
        };
        let mut resolutions: Vec<u32> = space.scales().map(|(resolution, _)| resolution).collect();
        resolutions.dedup();
        resolutions.into_iter().map(fitted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = r#"{"task":{"imageClassification":{"dataset":{"uri":"/data"}}},"strategy":{"fbnet":{}},
        "targets":[{"name":"a","constraints":{"latency":{"p95":"300us"}}}],"budget":{"finalists":3}}"#;

    fn said(change: (&str, &str)) -> String {
        let text = JOB.replacen(change.0, change.1, 1);
        match serde_json::from_str::<Job>(&text) {
            Ok(job) => job
                .space()
                .map_or_else(|error| error.to_string(), |_| "fine".to_owned()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn says_what_is_wrong_in_a_job() {
        let budget = |text: &str| (r#"{"finalists":3}"#, text.to_owned());
        assert_eq!(said(("", "")), "fine");
        for (change, expected) in [
            (
                budget(r#"{"searchEpochs":0}"#),
                "budget.searchEpochs: 0 is not between 1 and 10000",
            ),
            (budget(r#"{"epochs":1}"#), "unknown field `epochs`"),
            (
                (
                    "\"uri\":\"/data\"}",
                    r#""uri":"/data"},"validationSplit":0.9"#.to_owned(),
                ),
                "task.imageClassification.validationSplit: 0.9 is not between 0.01 and 0.5",
            ),
            (
                (
                    "\"strategy\"",
                    r#""searchSpace":{"mobileBlocks":{"depths":[9]}},"strategy""#.to_owned(),
                ),
                "searchSpace.mobileBlocks.depths: 9 is not between 1 and 8",
            ),
            (
                ("\"strategy\"", r#""recipe":{"ema":1.5},"strategy""#.to_owned()),
                "recipe: ema: 1.5 is not above 0 and below 1",
            ),
        ] {
            let found = said((change.0, &change.1));
            assert!(found.contains(expected), "{found}\n{expected}");
        }
    }
}
