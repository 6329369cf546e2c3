//! Compound scaling (Tan and Le 2019): depth, width and resolution grow together, at ratios from a small grid,
//! until the first bound is met.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::landscape::Scale;
use crate::setting::{SettingError, within};
use crate::space::Choices;
use crate::strategy::{Problem, Proposal, Strategy};

/// Compound scaling.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CompoundScalingConfig {
    /// Factor on depth at each step; found by a small grid when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 2.0))]
    pub depth: Option<f64>,
    /// Factor on width at each step; found by a small grid when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 2.0))]
    pub width: Option<f64>,
    /// Factor on resolution at each step; found by a small grid when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 2.0))]
    pub resolution: Option<f64>,
}

impl CompoundScalingConfig {
    pub(super) fn check(&self) -> Result<(), SettingError> {
        let Self {
            depth,
            width,
            resolution,
        } = *self;
        for (name, factor) in [("depth", depth), ("width", width), ("resolution", resolution)] {
            if let Some(factor) = factor {
                within(&format!("strategy.compoundScaling.{name}"), factor, 1.0, 2.0)?;
            }
        }
        let given = [depth, width, resolution];
        if given
            .iter()
            .all(|factor| factor.is_some_and(|factor| factor <= 1.0))
        {
            return Err(SettingError::new(
                "strategy.compoundScaling",
                "nothing grows when all factors are 1",
            ));
        }
        Ok(())
    }
}

/// Steps from the smallest network to the largest.
const STEPS: u32 = 24;
/// Relative growth of depth, width and resolution to choose from.
const GRID: [f64; 4] = [0.0, 0.5, 0.8, 1.0];
/// Candidates of one generation.
const GENERATION: usize = 8;

#[derive(Debug)]
pub(super) struct CompoundScaling {
    /// Growth in depth, width, resolution, the largest 1.
    ratios: Vec<[f64; 3]>,
}

impl CompoundScaling {
    pub(super) fn new(config: &CompoundScalingConfig) -> Self {
        // Factors of one step grow exponentially, levels of a slot linearly: hence the logarithm.
        let given =
            [config.depth, config.width, config.resolution].map(|factor| factor.map(|f| f.max(1.0).ln()));
        let most = given.iter().flatten().copied().fold(0.0, f64::max);
        let levels = given.map(|factor| match factor {
            Some(factor) if most > 0.0 => vec![factor / most],
            Some(_) => vec![0.0],
            None => GRID.to_vec(),
        });
        let mut ratios = Vec::new();
        for depth in &levels[0] {
            for width in &levels[1] {
                for resolution in &levels[2] {
                    let ratio = [*depth, *width, *resolution];
                    if ratio.iter().any(|r| *r >= 1.0) {
                        ratios.push(ratio);
                    }
                }
            }
        }
        // Balanced growth first: that is the method's claim.
        ratios.sort_by(|a, b| b.iter().sum::<f64>().total_cmp(&a.iter().sum::<f64>()));
        Self { ratios }
    }
}

impl Strategy for CompoundScaling {
    fn ask(&mut self, problem: &Problem<'_>, _rng: &mut ChaCha8Rng) -> Vec<Proposal> {
        let order = by_size(problem);
        let scales = problem.landscape.scales();
        let mut found: Vec<Choices> = Vec::new();
        // For each ratio the largest that fits; when these are known, the next smaller ones.
        for smaller in 0..STEPS {
            for ratio in &self.ratios {
                let at = |step: u32| scaled(&order, &scales, ratio, f64::from(step) / f64::from(STEPS));
                let fits = (0..=STEPS)
                    .rev()
                    .filter_map(|step| problem.landscape.canonical(&at(step)));
                let point = fits
                    .filter(|point| (problem.feasible)(point))
                    .nth(smaller as usize);
                if let Some(point) = point.filter(|point| problem.is_new(point) && !found.contains(point)) {
                    found.push(point);
                }
            }
            if found.len() >= GENERATION {
                break;
            }
        }
        found.truncate(GENERATION);
        found.into_iter().map(Proposal::full).collect()
    }

    fn learns(&self) -> bool {
        false
    }
}

/// The options of each slot from the smallest network to the largest, as the free scores rank them.
fn by_size(problem: &Problem<'_>) -> Vec<Vec<u8>> {
    let options = problem.landscape.options();
    let size = |slot: usize, option: u8| {
        let mut point = problem.start.clone();
        point.0[slot] = option;
        let canonical = problem.landscape.canonical(&point)?;
        Some(
            problem
                .landscape
                .free(&canonical)
                .scores
                .iter()
                .map(|score| score.abs().max(1e-9).ln())
                .sum::<f64>(),
        )
    };
    let sorted = |(slot, n): (usize, &usize)| {
        let mut sizes: Vec<(f64, u8)> = (0..*n as u8)
            .map(|option| (size(slot, option).unwrap_or(f64::INFINITY), option))
            .collect();
        sizes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        sizes.into_iter().map(|(_, option)| option).collect()
    };
    options.iter().enumerate().map(sorted).collect()
}

fn scaled(order: &[Vec<u8>], scales: &[Scale], ratio: &[f64; 3], growth: f64) -> Choices {
    let option = |(options, scale): (&Vec<u8>, &Scale)| {
        let share = growth
            * match scale {
                Scale::Depth => ratio[0],
                Scale::Width => ratio[1],
                Scale::Resolution => ratio[2],
            };
        let level = (share * (options.len().saturating_sub(1)) as f64).round() as usize;
        options.get(level).copied().unwrap_or(0)
    };
    Choices(order.iter().zip(scales).map(option).collect())
}
