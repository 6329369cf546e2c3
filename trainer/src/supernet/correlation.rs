//! Whether the supernet ranks networks as training each alone does. If not, it must not decide.

use serde::{Deserialize, Serialize};

/// Below this the supernet's ranks say too little: candidates are trained alone, shortly, and ranked by that.
pub const TRUSTED: f64 = 0.5;

/// One network judged both ways, by the share of held-out images it labels right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    pub architecture: String,
    pub supernet: f64,
    pub alone: f64,
}

/// Spearman's rank correlation; `None` for fewer than three pairs, or when one side is the same for all.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 3 {
        return None;
    }
    let ranks = |of: fn(&(f64, f64)) -> f64| {
        let values: Vec<f64> = pairs.iter().map(of).collect();
        let rank = |value: &f64| {
            let below = values.iter().filter(|other| *other < value).count();
            let above = values.iter().filter(|other| *other > value).count();
            // Equal values share the mean of their places.
            f64::midpoint(below as f64, (values.len() - 1 - above) as f64)
        };
        values.iter().map(rank).collect::<Vec<_>>()
    };
    pearson(&ranks(|pair| pair.0), &ranks(|pair| pair.1))
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        aa += (a - mean_a) * (a - mean_a);
        bb += (b - mean_b) * (b - mean_b);
        ab += (a - mean_a) * (b - mean_b);
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ranks_count() {
        let found = |pairs: &[(f64, f64)]| spearman(pairs).unwrap();
        assert!((found(&[(0.1, 5.0), (0.2, 6.0), (0.9, 700.0)]) - 1.0).abs() < 1e-12);
        assert!((found(&[(0.1, 3.0), (0.2, 2.0), (0.9, 1.0)]) + 1.0).abs() < 1e-12);
        // Ranks 0, 1.5, 1.5, 3, 4 and 1, 0, 3, 2, 4.
        let ties = [(1.0, 2.0), (2.0, 1.0), (2.0, 4.0), (4.0, 3.0), (5.0, 5.0)];
        assert!((found(&ties) - 6.5 / 95.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn too_little_is_no_correlation() {
        assert_eq!(spearman(&[(1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(spearman(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }
}
