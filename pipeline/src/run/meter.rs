//! What one node did: counts and times, since the start and since somebody last asked.

mod times;

use std::mem;

pub(crate) use crate::run::meter::times::Times;
use crate::stats::{Drops, Histogram, Quantiles};

/// Calls that are kept as they are before they go into the histograms. A hop then writes one place in memory that the
/// last one wrote too, not one in each histogram: with some dozen nodes those no longer fit a core's nearest cache.
const KEPT_CALLS: usize = 8;

/// The last calls of a node, which its figures don't know of yet. They lie with the inbox, whose lock a step takes
/// anyway; whoever reads the figures folds them in before.
#[derive(Debug)]
pub(crate) struct Calls(Vec<Call>);

/// One node's figures. Recording allocates only for times that a histogram has no room for.
#[derive(Debug)]
pub(crate) struct Meter {
    window: Tally,
    before: Tally,
    dropped_before: Drops,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) processed: u64,
    pub(crate) produced: u64,
    pub(crate) errors: u64,
    process: Times,
    start_age: Times,
    end_age: Times,
    lateness: Times,
}

/// One call of Process; times in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Capture time of the set.
    pub(crate) captured: Option<i64>,
}

/// What a source did in one call besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    pub(crate) packets: u64,
    /// When it wanted to run.
    pub(crate) planned: Option<i64>,
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(KEPT_CALLS))
    }

    /// True when it is time to fold them in.
    #[inline]
    pub(crate) fn push(&mut self, call: Call) -> bool {
        self.0.push(call);
        self.0.len() >= KEPT_CALLS
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            window: Tally::with_room(),
            before: Tally::default(),
            dropped_before: Drops::default(),
        }
    }

    /// What a source's call gave.
    pub(crate) fn made(&mut self, start: i64, made: Made) {
        self.window.produced += made.packets;
        if let Some(planned) = made.planned {
            self.window.lateness.record(start - planned);
        }
    }

    /// Moves calls into the histograms.
    pub(crate) fn fold(&mut self, calls: &mut Calls) {
        let tally = &mut self.window;
        tally.processed += calls.len();
        for call in calls.0.drain(..) {
            tally.process.record(call.end - call.start);
            if let Some(captured) = call.captured {
                // A packet's time is whatever its sender says, down to the smallest there is.
                tally.start_age.record(call.start.saturating_sub(captured));
                tally.end_age.record(call.end.saturating_sub(captured));
            }
        }
    }

    /// Calls that came to an end and were folded in.
    pub(crate) fn calls(&self) -> u64 {
        let ended = [&self.before, &self.window].map(|tally| tally.processed + tally.errors);
        ended.iter().sum::<u64>()
    }

    pub(crate) fn failed(&mut self) {
        self.window.errors += 1;
    }

    pub(crate) fn total(&self) -> Tally {
        let mut total = self.before.clone();
        total.add(&self.window);
        total
    }

    /// What happened since the last `take_window`, and goes on.
    pub(crate) fn window(&mut self, dropped: Drops) -> (Tally, Drops) {
        (self.window.clone(), subtract(&dropped, &self.dropped_before))
    }

    /// What happened since the last call of this; `dropped` counts from the start.
    pub(crate) fn take_window(&mut self, dropped: Drops) -> (Tally, Drops) {
        let window = mem::replace(&mut self.window, Tally::with_room());
        self.before.add(&window);
        let before = mem::replace(&mut self.dropped_before, dropped);
        (window, subtract(&dropped, &before))
    }
}

impl Tally {
    fn with_room() -> Self {
        Self {
            process: Times::with_room(),
            start_age: Times::with_room(),
            end_age: Times::with_room(),
            lateness: Times::with_room(),
            ..Self::default()
        }
    }

    fn add(&mut self, other: &Self) {
        self.processed += other.processed;
        self.produced += other.produced;
        self.errors += other.errors;
        for (mine, theirs) in [
            (&mut self.process, &other.process),
            (&mut self.start_age, &other.start_age),
            (&mut self.end_age, &other.end_age),
            (&mut self.lateness, &other.lateness),
        ] {
            mine.add(theirs);
        }
    }

    pub(crate) fn process_ms(&self) -> Quantiles {
        self.process.quantiles()
    }

    pub(crate) fn start_age_ms(&self) -> Quantiles {
        self.start_age.quantiles()
    }

    pub(crate) fn end_age_ms(&self) -> Quantiles {
        self.end_age.quantiles()
    }

    pub(crate) fn latency(&self) -> Histogram {
        self.end_age.histogram()
    }

    pub(crate) fn lateness_ms(&self) -> Quantiles {
        self.lateness.quantiles()
    }
}

fn subtract(now: &Drops, before: &Drops) -> Drops {
    Drops {
        late: now.late.saturating_sub(before.late),
        age: now.age.saturating_sub(before.age),
        full: now.full.saturating_sub(before.full),
        limited: now.limited.saturating_sub(before.limited),
        closed: now.closed.saturating_sub(before.closed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(millis: i64) -> Call {
        let start = 50_000_000;
        Call {
            start,
            end: start + millis * 1_000_000,
            captured: Some(0),
        }
    }

    #[test]
    fn windows_add_up_to_the_total() {
        let mut meter = Meter::new();
        let record = |meter: &mut Meter, millis| {
            let mut calls = Calls::new();
            calls.push(call(millis));
            meter.fold(&mut calls);
        };
        record(&mut meter, 10);
        let first = Drops {
            late: 3,
            ..Drops::default()
        };
        let (window, drops) = meter.take_window(first);
        assert_eq!((window.processed, drops.late), (1, 3));
        record(&mut meter, 30);
        let (window, drops) = meter.window(Drops { late: 4, ..first });
        assert_eq!((window.processed, drops.late), (1, 1), "and it goes on");
        let (window, drops) = meter.take_window(Drops { late: 5, ..first });
        assert_eq!((window.processed, drops.late), (1, 2));
        assert_eq!(meter.total().processed, 2);
        let process = meter.total().process_ms();
        assert!(
            (process.p50 - 10.0).abs() < 0.2 && (process.max - 30.0).abs() < 1e-9,
            "{process:?}"
        );
        assert!((meter.total().start_age_ms().p50 - 50.0).abs() < 0.5);
    }
}
