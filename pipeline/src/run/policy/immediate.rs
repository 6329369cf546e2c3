//! Each packet as soon as it is there: every input goes by its own time.

use crate::packet::Packet;
use crate::run::inbox::Stream;
use crate::run::policy::Offer;
use crate::run::policy::group::Group;
use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(crate) struct Immediate {
    inputs: Vec<Input>,
    process_bounds: bool,
    /// The time that was offered and not taken yet: later news doesn't put another before it.
    offered: Option<Timestamp>,
    /// Inputs are served in turn.
    in_turn: bool,
    sets: u64,
}

#[derive(Debug)]
struct Input {
    group: Group,
    /// What it had to offer when last looked at, until that is taken.
    ready: Option<Timestamp>,
    /// The number of its last set.
    served: u64,
}

impl Immediate {
    pub(super) fn new(inputs: usize, process_bounds: bool) -> Self {
        let input = |input| Input {
            group: Group::of(vec![input], process_bounds),
            ready: None,
            served: 0,
        };
        Self {
            inputs: (0..inputs).map(input).collect(),
            process_bounds,
            offered: None,
            in_turn: false,
            sets: 0,
        }
    }

    pub(super) fn fair(&mut self) {
        self.in_turn = true;
    }

    pub(super) fn offer(&mut self, streams: &[Stream]) -> Offer {
        if let Some(at) = self.offered {
            return Offer::Set(at);
        }
        let offer = self.find(streams);
        // Where the newest counts, the choice is made when the set is taken.
        if let (Offer::Set(at), false) = (offer, self.in_turn) {
            self.offered = Some(at);
        }
        offer
    }

    pub(super) fn take(&mut self, at: Timestamp, streams: &mut [Stream], set: &mut [Packet]) {
        self.offered = None;
        self.sets += 1;
        for input in &mut self.inputs {
            match input.look(streams, self.in_turn) {
                Offer::Set(ready) if ready == at => {
                    input.ready = None;
                    input.served = self.sets;
                    input.group.take(at, streams, set);
                }
                Offer::Done => {
                    input.group.show(streams, set);
                    input.group.set_last(Timestamp::MAX);
                }
                _ => input.group.show(streams, set),
            }
        }
    }

    /// Forgets what was offered: it was dropped.
    pub(super) fn forget_offer(&mut self) {
        self.offered = None;
        for input in &mut self.inputs {
            input.ready = None;
        }
    }

    fn find(&mut self, streams: &[Stream]) -> Offer {
        let mut next = Timestamp::DONE;
        let mut ready: Option<(u64, Timestamp)> = None;
        let mut became_done = false;
        let mut all_done = true;
        for input in &mut self.inputs {
            match input.look(streams, self.in_turn) {
                Offer::Set(at) => {
                    let turn = if self.in_turn { input.served } else { 0 };
                    ready = Some(ready.map_or((turn, at), |best| best.min((turn, at))));
                    all_done = false;
                }
                Offer::Wait(bound) => {
                    next = next.min(bound);
                    all_done = false;
                }
                Offer::Done => became_done |= input.group.last() < Timestamp::MAX,
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
}

impl Input {
    fn look(&mut self, streams: &[Stream], in_turn: bool) -> Offer {
        if let Some(at) = self.ready {
            return Offer::Set(at);
        }
        let offer = self.group.offer(streams);
        if let (Offer::Set(at), false) = (offer, in_turn) {
            self.ready = Some(at);
        }
        offer
    }
}
