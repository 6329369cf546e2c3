//! Inputs kept in step: one set per time, in time order, once no input of the group can bring more for it.

use crate::packet::Packet;
use crate::run::inbox::Stream;
use crate::run::policy::Offer;
use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(crate) struct Group {
    members: Vec<usize>,
    process_bounds: bool,
    /// The time of the last set or settled time that was taken.
    last: Timestamp,
}

impl Group {
    pub(super) fn of(members: Vec<usize>, process_bounds: bool) -> Self {
        Self {
            members,
            process_bounds,
            last: Timestamp::UNSTARTED,
        }
    }

    pub(super) fn offer(&self, streams: &[Stream]) -> Offer {
        // Most nodes have one input.
        if let ([stream], false) = (streams, self.process_bounds) {
            return match stream.head() {
                Some(packet) => Offer::Set(packet.timestamp()),
                None if stream.is_done() => Offer::Done,
                None => Offer::Wait(stream.bound()),
            };
        }
        let mut head = Timestamp::DONE;
        let mut empty_bound = Timestamp::DONE;
        for member in &self.members {
            let Some(stream) = streams.get(*member) else {
                continue;
            };
            match stream.head() {
                Some(packet) => head = head.min(packet.timestamp()),
                None => empty_bound = empty_bound.min(stream.bound()),
            }
        }
        let next = head.min(empty_bound);
        if next >= Timestamp::ONE_OVER_POST_STREAM {
            return Offer::Done;
        }
        if self.process_bounds {
            // Not simply the lower of the two: nothing that is before Done is after PostStream.
            let settled = if head < empty_bound {
                head
            } else {
                empty_bound.previous_allowed_in_stream()
            };
            if settled > self.last {
                return Offer::Set(settled);
            }
        } else if head < empty_bound {
            return Offer::Set(head);
        }
        Offer::Wait(next)
    }

    /// Of the empty inputs the one furthest behind, where another has a packet.
    pub(super) fn awaited(&self, streams: &[Stream]) -> Option<usize> {
        let members = || {
            self.members
                .iter()
                .filter_map(|member| Some((*member, streams.get(*member)?)))
        };
        members().find(|(_, stream)| !stream.is_empty())?;
        members()
            .filter(|(_, stream)| stream.is_empty())
            .min_by_key(|(_, stream)| stream.bound())
            .map(|(member, _)| member)
    }

    pub(super) fn take(&mut self, at: Timestamp, streams: &mut [Stream], set: &mut [Packet]) {
        self.last = at;
        // Most nodes have one input.
        if let ([stream], [place]) = (&mut *streams, &mut *set) {
            *place = stream.pop_at(at);
            return;
        }
        for member in &self.members {
            if let (Some(stream), Some(place)) = (streams.get_mut(*member), set.get_mut(*member)) {
                *place = stream.pop_at(at);
            }
        }
    }

    /// How far the group's inputs are settled, for a set of other inputs.
    pub(super) fn show(&self, streams: &[Stream], set: &mut [Packet]) {
        for member in &self.members {
            if let (Some(stream), Some(place)) = (streams.get(*member), set.get_mut(*member)) {
                *place = stream.settled();
            }
        }
    }

    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    pub(super) fn set_last(&mut self, last: Timestamp) {
        self.last = last;
    }
}
