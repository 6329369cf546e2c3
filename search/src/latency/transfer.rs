//! Latencies of a new device class from other classes' tables and a few samples of its own.
//!
//! A network's logarithm of latency is regressed on the logarithms of its latencies elsewhere, plus what its
//! parts add on this class (a Gaussian process with a linear trend). How strongly either counts is settled by
//! holding out each of the other classes in turn and foretelling it from the rest: ten samples alone could not.

use rand::Rng;

use crate::predictor::features::Pool;
use crate::predictor::gaussian::{Gaussian, Kernel};
use crate::random::{Purpose, generator};

/// Tables of other classes over the same networks.
#[derive(Debug, Clone)]
pub struct Sources {
    parts: Vec<Vec<u32>>,
    /// Standardised logarithms, one column for each class.
    columns: Vec<Vec<f64>>,
    pool: Pool,
    /// Networks that no table shows as an outlier.
    usual: Vec<usize>,
}

/// What lies further out counts as this far: broken measurements must not bend the trend.
const MOST_DEVIATES: f64 = 2.5;
/// Networks among which a sample is chosen, and on which settings are compared.
const CONSIDERED: usize = 400;
/// A latency below this is none, in the unit of the tables.
const LEAST: f64 = 1e-6;

impl Sources {
    /// `parts`: sorted numbers of each network's parts; `tables`: latencies of all networks, one table a class.
    pub fn new(parts: Vec<Vec<u32>>, tables: &[Vec<f64>]) -> Self {
        let columns: Vec<Vec<f64>> = tables.iter().map(|table| standardised(table)).collect();
        let pool = Pool::of_columns(&parts, &columns);
        let is_usual = |index: &usize| columns.iter().all(|column| column[*index].abs() < MOST_DEVIATES);
        let usual = (0..parts.len()).filter(is_usual).collect();
        Self {
            parts,
            columns,
            pool,
            usual,
        }
    }

    /// Networks to measure on the new class: each the one least known given those before, among some that
    /// chance draws.
    pub fn samples(&self, n: usize, seed: u64) -> Vec<usize> {
        let mut rng = generator(seed, 0, Purpose::Calibration);
        let all: Vec<usize> = (0..self.parts.len()).collect();
        let usual = if self.usual.is_empty() { &all } else { &self.usual };
        let considered: Vec<usize> = (0..CONSIDERED.min(usual.len())).map(|_| usual[rng.random_range(0..usual.len())]).collect();
        let mut belief = Gaussian::fit(&self.pool, &[], Kernel::TRANSFER);
        let mut samples: Vec<usize> = Vec::with_capacity(n);
        while samples.len() < n {
            let open = considered.iter().filter(|index| !samples.contains(index));
            let scored = open.map(|index| (belief.deviation(&self.pool, *index), *index));
            let Some((_, index)) = scored.reduce(|best, next| if next.0 > best.0 { next } else { best }) else {
                break;
            };
            belief.believe(&self.pool, index);
            samples.push(index);
        }
        samples
    }

    /// Latencies of all networks on the new class, in the unit of `measured`: (network, latency).
    pub fn predict(&self, measured: &[(usize, f64)]) -> Vec<f64> {
        let kernel = self.settings(measured);
        let logs: Vec<(usize, f64)> = measured.iter().map(|(index, value)| (*index, value.max(LEAST).ln())).collect();
        let gaussian = Gaussian::fit(&self.pool, &logs, kernel);
        (0..self.parts.len()).map(|index| gaussian.mean(&self.pool, index).exp()).collect()
    }

    /// The kernel that foretells each known class best from the others and the same samples.
    fn settings(&self, measured: &[(usize, f64)]) -> Kernel {
        let step = (self.parts.len() / CONSIDERED).max(1);
        let considered: Vec<usize> = (0..self.parts.len()).step_by(step).collect();
        let kernels = Kernel::transfers();
        let mut errors = vec![0.0; kernels.len()];
        for (held, column) in self.columns.iter().enumerate() {
            let others: Vec<Vec<f64>> = self.columns.iter().enumerate().filter(|(other, _)| *other != held).map(|(_, column)| column.clone()).collect();
            if others.is_empty() {
                return Kernel::TRANSFER;
            }
            let pool = Pool::of_columns(&self.parts, &others);
            let known: Vec<(usize, f64)> = measured.iter().map(|(index, _)| (*index, column[*index])).collect();
            for (error, kernel) in errors.iter_mut().zip(&kernels) {
                let gaussian = Gaussian::fit(&pool, &known, *kernel);
                let miss = |index: &usize| (gaussian.mean(&pool, *index) - column[*index]).abs();
                *error += considered.iter().map(miss).sum::<f64>();
            }
        }
        let scored = errors.into_iter().zip(kernels);
        let best = scored.reduce(|best, next| if next.0 < best.0 { next } else { best });
        best.map_or(Kernel::TRANSFER, |(_, kernel)| kernel)
    }
}

fn standardised(table: &[f64]) -> Vec<f64> {
    let logs: Vec<f64> = table.iter().map(|value| value.max(LEAST).ln()).collect();
    let mut sorted = logs.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get((share * sorted.len() as f64) as usize).copied().unwrap_or(0.0);
    // Quantiles, not moments: outliers are as extreme as they like. 16 % and 84 % are one deviate from the middle.
    let (middle, deviate) = (at(0.5), ((at(0.84) - at(0.16)) / 2.0).max(1e-9));
    logs.iter().map(|log| ((log - middle) / deviate).clamp(-MOST_DEVIATES, MOST_DEVIATES)).collect()
}

/// Spearman's rank correlation; equal values share their mean rank.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(&b) {
        ab += (x - mean) * (y - mean);
        aa += (x - mean) * (x - mean);
        bb += (y - mean) * (y - mean);
    }
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        for index in group {
            ranks[*index] = start as f64 + (group.len() as f64 - 1.0) / 2.0;
        }
        start += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_correlate_as_by_hand() {
        assert!((rank_correlation(&[1.0, 2.0, 3.0], &[10.0, 20.0, 900.0]) - 1.0).abs() < 1e-12);
        assert!((rank_correlation(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-12);
        assert!((rank_correlation(&[1.0, 1.0, 2.0], &[1.0, 2.0, 3.0]) - 0.866_025).abs() < 1e-5);
        assert_eq!(rank_correlation(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
    }

    #[test]
    fn a_class_between_two_others_is_foretold_from_few_samples() {
        let n = 500;
        let parts: Vec<Vec<u32>> = (0..n).map(|i| vec![i % 5, 10 + i % 7, 20 + i % 11]).collect();
        let cost = |i: u32, weights: [f64; 3]| {
            1.0 + f64::from(i % 5) * weights[0] + f64::from(i % 7) * weights[1] + f64::from(i % 11) * weights[2]
        };
        let table = |weights| (0..n).map(|i| cost(i, weights)).collect::<Vec<f64>>();
        let sources = Sources::new(parts, &[table([3.0, 1.0, 1.0]), table([1.0, 3.0, 1.0]), table([1.0, 1.0, 2.0])]);
        let truth = table([2.0, 2.0, 1.0]);
        let samples = sources.samples(10, 1);
        assert_eq!(samples.len(), 10);
        let measured: Vec<(usize, f64)> = samples.iter().map(|index| (*index, truth[*index])).collect();
        let found = rank_correlation(&sources.predict(&measured), &truth);
        assert!(found > 0.98, "{found}");
    }
}
