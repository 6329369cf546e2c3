//! How far above its prediction a network may be measured: what a bound is held against before anything is trained.

use super::{Calibration, Sample};

/// Without enough whole networks nothing is known of the error: what sums of blocks are off by, as a rule.
pub(super) const BLIND: f64 = 0.1;
/// So many networks tell more than the rule; fewer may only widen it.
const ENOUGH: usize = 5;
/// What two measurements of the same file differ by: no residual promises more than that.
const LEAST: f64 = 0.02;

/// Residuals that say more tell of a device that was disturbed while it was measured, not of networks that differ: then
/// only measuring a candidate whole can decide.
pub(super) const MOST: f64 = 0.3;

/// One-sided 95 % for a network that was not seen, from the residual of each network foretold by the calibration on
/// the others.
pub(super) fn error_bar(samples: &[Sample]) -> f64 {
    let error = |held: usize| {
        let others = samples.iter().enumerate().filter(|(index, _)| *index != held);
        let others: Vec<Sample> = others.map(|(_, sample)| *sample).collect();
        let predicted = Calibration::fit(&others).apply(&samples[held]).max(0.1);
        samples[held].whole / predicted - 1.0
    };
    let n = samples.len();
    if n < 2 {
        return BLIND;
    }
    let errors: Vec<f64> = (0..n).map(error).collect();
    let mean = errors.iter().sum::<f64>() / n as f64;
    let variance = errors.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>() / (n - 1) as f64;
    let bar = mean + student(n - 1) * (variance * (1.0 + 1.0 / n as f64)).sqrt();
    bar.max(if n < ENOUGH { BLIND } else { LEAST }).min(MOST)
}

/// Student's t for 95 % on one side: few residuals say little of their own spread.
fn student(freedom: usize) -> f64 {
    const QUANTILES: [f64; 15] = [
        6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761,
        1.753,
    ];
    QUANTILES
        .get(freedom.saturating_sub(1))
        .copied()
        // Beyond the table, from the normal distribution's quantile; off by less than 0.002.
        .unwrap_or(1.645 + 1.58 / freedom as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(errors: &[f64]) -> Vec<Sample> {
        let sample = |(index, error): (usize, &f64)| {
            let sum = 100.0 + 10.0 * index as f64;
            Sample {
                sum,
                blocks: 5.0,
                whole: sum * (1.0 + error),
            }
        };
        errors.iter().enumerate().map(sample).collect()
    }

    #[test]
    fn few_networks_never_promise_more_than_the_rule() {
        for n in 0..ENOUGH {
            assert!(error_bar(&samples(&vec![0.0; n])) >= BLIND, "{n}");
        }
        assert!((error_bar(&samples(&[0.0; 10])) - LEAST).abs() < 1e-9);
    }

    #[test]
    fn grows_with_what_the_calibration_can_not_explain() {
        let bar = |spread: f64| {
            let errors: Vec<f64> = [1.0, -1.0, 0.5, -0.5, 1.0, -1.0, 0.2, -0.2, 0.8, -0.8]
                .map(|e| e * spread)
                .into();
            error_bar(&samples(&errors))
        };
        let (small, large) = (bar(0.03), bar(0.09));
        assert!((0.04..0.10).contains(&small), "{small}");
        assert!((2.5..3.5).contains(&(large / small)), "{small} {large}");
        assert!(
            (bar(1.0) - MOST).abs() < 1e-9,
            "a disturbed device is no model's fault"
        );
    }

    #[test]
    fn the_table_goes_over_into_the_formula() {
        assert!((student(15) - student(16) - 0.009).abs() < 0.01);
        assert!((student(30) - 1.697).abs() < 0.003 && student(1) > 6.0);
    }
}
