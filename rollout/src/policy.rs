//! The `rollout:` block of an EdgePipeline: how a new revision reaches the devices.
//!
//! Owns the block's schema, its defaults and the check of what a schema can't say. Decides nothing: see `plan`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::{Duration, Percent};

use crate::NotYetSupported;
use crate::gates::GateConfig;

/// How a new revision reaches the devices: a canary, then growing shares, each watched before the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RolloutPolicy {
    /// The first devices to get a revision.
    pub canary: Canary,
    /// Growing shares of all devices, the canary included; the last is 100%.
    #[schemars(length(max = 20))]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "size(self) == 0 || self[size(self) - 1].matches('^100([.]0+)?%$')",
        "message": "the last wave must be 100%, else some devices never get the revision"
    }]))]
    pub waves: Vec<Percent>,
    /// How long each device watches itself on a new revision before it calls it good.
    pub bake: Duration,
    /// Checks that let a wave pass, in this order; all must hold.
    #[schemars(length(max = 16))]
    pub gates: Vec<GateConfig>,
    /// Devices of a wave that must have finished before any verdict; a smaller wave needs all of its own.
    #[schemars(range(min = 1, max = 100_000))]
    pub min_samples: u32,
    /// Devices of one site that may change at the same time.
    #[schemars(range(min = 1, max = 1000))]
    pub max_per_site: u32,
    /// When devices may change; at any time when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// A device not heard of for this long no longer holds up its wave; it never counts as success.
    pub offline_grace: Duration,
    /// Longest time from the offer until a reachable device is good or has failed, its bake not counted.
    pub device_timeout: Duration,
    /// Longest time in which no device and no wave gets further; after it the pipeline is Stalled. Nothing is taken
    /// back for missing data: the rollout goes on by itself when something moves.
    pub progress_deadline: Duration,
    /// What happens when a gate fails.
    pub on_failure: OnFailure,
}

impl Default for RolloutPolicy {
    fn default() -> Self {
        Self {
            canary: Canary::default(),
            waves: ["10%", "50%", "100%"]
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            bake: Duration::from_secs(10 * 60),
            gates: vec![GateConfig::default()],
            min_samples: 1,
            max_per_site: 1,
            window: None,
            offline_grace: Duration::from_secs(3600),
            device_timeout: Duration::from_secs(5 * 60),
            progress_deadline: Duration::from_secs(24 * 3600),
            on_failure: OnFailure::Rollback,
        }
    }
}

/// The first devices to get a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Canary {
    /// How many; 0 starts with the first share.
    #[schemars(range(min = 0, max = 1000))]
    pub count: u32,
}

impl Default for Canary {
    fn default() -> Self {
        Self { count: 1 }
    }
}

/// Times of day, on the device's own clock, in which it may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Days on which the window opens; every day when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Day>,
    /// Opens at, as `HH:MM`.
    #[schemars(regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub from: String,
    /// Closes at, as `HH:MM`; before `from` means on the next day.
    #[schemars(regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub to: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// What happens when a rollout fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// Every device that was offered the revision goes back to the one it ran before.
    #[default]
    Rollback,
    /// Nothing further is offered; devices keep what they have.
    Pause,
}

/// What is wrong with a policy, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error(
        "rollout.waves[{index}] is {share}, not above the wave before it: write growing shares such as [10%, 50%, 100%]"
    )]
    NotGrowing { index: usize, share: Percent },
    #[error("rollout.waves ends with {0}: end it with 100%, else some devices never get the revision")]
    NotWhole(Percent),
    #[error("rollout.{0} is 0: at least 1 is needed")]
    Zero(&'static str),
    #[error("rollout.gates[{index}].{message}")]
    Gate { index: usize, message: String },
}

impl RolloutPolicy {
    /// Refuses fields whose behaviour comes later.
    pub fn supported(&self) -> Result<(), NotYetSupported> {
        match self.window {
            Some(_) => Err(NotYetSupported {
                field: "rollout.window".into(),
            }),
            None => Ok(()),
        }
    }

    /// Everything that is wrong, not only the first.
    pub fn check(&self) -> Vec<PolicyError> {
        let mut errors = Vec::new();
        for (index, pair) in self.waves.windows(2).enumerate() {
            if let [before, share] = pair
                && share <= before
            {
                errors.push(PolicyError::NotGrowing {
                    index: index + 1,
                    share: *share,
                });
            }
        }
        if let Some(last) = self.waves.last()
            && *last != Percent::ALL
        {
            errors.push(PolicyError::NotWhole(*last));
        }
        for (name, value) in [
            ("minSamples", self.min_samples),
            ("maxPerSite", self.max_per_site),
        ] {
            if value == 0 {
                errors.push(PolicyError::Zero(name));
            }
        }
        for (index, gate) in self.gates.iter().enumerate() {
            if let Err(message) = gate.check() {
                errors.push(PolicyError::Gate { index, message });
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> RolloutPolicy {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_empty_block_is_the_default() {
        assert_eq!(policy("{}"), RolloutPolicy::default());
        assert_eq!(RolloutPolicy::default().check(), []);
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        for (json, expected) in [
            (
                r#"{"waves": ["50%", "10%", "100%"]}"#,
                "rollout.waves[1] is 10%, not above",
            ),
            (r#"{"waves": ["10%", "50%"]}"#, "rollout.waves ends with 50%"),
            (r#"{"maxPerSite": 0}"#, "rollout.maxPerSite is 0"),
            (
                r#"{"gates": [{"successRatio": {"min": 1.5}}]}"#,
                "rollout.gates[0].successRatio.min is 1.5",
            ),
        ] {
            let errors = policy(json).check();
            assert!(
                errors.iter().any(|e| e.to_string().starts_with(expected)),
                "{json}: {errors:?}"
            );
        }
        let window = policy(r#"{"window": {"from": "02:00", "to": "05:00"}}"#);
        assert_eq!(window.supported().unwrap_err().field, "rollout.window");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for json in [
            r#"{"wave": []}"#,
            r#"{"gates": [{"luck": {}}]}"#,
            r#"{"bake": "10"}"#,
        ] {
            assert!(serde_json::from_str::<RolloutPolicy>(json).is_err(), "{json}");
        }
    }
}
