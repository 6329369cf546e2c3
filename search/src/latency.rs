//! How long a network takes on a device class: the sum of its measured blocks, corrected by whole networks.
//!
//! A block without a row is an error that names it, never a guess.

mod error_bar;
pub mod expected;
pub mod linear;
pub mod transfer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::random::{Purpose, generator};
use crate::space::{Architecture, BlockKey, Space};

/// A median and a 95th percentile, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    pub p50_us: f64,
    pub p95_us: f64,
}

/// Whole networks a model is calibrated on, where nobody says otherwise.
pub const CALIBRATION_NETS: usize = 10;

/// The profile of one device class as a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyModel {
    rows: BTreeMap<BlockKey, Latency>,
    p50: Calibration,
    p95: Calibration,
    error_bar: f64,
}

/// Whole network = scale · Σ blocks + per block · number of blocks + offset.
///
/// A block measured alone carries the cost of one run and of changing the memory layout; in a network these
/// come once. So besides a scale, a share per block is learned (as a rule below zero).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Calibration {
    scale: f64,
    per_block_us: f64,
    offset_us: f64,
}

/// How well the model met the networks it was calibrated on: mean absolute error of the median, as a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    pub nets: usize,
    pub mape_before: f64,
    pub mape_after: f64,
    /// How far above its prediction a new network's 95th percentile may lie, as a share: held in 19 of 20 cases.
    pub error_bar: f64,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LatencyError {
    #[error("{} blocks are not measured: {}", .keys.len(), first_names(.keys))]
    Missing { keys: Vec<BlockKey> },
    #[error("no whole network to calibrate on")]
    NothingToCalibrateOn,
    #[error("the latency of {of} is {value}: measurements are finite and above zero")]
    NotALatency { of: String, value: f64 },
}

/// Networks to measure whole beside the blocks: a spread of the space, the same for the same seed.
pub fn calibration_nets(space: &Space, n: usize, seed: u64) -> Vec<Architecture> {
    let mut nets = Vec::with_capacity(n);
    for index in 0..4 * n as u64 {
        let choices = space.sample(&mut generator(seed, index, Purpose::Calibration));
        match space.decode(&choices) {
            Ok(net) if !nets.contains(&net) && nets.len() < n => nets.push(net),
            Ok(_) | Err(_) => {}
        }
    }
    nets
}

impl LatencyModel {
    pub fn new(rows: impl IntoIterator<Item = (BlockKey, Latency)>) -> Self {
        Self {
            rows: rows.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Which of these blocks have no row.
    pub fn missing(&self, keys: &[BlockKey]) -> Vec<BlockKey> {
        keys.iter()
            .filter(|key| !self.rows.contains_key(key))
            .copied()
            .collect()
    }

    pub fn predict(&self, architecture: &Architecture) -> Result<Latency, LatencyError> {
        let blocks = architecture.blocks();
        let missing = self.missing(&blocks);
        if !missing.is_empty() {
            return Err(LatencyError::Missing { keys: missing });
        }
        let p50 = blocks
            .iter()
            .filter_map(|key| self.share(key))
            .fold(self.p50.offset_us, |sum, l| sum + l.p50_us);
        let p95 = blocks
            .iter()
            .filter_map(|key| self.share(key))
            .fold(self.p95.offset_us, |sum, l| sum + l.p95_us);
        // No network is free, and no percentile lies below the median, whatever a fit says.
        let p50_us = p50.max(0.1);
        Ok(Latency {
            p50_us,
            p95_us: p95.max(p50_us),
        })
    }

    /// The prediction with its error bar on top: what keeps a bound by this keeps it in 19 of 20 cases when it is
    /// measured.
    pub fn predict_at_most(&self, architecture: &Architecture) -> Result<Latency, LatencyError> {
        let Latency { p50_us, p95_us } = self.predict(architecture)?;
        Ok(Latency {
            p50_us: self.at_most(p50_us),
            p95_us: self.at_most(p95_us),
        })
    }

    /// How far above its prediction a new network's 95th percentile may lie, as a share.
    pub fn error_bar(&self) -> f64 {
        self.error_bar
    }

    /// Whole networks lay so far from their predictions that the device must have been disturbed.
    pub fn is_disturbed(&self) -> bool {
        self.error_bar >= error_bar::MOST
    }

    pub(crate) fn at_most(&self, predicted_us: f64) -> f64 {
        predicted_us * (1.0 + self.error_bar)
    }

    /// Learns the correction from whole networks; the more of them, the less the identity counts.
    pub fn calibrate(&mut self, nets: &[(Architecture, Latency)]) -> Result<Fit, LatencyError> {
        let mut medians = Vec::with_capacity(nets.len());
        let mut tails = Vec::with_capacity(nets.len());
        let mut uncalibrated = Self {
            rows: std::mem::take(&mut self.rows),
            ..Self::default()
        };
        let sums: Result<Vec<Latency>, _> = nets.iter().map(|(net, _)| uncalibrated.predict(net)).collect();
        self.rows = std::mem::take(&mut uncalibrated.rows);
        for ((net, measured), sum) in nets.iter().zip(sums?) {
            for value in [measured.p50_us, measured.p95_us] {
                if !(value.is_finite() && value > 0.0) {
                    return Err(LatencyError::NotALatency { of: net.id(), value });
                }
            }
            let blocks = net.blocks().len() as f64;
            medians.push(Sample {
                sum: sum.p50_us,
                blocks,
                whole: measured.p50_us,
            });
            tails.push(Sample {
                sum: sum.p95_us,
                blocks,
                whole: measured.p95_us,
            });
        }
        if nets.is_empty() {
            return Err(LatencyError::NothingToCalibrateOn);
        }
        let mape_before = mape(&Calibration::default(), &medians);
        self.p50 = Calibration::fit(&medians);
        self.p95 = Calibration::fit(&tails);
        self.error_bar = error_bar::error_bar(&tails);
        Ok(Fit {
            nets: nets.len(),
            mape_before,
            mape_after: mape(&self.p50, &medians),
            error_bar: self.error_bar,
        })
    }

    /// What a block adds to the prediction; [`Self::offset`] comes once on top.
    pub(crate) fn share(&self, key: &BlockKey) -> Option<Latency> {
        let row = self.rows.get(key)?;
        Some(Latency {
            p50_us: self.p50.scale * row.p50_us + self.p50.per_block_us,
            p95_us: self.p95.scale * row.p95_us + self.p95.per_block_us,
        })
    }

    pub(crate) fn p95_offset(&self) -> f64 {
        self.p95.offset_us
    }
}

impl Default for LatencyModel {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            p50: Calibration::default(),
            p95: Calibration::default(),
            error_bar: error_bar::BLIND,
        }
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            scale: 1.0,
            per_block_us: 0.0,
            offset_us: 0.0,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    sum: f64,
    blocks: f64,
    whole: f64,
}

/// What a measurement scatters by, as a share.
const NOISE: f64 = 0.03;
/// How far from the identity a calibration is expected: scale, and shares of a mean block and network.
const PRIOR: [f64; 3] = [0.5, 0.5, 0.3];

impl Calibration {
    /// Bayesian linear regression around the identity, on relative errors: one net already helps, many decide.
    fn fit(samples: &[Sample]) -> Self {
        let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / samples.len() as f64;
        let mean_block = mean(|s| s.sum) / mean(|s| s.blocks);
        let spread = [PRIOR[0], PRIOR[1] * mean_block, PRIOR[2] * mean(|s| s.whole)];
        // Unknowns are the distances to the identity in units of their spread.
        let mut matrix = [[0.0; 3]; 3];
        let mut right = [0.0; 3];
        for (index, row) in matrix.iter_mut().enumerate() {
            row[index] = 1.0;
        }
        for sample in samples {
            let weight = 1.0 / (NOISE * sample.whole);
            let row = [sample.sum * spread[0], sample.blocks * spread[1], spread[2]].map(|x| x * weight);
            let rest = (sample.whole - sample.sum) * weight;
            for i in 0..3 {
                right[i] += row[i] * rest;
                for j in 0..3 {
                    matrix[i][j] += row[i] * row[j];
                }
            }
        }
        let found = solve(matrix, right);
        Self {
            scale: (1.0 + found[0] * spread[0]).max(0.05),
            per_block_us: found[1] * spread[1],
            offset_us: found[2] * spread[2],
        }
    }

    fn apply(&self, sample: &Sample) -> f64 {
        self.scale * sample.sum + self.per_block_us * sample.blocks + self.offset_us
    }
}

fn mape(calibration: &Calibration, samples: &[Sample]) -> f64 {
    let error = |sample: &Sample| (calibration.apply(sample) - sample.whole).abs() / sample.whole;
    samples.iter().map(error).sum::<f64>() / samples.len() as f64
}

/// Gaussian elimination; the matrix is positive definite, so no pivoting is needed.
fn solve(mut matrix: [[f64; 3]; 3], mut right: [f64; 3]) -> [f64; 3] {
    for i in 0..3 {
        for j in i + 1..3 {
            let factor = matrix[j][i] / matrix[i][i];
            let pivot = matrix[i];
            for (value, above) in matrix[j].iter_mut().zip(pivot) {
                *value -= factor * above;
            }
            right[j] -= factor * right[i];
        }
    }
    for i in (0..3).rev() {
        for k in i + 1..3 {
            right[i] -= matrix[i][k] * right[k];
        }
        right[i] /= matrix[i][i];
    }
    right
}

fn first_names(keys: &[BlockKey]) -> String {
    let mut names: Vec<_> = keys.iter().take(3).map(ToString::to_string).collect();
    if keys.len() > 3 {
        names.push("…".to_owned());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests;
