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
        }
    }
}

impl Recipe {
    /// One cycle: up in a straight line, down along a cosine, to almost nothing at the end.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        let done = step as f64 / steps.max(1) as f64;
        if done < self.warmup {
            return self.peak_rate * (0.05 + 0.95 * done / self.warmup);
        }
        let falling = ((done - self.warmup) / (1.0 - self.warmup)).min(1.0);
        self.peak_rate * (0.001 + 0.999 * (0.5 + 0.5 * (std::f64::consts::PI * falling).cos()))
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
    fn the_rate_rises_and_falls_once() {
        let recipe = Recipe::default();
        let rates: Vec<_> = (0..=100).map(|step| recipe.rate(step, 100)).collect();
        let peak = rates.iter().position(|rate| *rate >= recipe.peak_rate).unwrap();
        assert_eq!(peak, 20);
        assert!(rates[..=peak].is_sorted() && rates[peak..].is_sorted_by(|a, b| a >= b));
        assert!(rates[0] > 0.0 && rates[100] > 0.0 && rates[100] < recipe.peak_rate / 500.0);
    }
}
