//! One question to a table: a data set, a device, a bound. A landscape for strategies, and the truth beside it.

use std::collections::HashMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use search::landscape::{Free, Landscape, Scale};
use search::space::Choices;

use super::network::Networks;
use super::table::{Accuracies, Device};

pub(crate) struct Instance<'a> {
    pub(crate) networks: &'a Networks,
    pub(crate) rows: &'a HashMap<Choices, usize>,
    pub(crate) accuracies: &'a Accuracies,
    pub(crate) device: &'a Device,
    /// Milliseconds; infinite when there is none.
    pub(crate) bound_ms: f64,
    /// The fastest network that is inside.
    pub(crate) start: Choices,
}

impl<'a> Instance<'a> {
    /// `None` when no network keeps the bound.
    pub(crate) fn new(
        networks: &'a Networks,
        rows: &'a HashMap<Choices, usize>,
        accuracies: &'a Accuracies,
        device: &'a Device,
        bound_ms: f64,
    ) -> Option<Self> {
        let mut instance = Self {
            networks,
            rows,
            accuracies,
            device,
            bound_ms,
            start: Choices(Vec::new()),
        };
        let inside = (0..networks.points.len()).filter(|row| instance.is_inside(*row));
        let fastest = inside.min_by(|a, b| device.latency_ms[*a].total_cmp(&device.latency_ms[*b]))?;
        instance.start = networks.points[fastest].clone();
        Some(instance)
    }

    pub(crate) fn is_inside(&self, row: usize) -> bool {
        self.device.latency_ms[row] <= self.bound_ms && self.accuracies.full[row].is_finite()
    }

    pub(crate) fn feasible(&self, choices: &Choices) -> bool {
        self.rows.get(choices).is_some_and(|row| self.is_inside(*row))
    }

    /// Accuracy of the best network inside, in percent.
    pub(crate) fn best(&self) -> f64 {
        let inside = (0..self.networks.points.len()).filter(|row| self.is_inside(*row));
        inside
            .map(|row| self.accuracies.full[row])
            .fold(f64::NEG_INFINITY, f64::max)
    }

    fn row(&self, choices: &Choices) -> usize {
        self.rows.get(choices).copied().unwrap_or(0)
    }
}

impl Landscape for Instance<'_> {
    fn options(&self) -> &[usize] {
        &self.networks.options
    }

    fn canonical(&self, choices: &Choices) -> Option<Choices> {
        self.rows.contains_key(choices).then(|| choices.clone())
    }

    fn sample(&self, rng: &mut ChaCha8Rng) -> Choices {
        self.networks.points[rng.random_range(0..self.networks.points.len())].clone()
    }

    fn parts(&self, choices: &Choices) -> Vec<u32> {
        self.networks.parts[self.row(choices)].clone()
    }

    fn free(&self, choices: &Choices) -> Free {
        let row = self.row(choices);
        let unit = if self.bound_ms.is_finite() {
            self.bound_ms
        } else {
            1.0
        };
        Free {
            latency: self.device.latency_ms[row] / unit,
            scores: self.accuracies.scores.iter().map(|score| score[row]).collect(),
        }
    }

    fn points(&self) -> Option<&[Choices]> {
        Some(&self.networks.points)
    }

    /// A table does not say what a slot scales: the early, middle and late third stand for the three.
    fn scales(&self) -> Vec<Scale> {
        let slots = self.networks.options.len();
        let third = |slot: usize| match 3 * slot / slots.max(1) {
            0 => Scale::Resolution,
            1 => Scale::Width,
            _ => Scale::Depth,
        };
        (0..slots).map(third).collect()
    }
}

impl std::fmt::Debug for Instance<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("device", &self.device.name)
            .field("bound_ms", &self.bound_ms)
            .finish_non_exhaustive()
    }
}
