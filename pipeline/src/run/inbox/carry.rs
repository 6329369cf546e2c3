//! An inbox goes over to another graph: what waits for a node stays, by its ports.

use std::mem;

use crate::run::drops::Dropped;
use crate::run::inbox::{Inbox, Phase, Rules};
use crate::spec::Freshness;
use crate::timestamp::Timestamp;
use crate::validate::plan::PlannedPolicy;

impl Inbox {
    /// What stands in the place of one that was taken away: takes nothing.
    pub(crate) fn vacant() -> Self {
        let rules = Rules {
            policy: PlannedPolicy::Default { batch: 1 },
            freshness: Freshness::All,
            max_age: None,
            offset: None,
            process_bounds: false,
            origins: Vec::new(),
        };
        let mut inbox = Self::new(std::iter::empty(), &rules, Dropped::default());
        inbox.phase = Phase::Closed;
        inbox
    }

    /// Takes over what waits in `before`, under the own rules and limits. `from` gives for each input its number
    /// before; `as_is`: the inputs and the rules are the same. Gives how many packets had no place.
    pub(crate) fn carry(&mut self, mut before: Self, as_is: bool, from: &[Option<usize>]) -> u64 {
        if as_is {
            for (stream, own) in before.streams.iter_mut().zip(&self.streams) {
                stream.limit = own.limit;
                stream.full = false;
            }
            if before.phase != Phase::Closed {
                before.phase = Phase::Unopened;
            }
            before.running = None;
            before.overlapping.clear();
            *self = before;
            return 0;
        }
        before.put_back_gathered();
        for (own, from) in self.streams.iter_mut().zip(from) {
            let Some(stream) = from.and_then(|from| before.streams.get_mut(from)) else {
                continue;
            };
            let limit = own.limit;
            *own = mem::replace(stream, super::Stream::new(limit));
            own.limit = limit;
            own.full = false;
        }
        self.forwarded = before.forwarded;
        mem::swap(&mut self.calls, &mut before.calls);
        let left = before.queued();
        for stream in &mut before.streams {
            stream.clear(&mut before.dropped);
        }
        self.dropped.absorb(&mut before.dropped);
        left
    }

    /// A stream goes on with a writer that sends nothing before `bound`. Gives how many packets couldn't stay.
    pub(crate) fn go_on_at(&mut self, input: usize, bound: Timestamp) -> Option<u64> {
        let surplus = self.streams.get_mut(input)?.go_on_at(bound, &mut self.dropped);
        self.known = None;
        if surplus > 0 {
            self.policy.forget_offer();
        }
        Some(surplus)
    }

    /// Sets that waited for their batch go back to where they came from.
    fn put_back_gathered(&mut self) {
        for gathered in mem::take(&mut self.gathered).into_iter().rev() {
            for (stream, packet) in self.streams.iter_mut().zip(gathered.set) {
                if !packet.is_empty() {
                    stream.push_front(packet);
                }
            }
        }
    }
}
