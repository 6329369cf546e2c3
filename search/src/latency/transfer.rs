//! Latencies of a new device class from other classes' tables and a few samples of its own.
//!
//! A network's latency is regressed on its latencies elsewhere, on how often each operation stands in it, and on
//! its parts. How strongly each counts is settled by holding out every other class in turn and foretelling it
//! from the rest: ten samples alone could not.

use rand::Rng;

use crate::predictor::features::Pool;
use crate::predictor::gaussian::{Gaussian, Kernel};
use crate::random::{Purpose, generator};

/// Tables of other classes over the same networks.
#[derive(Debug, Clone)]
pub struct Sources {
    parts: Vec<Vec<u32>>,
    /// Standardised latencies, one column for each class.
    classes: Vec<Vec<f64>>,
    /// Standardised counts of operations.
    counts: Vec<Vec<f64>>,
    /// Networks that no table shows as an outlier.
    usual: Vec<usize>,
}

/// How strongly the counts stand beside the classes, and the kernel over both.
#[derive(Debug, Clone, Copy)]
struct Settings {
    counts: f64,
    kernel: Kernel,
}

/// What lies further out counts as this far: broken measurements must not bend the trend.
const MOST_DEVIATES: f64 = 2.5;
/// Networks among which a sample is chosen, and on which settings are compared.
const CONSIDERED: usize = 400;
/// Weights of the counts to choose from; the middle one when nothing says which is best.
const COUNT_WEIGHTS: [f64; 3] = [0.3, 1.0, 2.5];
/// A prediction is at least this share of the smallest sample.
const LEAST: f64 = 0.1;

impl Sources {
    /// `parts`: sorted numbers of each network's parts; `counts`: how often each operation stands in each
    /// network, one column an operation; `tables`: latencies of all networks, one table a class.
    pub fn new(parts: Vec<Vec<u32>>, counts: &[Vec<f64>], tables: &[Vec<f64>]) -> Self {
        let classes: Vec<Vec<f64>> = tables.iter().map(|table| by_quantiles(table)).collect();
        let is_usual = |index: &usize| classes.iter().all(|column| column[*index].abs() < MOST_DEVIATES);
        let usual = (0..parts.len()).filter(is_usual).collect();
        Self {
            parts,
            classes,
            counts: counts.iter().map(|column| by_moments(column)).collect(),
            usual,
        }
    }

    /// Without class `held`, when one is held out.
    fn pool(&self, counts: f64, held: Option<usize>) -> Pool {
        let others = self
            .classes
            .iter()
            .enumerate()
            .filter(|(class, _)| Some(*class) != held);
        let mut columns: Vec<Vec<f64>> = others.map(|(_, column)| column.clone()).collect();
        columns.extend(
            self.counts
                .iter()
                .map(|column| column.iter().map(|x| x * counts).collect::<Vec<f64>>()),
        );
        Pool::of_columns(&self.parts, &columns)
    }

    /// Networks to measure on the new class: each the one least known given those before, among some that
    /// chance draws.
    pub fn samples(&self, n: usize, seed: u64) -> Vec<usize> {
        let mut rng = generator(seed, 0, Purpose::Calibration);
        let all: Vec<usize> = (0..self.parts.len()).collect();
        let usual = if self.usual.is_empty() { &all } else { &self.usual };
        let considered: Vec<usize> = (0..CONSIDERED.min(usual.len()))
            .map(|_| usual[rng.random_range(0..usual.len())])
            .collect();
        let pool = self.pool(COUNT_WEIGHTS[1], None);
        let mut belief = Gaussian::fit(&pool, &[], Kernel::TRANSFER);
        let mut samples: Vec<usize> = Vec::with_capacity(n);
        while samples.len() < n {
            let open = considered.iter().filter(|index| !samples.contains(index));
            let scored = open.map(|index| (belief.deviation(&pool, *index), *index));
            let Some((_, index)) = scored.reduce(|best, next| if next.0 > best.0 { next } else { best })
            else {
                break;
            };
            belief.believe(&pool, index);
            samples.push(index);
        }
        samples
    }

    /// Latencies of all networks on the new class, in the unit of `measured`: (network, latency).
    pub fn predict(&self, measured: &[(usize, f64)]) -> Vec<f64> {
        let Settings { counts, kernel } = self.settings(measured);
        let pool = self.pool(counts, None);
        let gaussian = Gaussian::fit(&pool, measured, kernel);
        let least = measured
            .iter()
            .map(|(_, value)| *value)
            .fold(f64::INFINITY, f64::min)
            * LEAST;
        (0..self.parts.len())
            .map(|index| gaussian.mean(&pool, index).max(least))
            .collect()
    }

    /// What foretells each known class best from the others and the same samples.
    fn settings(&self, measured: &[(usize, f64)]) -> Settings {
        let step = (self.parts.len() / CONSIDERED).max(1);
        let considered: Vec<usize> = (0..self.parts.len()).step_by(step).collect();
        let usual = Settings {
            counts: COUNT_WEIGHTS[1],
            kernel: Kernel::TRANSFER,
        };
        if self.classes.len() < 2 {
            return usual;
        }
        let mut best = (f64::INFINITY, usual);
        for counts in COUNT_WEIGHTS {
            let pools: Vec<Pool> = (0..self.classes.len())
                .map(|class| self.pool(counts, Some(class)))
                .collect();
            for kernel in Kernel::transfers() {
                let misses = pools.iter().zip(&self.classes).map(|(pool, column)| {
                    let known: Vec<(usize, f64)> = measured
                        .iter()
                        .map(|(index, _)| (*index, column[*index]))
                        .collect();
                    let gaussian = Gaussian::fit(pool, &known, kernel);
                    considered
                        .iter()
                        .map(|index| (gaussian.mean(pool, *index) - column[*index]).abs())
                        .sum::<f64>()
                });
                let error = misses.sum();
                if error < best.0 {
                    best = (error, Settings { counts, kernel });
                }
            }
        }
        best.1
    }
}

/// Around the median, in units of half the width of the middle 68 %: outliers may be as extreme as they like.
fn by_quantiles(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        sorted
            .get((share * sorted.len() as f64) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    let (middle, deviate) = (at(0.5), ((at(0.84) - at(0.16)) / 2.0).max(1e-9));
    values
        .iter()
        .map(|value| ((value - middle) / deviate).clamp(-MOST_DEVIATES, MOST_DEVIATES))
        .collect()
}

fn by_moments(values: &[f64]) -> Vec<f64> {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviate = (values
        .iter()
        .map(|value| (value - mean) * (value - mean))
        .sum::<f64>()
        / n)
        .sqrt()
        .max(1e-9);
    values.iter().map(|value| (value - mean) / deviate).collect()
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
    if aa > 0.0 && bb > 0.0 {
        ab / (aa * bb).sqrt()
    } else {
        0.0
    }
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
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
        assert!(rank_correlation(&[1.0, 1.0], &[1.0, 2.0]).abs() < 1e-12);
    }

    #[test]
    fn a_class_between_two_others_is_foretold_from_few_samples() {
        let n = 500;
        let parts: Vec<Vec<u32>> = (0..n).map(|i| vec![i % 5, 10 + i % 7, 20 + i % 11]).collect();
        let cost = |i: u32, weights: [f64; 3]| {
            1.0 + f64::from(i % 5) * weights[0]
                + f64::from(i % 7) * weights[1]
                + f64::from(i % 11) * weights[2]
        };
        let table = |weights| (0..n).map(|i| cost(i, weights)).collect::<Vec<f64>>();
        let sources = Sources::new(
            parts,
            &[],
            &[
                table([3.0, 1.0, 1.0]),
                table([1.0, 3.0, 1.0]),
                table([1.0, 1.0, 2.0]),
            ],
        );
        let truth = table([2.0, 2.0, 1.0]);
        let samples = sources.samples(10, 1);
        assert_eq!(samples.len(), 10);
        let measured: Vec<(usize, f64)> = samples.iter().map(|index| (*index, truth[*index])).collect();
        let found = rank_correlation(&sources.predict(&measured), &truth);
        assert!(found > 0.98, "{found}");
    }
}
