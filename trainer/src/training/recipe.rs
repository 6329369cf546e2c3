//! How a network is trained.

use serde::{Deserialize, Serialize};

use crate::data::Augmentation;

/// All settings; the defaults reach their best on small networks within few epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Recipe {
    pub batch: usize,
    /// Highest learning rate.
    pub peak_rate: f64,
    /// Share of all steps in which the rate rises to its peak.
    pub warmup: f64,
    pub momentum: f64,
    /// Looks ahead along the momentum.
    pub nesterov: bool,
    pub weight_decay: f64,
    /// Share of the label that is spread over all classes.
    pub label_smoothing: f64,
    /// Images are moved by up to so many pixels.
    pub shift: u32,
    /// Images are mirrored left to right, every second one.
    pub flip: bool,
    /// How much of a moving average of the weights each step keeps, for instance 0.999; the average is then what is
    /// judged and exported. No average when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            batch: 64,
            peak_rate: 0.1,
            warmup: 0.2,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 5e-5,
            label_smoothing: 0.05,
            shift: 1,
            flip: true,
            ema: None,
        }
    }
}

/// A setting that can't be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field}: {value} {limit}")]
pub struct RecipeError {
    field: &'static str,
    value: f64,
    limit: &'static str,
}

impl Recipe {
    /// Whether its settings can be.
    pub fn check(&self) -> Result<(), RecipeError> {
        let between = |field, value: f64, fits: bool, limit| {
            if fits {
                Ok(())
            } else {
                Err(RecipeError { field, value, limit })
            }
        };
        let share = |value: f64| (0.0..1.0).contains(&value);
        between("batch", self.batch as f64, self.batch > 0, "is not above 0")?;
        between("peakRate", self.peak_rate, self.peak_rate > 0.0, "is not above 0")?;
        let limit = "is not from 0 to below 1";
        between("warmup", self.warmup, share(self.warmup), limit)?;
        between("momentum", self.momentum, share(self.momentum), limit)?;
        between(
            "weightDecay",
            self.weight_decay,
            self.weight_decay >= 0.0,
            "is below 0",
        )?;
        between(
            "labelSmoothing",
            self.label_smoothing,
            share(self.label_smoothing),
            limit,
        )?;
        let ema = self.ema.unwrap_or(0.5);
        between("ema", ema, ema > 0.0 && ema < 1.0, "is not above 0 and below 1")
    }

    /// One cycle: up in a straight line, down along a cosine, to almost nothing at the end.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        let done = step as f64 / steps.max(1) as f64;
        if done < self.warmup {
            return self.peak_rate * (0.05 + 0.95 * done / self.warmup);
        }
        let falling = ((done - self.warmup) / (1.0 - self.warmup)).min(1.0);
        self.peak_rate * (0.001 + 0.999 * (0.5 + 0.5 * (std::f64::consts::PI * falling).cos()))
    }

    /// What the network counts in its average after this step, from 0. More at the start, when the average still
    /// holds numbers nothing has been learned for.
    pub fn average_share(&self, step: usize) -> Option<f64> {
        let early = (1.0 + step as f64) / (10.0 + step as f64);
        self.ema.map(|kept| 1.0 - kept.min(early))
    }

    pub fn augmentation(&self) -> Augmentation {
        Augmentation {
            shift: self.shift,
            flip: self.flip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_counts_few_steps_at_first() {
        let recipe = Recipe {
            ema: Some(0.99),
            ..Recipe::default()
        };
        assert_eq!(Recipe::default().average_share(5), None);
        assert_eq!(recipe.average_share(0), Some(0.9));
        assert!(
            recipe
                .average_share(5000)
                .is_some_and(|share| (share - 0.01).abs() < 1e-12)
        );
    }

    #[test]
    fn the_rate_rises_and_falls_once() {
        let recipe = Recipe::default();
        let rates: Vec<_> = (0..=100).map(|step| recipe.rate(step, 100)).collect();
        let peak = rates.iter().position(|rate| *rate >= recipe.peak_rate).unwrap();
        assert_eq!(peak, 20);
        assert!(rates[..=peak].is_sorted() && rates[peak..].is_sorted_by(|a, b| a >= b));
        assert!(rates[0] > 0.0 && rates[100] > 0.0 && rates[100] < recipe.peak_rate / 500.0);
    }
}
