//! The standard normal distribution.

/// Density at x.
pub(crate) fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Probability of at most x (Abramowitz and Stegun 26.2.17, error below 1e-7).
pub(crate) fn cumulative(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = density(x) * series;
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Quantile of p, within 0.5 % (Tukey's lambda, λ = 0.135).
pub(crate) fn quantile(p: f64) -> f64 {
    let p = p.clamp(1e-6, 1.0 - 1e-6);
    (p.powf(0.135) - (1.0 - p).powf(0.135)) / 0.1975
}

/// How far a normal value is expected to end above `best`, counting nothing below it.
pub(crate) fn expected_improvement(mean: f64, deviation: f64, best: f64) -> f64 {
    let deviation = deviation.max(1e-12);
    let z = (mean - best) / deviation;
    (deviation * (z * cumulative(z) + density(z))).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meets_known_values() {
        assert!((cumulative(1.96) - 0.975).abs() < 1e-4);
        assert!((cumulative(-1.0) - 0.158_655).abs() < 1e-5);
        assert!((quantile(0.975) - 1.96).abs() < 0.02);
        assert!(quantile(0.5).abs() < 1e-12);
        assert!((expected_improvement(0.0, 1.0, 0.0) - 0.398_94).abs() < 1e-4);
        assert!(expected_improvement(-50.0, 1.0, 0.0) < 1e-12);
    }
}
