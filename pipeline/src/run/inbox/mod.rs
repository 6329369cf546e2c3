//! A node's input streams: packets, bounds, what can be processed next, and what is dropped at the door.

mod carry;
mod newest;
mod stream;
mod waiting;

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::packet::Packet;
use crate::run::drops::{Counts, Dropped};
use crate::run::inbox::newest::Newest;
pub(crate) use crate::run::inbox::stream::Stream;
use crate::run::meter::Calls;
use crate::run::policy::{Offer, Policy};
use crate::spec::Freshness;
use crate::stats::DropReason;
use crate::timestamp::Timestamp;
use crate::validate::plan::{Limit, PlannedPolicy};

/// Where a node is in its life. Only the worker that took it out of `Queued` moves it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not opened yet: packets are kept, nothing is scheduled.
    Unopened,
    Idle,
    Queued,
    Running,
    /// Waits for this time: a source for its next frame, any other node for its turn to start one.
    Timed(i64),
    /// A source that waits until its streams have room.
    Throttled,
    /// Waits until fewer frames are under way.
    Limited,
    /// A source whose layer hasn't begun.
    Layered,
    Closed,
}

/// What a node can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    Wait,
    /// Process the set of this time.
    Process(Timestamp),
    /// Pass the inputs' bound on to the outputs, without a call.
    Forward(Timestamp),
    Close,
}

/// How a node takes its inputs: fixed when the graph starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) policy: PlannedPolicy,
    pub(crate) freshness: Freshness,
    /// Nanoseconds from capture after which the node doesn't start any more.
    pub(crate) max_age: Option<i64>,
    pub(crate) offset: Option<i64>,
    pub(crate) process_bounds: bool,
    /// Per input the number of the group of inputs that come from the same sources.
    pub(crate) origins: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) phase: Phase,
    /// When the node last took a step or ended one, in nanoseconds.
    pub(crate) since: i64,
    pub(crate) streams: SmallVec<[Stream; 1]>,
    policy: Policy,
    newest: Option<Newest>,
    max_age: Option<i64>,
    pub(crate) offset: Option<i64>,
    /// What the node can do, where nothing has changed since that was last looked at.
    known: Option<Readiness>,
    /// The input bound that the outputs know of already.
    forwarded: Timestamp,
    /// Sets to gather before the node is called for each, and those gathered.
    batch: usize,
    gathered: Vec<Gathered>,
    pub(crate) dropped: Dropped,
    /// The node's last calls, for its figures.
    pub(crate) calls: Calls,
    /// What the trace knows of this node.
    pub(crate) traced: Traced,
    /// The time of the set that the node works on; of several the first.
    pub(crate) running: Option<Timestamp>,
    /// Where calls overlap: the times of all sets whose results haven't left. Others don't touch this memory.
    overlapping: VecDeque<Timestamp>,
}

/// Drops and waiting packets that have been told to the trace.
#[derive(Debug, Default)]
pub(crate) struct Traced {
    pub(crate) dropped: Counts,
    pub(crate) waiting: u64,
}

/// A set that waits for its batch to be complete.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) at: Timestamp,
    pub(crate) set: Vec<Packet>,
}

/// Streams whose sources must be held back, or may run again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crossings {
    pub(crate) filled: u64,
    pub(crate) eased: u64,
}

impl Inbox {
    pub(crate) fn new(limits: impl Iterator<Item = Limit>, rules: &Rules, dropped: Dropped) -> Self {
        let streams: SmallVec<[Stream; 1]> = limits.map(Stream::new).collect();
        let newest = (rules.freshness == Freshness::Newest).then(|| Newest::new(&rules.origins));
        let policy = Policy::new(&rules.policy, streams.len(), rules.process_bounds);
        let batch = match rules.policy {
            PlannedPolicy::Default { batch } => batch,
            _ => 1,
        };
        Self {
            phase: Phase::Unopened,
            since: 0,
            streams,
            policy: if newest.is_some() { policy.fair() } else { policy },
            newest,
            max_age: rules.max_age,
            offset: rules.offset,
            known: None,
            forwarded: Timestamp::UNSET,
            batch,
            gathered: Vec::new(),
            dropped,
            calls: Calls::new(),
            traced: Traced::default(),
            running: None,
            overlapping: VecDeque::new(),
        }
    }

    /// Takes what a producer sent on one stream.
    pub(crate) fn deliver(
        &mut self,
        input: usize,
        packets: impl Iterator<Item = Packet>,
        bound: Timestamp,
        now: i64,
    ) {
        self.known = None;
        let closed = self.phase == Phase::Closed;
        if let Some(stream) = self.streams.get_mut(input) {
            for packet in packets {
                if closed {
                    self.dropped.add(DropReason::Closed, packet.timestamp());
                } else {
                    stream.push(packet, now);
                }
            }
            stream.move_bound(bound, now);
        }
        if self.newest.is_some() {
            self.keep_newest();
        }
    }

    /// Where a node that isn't at work is: with something to do, or without.
    #[inline]
    pub(crate) fn idle_or_queued(&mut self) -> Phase {
        let readiness = self.readiness();
        self.known = Some(readiness);
        if readiness == Readiness::Wait {
            Phase::Idle
        } else {
            Phase::Queued
        }
    }

    pub(crate) fn readiness(&mut self) -> Readiness {
        match self.policy.offer(&mut self.streams, &mut self.dropped) {
            Offer::Set(at) => Readiness::Process(at),
            // What the calls that go on will send comes before that.
            Offer::Done | Offer::Wait(_) if !self.overlapping.is_empty() => Readiness::Wait,
            Offer::Done => Readiness::Close,
            Offer::Wait(bound) => {
                // Outputs learn of a batch when its sets were processed, not before.
                let bound = self.gathered.first().map_or(bound, |first| first.at);
                if self.offset.is_some() && bound.is_range_value() && bound > self.forwarded {
                    Readiness::Forward(bound)
                } else {
                    Readiness::Wait
                }
            }
        }
    }

    /// Moves the set of time `at` to `set`, which has one place per stream.
    pub(crate) fn take_set(&mut self, at: Timestamp, set: &mut [Packet]) {
        self.policy.take(at, &mut self.streams, set, &mut self.dropped);
        if let Some(newest) = &mut self.newest {
            newest.served(set);
        }
        self.forwarded = self.forwarded.max(at.next_allowed_in_stream());
    }

    /// The node begins with the set of this time, maybe besides others.
    pub(crate) fn began(&mut self, at: Timestamp, overlaps: bool) {
        if overlaps {
            self.overlapping.push_back(at);
        }
        self.running = Some(self.overlapping.front().copied().unwrap_or(at));
    }

    /// The node is done with the first of the sets it began with.
    pub(crate) fn ended(&mut self) {
        if self.overlapping.pop_front().is_some() {
            self.known = None;
        }
        self.running = self.overlapping.front().copied();
    }

    /// Whether a call goes on.
    pub(crate) fn is_at_work(&self) -> bool {
        self.phase == Phase::Running || self.running.is_some()
    }

    /// Whether the set of this time hasn't been begun with.
    pub(crate) fn is_to_come(&self, at: Timestamp) -> bool {
        at >= self.forwarded
    }

    /// Whether sets are gathered before the node is called.
    pub(crate) fn gathers(&self) -> bool {
        self.batch > 1
    }

    /// Puts the set of time `at` to those that wait for a full batch; gives the batch when it is complete.
    pub(crate) fn gather(&mut self, at: Timestamp) -> Option<Vec<Gathered>> {
        let mut set = vec![Packet::empty(at); self.streams.len()];
        self.take_set(at, &mut set);
        self.gathered.push(Gathered { at, set });
        (self.gathered.len() >= self.batch).then(|| std::mem::take(&mut self.gathered))
    }

    /// What is left of a batch when no further set comes.
    pub(crate) fn take_gathered(&mut self) -> Vec<Gathered> {
        std::mem::take(&mut self.gathered)
    }

    /// Drops the sets that are older than the node allows, and says what it can do then.
    pub(crate) fn settle(&mut self, now: i64, max_age: Option<i64>) -> Readiness {
        self.choose_newest();
        let max_age = self.max_age.into_iter().chain(max_age).min();
        loop {
            let readiness = self.known.take().unwrap_or_else(|| self.readiness());
            let (Readiness::Process(at), Some(max_age)) = (readiness, max_age) else {
                return readiness;
            };
            let too_old =
                at.is_range_value() && now.saturating_sub(at.micros().saturating_mul(1_000)) > max_age;
            if !too_old || !self.drop_before(at.next_allowed_in_stream(), DropReason::Age) {
                return readiness;
            }
        }
    }

    /// Streams that became full or have room again since the last call, as bits by input.
    #[inline]
    pub(crate) fn crossings(&mut self) -> Crossings {
        let settled = |stream: &Stream| stream.full == stream.is_at_limit();
        if self.phase != Phase::Closed && self.streams.iter().all(settled) {
            return Crossings::default();
        }
        self.find_crossings()
    }

    fn find_crossings(&mut self) -> Crossings {
        let mut crossings = Crossings::default();
        for (input, stream) in self.streams.iter_mut().enumerate() {
            let full = stream.is_at_limit() && self.phase != Phase::Closed;
            if full != stream.full {
                stream.full = full;
                let bit = 1 << input;
                *(if full {
                    &mut crossings.filled
                } else {
                    &mut crossings.eased
                }) |= bit;
            }
        }
        crossings
    }

    /// Gives full streams room for one packet more; true if there was one.
    pub(crate) fn grow(&mut self) -> bool {
        let mut grown = false;
        for stream in self.streams.iter_mut().filter(|stream| stream.full) {
            stream.make_room();
            grown = true;
        }
        grown
    }

    /// The first full input.
    pub(crate) fn full_input(&self) -> Option<usize> {
        self.streams.iter().position(|stream| stream.full)
    }

    /// Lets go of everything: the node is closed.
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Closed;
        for stream in &mut self.streams {
            stream.clear(&mut self.dropped);
        }
    }

    pub(crate) fn forward_done(&mut self, bound: Timestamp) {
        self.forwarded = self.forwarded.max(bound);
    }

    pub(crate) fn queued(&self) -> u64 {
        self.streams.iter().map(|stream| stream.len() as u64).sum()
    }

    /// The time of the oldest packet that waits.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        let heads = self.streams.iter().filter_map(Stream::head);
        heads.map(Packet::timestamp).min()
    }

    /// The input that keeps waiting packets from being processed.
    pub(crate) fn awaited_input(&self) -> Option<usize> {
        self.policy.awaited(&self.streams)
    }

    /// On arrival: what another packet of the same input has overtaken for good.
    fn keep_newest(&mut self) {
        let Some(newest) = &self.newest else { return };
        match self.policy {
            Policy::Immediate(_) => {
                for stream in &mut self.streams {
                    stream.erase_all_but_newest(&mut self.dropped);
                }
            }
            Policy::Barrier | Policy::Mux => {}
            _ => newest.keep_each(&mut self.streams, &mut self.dropped),
        }
    }

    /// When the node could start: which of the complete sets it shall be.
    fn choose_newest(&mut self) {
        let Some(newest) = &self.newest else { return };
        if matches!(self.policy, Policy::Immediate(_) | Policy::Barrier | Policy::Mux) {
            return;
        }
        if let Some(at) = newest.choose(&self.streams) {
            self.drop_before(at, DropReason::Late);
        }
    }

    /// True if there were some.
    fn drop_before(&mut self, limit: Timestamp, reason: DropReason) -> bool {
        self.known = None;
        self.policy.forget_offer();
        let mut erased = false;
        for stream in &mut self.streams {
            erased |= stream.erase_before(limit, reason, &mut self.dropped);
        }
        erased
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, PixelFormat};

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn inbox(inputs: usize, change: impl Fn(&mut Rules)) -> Inbox {
        let mut rules = Rules {
            policy: PlannedPolicy::Default { batch: 1 },
            freshness: Freshness::All,
            max_age: None,
            offset: None,
            process_bounds: false,
            origins: vec![0; inputs],
        };
        change(&mut rules);
        let limit = Limit {
            packets: 100,
            bytes: usize::MAX,
        };
        Inbox::new((0..inputs).map(|_| limit), &rules, Dropped::default())
    }

    fn put(inbox: &mut Inbox, input: usize, micros: i64) {
        inbox.deliver(
            input,
            std::iter::once(Packet::new(micros, at(micros))),
            at(micros + 1),
            0,
        );
    }

    fn take(inbox: &mut Inbox) -> Option<Vec<i64>> {
        let Readiness::Process(time) = inbox.readiness() else {
            return None;
        };
        let mut set = vec![Packet::empty(time); inbox.streams.len()];
        inbox.take_set(time, &mut set);
        Some(
            set.iter()
                .map(|packet| packet.get::<i64>().copied().unwrap_or(-1))
                .collect(),
        )
    }

    #[test]
    fn a_set_waits_until_no_input_can_bring_more_for_it() {
        let mut inbox = inbox(2, |_| {});
        put(&mut inbox, 0, 1);
        assert_eq!(take(&mut inbox), None);
        put(&mut inbox, 1, 2);
        assert_eq!(take(&mut inbox), Some(vec![1, -1]));
        put(&mut inbox, 0, 2);
        assert_eq!(take(&mut inbox), Some(vec![2, 2]));
        assert_eq!(take(&mut inbox), None);
    }

    #[test]
    fn a_bound_settles_like_a_packet() {
        let mut inbox = inbox(2, |_| {});
        put(&mut inbox, 0, 1);
        inbox.deliver(1, std::iter::empty(), at(2), 0);
        assert_eq!(take(&mut inbox), Some(vec![1, -1]));
    }

    #[test]
    fn immediate_takes_what_is_there() {
        let mut inbox = inbox(2, |rules| rules.policy = PlannedPolicy::Immediate);
        put(&mut inbox, 0, 5);
        assert_eq!(take(&mut inbox), Some(vec![5, -1]));
        put(&mut inbox, 1, 2);
        assert_eq!(take(&mut inbox), Some(vec![-1, 2]));
    }

    #[test]
    fn closes_when_all_inputs_are_done_and_used_up() {
        let mut inbox = inbox(2, |_| {});
        put(&mut inbox, 0, 1);
        for input in 0..2 {
            inbox.deliver(input, std::iter::empty(), Timestamp::DONE, 0);
        }
        assert_eq!(take(&mut inbox), Some(vec![1, -1]));
        assert_eq!(inbox.readiness(), Readiness::Close);
    }

    #[test]
    fn newest_overtakes_what_waits() {
        let mut inbox = inbox(1, |rules| rules.freshness = Freshness::Newest);
        for micros in [1, 2, 3] {
            put(&mut inbox, 0, micros);
        }
        assert_eq!(take(&mut inbox), Some(vec![3]));
        assert_eq!(inbox.dropped.figures().late, 2);
    }

    #[test]
    fn newest_of_a_join_never_breaks_a_set() {
        let mut inbox = inbox(2, |rules| rules.freshness = Freshness::Newest);
        for micros in [1, 2, 3] {
            put(&mut inbox, 0, micros);
        }
        assert_eq!(inbox.queued(), 3);
        put(&mut inbox, 1, 2);
        assert_eq!(take(&mut inbox), Some(vec![2, 2]));
        assert_eq!(inbox.queued(), 1);
    }

    #[test]
    fn too_old_is_dropped_when_the_node_would_start() {
        let mut inbox = inbox(1, |rules| rules.max_age = Some(10_000));
        for micros in [0, 5, 20] {
            put(&mut inbox, 0, micros);
        }
        assert_eq!(inbox.settle(15_001, None), Readiness::Process(at(20)));
        assert_eq!(inbox.dropped.figures().age, 2);
    }

    #[test]
    fn crossings_are_told_once() {
        let mut inbox = inbox(1, |_| {});
        inbox.streams[0].limit.packets = 2;
        put(&mut inbox, 0, 1);
        assert_eq!(inbox.crossings(), Crossings::default());
        put(&mut inbox, 0, 2);
        assert_eq!(inbox.crossings(), Crossings { filled: 1, eased: 0 });
        assert_eq!(inbox.crossings(), Crossings::default());
        take(&mut inbox);
        assert_eq!(inbox.crossings(), Crossings { filled: 0, eased: 1 });
    }

    #[test]
    fn a_stream_is_full_by_what_its_packets_take() {
        let frame = |side: usize, micros| {
            let frame = Frame::new(side, side, PixelFormat::Gray, vec![0; side * side]).unwrap();
            Packet::new(frame, at(micros))
        };
        let mut inbox = inbox(1, |_| {});
        inbox.streams[0].limit.bytes = 200;
        let mut is_full_after = |side, micros| {
            inbox.deliver(0, std::iter::once(frame(side, micros)), at(micros + 1), 0);
            inbox.crossings();
            inbox.streams[0].is_full()
        };
        assert!(!is_full_after(100, 1), "one packet always fits");
        assert!(is_full_after(1, 2), "the first is the larger one");
        inbox.grow();
        inbox.crossings();
        assert!(!inbox.streams[0].is_full());
        take(&mut inbox);
        inbox.streams[0].limit.bytes = 200;
        assert_eq!(inbox.crossings(), Crossings::default());
        put(&mut inbox, 0, 3);
        assert_eq!(inbox.crossings(), Crossings::default(), "two small ones");
    }

    #[test]
    fn bounds_pass_with_an_offset_and_once() {
        let mut inbox = inbox(1, |rules| rules.offset = Some(0));
        inbox.deliver(0, std::iter::empty(), at(7), 0);
        assert_eq!(inbox.readiness(), Readiness::Forward(at(7)));
        inbox.forward_done(at(7));
        assert_eq!(inbox.readiness(), Readiness::Wait);
    }

    #[test]
    fn bounds_alone_call_process_where_asked_for() {
        let mut inbox = inbox(1, |rules| rules.process_bounds = true);
        inbox.deliver(0, std::iter::empty(), at(7), 0);
        assert_eq!(take(&mut inbox), Some(vec![-1]));
        assert_eq!(inbox.readiness(), Readiness::Wait);
    }
}
