//! One input stream as its reader sees it: waiting packets, and the time before which nothing more can come.

use crate::packet::{Packet, Payload};
use crate::run::drops::Dropped;
use crate::run::inbox::waiting::Waiting;
use crate::stats::DropReason;
use crate::timestamp::Timestamp;
use crate::validate::plan::Limit;

#[derive(Debug)]
pub(crate) struct Stream {
    queue: Waiting,
    pub(super) bound: Timestamp,
    pub(super) limit: Limit,
    /// Sources are held back on behalf of this stream.
    pub(super) full: bool,
    /// Times it was given room because everything waited for it.
    grown: u64,
    /// When its bound last moved, in nanoseconds.
    moved: i64,
    /// When the first of the packets that wait came, in nanoseconds.
    filled: i64,
}

impl Stream {
    pub(super) fn new(limit: Limit) -> Self {
        Self {
            queue: Waiting::default(),
            bound: Timestamp::PRE_STREAM,
            limit,
            full: false,
            grown: 0,
            moved: 0,
            filled: 0,
        }
    }

    pub(super) fn push(&mut self, packet: Packet, now: i64) {
        if self.queue.is_empty() {
            self.filled = now;
        }
        self.queue.push_back(packet);
    }

    pub(super) fn move_bound(&mut self, bound: Timestamp, now: i64) {
        self.bound = bound;
        self.moved = now;
    }

    pub(crate) fn moved(&self) -> i64 {
        self.moved
    }

    pub(crate) fn filled(&self) -> i64 {
        self.filled
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn grown(&self) -> u64 {
        self.grown
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether its sources shall be held back.
    #[inline]
    pub(super) fn is_at_limit(&self) -> bool {
        let len = self.queue.len();
        len >= self.limit.packets || len > 1 && self.bytes() >= self.limit.bytes
    }

    /// Memory of what waits, all of it taken to be as large as the larger of the first and the last.
    fn bytes(&self) -> usize {
        let ends = self.queue.front().into_iter().chain(self.queue.nth_newest(0));
        let largest = ends.filter_map(Packet::payload).map(Payload::bytes).max();
        self.queue.len().saturating_mul(largest.unwrap_or(0))
    }

    /// Room for one packet more, however large.
    pub(super) fn make_room(&mut self) {
        self.limit = Limit {
            packets: self.limit.packets.max(self.queue.len() + 1),
            bytes: self.limit.bytes.max(self.bytes() + 1),
        };
        self.grown += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn head(&self) -> Option<&Packet> {
        self.queue.front()
    }

    /// The time of the next packet, else the earliest that one could have.
    pub(crate) fn next(&self) -> Timestamp {
        self.queue.front().map_or(self.bound, Packet::timestamp)
    }

    /// Used up, and nothing more comes.
    pub(crate) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.bound >= Timestamp::ONE_OVER_POST_STREAM
    }

    pub(crate) fn bound(&self) -> Timestamp {
        self.bound
    }

    pub(crate) fn times(&self) -> impl DoubleEndedIterator<Item = Timestamp> {
        self.queue.iter().map(Packet::timestamp)
    }

    pub(crate) fn pop(&mut self) -> Option<Packet> {
        self.queue.pop_front()
    }

    /// The packet at this time; without one an empty packet that tells how far the stream is settled.
    pub(crate) fn pop_at(&mut self, at: Timestamp) -> Packet {
        let is_there = self.queue.front().is_some_and(|packet| packet.timestamp() == at);
        let packet = if is_there { self.queue.pop_front() } else { None };
        packet.unwrap_or_else(|| self.settled())
    }

    /// An empty packet at the newest time that can't bring a packet any more.
    pub(crate) fn settled(&self) -> Packet {
        Packet::empty(self.next().previous_allowed_in_stream())
    }

    /// Lets go of all packets before `limit`; true if there were some.
    pub(crate) fn erase_before(
        &mut self,
        limit: Timestamp,
        reason: DropReason,
        dropped: &mut Dropped,
    ) -> bool {
        let mut erased = false;
        while let Some(at) = self.queue.front().map(Packet::timestamp).filter(|at| *at < limit) {
            self.queue.pop_front();
            dropped.add(reason, at);
            erased = true;
        }
        erased
    }

    /// Lets go of all but the newest packet.
    pub(super) fn erase_all_but_newest(&mut self, dropped: &mut Dropped) {
        for packet in self.queue.shrink_to(1) {
            dropped.add(DropReason::Late, packet.timestamp());
        }
    }

    pub(super) fn push_front(&mut self, packet: Packet) {
        self.queue.push_front(packet);
    }

    /// Goes on with another writer, who sends nothing before `bound`: what waits and isn't before that can't stay.
    /// How many packets that is.
    pub(crate) fn go_on_at(&mut self, bound: Timestamp, dropped: &mut Dropped) -> u64 {
        let kept = self
            .queue
            .iter()
            .take_while(|packet| packet.timestamp() < bound)
            .count();
        let surplus = self.queue.len() - kept;
        for packet in self.queue.split_off(kept) {
            dropped.add(DropReason::Closed, packet.timestamp());
        }
        self.bound = bound;
        surplus as u64
    }

    pub(super) fn clear(&mut self, dropped: &mut Dropped) {
        for packet in std::mem::take(&mut self.queue).shrink_to(0) {
            dropped.add(DropReason::Closed, packet.timestamp());
        }
    }

    /// The time of the `count`-th newest packet, or of the oldest where there are fewer.
    pub(crate) fn nth_newest(&self, count: usize) -> Option<Timestamp> {
        let place = count.clamp(1, self.queue.len().max(1)) - 1;
        self.queue.nth_newest(place).map(Packet::timestamp)
    }
}
