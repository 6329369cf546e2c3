//! The candidate that comes nearest to a target's bounds, found exactly over the whole space.
//!
//! All costs are sums (or maxima) over blocks, and what a block may be depends only on its stage, its place and
//! the network's width. So partial networks that cost no less than another in every respect can be dropped, and
//! what remains at the end decides: a target is infeasible because no network fits, not because none was found.

use crate::constraint::{Constraints, Violation};
use crate::latency::{LatencyError, LatencyModel};
use crate::space::{Architecture, BlockKey, Choices, Cost, Space};
use crate::trial::Estimate;

/// The best a space can do for a target's bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest {
    pub choices: Choices,
    pub architecture: Architecture,
    pub estimate: Estimate,
    /// What even this candidate breaks; empty when the target is feasible.
    pub violations: Vec<Violation>,
}

impl Nearest {
    pub fn is_feasible(&self) -> bool {
        self.violations.is_empty()
    }

    /// Why not even this candidate is feasible, with the values that would be; for people.
    pub fn explain(&self) -> String {
        let broken: Vec<_> = self.violations.iter().map(ToString::to_string).collect();
        format!(
            "even the nearest architecture of the space misses: {} (architecture {})",
            broken.join("; "),
            self.architecture.id()
        )
    }

    /// Only the error bar keeps it out: the prediction can't decide, a measurement can.
    pub fn is_undecided(&self, constraints: &Constraints) -> bool {
        let certain = Estimate {
            p95_at_most_us: self.estimate.p95_us,
            ..self.estimate
        };
        !self.is_feasible() && constraints.admits(&certain)
    }
}

/// `None` only for a space without points, which [`Space::from_config`] does not make.
pub fn nearest(
    space: &Space,
    latency: &LatencyModel,
    constraints: &Constraints,
) -> Result<Option<Nearest>, LatencyError> {
    let missing = latency.missing(&space.block_keys());
    if !missing.is_empty() {
        return Err(LatencyError::Missing { keys: missing });
    }
    let walk = Walk {
        space,
        latency,
        constraints,
    };
    let best = (0..)
        .zip(space.scales())
        .flat_map(|(index, (resolution, width))| {
            walk.whole(index, resolution, width)
                .into_iter()
                .map(|label| (walk.ratio(&label), label))
        });
    // The first of equals wins: the order of the space decides, not the order of a hash map.
    let best = best.reduce(|best, next| if next.0 < best.0 { next } else { best });
    let Some((_, label)) = best else { return Ok(None) };
    let choices = Choices(label.choices);
    let Ok(architecture) = space.decode(&choices) else {
        return Ok(None);
    };
    let estimate = Estimate::of(&architecture, latency)?;
    let violations = constraints.violations(&estimate);
    Ok(Some(Nearest {
        choices,
        architecture,
        estimate,
        violations,
    }))
}

struct Walk<'a> {
    space: &'a Space,
    latency: &'a LatencyModel,
    constraints: &'a Constraints,
}

/// A partial network and its costs so far.
#[derive(Debug, Clone)]
struct Label {
    choices: Vec<u8>,
    p95_us: f64,
    cost: Cost,
}

impl Walk<'_> {
    /// All undominated networks of one resolution and width.
    fn whole(&self, scale: usize, resolution: u32, width: f64) -> Vec<Label> {
        let widths = self.space.slots().get(1).map_or(1, |slot| slot.options);
        let (stem, mut inputs, mut size) = self.space.stem(resolution, width);
        let start = Label {
            choices: vec![(scale / widths) as u8, (scale % widths) as u8],
            p95_us: self.latency.p95_offset(),
            cost: Architecture::cost_without_blocks(),
        };
        let mut labels = vec![self.with(&start, &stem)];
        for stage in 0..self.space.stages() {
            let first: Vec<_> = self.space.block_options(stage, 0, inputs, size, width).collect();
            if let Some(block) = first.first() {
                (inputs, size) = (block.outputs, block.output_resolution());
            }
            let others: Vec<_> = self.space.block_options(stage, 1, inputs, size, width).collect();
            labels = self.stage(&labels, &first, &others);
        }
        let head = self.space.head_key(inputs, size, width);
        labels.iter().map(|label| self.with(label, &head)).collect()
    }

    fn stage(&self, labels: &[Label], first: &[BlockKey], others: &[BlockKey]) -> Vec<Label> {
        let most = self.space.most_depth();
        let mut found = Vec::new();
        for (option, depth) in self.space.depths().iter().enumerate() {
            let mut growing: Vec<_> = labels.to_vec();
            for label in &mut growing {
                label.choices.push(option as u8);
            }
            for place in 0..*depth {
                let blocks = if place == 0 { first } else { others };
                growing = self.undominated(
                    growing
                        .iter()
                        .flat_map(|label| self.options(label, blocks))
                        .collect(),
                );
            }
            for mut label in growing {
                let idle = most - *depth as usize;
                label.choices.resize(label.choices.len() + idle, 0);
                found.push(label);
            }
        }
        self.undominated(found)
    }

    fn options(&self, label: &Label, blocks: &[BlockKey]) -> impl Iterator<Item = Label> {
        blocks.iter().enumerate().map(|(option, block)| {
            let mut next = self.with(label, block);
            next.choices.push(option as u8);
            next
        })
    }

    fn with(&self, label: &Label, block: &BlockKey) -> Label {
        let mut next = label.clone();
        next.p95_us += self
            .latency
            .share(block)
            .map_or(f64::INFINITY, |share| share.p95_us);
        next.cost += block.cost();
        next
    }

    fn undominated(&self, mut labels: Vec<Label>) -> Vec<Label> {
        labels.sort_by(|a, b| a.p95_us.total_cmp(&b.p95_us));
        let mut kept: Vec<Label> = Vec::new();
        for label in labels {
            // What comes later is no faster, so it has to be smaller in something that is bounded.
            if !kept
                .iter()
                .any(|other| self.is_no_larger(&other.cost, &label.cost))
            {
                kept.push(label);
            }
        }
        kept
    }

    fn is_no_larger(&self, a: &Cost, b: &Cost) -> bool {
        let size = self.constraints.model_bytes.is_none() || a.model_bytes <= b.model_bytes;
        let memory = self.constraints.peak_memory_bytes.is_none()
            || (a.parameters <= b.parameters && a.peak_activation_bytes <= b.peak_activation_bytes);
        size && memory
    }

    fn ratio(&self, label: &Label) -> f64 {
        self.constraints.worst_ratio(
            self.latency.at_most(label.p95_us),
            label.cost.model_bytes,
            label.cost.peak_memory(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;
    use crate::random::{Purpose, generator};
    use crate::space::SearchSpaceConfig;
    use proptest::prelude::*;

    fn setting(seed: u64, config: &str) -> (Space, LatencyModel) {
        use rand::Rng as _;
        let config: SearchSpaceConfig = serde_json::from_str(config).unwrap();
        let space = Space::from_config(&config).unwrap();
        let mut rng = generator(seed, 0, Purpose::Calibration);
        let rows: Vec<_> = space
            .block_keys()
            .into_iter()
            .map(|key| {
                let p50_us = rng.random_range(5.0..100.0);
                (
                    key,
                    Latency {
                        p50_us,
                        p95_us: p50_us * 1.2,
                    },
                )
            })
            .collect();
        (space, LatencyModel::new(rows))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Against trying every network of a small space.
        #[test]
        fn finds_what_trying_all_finds(seed: u64, bound in 50.0..600.0_f64, size in 1_000_u64..60_000, memory in 1_000_u64..90_000, bounded in 0..4_u8) {
            let small = r#"{"mobileBlocks":{"widths":[0.5,1.0],"depths":[1,2],"kernels":[3],"expands":[2,4],
                "stages":[{"channels":16,"stride":2},{"channels":32,"stride":2}]}}"#;
            let (space, latency) = setting(seed, small);
            let constraints = Constraints {
                latency_p95_us: bound,
                model_bytes: (bounded & 1 > 0).then_some(size),
                peak_memory_bytes: (bounded & 2 > 0).then_some(memory),
            };
            let found = nearest(&space, &latency, &constraints).unwrap().unwrap();
            let mut best = f64::INFINITY;
            let counts: Vec<usize> = space.slots().iter().map(|slot| slot.options).collect();
            for index in 0..counts.iter().product::<usize>() {
                let mut rest = index;
                let options = counts.iter().map(|n| { let option = rest % n; rest /= n; option as u8 }).collect();
                let net = space.decode(&Choices(options)).unwrap();
                best = best.min(constraints.ratio(&Estimate::of(&net, &latency).unwrap()));
            }
            prop_assert!((constraints.ratio(&found.estimate) - best).abs() < 1e-9);
            prop_assert_eq!(found.is_feasible(), best <= 1.0);
        }
    }

    #[test]
    fn the_large_preset_is_walked_quickly() {
        let (space, latency) = setting(1, r#"{"mobileBlocks":{"preset":"mobile"}}"#);
        let constraints = Constraints {
            latency_p95_us: 1.0,
            model_bytes: Some(1 << 20),
            peak_memory_bytes: Some(1 << 20),
        };
        let found = nearest(&space, &latency, &constraints).unwrap().unwrap();
        assert_eq!(found.violations.len(), 3);
    }
}
