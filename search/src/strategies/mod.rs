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
}
