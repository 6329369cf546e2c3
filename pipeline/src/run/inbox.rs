//! A node's input streams: packets, bounds, what can be processed next, and what is dropped at the door.

use std::collections::VecDeque;

use crate::packet::Packet;
use crate::spec::{Freshness, InputPolicy};
use crate::stats::DropReason;
use crate::timestamp::Timestamp;

/// Where a node is in its life. Only the worker that took it out of `Queued` moves it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not opened yet: packets are kept, nothing is scheduled.
    Unopened,
    Idle,
    Queued,
    Running,
    /// A source that waits for this time.
    Timed(i64),
    /// A source that waits until its streams have room.
    Throttled,
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
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) policy: InputPolicy,
    pub(crate) freshness: Freshness,
    pub(crate) max_age: Option<i64>,
    pub(crate) offset: Option<i64>,
    pub(crate) process_bounds: bool,
}

#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) phase: Phase,
    pub(crate) streams: Vec<Stream>,
    rules: Rules,
    /// The time of the last set or settled time.
    processed: Timestamp,
    /// The input bound that the outputs know of already.
    forwarded: Timestamp,
    pub(crate) dropped: [u64; DropReason::ALL.len()],
}

#[derive(Debug)]
pub(crate) struct Stream {
    queue: VecDeque<Packet>,
    bound: Timestamp,
    limit: usize,
    /// Sources are held back on behalf of this stream.
    full: bool,
}

/// Streams whose sources must be held back, or may run again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crossings {
    pub(crate) filled: u64,
    pub(crate) eased: u64,
}

impl Inbox {
    pub(crate) fn new(inputs: usize, limit: usize, rules: Rules) -> Self {
        let stream = || Stream {
            queue: VecDeque::new(),
            bound: Timestamp::PRE_STREAM,
            limit,
            full: false,
        };
        Self {
            phase: Phase::Unopened,
            streams: (0..inputs).map(|_| stream()).collect(),
            rules,
            processed: Timestamp::UNSET,
            forwarded: Timestamp::UNSET,
            dropped: [0; DropReason::ALL.len()],
        }
    }

    /// Takes what a producer sent on one stream.
    pub(crate) fn deliver(&mut self, input: usize, packets: impl Iterator<Item = Packet>, bound: Timestamp) {
        let closed = self.phase == Phase::Closed;
        if let Some(stream) = self.streams.get_mut(input) {
            for packet in packets {
                if closed {
                    self.dropped[DropReason::Closed as usize] += 1;
                } else {
                    stream.queue.push_back(packet);
                }
            }
            stream.bound = bound;
        }
        if self.rules.freshness == Freshness::Newest {
            self.keep_newest();
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        if self.streams.is_empty() {
            return Readiness::Wait;
        }
        let mut head = Timestamp::DONE;
        let mut empty_bound = Timestamp::DONE;
        for stream in &self.streams {
            match stream.queue.front() {
                Some(packet) => head = head.min(packet.timestamp()),
                None => empty_bound = empty_bound.min(stream.bound),
            }
        }
        if head.min(empty_bound) >= Timestamp::ONE_OVER_POST_STREAM {
            return Readiness::Close;
        }
        let settled = match &self.rules.policy {
            InputPolicy::Default(_) => head < empty_bound,
            _ => head != Timestamp::DONE,
        };
        if settled {
            return Readiness::Process(head);
        }
        self.bounds_alone(head.min(empty_bound))
    }

    /// Moves the set of time `at` to `set`, which has one place per stream.
    pub(crate) fn take_set(&mut self, at: Timestamp, set: &mut [Packet]) {
        for (stream, place) in self.streams.iter_mut().zip(set) {
            *place = match stream.queue.front() {
                Some(packet) if packet.timestamp() == at => stream.queue.pop_front(),
                _ => None,
            }
            .unwrap_or(Packet::empty(at));
        }
        self.processed = at;
        self.forwarded = self.forwarded.max(at.next_allowed_in_stream());
    }

    /// Drops the sets that are older than the node allows, and says what it can do then.
    pub(crate) fn settle(&mut self, now: i64) -> Readiness {
        loop {
            let readiness = self.readiness();
            let (Readiness::Process(at), Some(max_age)) = (readiness, self.rules.max_age) else {
                return readiness;
            };
            let too_old =
                at.is_range_value() && now.saturating_sub(at.micros().saturating_mul(1_000)) > max_age;
            if !too_old || self.drop_before(at.next_allowed_in_stream(), DropReason::Age) == 0 {
                return readiness;
            }
        }
    }

    /// Streams that became full or have room again since the last call, as bits by input.
    pub(crate) fn crossings(&mut self) -> Crossings {
        let mut crossings = Crossings::default();
        for (input, stream) in self.streams.iter_mut().enumerate() {
            let full = stream.queue.len() >= stream.limit && self.phase != Phase::Closed;
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
            stream.limit = stream.queue.len() + 1;
            grown = true;
        }
        grown
    }

    /// Lets go of everything: the node is closed.
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Closed;
        for stream in &mut self.streams {
            self.dropped[DropReason::Closed as usize] += stream.queue.len() as u64;
            stream.queue = VecDeque::new();
        }
    }

    pub(crate) fn forward_done(&mut self, bound: Timestamp) {
        self.forwarded = self.forwarded.max(bound);
    }

    pub(crate) fn queued(&self) -> u64 {
        self.streams.iter().map(|stream| stream.queue.len() as u64).sum()
    }

    /// The input that keeps waiting packets from being processed.
    pub(crate) fn awaited_input(&self) -> Option<usize> {
        let empty = self
            .streams
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.queue.is_empty());
        empty
            .min_by_key(|(_, stream)| stream.bound)
            .map(|(input, _)| input)
    }

    fn bounds_alone(&self, bound: Timestamp) -> Readiness {
        let settled = bound.previous_allowed_in_stream();
        if self.rules.process_bounds && settled.is_range_value() && settled > self.processed {
            return Readiness::Process(settled);
        }
        if self.rules.offset.is_some() && bound.is_range_value() && bound > self.forwarded {
            return Readiness::Forward(bound);
        }
        Readiness::Wait
    }

    /// Keeps the newest set that is complete, and what may still become one.
    fn keep_newest(&mut self) {
        match &self.rules.policy {
            InputPolicy::Default(_) => {
                let bound = self
                    .streams
                    .iter()
                    .map(|stream| stream.bound)
                    .min()
                    .unwrap_or(Timestamp::DONE);
                let times = self
                    .streams
                    .iter()
                    .flat_map(|stream| &stream.queue)
                    .map(Packet::timestamp);
                if let Some(newest) = times.filter(|time| *time < bound).max() {
                    self.drop_before(newest, DropReason::Late);
                }
            }
            _ => {
                for stream in &mut self.streams {
                    while stream.queue.len() > 1 {
                        stream.queue.pop_front();
                        self.dropped[DropReason::Late as usize] += 1;
                    }
                }
            }
        }
    }

    fn drop_before(&mut self, limit: Timestamp, reason: DropReason) -> u64 {
        let mut dropped = 0;
        for stream in &mut self.streams {
            while stream
                .queue
                .front()
                .is_some_and(|packet| packet.timestamp() < limit)
            {
                stream.queue.pop_front();
                dropped += 1;
            }
        }
        self.dropped[reason as usize] += dropped;
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::policy::NoSettings;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn inbox(inputs: usize, change: impl Fn(&mut Rules)) -> Inbox {
        let mut rules = Rules {
            policy: InputPolicy::default(),
            freshness: Freshness::All,
            max_age: None,
            offset: None,
            process_bounds: false,
        };
        change(&mut rules);
        Inbox::new(inputs, 100, rules)
    }

    fn put(inbox: &mut Inbox, input: usize, micros: i64) {
        inbox.deliver(
            input,
            std::iter::once(Packet::new(micros, at(micros))),
            at(micros + 1),
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
        inbox.deliver(1, std::iter::empty(), at(2));
        assert_eq!(take(&mut inbox), Some(vec![1, -1]));
    }

    #[test]
    fn immediate_takes_what_is_there() {
        let mut inbox = inbox(2, |rules| rules.policy = InputPolicy::Immediate(NoSettings {}));
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
            inbox.deliver(input, std::iter::empty(), Timestamp::DONE);
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
        assert_eq!(inbox.dropped[DropReason::Late as usize], 2);
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
        assert_eq!(inbox.settle(15_001), Readiness::Process(at(20)));
        assert_eq!(inbox.dropped[DropReason::Age as usize], 2);
    }

    #[test]
    fn crossings_are_told_once() {
        let mut inbox = inbox(1, |_| {});
        inbox.streams[0].limit = 2;
        put(&mut inbox, 0, 1);
        assert_eq!(inbox.crossings(), Crossings::default());
        put(&mut inbox, 0, 2);
        assert_eq!(inbox.crossings(), Crossings { filled: 1, eased: 0 });
        assert_eq!(inbox.crossings(), Crossings::default());
        take(&mut inbox);
        assert_eq!(inbox.crossings(), Crossings { filled: 0, eased: 1 });
    }

    #[test]
    fn bounds_pass_with_an_offset_and_once() {
        let mut inbox = inbox(1, |rules| rules.offset = Some(0));
        inbox.deliver(0, std::iter::empty(), at(7));
        assert_eq!(inbox.readiness(), Readiness::Forward(at(7)));
        inbox.forward_done(at(7));
        assert_eq!(inbox.readiness(), Readiness::Wait);
    }

    #[test]
    fn bounds_alone_call_process_where_asked_for() {
        let mut inbox = inbox(1, |rules| rules.process_bounds = true);
        inbox.deliver(0, std::iter::empty(), at(7));
        assert_eq!(take(&mut inbox), Some(vec![-1]));
        assert_eq!(inbox.processed, at(6));
        assert_eq!(inbox.readiness(), Readiness::Wait);
    }
}
