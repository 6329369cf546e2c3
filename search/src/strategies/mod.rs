//! The list of strategies: one key of the custom resource, one line here, one file each.

mod evolution;
mod random;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::NotYetSupported;
use crate::strategy::Strategy;

pub use random::RandomConfig;

/// How candidates are chosen: exactly one of the keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum StrategyConfig {
    /// Evenly drawn among what keeps the bounds: the honest baseline.
    Random(RandomConfig),
    /// Regularised evolution: mutates the best of a random few, forgets the oldest.
    Evolution(EvolutionConfig),
    /// A policy learned from rewards that weigh accuracy against latency (MnasNet).
    Mnasnet(MnasnetConfig),
    /// A supernet with binary gates (ProxylessNAS).
    Proxyless(ProxylessConfig),
    /// A supernet with Gumbel-softmax gates (FBNet).
    Fbnet(FbnetConfig),
    /// One network scaled in depth, width and resolution (EfficientNet).
    CompoundScaling(CompoundScalingConfig),
}

impl Default for StrategyConfig {
    fn default() -> Self {
        Self::Random(RandomConfig::default())
    }
}

impl StrategyConfig {
    /// Whether the strategy's behaviour exists yet.
    pub fn supported(&self) -> Result<(), NotYetSupported> {
        self.build().map(drop)
    }

    pub fn build(&self) -> Result<Box<dyn Strategy>, NotYetSupported> {
        let not_yet = |name: &str| {
            Err(NotYetSupported {
                field: format!("strategy.{name}"),
                instead: Some("strategy.random"),
            })
        };
        match self {
            Self::Random(config) => Ok(Box::new(random::Random::new(config))),
            Self::Evolution(_) => Ok(evolution::build()),
            Self::Mnasnet(_) => not_yet("mnasnet"),
            Self::Proxyless(_) => not_yet("proxyless"),
            Self::Fbnet(_) => not_yet("fbnet"),
            Self::CompoundScaling(_) => not_yet("compoundScaling"),
        }
    }
}

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
}

impl Default for EvolutionConfig {
    fn default() -> Self {
        Self {
            population: 64,
            sample: 16,
        }
    }
}

/// A learned policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MnasnetConfig {
    /// Exponent of latency over bound in the reward, for candidates inside the bound.
    #[schemars(range(min = -2.0, max = 0.0))]
    pub alpha: f64,
    /// The same for candidates above the bound.
    #[schemars(range(min = -2.0, max = 0.0))]
    pub beta: f64,
}

impl Default for MnasnetConfig {
    fn default() -> Self {
        Self {
            alpha: -0.07,
            beta: -0.07,
        }
    }
}

/// Binary gates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProxylessConfig {
    /// How the gates' gradients are found.
    pub gradient: GateGradient,
    /// Weight of the latency term in the loss.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub lambda: f64,
}

impl Default for ProxylessConfig {
    fn default() -> Self {
        Self {
            gradient: GateGradient::TwoPath,
            lambda: 0.1,
        }
    }
}

/// How the gradients of binary gates are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GateGradient {
    /// From two sampled paths at a time.
    TwoPath,
    /// From all paths, one after the other.
    Full,
}

/// Gumbel-softmax gates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FbnetConfig {
    /// Temperature at the start.
    #[schemars(range(min = 0.1, max = 100.0))]
    pub temperature: f64,
    /// Factor on the temperature after each epoch.
    #[schemars(range(min = 0.5, max = 1.0))]
    pub cooling: f64,
}

impl Default for FbnetConfig {
    fn default() -> Self {
        Self {
            temperature: 5.0,
            cooling: 0.956,
        }
    }
}

/// Compound scaling.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CompoundScalingConfig {
    /// Factor on depth at each step; found by a small grid when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 2.0))]
    pub depth: Option<f64>,
    /// Factor on width at each step; found by a small grid when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 2.0))]
    pub width: Option<f64>,
    /// Factor on resolution at each step; found by a small grid when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 2.0))]
    pub resolution: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_which_strategies_are_there() {
        let supported = |text: &str| serde_json::from_str::<StrategyConfig>(text).unwrap().supported();
        assert_eq!(supported(r#"{"random":{}}"#), Ok(()));
        assert_eq!(
            supported(r#"{"fbnet":{"temperature":4}}"#)
                .unwrap_err()
                .to_string(),
            "strategy.fbnet is not supported yet: leave it out or use strategy.random"
        );
        assert!(serde_json::from_str::<StrategyConfig>(r#"{"fbnet":{"tau":4}}"#).is_err());
        assert!(serde_json::from_str::<StrategyConfig>(r#"{"magic":{}}"#).is_err());
    }
}
