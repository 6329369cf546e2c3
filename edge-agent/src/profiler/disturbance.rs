//! Whether a measurement was alone on the device: three witnesses that don't depend on what is measured.

use std::hint::black_box;
use std::time::Instant;

/// A fixed computation and the least time it ever took in this process.
#[derive(Debug)]
pub(super) struct Reference {
    best_us: f64,
}

/// The fixed computation may take so much longer than at its best.
const REFERENCE_SLACK: f64 = 1.25;
/// The medians of both halves may differ by this share.
const DRIFT: f64 = 0.10;
/// The hypervisor may take this share of the time.
const STEAL: f64 = 0.02;

impl Reference {
    pub(super) fn new() -> Self {
        let best_us = (0..10).map(|_| compute()).fold(f64::INFINITY, f64::min);
        Self { best_us }
    }

    /// How many times slower than at its best, now.
    fn slowdown(&mut self) -> f64 {
        // The middle of three: one interrupt is no load.
        let mut times = [compute(), compute(), compute()];
        times.sort_by(f64::total_cmp);
        let [best, middle, _] = times;
        self.best_us = self.best_us.min(best);
        middle / self.best_us
    }
}

/// What was seen at the beginning of a measurement.
#[derive(Debug)]
pub(super) struct Witness {
    slowdown: f64,
    steal: Option<u64>,
    begin: Instant,
}

impl Witness {
    pub(super) fn begin(reference: &mut Reference) -> Self {
        Self {
            slowdown: reference.slowdown(),
            steal: stolen_ticks(),
            begin: Instant::now(),
        }
    }

    /// `times` in the order they were measured.
    pub(super) fn saw_disturbance(self, reference: &mut Reference, times: &[f64]) -> bool {
        let stolen = self
            .steal
            .zip(stolen_ticks())
            .map_or(0, |(before, now)| now.saturating_sub(before));
        // A tick is 10 ms on every Linux of interest.
        let steal = stolen as f64 * 0.01 / self.begin.elapsed().as_secs_f64().max(0.01);
        let slowdown = self.slowdown.max(reference.slowdown());
        slowdown > REFERENCE_SLACK || steal > STEAL || drift(times) > DRIFT
    }
}

/// By which share the medians of the first and the second half differ.
fn drift(times: &[f64]) -> f64 {
    let (first, second) = times.split_at(times.len() / 2);
    let (first, second) = (median(first), median(second));
    if first.min(second) <= 0.0 {
        0.0
    } else {
        (first - second).abs() / first.min(second)
    }
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// About a quarter of a millisecond of arithmetic, in microseconds.
fn compute() -> f64 {
    let start = Instant::now();
    let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..100_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
    start.elapsed().as_secs_f64() * 1e6
}

/// Ticks the hypervisor gave to others, over all processors.
fn stolen_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().next()?.split_whitespace().nth(8)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_sees_a_slower_half() {
        assert!(drift(&[10.0; 40]) < 1e-9);
        let slower = [vec![10.0; 20], vec![12.0; 20]].concat();
        assert!((drift(&slower) - 0.2).abs() < 1e-9);
        let outliers = [vec![10.0; 20], vec![900.0], vec![10.0; 19]].concat();
        assert!(drift(&outliers) < 1e-9, "one outlier is no drift");
    }

    #[test]
    fn a_slow_reference_is_a_disturbance() {
        let mut reference = Reference { best_us: 1e-6 };
        assert!(Witness::begin(&mut reference).saw_disturbance(&mut reference, &[1.0; 10]));
    }
}
