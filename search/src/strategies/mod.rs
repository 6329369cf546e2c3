//! The list of strategies: one key of the custom resource, one line here, one file each.

mod compound_scaling;
mod evolution;
mod fbnet;
mod mnasnet;
mod policy;
mod proxyless;
mod random;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::SettingError;
use crate::strategy::Strategy;

pub use compound_scaling::CompoundScalingConfig;
pub use evolution::{EvolutionConfig, Guide};
pub use fbnet::FbnetConfig;
pub use mnasnet::MnasnetConfig;
pub use proxyless::{GateGradient, ProxylessConfig};
pub use random::RandomConfig;

/// How candidates are chosen: exactly one of the keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum StrategyConfig {
    /// Evenly drawn among what keeps the bounds: the honest baseline.
    Random(RandomConfig),
    /// Regularised evolution, guided by a predictor of accuracy.
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
    /// Its key in the custom resource.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Random(_) => "random",
            Self::Evolution(_) => "evolution",
            Self::Mnasnet(_) => "mnasnet",
            Self::Proxyless(_) => "proxyless",
            Self::Fbnet(_) => "fbnet",
            Self::CompoundScaling(_) => "compoundScaling",
        }
    }

    /// Whether it chooses by what became of earlier candidates.
    pub fn learns(&self) -> bool {
        self.build().learns()
    }

    /// Whether its settings can be.
    pub fn check(&self) -> Result<(), SettingError> {
        match self {
            Self::Random(RandomConfig {}) => Ok(()),
            Self::Evolution(config) => config.check(),
            Self::Mnasnet(config) => config.check(),
            Self::Proxyless(config) => config.check(),
            Self::Fbnet(config) => config.check(),
            Self::CompoundScaling(config) => config.check(),
        }
    }

    pub fn build(&self) -> Box<dyn Strategy> {
        match self {
            Self::Random(config) => Box::new(random::Random::new(config)),
            Self::Evolution(config) => evolution::build(config),
            Self::Mnasnet(config) => Box::new(mnasnet::Mnasnet::new(*config)),
            Self::Proxyless(config) => Box::new(proxyless::Proxyless::new(*config)),
            Self::Fbnet(config) => Box::new(fbnet::Fbnet::new(*config)),
            Self::CompoundScaling(config) => Box::new(compound_scaling::CompoundScaling::new(config)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_strategies_and_settings_are_read() {
        let read = |text: &str| serde_json::from_str::<StrategyConfig>(text);
        assert_eq!(read(r#"{"random":{}}"#).unwrap(), StrategyConfig::default());
        assert!(read(r#"{"fbnet":{"temperature":4}}"#).is_ok());
        assert!(read(r#"{"fbnet":{"tau":4}}"#).is_err());
        assert!(read(r#"{"magic":{}}"#).is_err());
    }

    #[test]
    fn settings_that_can_not_be_are_named() {
        let said = |text: &str| {
            let config: StrategyConfig = serde_json::from_str(text).unwrap();
            config
                .check()
                .map_or_else(|error| error.to_string(), |()| "fine".to_owned())
        };
        for (text, expected) in [
            (r#"{"random":{}}"#, "fine"),
            (r#"{"evolution":{}}"#, "fine"),
            (
                r#"{"evolution":{"population":1,"sample":1}}"#,
                "strategy.evolution.population: 1 is not from 2 to 10000",
            ),
            (
                r#"{"evolution":{"sample":0}}"#,
                "strategy.evolution.sample: 0 is not from 1 to 10000",
            ),
            (
                r#"{"mnasnet":{"alpha":0.1}}"#,
                "strategy.mnasnet.alpha: 0.1 is not from -2 to 0",
            ),
            (
                r#"{"proxyless":{"lambda":-1}}"#,
                "strategy.proxyless.lambda: -1 is not from 0 to 10",
            ),
            (
                r#"{"fbnet":{"cooling":0.4}}"#,
                "strategy.fbnet.cooling: 0.4 is not from 0.5 to 1",
            ),
            (
                r#"{"compoundScaling":{"depth":3}}"#,
                "strategy.compoundScaling.depth: 3 is not from 1 to 2",
            ),
            (
                r#"{"compoundScaling":{"depth":1,"width":1,"resolution":1}}"#,
                "strategy.compoundScaling: nothing grows when all factors are 1",
            ),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }
}
