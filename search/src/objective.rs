//! What better means: which of two candidates is preferred, and which no other beats.

use std::cmp::Ordering;

/// A trained candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub accuracy: f64,
    /// As measured.
    pub latency_p95_us: f64,
    pub model_bytes: u64,
    /// Whether it keeps every bound as measured.
    pub feasible: bool,
}

impl Point {
    /// The policy in one place: a kept bound comes before everything, then accuracy, then speed, then size.
    /// `Greater` means better.
    pub fn compare(&self, other: &Self) -> Ordering {
        let Self {
            accuracy,
            latency_p95_us,
            model_bytes,
            feasible,
        } = self;
        feasible
            .cmp(&other.feasible)
            .then(accuracy.total_cmp(&other.accuracy))
            .then(other.latency_p95_us.total_cmp(latency_p95_us))
            .then(other.model_bytes.cmp(model_bytes))
    }

    /// At least as good in accuracy and latency, better in one; a feasible point dominates any infeasible one.
    pub fn dominates(&self, other: &Self) -> bool {
        if self.feasible != other.feasible {
            return self.feasible;
        }
        let no_worse = self.accuracy >= other.accuracy && self.latency_p95_us <= other.latency_p95_us;
        no_worse && (self.accuracy > other.accuracy || self.latency_p95_us < other.latency_p95_us)
    }
}

/// Indices of the points no other dominates, fastest first.
pub fn front(points: &[Point]) -> Vec<usize> {
    let beaten = |point: &Point| points.iter().any(|other| other.dominates(point));
    let mut indices: Vec<_> = (0..points.len())
        .filter(|index| !beaten(&points[*index]))
        .collect();
    indices.sort_by(|a, b| {
        points[*a]
            .latency_p95_us
            .total_cmp(&points[*b].latency_p95_us)
            .then(a.cmp(b))
    });
    indices
}

/// The area that points of accuracy and latency dominate, down to a corner of the least accuracy and the most
/// latency that count (Zitzler and Thiele 1998).
pub fn hypervolume(points: impl IntoIterator<Item = (f64, f64)>, corner: (f64, f64)) -> f64 {
    let (least, most) = corner;
    let mut inside: Vec<(f64, f64)> = points
        .into_iter()
        .filter(|(accuracy, latency)| *accuracy > least && *latency < most)
        .collect();
    inside.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut area, mut level) = (0.0, least);
    for (accuracy, latency) in inside {
        area += (accuracy - level).max(0.0) * (most - latency);
        level = level.max(accuracy);
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(accuracy: f64, latency_p95_us: f64, feasible: bool) -> Point {
        Point {
            accuracy,
            latency_p95_us,
            model_bytes: 1,
            feasible,
        }
    }

    #[test]
    fn a_kept_bound_comes_before_accuracy() {
        let (slow, fast) = (point(0.99, 30.0, false), point(0.8, 10.0, true));
        assert_eq!(fast.compare(&slow), Ordering::Greater);
        assert!(fast.dominates(&slow) && !slow.dominates(&fast));
    }

    #[test]
    fn the_front_keeps_what_nothing_beats() {
        let points = [
            point(0.9, 20.0, true),
            point(0.8, 10.0, true),
            point(0.85, 20.0, true),
            point(0.95, 5.0, false),
            point(0.7, 9.0, true),
        ];
        assert_eq!(front(&points), [4, 1, 0]);
        assert_eq!(front(&[]), Vec::<usize>::new());
    }

    #[test]
    fn the_hypervolume_is_the_area_below_the_front() {
        let points = [(0.8, 1.0), (0.9, 2.0), (0.7, 1.5), (0.1, 0.5), (1.0, 9.0)];
        let area = hypervolume(points, (0.5, 4.0));
        assert!((area - (0.3 * 3.0 + 0.1 * 2.0)).abs() < 1e-12);
    }
}
