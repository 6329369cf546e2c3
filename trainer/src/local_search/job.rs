//! The job: a NasJob's spec as far as it makes sense without a cluster, checked once.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use search::budget::BudgetConfig;
use search::constraint::{Constraints, ConstraintsConfig};
use search::latency::LatencyModel;
use search::space::{SearchSpaceConfig, Space};
use search::strategies::StrategyConfig;
use search::study::{Study, StudyError, Target};
use search::trial::TrialRecord;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::exit::Exit;

/// What is read. Pods, schedule and selectors are a cluster's, and passed over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct JobFile {
    task: Option<TaskFile>,
    #[serde(default)]
    search_space: SearchSpaceConfig,
    #[serde(default)]
    strategy: StrategyConfig,
    #[serde(default)]
    targets: Vec<TargetFile>,
    #[serde(default)]
    budget: BudgetConfig,
    #[serde(default, rename = "trainer")]
    _trainer: IgnoredAny,
    #[serde(default, rename = "schedule")]
    _schedule: IgnoredAny,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum TaskFile {
    #[serde(rename_all = "camelCase")]
    ImageClassification {
        dataset: DatasetFile,
        #[serde(default = "one_tenth")]
        validation_split: f64,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DatasetFile {
    uri: String,
    limit: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TargetFile {
    name: String,
    #[serde(default, rename = "deviceSelector")]
    _device_selector: IgnoredAny,
    constraints: ConstraintsConfig,
}

/// A job for one device.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub target: String,
    pub space: Space,
    search_space: SearchSpaceConfig,
    pub strategy: StrategyConfig,
    pub constraints: Constraints,
    /// Looked at by a search that trains nothing while it chooses.
    pub candidates: u32,
    /// Trained for a short while by one that does; 0 otherwise.
    pub trials: u32,
    pub trial_epochs: u32,
    pub train_epochs: u32,
    pub finalists: usize,
    pub seed: u64,
    pub dataset: String,
    pub validation_split: f64,
    pub limit: Option<u32>,
}

impl JobFile {
    pub(crate) fn read(path: &Path) -> Result<Self, Exit> {
        let bytes = std::fs::read(path)
            .with_context(|| format!("can't read {}", path.display()))
            .map_err(Exit::BadInput)?;
        Self::parse(&bytes)
            .with_context(|| path.display().to_string())
            .map_err(Exit::BadInput)
    }

    fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        let mut value: Value = serde_json::from_slice(bytes)?;
        if let Some(spec) = value.get_mut("spec") {
            value = spec.take();
        }
        serde_json::from_value(value)
    }

    /// The search space, and the seed that chooses what is calibrated on.
    pub(crate) fn space(self) -> (SearchSpaceConfig, u64) {
        (self.search_space, u64::from(self.budget.seed))
    }

    /// `target`: its name, where there are several.
    pub(super) fn check(self, target: Option<&str>) -> anyhow::Result<Job> {
        let Self {
            task,
            search_space,
            strategy,
            targets,
            budget,
            ..
        } = self;
        strategy.check()?;
        budget.check(&strategy)?;
        let Some(TaskFile::ImageClassification {
            dataset,
            validation_split,
        }) = task
        else {
            return Err(anyhow!("task: is missing"));
        };
        if !(0.01..=0.5).contains(&validation_split) {
            return Err(anyhow!(
                "task.imageClassification.validationSplit: {validation_split} is not from 0.01 to 0.5"
            ));
        }
        let names: Vec<_> = targets.iter().map(|target| target.name.clone()).collect();
        let mut wanted = targets
            .into_iter()
            .filter(|one| target.is_none_or(|name| one.name == name));
        let (Some(found), None) = (wanted.next(), wanted.next()) else {
            return Err(match target {
                Some(name) => anyhow!("targets: none is called {name}, there are: {}", names.join(", ")),
                None if names.is_empty() => anyhow!("targets: names no target"),
                None => anyhow!(
                    "targets: a profile is of one device, so choose with --target among: {}",
                    names.join(", ")
                ),
            });
        };
        let trials = budget.trials_of(&strategy);
        Ok(Job {
            constraints: found
                .constraints
                .constraints()
                .with_context(|| format!("target {}", found.name))?,
            target: found.name,
            space: Space::from_config(&search_space)?,
            search_space,
            strategy,
            candidates: budget.candidates,
            trials,
            trial_epochs: budget.trial_epochs,
            train_epochs: budget.train_epochs,
            finalists: budget.finalists as usize,
            seed: u64::from(budget.seed),
            dataset: dataset.uri,
            validation_split,
            limit: dataset.limit,
        })
    }
}

impl Job {
    /// Everything that the result depends on.
    pub(super) fn content(&self, latency: &LatencyModel) -> Value {
        let Self {
            target,
            space: _,
            search_space,
            strategy,
            constraints,
            candidates,
            trials,
            trial_epochs,
            train_epochs,
            finalists,
            seed,
            dataset,
            validation_split,
            limit,
        } = self;
        let Constraints {
            latency_p95_us,
            model_bytes,
            peak_memory_bytes,
        } = constraints;
        json!([
            [target, search_space, strategy],
            [latency_p95_us, model_bytes, peak_memory_bytes],
            [candidates, trials, trial_epochs, train_epochs, finalists, seed],
            [dataset, validation_split, limit],
            latency,
        ])
    }

    /// The search as it stands with these records.
    pub(super) fn study(
        &self,
        latency: &LatencyModel,
        records: Vec<TrialRecord>,
    ) -> Result<Study, StudyError> {
        let target = Target {
            name: self.target.clone(),
            constraints: self.constraints,
            latency: latency.clone(),
        };
        let candidates = if self.trials > 0 {
            self.trials
        } else {
            self.candidates
        };
        Study::resume(
            self.space.clone(),
            vec![target],
            &self.strategy,
            candidates,
            self.seed,
            records,
        )
    }
}

fn one_tenth() -> f64 {
    0.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, target: Option<&str>) -> String {
        match JobFile::parse(text.as_bytes()) {
            Ok(file) => match file.check(target) {
                Ok(job) => format!("{} with {} trials", job.target, job.trials),
                Err(error) => format!("{error:#}"),
            },
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_whole_resource_or_its_spec_is_read() {
        let spec = r#"{"task":{"imageClassification":{"dataset":{"uri":"file:///data"}}},
            "strategy":{"mnasnet":{}},"trainer":{"image":"x"},
            "targets":[{"name":"a","deviceSelector":{"matchLabels":{}},"constraints":{"latency":{"p95":"2ms"}}},
                       {"name":"b","constraints":{"latency":{"p95":"3ms"}}}]}"#;
        assert_eq!(said(spec, Some("b")), "b with 24 trials");
        let whole = format!(r#"{{"apiVersion":"haizen.dev/v1alpha1","kind":"NasJob","spec":{spec}}}"#);
        assert_eq!(said(&whole, Some("a")), "a with 24 trials");
        for (text, target, expected) in [
            (
                spec.to_owned(),
                None,
                "targets: a profile is of one device, so choose with --target among: a, b",
            ),
            (
                spec.to_owned(),
                Some("c"),
                "targets: none is called c, there are: a, b",
            ),
            ("{}".to_owned(), None, "task: is missing"),
            (spec.replace("2ms", "2 parsecs"), Some("a"), "not a duration"),
            (
                spec.replace("mnasnet\":{}", "mnasnet\":{\"beta\":1}"),
                Some("a"),
                "strategy.mnasnet.beta: 1 is not from -2 to 0",
            ),
            (
                spec.replace("targets", "tragets"),
                None,
                "unknown field `tragets`",
            ),
        ] {
            let found = said(&text, target);
            assert!(found.contains(expected), "{found}\n{expected}");
        }
    }
}
