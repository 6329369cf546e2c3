//! Adam (Kingma and Ba 2015) on the logits of one slot.

use serde::{Deserialize, Serialize};

/// Settings of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    pub rate: f64,
    /// How much of the mean gradient and of its mean square is kept.
    pub betas: (f64, f64),
}

const EPSILON: f64 = 1e-8;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Moments {
    mean: Vec<f64>,
    square: Vec<f64>,
    steps: i32,
}

impl Moments {
    pub(super) fn new(options: usize) -> Self {
        Self {
            mean: vec![0.0; options],
            square: vec![0.0; options],
            steps: 0,
        }
    }

    /// What to add to each logit.
    pub(super) fn steps(&mut self, gradient: &[f64], adam: &Adam) -> Vec<f64> {
        let Adam {
            rate,
            betas: (keep_mean, keep_square),
        } = *adam;
        self.steps = self.steps.saturating_add(1);
        let correct = |keep: f64| 1.0 - keep.powi(self.steps);
        let (correct_mean, correct_square) = (correct(keep_mean), correct(keep_square));
        let moments = self.mean.iter_mut().zip(&mut self.square);
        let step = |((mean, square), gradient): ((&mut f64, &mut f64), &f64)| {
            *mean = keep_mean * *mean + (1.0 - keep_mean) * gradient;
            *square = keep_square * *square + (1.0 - keep_square) * gradient * gradient;
            -rate * (*mean / correct_mean) / ((*square / correct_square).sqrt() + EPSILON)
        };
        moments.zip(gradient).map(step).collect()
    }
}
