//! Ticks moved by chance, so that what is seen can't be told from outside.

use crate::nodes::packet_resampler::random::Random;
use crate::packet::Packet;
use crate::timestamp::Timestamp;

#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Part of a period.
    pub(super) jitter: f64,
    /// A tick stays within its period: what would lie outside is mirrored at its edge.
    pub(super) reflect: bool,
    /// Periods are counted from time 0, not from the first packet.
    pub(super) from_zero: bool,
}

#[derive(Debug)]
pub(super) struct Jitter {
    kind: Kind,
    /// Microseconds.
    period: i64,
    seed: String,
    random: Random,
    /// Draws of its own, so that the ticks don't depend on the packets.
    sampler: Random,
    /// Start of the period and the tick in it, µs; none before the first packet.
    window: Option<Window>,
    /// One of the packets since the last tick, each as likely as the others, for a stream that ends before its tick.
    sample: Option<Packet>,
    sampled: i64,
    /// Without reflection only the time before the first tick is a period of its own.
    ticked: bool,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    start: i64,
    tick: i64,
}

/// As for the grid: what one packet may set off.
const MOST_TICKS: usize = 100_000;

/// Periods counted from time 0 start afresh after so many, so that a stream may begin anywhere without all numbers
/// since time 0 being drawn.
const BLOCK: i64 = 1_024;

impl Jitter {
    pub(super) fn new(kind: Kind, rate: f64, seed: &str) -> Self {
        Self {
            kind,
            period: ((1e6 / rate) as i64).max(1),
            seed: seed.to_owned(),
            random: Random::new(seed),
            sampler: Random::new(seed),
            window: None,
            sample: None,
            sampled: 0,
            ticked: false,
        }
    }

    pub(super) fn take(
        &mut self,
        packet: &Packet,
        last: Option<&Packet>,
        sent: &mut Vec<Packet>,
    ) -> Option<Timestamp> {
        let at = packet.timestamp().micros();
        let mut window = self.window.unwrap_or_else(|| self.first_window(at));
        if (self.kind.reflect || !self.ticked) && at >= window.start {
            self.consider(packet);
        }
        let mut bound = None;
        while window.tick <= at && sent.len() < MOST_TICKS {
            let tick = Timestamp::clamped(window.tick);
            let nearer_last = last.filter(|last| window.tick - last.timestamp().micros() < at - window.tick);
            sent.push(nearer_last.unwrap_or(packet).at(tick));
            window = self.next_window(window);
            (self.sample, self.sampled, self.ticked) = (None, 0, true);
            let earliest = if self.kind.reflect {
                window.start
            } else {
                window.tick
            };
            bound = Some(Timestamp::clamped(earliest));
        }
        self.window = Some(window);
        bound
    }

    /// A packet of the last period, at its own time, where that has got none.
    pub(super) fn end(&mut self) -> Option<Packet> {
        self.sample.take()
    }

    fn first_window(&mut self, at: i64) -> Window {
        if !self.kind.from_zero {
            let tick = at.saturating_add(self.random.below(self.period));
            return Window { start: at, tick };
        }
        let number = at.div_euclid(self.period);
        let mut window = self.block(number.div_euclid(BLOCK) * BLOCK);
        while window.start < number.saturating_mul(self.period) {
            window = self.next_window(window);
        }
        window
    }

    /// The window of a period that begins a block.
    fn block(&mut self, number: i64) -> Window {
        self.random = Random::new(&format!("{} {number}", self.seed));
        let start = number.saturating_mul(self.period);
        Window {
            start,
            tick: start.saturating_add(self.random.below(self.period)),
        }
    }

    fn next_window(&mut self, window: Window) -> Window {
        let start = window.start.saturating_add(self.period);
        if self.kind.from_zero && (start / self.period) % BLOCK == 0 {
            return self.block(start / self.period);
        }
        let moved = (self.period as f64 * self.kind.jitter) as i64;
        let tick = if self.kind.reflect {
            let step = self.period + self.random.below(2 * moved + 1) - moved;
            mirrored(
                window.tick.saturating_add(step),
                start,
                start.saturating_add(self.period),
            )
        } else {
            let share = 1.0 - self.kind.jitter + 2.0 * self.kind.jitter * self.random.fraction();
            // At least one microsecond further: a stream never stands still.
            window
                .tick
                .saturating_add(((self.period as f64 * share) as i64).max(1))
        };
        Window { start, tick }
    }

    fn consider(&mut self, packet: &Packet) {
        self.sampled += 1;
        if self.sampler.below(self.sampled) == 0 {
            self.sample = Some(packet.clone());
        }
    }
}

fn mirrored(time: i64, start: i64, end: i64) -> i64 {
    if time < start {
        2 * start - time - 1
    } else if time >= end {
        2 * end - time - 1
    } else {
        time
    }
}
