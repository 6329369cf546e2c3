//! Binary gates (ProxylessNAS, Cai et al. 2019): one path of each slot is open, and what the others would have
//! given moves the logits.

/// The probabilities of the sampled options among themselves; `None` when they have none.
pub fn among(all: &[f64], sampled: impl Iterator<Item = usize>) -> Option<Vec<f64>> {
    let chosen: Vec<f64> = sampled
        .map(|option| all.get(option).copied().unwrap_or(0.0))
        .collect();
    let together: f64 = chosen.iter().sum();
    (together > 0.0).then(|| chosen.iter().map(|p| p / together).collect())
}

/// What to add to every sampled logit after its step, so that together they are as likely as before.
pub fn offset(among: &[f64], steps: &[f64]) -> f64 {
    let after: f64 = among.iter().zip(steps).map(|(p, step)| p * step.exp()).sum();
    -after.ln()
}
