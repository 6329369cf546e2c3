//! How much work a search may do, as a user writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::Duration;

use crate::setting::{SettingError, within};
use crate::strategies::StrategyConfig;

/// How much work the search may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// Candidates the strategy looks at for each target, where it trains none while it searches.
    #[schemars(range(min = 1, max = 100_000))]
    pub candidates: u32,
    /// Candidates of each target that are trained for a short while, so that the strategy learns from them and the
    /// finalists are chosen by accuracy. When not given: 24 for strategies that learn, none for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub trials: Option<u32>,
    /// Epochs each of these trials is trained.
    #[schemars(range(min = 1, max = 10_000))]
    pub trial_epochs: u32,
    /// Epochs of a supernet's training; only strategies that train one use it.
    #[schemars(range(min = 1, max = 10_000))]
    pub search_epochs: u32,
    /// Epochs each finalist is trained.
    #[schemars(range(min = 1, max = 10_000))]
    pub train_epochs: u32,
    /// Candidates of each target that are trained to the end.
    #[schemars(range(min = 1, max = 64))]
    pub finalists: u32,
    /// Trainer pods at the same time.
    #[schemars(range(min = 1, max = 256))]
    pub parallelism: u32,
    /// The search ends unsuccessful after this long.
    pub deadline: Duration,
    /// The same seed on the same machines gives the same winner.
    pub seed: u32,
}

/// Trials of a strategy that learns, when the user names no number.
const TRIALS: u32 = 24;

impl Default for BudgetConfig {
    fn default() -> Self {
        Self {
            candidates: 500,
            trials: None,
            trial_epochs: 3,
            search_epochs: 30,
            train_epochs: 60,
            finalists: 3,
            parallelism: 1,
            deadline: Duration::from_secs(6 * 3600),
            seed: 1,
        }
    }
}

impl BudgetConfig {
    /// How many trials are trained while the search goes on.
    pub fn trials_of(&self, strategy: &StrategyConfig) -> u32 {
        self.trials.unwrap_or(if strategy.learns() { TRIALS } else { 0 })
    }

    pub fn check(&self, strategy: &StrategyConfig) -> Result<(), SettingError> {
        let Self {
            candidates,
            trials: _,
            trial_epochs,
            search_epochs,
            train_epochs,
            finalists,
            parallelism,
            deadline,
            seed: _,
        } = self;
        for (field, value, most) in [
            ("budget.candidates", candidates, 100_000.0),
            ("budget.trialEpochs", trial_epochs, 10_000.0),
            ("budget.searchEpochs", search_epochs, 10_000.0),
            ("budget.trainEpochs", train_epochs, 10_000.0),
            ("budget.finalists", finalists, 64.0),
            ("budget.parallelism", parallelism, 256.0),
        ] {
            within(field, f64::from(*value), 1.0, most)?;
        }
        let trials = self.trials_of(strategy);
        within("budget.trials", f64::from(trials), 0.0, 10_000.0)?;
        if trials == 0 && strategy.learns() {
            let message = format!(
                "0 leaves strategy {} nothing to learn from: leave it out, or use strategy random",
                strategy.name()
            );
            return Err(SettingError::new("budget.trials", message));
        }
        if deadline.get().is_zero() {
            return Err(SettingError::new(
                "budget.deadline",
                "must be longer than 0s, for instance 6h",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(budget: &str, strategy: &str) -> String {
        let budget: BudgetConfig = serde_json::from_str(budget).unwrap();
        let strategy: StrategyConfig = serde_json::from_str(strategy).unwrap();
        match budget.check(&strategy) {
            Ok(()) => format!("{} trials", budget.trials_of(&strategy)),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn only_strategies_that_learn_need_trials() {
        for (budget, strategy, expected) in [
            ("{}", r#"{"random":{}}"#, "0 trials"),
            ("{}", r#"{"compoundScaling":{}}"#, "0 trials"),
            ("{}", r#"{"mnasnet":{}}"#, "24 trials"),
            (r#"{"trials":8}"#, r#"{"random":{}}"#, "8 trials"),
            (
                r#"{"trials":0}"#,
                r#"{"evolution":{}}"#,
                "budget.trials: 0 leaves strategy evolution nothing to learn from: leave it out, or use strategy random",
            ),
            (
                r#"{"finalists":0}"#,
                r#"{"random":{}}"#,
                "budget.finalists: 0 is not from 1 to 64",
            ),
            (
                r#"{"deadline":"0s"}"#,
                r#"{"random":{}}"#,
                "budget.deadline: must be longer than 0s, for instance 6h",
            ),
        ] {
            assert_eq!(said(budget, strategy), expected, "{budget} {strategy}");
        }
    }
}
