//! Each packet as soon as it is there: every input goes by its own time.

use crate::packet::Packet;
use crate::run::inbox::Stream;
use crate::run::policy::Offer;
use crate::run::policy::group::Group;
use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(crate) struct Immediate {
    inputs: Vec<Group>,
    process_bounds: bool,
    /// Per input the number of its last set, where inputs are served in turn.
    served: Option<Vec<u64>>,
    sets: u64,
}

impl Immediate {
    pub(super) fn new(inputs: usize, process_bounds: bool) -> Self {
        Self {
            inputs: (0..inputs)
                .map(|input| Group::of(vec![input], process_bounds))
                .collect(),
            process_bounds,
            served: None,
            sets: 0,
        }
    }

    pub(super) fn fair(&mut self) {
        self.served = Some(vec![0; self.inputs.len()]);
    }

    pub(super) fn offer(&self, streams: &[Stream]) -> Offer {
        let mut next = Timestamp::DONE;
        let mut ready: Option<(u64, Timestamp)> = None;
        let mut became_done = false;
        let mut all_done = true;
        for (input, group) in self.inputs.iter().enumerate() {
            match group.offer(streams) {
                Offer::Set(at) => {
                    let turn = self.served.as_ref().and_then(|served| served.get(input));
                    let candidate = (turn.copied().unwrap_or(0), at);
                    ready = Some(ready.map_or(candidate, |best| best.min(candidate)));
                    next = next.min(at);
                    all_done = false;
                }
                Offer::Wait(bound) => {
                    next = next.min(bound);
                    all_done = false;
                }
                Offer::Done => became_done |= group.last() < Timestamp::MAX,
            }
        }
        match ready {
            Some((_, at)) => Offer::Set(at),
            // A node that processes bounds hears once of every input that ended, the last ones too.
            None if became_done && self.process_bounds => Offer::Set(Timestamp::MAX),
            None if all_done => Offer::Done,
            None => Offer::Wait(next),
        }
    }

    pub(super) fn take(&mut self, at: Timestamp, streams: &mut [Stream], set: &mut [Packet]) {
        self.sets += 1;
        for (input, group) in self.inputs.iter_mut().enumerate() {
            match group.offer(streams) {
                Offer::Set(ready) if ready == at => {
                    group.take(at, streams, set);
                    if let Some(served) = self.served.as_mut().and_then(|served| served.get_mut(input)) {
                        *served = self.sets;
                    }
                }
                Offer::Done => {
                    group.show(streams, set);
                    group.set_last(Timestamp::MAX);
                }
                _ => group.show(streams, set),
            }
        }
    }
}
