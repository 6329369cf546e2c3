//! The latency a distribution over a space is expected to have, and how it changes with each probability: the
//! latency term of the differentiable strategies.

use super::{LatencyError, LatencyModel};
use crate::space::{BlockKey, Space};

/// Shares of every block of a space in a network's 95th percentile, by slot.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedLatency {
    /// One for each pair of resolution and width, in the order of the space.
    scales: Vec<Scale>,
    widths: usize,
    depths: Vec<usize>,
    most_depth: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct Scale {
    /// Stem, head and what comes once a network.
    fixed_us: f64,
    /// By stage: options of the first block, options of each other one.
    stages: Vec<[Vec<f64>; 2]>,
}

/// An expectation and its derivatives.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    pub p95_us: f64,
    /// By slot and option.
    pub gradient: Vec<Vec<f64>>,
}

impl ExpectedLatency {
    /// With the model's error bar on top, as the bound is checked.
    pub fn new(space: &Space, latency: &LatencyModel) -> Result<Self, LatencyError> {
        let missing = latency.missing(&space.block_keys());
        if !missing.is_empty() {
            return Err(LatencyError::Missing { keys: missing });
        }
        let factor = 1.0 + latency.error_bar;
        let share = |key: &BlockKey| latency.share(key).map_or(0.0, |share| share.p95_us) * factor;
        let scale = |(resolution, width): (u32, f64)| {
            let (stem, mut inputs, mut size) = space.stem(resolution, width);
            let mut fixed_us = latency.p95_offset() * factor + share(&stem);
            let mut stages = Vec::with_capacity(space.stages());
            for stage in 0..space.stages() {
                let first: Vec<BlockKey> = space.block_options(stage, 0, inputs, size, width).collect();
                if let Some(block) = first.first() {
                    (inputs, size) = (block.outputs, block.output_resolution());
                }
                // Without a row where no stage has a second block.
                let others = space.block_options(stage, 1, inputs, size, width);
                stages.push([
                    first.iter().map(share).collect(),
                    others.map(|key| share(&key)).collect(),
                ]);
            }
            fixed_us += share(&space.head_key(inputs, size, width));
            Scale { fixed_us, stages }
        };
        Ok(Self {
            scales: space.scales().map(scale).collect(),
            widths: space.slots().get(1).map_or(1, |slot| slot.options),
            depths: space.depths().iter().map(|depth| *depth as usize).collect(),
            most_depth: space.most_depth(),
        })
    }

    /// Of networks whose slots are drawn independently with these probabilities.
    pub fn at(&self, probabilities: &[Vec<f64>]) -> Expected {
        let mut gradient: Vec<Vec<f64>> = probabilities.iter().map(|p| vec![0.0; p.len()]).collect();
        let p = |slot: usize, option: usize| {
            let slot = probabilities.get(slot);
            slot.and_then(|p| p.get(option)).copied().unwrap_or(0.0)
        };
        let mut add = |slot: usize, option: usize, value: f64| {
            if let Some(place) = gradient.get_mut(slot).and_then(|slot| slot.get_mut(option)) {
                *place += value;
            }
        };
        let mut p95_us = 0.0;
        for (index, scale) in self.scales.iter().enumerate() {
            let (resolution, width) = (index / self.widths, index % self.widths);
            let weight = p(0, resolution) * p(1, width);
            let mut sum = scale.fixed_us;
            for (stage, options) in scale.stages.iter().enumerate() {
                let depth_slot = 2 + stage * (1 + self.most_depth);
                // Expected time of the block at each place, when there is one.
                let mut below = 0.0;
                for place in 0..self.most_depth {
                    let slot = depth_slot + 1 + place;
                    let times = &options[usize::from(place > 0)];
                    let reached = |(option, _): &(usize, &usize)| p(depth_slot, *option);
                    let deep = self
                        .depths
                        .iter()
                        .enumerate()
                        .filter(|(_, depth)| **depth > place);
                    let reached: f64 = deep.map(|pair| reached(&pair)).sum();
                    let mut mean = 0.0;
                    for (option, time) in times.iter().enumerate() {
                        mean += p(slot, option) * time;
                        add(slot, option, weight * reached * time);
                    }
                    sum += reached * mean;
                    below += mean;
                    for (option, _) in self.depths.iter().enumerate().filter(|(_, d)| **d == place + 1) {
                        add(depth_slot, option, weight * below);
                    }
                }
            }
            p95_us += weight * sum;
            add(0, resolution, p(1, width) * sum);
            add(1, width, p(0, resolution) * sum);
        }
        Expected { p95_us, gradient }
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng as _;

    use super::*;
    use crate::latency::Latency;
    use crate::random::{Purpose, generator};
    use crate::space::{Choices, SearchSpaceConfig};

    fn setting() -> (Space, LatencyModel) {
        let text = r#"{"mobileBlocks":{"widths":[0.5,1.0],"depths":[2,1],"kernels":[3],"expands":[2,4],"blocks":["inverted_residual"],
            "stages":[{"channels":16,"stride":2},{"channels":32,"stride":2}]}}"#
            .replace("inverted_residual", "invertedResidual");
        let config: SearchSpaceConfig = serde_json::from_str(&text).unwrap();
        let space = Space::from_config(&config).unwrap();
        let mut rng = generator(3, 0, Purpose::Calibration);
        let mut row = |key| {
            let p50_us = rng.random_range(5.0..100.0);
            let p95_us = p50_us * 1.2;
            (key, Latency { p50_us, p95_us })
        };
        let latency = LatencyModel::new(space.block_keys().into_iter().map(&mut row).collect::<Vec<_>>());
        (space, latency)
    }

    fn probabilities(space: &Space, seed: u64) -> Vec<Vec<f64>> {
        let mut rng = generator(seed, 1, Purpose::Ask);
        let slot = |slot: &crate::space::Slot| {
            let raw: Vec<f64> = (0..slot.options).map(|_| rng.random_range(0.1..1.0)).collect();
            let sum: f64 = raw.iter().sum();
            raw.iter().map(|value| value / sum).collect()
        };
        space.slots().iter().map(slot).collect()
    }

    /// Against every network of the space, each with its probability.
    #[test]
    fn is_the_mean_over_all_networks() {
        let (space, latency) = setting();
        let expected = ExpectedLatency::new(&space, &latency).unwrap();
        let p = probabilities(&space, 1);
        let counts: Vec<usize> = space.slots().iter().map(|slot| slot.options).collect();
        let mut mean = 0.0;
        for index in 0..counts.iter().product::<usize>() {
            let mut rest = index;
            let mut weight = 1.0;
            let mut options = Vec::new();
            for (slot, n) in counts.iter().enumerate() {
                weight *= p[slot][rest % n];
                options.push((rest % n) as u8);
                rest /= n;
            }
            let net = space.decode(&Choices(options)).unwrap();
            mean += weight * latency.predict_at_most(&net).unwrap().p95_us;
        }
        let found = expected.at(&p).p95_us;
        assert!((found / mean - 1.0).abs() < 1e-12, "{found} {mean}");
    }

    #[test]
    fn its_gradient_is_that_of_differences() {
        let (space, latency) = setting();
        let expected = ExpectedLatency::new(&space, &latency).unwrap();
        let p = probabilities(&space, 2);
        let gradient = expected.at(&p).gradient;
        let small = 1e-5;
        for slot in 0..p.len() {
            for option in 0..p[slot].len() {
                let at = |by: f64| {
                    let mut moved = p.clone();
                    moved[slot][option] += by;
                    expected.at(&moved).p95_us
                };
                let difference = (at(small) - at(-small)) / (2.0 * small);
                let found = gradient[slot][option];
                assert!(
                    (found - difference).abs() < 1e-5,
                    "{slot} {option}: {found} {difference}"
                );
            }
        }
    }

    #[test]
    fn a_block_without_a_row_is_named() {
        let (space, _) = setting();
        assert!(matches!(
            ExpectedLatency::new(&space, &LatencyModel::default()),
            Err(LatencyError::Missing { .. })
        ));
    }
}
