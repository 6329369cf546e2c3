//! Ticks at fixed distances.

use crate::packet::Packet;
use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(super) struct Grid {
    rate: f64,
    base: Option<Timestamp>,
    /// The time of tick 0; none before the first packet.
    first: Option<i64>,
    /// The next tick that has got no packet.
    next: i64,
}

/// Ticks filled in one go: after a longer silence (an hour at 27 fps) the rest stays empty, so that one late packet
/// can't take all memory.
const MOST_FILLED: i64 = 100_000;

impl Grid {
    pub(super) fn new(rate: f64, base: Option<Timestamp>) -> Self {
        Self {
            rate,
            base,
            first: None,
            next: 0,
        }
    }

    /// Takes a packet; gives what can be sent, and the bound that holds then.
    pub(super) fn take(
        &mut self,
        packet: &Packet,
        last: Option<&Packet>,
        sent: &mut Vec<Packet>,
    ) -> Option<Timestamp> {
        let at = packet.timestamp();
        if self.first.is_none() {
            self.first = Some(self.start(at));
        }
        let tick = self.tick_of(at);
        // Older than a tick that has its packet.
        if tick < self.next {
            return None;
        }
        if let Some(last) = last {
            self.next = self.next.max(tick.saturating_sub(MOST_FILLED));
            while self.next < tick {
                sent.push(last.at(self.time_of(self.next)));
                self.next += 1;
            }
        }
        self.next = tick;
        let target = self.time_of(self.next);
        if at >= target {
            // From here on packets only get further away from the tick.
            let nearer_last = last.filter(|last| distance(target, last.timestamp()) < distance(at, target));
            sent.push(nearer_last.unwrap_or(packet).at(target));
            self.next += 1;
        }
        Some(self.time_of(self.next))
    }

    /// The last packet, where its tick has got none.
    pub(super) fn end(&self, last: Option<&Packet>) -> Option<Packet> {
        let last = last.filter(|last| self.first.is_some() && self.tick_of(last.timestamp()) == self.next)?;
        Some(last.at(self.time_of(self.next)))
    }

    fn start(&self, at: Timestamp) -> i64 {
        let Some(base) = self.base else {
            return at.micros();
        };
        let ticks = (distance(at, base) as f64 / 1e6 * self.rate).round();
        base.micros()
            .saturating_add((ticks / self.rate * 1e6).round() as i64)
    }

    fn time_of(&self, tick: i64) -> Timestamp {
        let micros = (tick as f64 / self.rate * 1e6).round() as i64;
        Timestamp::clamped(self.first.unwrap_or(0).saturating_add(micros))
    }

    fn tick_of(&self, at: Timestamp) -> i64 {
        let micros = at.micros().saturating_sub(self.first.unwrap_or(0));
        (micros as f64 / 1e6 * self.rate).round() as i64
    }
}

fn distance(later: Timestamp, earlier: Timestamp) -> i64 {
    later.micros().saturating_sub(earlier.micros())
}
