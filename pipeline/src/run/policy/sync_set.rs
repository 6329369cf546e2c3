//! Groups of inputs, each kept in step, independent of the others. The group with the earliest set goes first.

use crate::packet::Packet;
use crate::run::inbox::Stream;
use crate::run::policy::Offer;
use crate::run::policy::group::Group;
use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(crate) struct SyncSets(Vec<Group>);

impl SyncSets {
    pub(super) fn new(sets: &[Vec<usize>], process_bounds: bool) -> Self {
        Self(
            sets.iter()
                .map(|members| Group::of(members.clone(), process_bounds))
                .collect(),
        )
    }

    pub(super) fn offer(&self, streams: &[Stream]) -> Offer {
        let mut next = Timestamp::DONE;
        let mut ready: Option<Timestamp> = None;
        let mut all_done = true;
        for group in &self.0 {
            match group.offer(streams) {
                Offer::Set(at) => {
                    ready = Some(ready.map_or(at, |best| best.min(at)));
                    all_done = false;
                }
                Offer::Wait(bound) => {
                    next = next.min(bound);
                    all_done = false;
                }
                Offer::Done => {}
            }
        }
        match ready {
            Some(at) => Offer::Set(at),
            None if all_done => Offer::Done,
            None => Offer::Wait(next),
        }
    }

    pub(super) fn awaited(&self, streams: &[Stream]) -> Option<usize> {
        self.0.iter().find_map(|group| group.awaited(streams))
    }

    /// One group's set; of two groups with sets at the same time the first.
    pub(super) fn take(&mut self, at: Timestamp, streams: &mut [Stream], set: &mut [Packet]) {
        let chosen = self
            .0
            .iter()
            .position(|group| group.offer(streams) == Offer::Set(at));
        for (index, group) in self.0.iter_mut().enumerate() {
            if Some(index) == chosen {
                group.take(at, streams, set);
            } else {
                group.show(streams, set);
            }
        }
    }
}
