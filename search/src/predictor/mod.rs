//! Foretelling accuracy from what was trained so far: short trainings first, with them as one more score the
//! trainings to the end (Kennedy and O'Hagan 2000 in two steps).

mod cholesky;
pub(crate) mod features;
pub(crate) mod gaussian;
pub(crate) mod normal;

use features::Pool;
use gaussian::{Gaussian, Kernel};

/// Accuracies that were told, by index into a pool.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub full: Vec<(usize, f64)>,
    pub short: Vec<(usize, f64)>,
}

/// Told short trainings that are used to choose a kernel: more would only take time.
const MOST_TO_CHOOSE_ON: usize = 120;

/// Without short trainings a few dozen accuracies are all there is: the simple model, unless they speak clearly.
const CAUTION: f64 = 8.0;

/// Regressions that share the kernels to choose from.
#[derive(Debug)]
pub(crate) struct Predictor {
    kernels: Vec<Kernel>,
    full: Option<Kernel>,
}

/// What is expected of a pool's candidates.
#[derive(Debug)]
pub(crate) struct Forecast {
    pub gaussian: Gaussian,
    /// Expected value of each candidate, on the stretched scale.
    pub means: Vec<f64>,
    /// The best told value on that scale.
    pub best: f64,
    pub stretch: Stretch,
}

impl Predictor {
    pub(crate) fn new(kernels: Vec<Kernel>) -> Self {
        Self { kernels, full: None }
    }

    /// What short trainings make of each candidate; `None` while there are none.
    pub(crate) fn short_means(&self, pool: &Pool, known: &Known) -> Option<Vec<f64>> {
        let values = Stretch::of(&known.short)?.all(&known.short);
        let newest = values.len().saturating_sub(MOST_TO_CHOOSE_ON);
        let kernel = Gaussian::choose(pool, &values[newest..], &self.kernels, 0.0)?;
        let gaussian = Gaussian::fit(pool, &values, kernel);
        Some((0..pool.len()).map(|index| gaussian.mean(pool, index)).collect())
    }

    /// Chooses the kernel for full trainings anew.
    pub(crate) fn choose(&mut self, pool: &Pool, known: &Known) {
        if let Some(stretch) = Stretch::of(&known.full) {
            let margin = if known.short.is_empty() { CAUTION } else { 0.0 };
            self.full = Gaussian::choose(pool, &stretch.all(&known.full), &self.kernels, margin);
        }
    }

    /// `None` while nothing is trained to the end.
    pub(crate) fn forecast(&self, pool: &Pool, known: &Known) -> Option<Forecast> {
        let stretch = Stretch::of(&known.full)?;
        let values = stretch.all(&known.full);
        let gaussian = Gaussian::fit(pool, &values, self.full?);
        Some(Forecast {
            means: (0..pool.len()).map(|index| gaussian.mean(pool, index)).collect(),
            best: values
                .iter()
                .map(|(_, value)| *value)
                .fold(f64::NEG_INFINITY, f64::max),
            stretch,
            gaussian,
        })
    }
}

/// The monotone map from accuracies to what is regressed: a point at the top is worth more than at the bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stretch {
    top: f64,
    /// Distance of the median from the top.
    half: f64,
}

/// How far above the best told accuracy the stretched scale ends, in distances of the median from it.
const HEADROOM: f64 = 1.0;

impl Stretch {
    fn of(told: &[(usize, f64)]) -> Option<Self> {
        let mut values: Vec<f64> = told.iter().map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        let (top, median) = (*values.last()?, values[values.len() / 2]);
        Some(Self {
            top,
            half: (top - median).max(1e-4),
        })
    }

    pub(crate) fn value(&self, accuracy: f64) -> f64 {
        -((self.top - accuracy).max(0.0) / self.half + HEADROOM).ln()
    }

    /// The accuracy of a value.
    pub(crate) fn accuracy(&self, value: f64) -> f64 {
        self.top - self.half * ((-value).exp() - HEADROOM)
    }

    fn all(&self, told: &[(usize, f64)]) -> Vec<(usize, f64)> {
        told.iter()
            .map(|(index, value)| (*index, self.value(*value)))
            .collect()
    }
}
