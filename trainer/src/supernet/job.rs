//! What a user writes to search over a supernet: a job document, and the profile of a device.

use std::collections::BTreeMap;

use ::search::NotYetSupported;
use ::search::constraint::ConstraintsConfig;
use ::search::latency::{Fit, Latency, LatencyError, LatencyModel, calibration_nets};
use ::search::space::{Architecture, BlockKey, SearchSpaceConfig, Space, SpaceError};
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

/// Latencies as they were measured: blocks by their key, whole networks by their text, or as `net-ID` those that
/// profiles are calibrated on.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub name: String,
    pub p50_us: f64,
    pub p95_us: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Space(#[from] SpaceError),
    #[error(transparent)]
    Constraints(#[from] NotYetSupported),
    #[error("{field}: {problem}")]
    Field { field: &'static str, problem: String },
    #[error("profile: {0}")]
    Latency(#[from] LatencyError),
    #[error("profile: {name:?} is neither a block nor a network")]
    Name { name: String },
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

    /// The device the profile was measured on, with the job's bounds.
    pub fn target(&self, space: &Space, profile: &Profile) -> Result<(Target, Option<Fit>), JobError> {
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
        let (latency, fit) = profile.model(space, self.budget.seed)?;
        let target = Target {
            name: name.clone(),
            constraints: constraints.constraints()?,
            latency,
        };
        Ok((target, fit))
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

/// Whole networks that a profile may be calibrated on.
const MOST_NETWORKS: usize = 20;

impl Profile {
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    fn model(&self, space: &Space, seed: u64) -> Result<(LatencyModel, Option<Fit>), JobError> {
        let (mut blocks, mut networks) = (Vec::new(), Vec::new());
        let known: BTreeMap<String, Architecture> = calibration_nets(space, MOST_NETWORKS, seed)
            .into_iter()
            .map(|network| (network.id(), network))
            .collect();
        for Row { name, p50_us, p95_us } in &self.rows {
            let latency = Latency {
                p50_us: *p50_us,
                p95_us: *p95_us,
            };
            for value in [*p50_us, *p95_us] {
                if !(value.is_finite() && value > 0.0) {
                    let of = name.clone();
                    return Err(LatencyError::NotALatency { of, value }.into());
                }
            }
            if let Ok(key) = name.parse::<BlockKey>() {
                blocks.push((key, latency));
            } else if let Ok(network) = name.parse::<Architecture>() {
                networks.push((network, latency));
            } else if let Some(id) = name.strip_prefix("net-") {
                // Others were measured for another space or seed.
                networks.extend(known.get(id).map(|network| (network.clone(), latency)));
            } else {
                return Err(JobError::Name { name: name.clone() });
            }
        }
        let mut model = LatencyModel::new(blocks);
        let fit = if networks.is_empty() {
            None
        } else {
            Some(model.calibrate(&networks)?)
        };
        Ok((model, fit))
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

    #[test]
    fn a_profile_holds_blocks_and_whole_networks() {
        let text = r#"{"runtime":"kept by others","rows":[
            {"name":"stem-c1-h1-o16-r28-k3-s2-relu6","p50Us":10.0,"p95Us":11.0},
            {"name":"head-c16-h128-o10-r14-k1-s1-relu6","p50Us":20.0,"p95Us":22.0},
            {"name":"m1/28x1/stem-h1-o16-k3-s2-relu6/head-h128-o10-k1-s1-relu6","p50Us":27.0,"p95Us":30.0}]}"#;
        let profile: Profile = serde_json::from_str(text).unwrap();
        let space = Space::from_config(&SearchSpaceConfig::default()).unwrap();
        let (model, fit) = profile.model(&space, 1).unwrap();
        let network = profile.rows[2].name.parse().unwrap();
        let predicted = model.predict(&network).unwrap().p50_us;
        assert!(
            (predicted - 27.0).abs() < 1.0 && fit.unwrap().nets == 1,
            "{predicted}"
        );
        let broken = |name: &str, p50: &str| {
            let text = format!(r#"{{"rows":[{{"name":"{name}","p50Us":{p50},"p95Us":1.0}}]}}"#);
            let profile: Profile = serde_json::from_str(&text).unwrap();
            profile.model(&space, 1).unwrap_err().to_string()
        };
        assert_eq!(
            broken("x", "1.0"),
            "profile: \"x\" is neither a block nor a network"
        );
        assert!(broken("stem-c1-h1-o16-r28-k3-s2-relu6", "0.0").contains("is 0"));
    }
}
