//! One measured number and its name, which the table of all peers goes by.

use std::fmt;

use serde_json::json;

#[derive(Debug, Clone)]
pub struct Figure {
    /// Section, what, how: `hop/1-thread/10-50`.
    name: String,
    value: f64,
    unit: &'static str,
}

impl Figure {
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
        }
    }

    pub fn json(&self) -> String {
        json!({"figure": self.name, "value": self.value, "unit": self.unit}).to_string()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Few is not none.
        let digits = if self.value < 0.1 && self.value > 0.0 {
            4
        } else {
            2
        };
        write!(f, "{:<44} {:>10.digits$} {}", self.name, self.value, self.unit)
    }
}

/// The value in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let values = sorted(values);
    values[values.len() / 2]
}

/// The value that a share of all stays below: 0.99 for the 99th percentile, 1 for the largest.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted[place.clamp(1, sorted.len()) - 1]
}

pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}
