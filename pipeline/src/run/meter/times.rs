//! Spans of time in a histogram of HDR layout: 128 steps between two powers of two, so within 1 %.
//!
//! Every hop records three of them. That is why this isn't the hdrhistogram crate, whose `record` takes longer than
//! the rest of a hop's counting.

use crate::stats::{Histogram, Quantiles};

/// Steps between two powers of two, as bits.
const BITS: u32 = 7;

/// Recording allocates only for spans longer than there is room for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    counts: Vec<u32>,
    total: u64,
    /// Exactly, since it is held against declared limits.
    max: i64,
}

/// Spans up to 134 ms have their place from the start, so that a late frame needs no memory.
const ROOM_NANOS: u64 = 1 << 27;

impl Times {
    /// One that is recorded into while frames pass.
    pub(crate) fn with_room() -> Self {
        Self {
            counts: Vec::with_capacity(place(ROOM_NANOS)),
            ..Self::default()
        }
    }

    pub(crate) fn record(&mut self, nanos: i64) {
        let place = place(u64::try_from(nanos).unwrap_or(0));
        match self.counts.get_mut(place) {
            Some(count) => *count += 1,
            None => self.grow(place),
        }
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// In milliseconds.
    pub(crate) fn quantiles(&self) -> Quantiles {
        if self.total == 0 {
            return Quantiles::default();
        }
        let max = self.max as f64 / 1e6;
        let at = |quantile: f64| (self.at(quantile) as f64 / 1e6).min(max);
        Quantiles {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max,
        }
    }

    /// Within 1 % at the bounds and in the sum.
    pub(crate) fn histogram(&self) -> Histogram {
        let mut histogram = Histogram {
            count: self.total,
            ..Histogram::default()
        };
        for (place, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let seconds = longest(place) as f64 / 1e9;
            histogram.sum_seconds += seconds * f64::from(*count);
            let bounds = Histogram::BOUNDS_SECONDS.iter().zip(&mut histogram.counts);
            for (_, sum) in bounds.filter(|(bound, _)| seconds <= **bound * 1.01) {
                *sum += u64::from(*count);
            }
        }
        histogram
    }

    /// The longest span that counts as the one at this share of all.
    fn at(&self, quantile: f64) -> u64 {
        let wanted = ((quantile * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return longest(place);
            }
        }
        0
    }

    #[cold]
    fn grow(&mut self, place: usize) {
        self.counts.resize(place + 1, 0);
        if let Some(count) = self.counts.last_mut() {
            *count = 1;
        }
    }
}

fn place(span: u64) -> usize {
    let shift = (span | 1).ilog2().saturating_sub(BITS);
    ((u64::from(shift) << BITS) + (span >> shift)) as usize
}

/// The longest span that is counted at this place.
fn longest(place: usize) -> u64 {
    let shift = ((place >> BITS) as u32).saturating_sub(1);
    let steps = place as u64 - (u64::from(shift) << BITS);
    ((steps + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_holds_what_is_within_one_percent(span in 0..1_u64 << 62) {
            let longest = longest(place(span));
            prop_assert!(longest >= span && longest - span <= span / 100, "{span} {longest}");
            prop_assert_eq!(place(longest), place(span));
            prop_assert_eq!(place(longest + 1), place(span) + 1);
        }
    }

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let mut times = Times::default();
        for micros in [0, 1_000, 1_100, 33_333, 6_000_000] {
            times.record(micros * 1_000);
        }
        let histogram = times.histogram();
        assert_eq!(histogram.counts, [1, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!(histogram.count, 5);
        assert!((histogram.sum_seconds - 6.035_433).abs() < 0.06, "{histogram:?}");
    }

    #[test]
    fn quantiles_of_a_thousand() {
        let mut times = Times::default();
        for millis in 1..=1000 {
            times.record(millis * 1_000_000);
        }
        let found = times.quantiles();
        for (found, wanted) in [(found.p50, 500.0), (found.p95, 950.0), (found.p99, 990.0)] {
            assert!((found - wanted).abs() <= wanted / 100.0, "{found} {wanted}");
        }
        assert!((found.max - 1000.0).abs() < 1e-9);
    }
}
