//! Gumbel-softmax masks (FBNet, Wu et al. 2019): every path is open a little, less and less evenly.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{softmax, softmax_gradient};

/// Noise of one mask.
pub fn noise(options: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    // Away from 0, whose logarithm no mask survives.
    let draw = |_| -(-rng.random_range(1e-12..1.0_f64).ln()).ln();
    (0..options).map(draw).collect()
}

/// m_i = softmax((logit_i + noise_i) / temperature).
pub fn mask(logits: &[f64], noise: &[f64], temperature: f64) -> Vec<f64> {
    let noisy: Vec<f64> = logits.iter().zip(noise).map(|(logit, g)| logit + g).collect();
    softmax(&noisy, temperature)
}

/// The gradient of the logits from that of their mask.
pub fn gradient(mask: &[f64], of_mask: &[f64], temperature: f64) -> Vec<f64> {
    let through = softmax_gradient(mask, of_mask);
    through.into_iter().map(|value| value / temperature).collect()
}
