//! The newest events of one thread.

use crate::stats::DropReason;
use crate::timestamp::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    /// Nanoseconds.
    pub(crate) start: i64,
    /// The time of a call's set.
    pub(crate) at: Timestamp,
    /// Nanoseconds of a call; packets of everything else.
    pub(crate) amount: u64,
    pub(crate) node: u32,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Call,
    Drops(DropReason),
    /// So many packets wait at the node.
    Waiting,
}

/// Grows to its limit, then overwrites the oldest.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    events: Vec<Event>,
    limit: usize,
    /// Place of the oldest, once the ring is full.
    oldest: usize,
    lost: u64,
}

impl Ring {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            events: Vec::new(),
            limit,
            oldest: 0,
            lost: 0,
        }
    }

    pub(super) fn push(&mut self, event: Event) {
        if self.events.len() < self.limit {
            self.events.push(event);
            return;
        }
        if let Some(place) = self.events.get_mut(self.oldest) {
            *place = event;
        }
        self.lost += 1;
        self.oldest += 1;
        if self.oldest == self.limit {
            self.oldest = 0;
        }
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Event> {
        let (newer, older) = self.events.split_at(self.oldest.min(self.events.len()));
        older.iter().chain(newer)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(start: i64) -> Event {
        Event {
            start,
            at: Timestamp::UNSET,
            amount: 0,
            node: 0,
            what: What::Waiting,
        }
    }

    #[test]
    fn an_event_is_small() {
        assert_eq!(size_of::<Event>(), 32);
    }

    proptest! {
        #[test]
        fn the_newest_are_kept_in_order(limit in 1..20_usize, told in 0..60_i64) {
            let mut ring = Ring::new(limit);
            (0..told).for_each(|start| ring.push(event(start)));
            let kept: Vec<i64> = ring.iter().map(|event| event.start).collect();
            let lost = (told - limit as i64).max(0);
            prop_assert_eq!(kept, (lost..told).collect::<Vec<_>>());
            prop_assert_eq!(ring.lost(), lost as u64);
        }
    }
}
