//! Which candidates of a pool are worth a training, from what a predictor expects of them.

use crate::predictor::Forecast;
use crate::predictor::features::Pool;

/// How many of the most promising are looked at closely: deviations are dear.
const SHORTLIST: usize = 400;

/// The `n` candidates that promise most, each as if the ones before were already read.
///
/// `improvement` says what a candidate is worth from its index, expected value and deviation.
pub(super) fn best(
    pool: &Pool,
    forecast: &mut Forecast,
    n: usize,
    allowed: &dyn Fn(usize) -> bool,
    ranked: &[usize],
    improvement: &dyn Fn(usize, f64, f64) -> f64,
) -> Vec<usize> {
    let mut shortlist: Vec<usize> = ranked
        .iter()
        .copied()
        .filter(|index| allowed(*index))
        .take(SHORTLIST.max(2 * n))
        .collect();
    let mut taken = Vec::with_capacity(n);
    while taken.len() < n {
        let worth = |index: usize| {
            improvement(
                index,
                forecast.means[index],
                forecast.gaussian.deviation(pool, index),
            )
        };
        let scored = shortlist.iter().map(|index| (worth(*index), *index));
        // The first of equals wins: the order of the pool decides.
        let Some((_, index)) = scored.reduce(|best, next| if next.0 > best.0 { next } else { best }) else {
            break;
        };
        shortlist.retain(|other| *other != index);
        forecast.gaussian.believe(pool, index);
        taken.push(index);
    }
    taken
}

/// Sorts indices by falling worth, equal ones by rising index.
pub(super) fn sort_by_worth(indices: &mut [usize], worth: impl Fn(usize) -> f64) {
    let mut keyed: Vec<(f64, usize)> = indices.iter().map(|index| (worth(*index), *index)).collect();
    keyed.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for (index, (_, sorted)) in indices.iter_mut().zip(keyed) {
        *index = sorted;
    }
}

/// The step function of told accuracies over latency.
#[derive(Debug, Clone, Default)]
pub(super) struct Front {
    /// Latency and value of what no other beats, fastest first.
    steps: Vec<(f64, f64)>,
    /// Where the measured area ends: latency and value.
    corner: (f64, f64),
}

impl Front {
    pub(super) fn of(told: &[(f64, f64)], corner: (f64, f64)) -> Self {
        let mut sorted = told.to_vec();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut steps: Vec<(f64, f64)> = Vec::new();
        for point in sorted {
            if steps.last().is_none_or(|last| point.1 > last.1) {
                steps.push(point);
            }
        }
        Self { steps, corner }
    }

    /// The area that a candidate of this accuracy adds.
    pub(super) fn gain(&self, latency: f64, accuracy: f64) -> f64 {
        let before = self.steps.partition_point(|step| step.0 <= latency);
        let mut level = before
            .checked_sub(1)
            .map_or(self.corner.1, |index| self.steps[index].1);
        let mut from = latency;
        let mut area = 0.0;
        let ends = self.steps[before..].iter().copied();
        for (end, next) in ends.chain(std::iter::once(self.corner)) {
            area += (end - from).max(0.0) * (accuracy - level).max(0.0);
            (from, level) = (end, level.max(next));
        }
        area
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_worth_the_area_it_adds() {
        let front = Front::of(&[(1.0, 0.5), (2.0, 0.4), (3.0, 0.8)], (4.0, 0.0));
        let certain = |latency, accuracy| front.gain(latency, accuracy);
        assert!((certain(2.0, 0.6) - 0.1).abs() < 1e-9);
        assert!((certain(2.0, 0.9) - (0.4 + 0.1)).abs() < 1e-9);
        assert!((certain(0.5, 0.2) - 0.5 * 0.2).abs() < 1e-9);
        assert!(certain(3.5, 0.7) < 1e-9);
    }
}
