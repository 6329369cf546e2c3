//! One output of a node while it is called: what it sends is kept here and delivered when the call returns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::packet::{Packet, Payload};
use crate::stats::DropReason;
use crate::timestamp::Timestamp;

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) packets: Vec<Packet>,
    /// The earliest time the next packet may have.
    bound: Timestamp,
    /// The bound that consumers know of.
    announced: Timestamp,
    sent_any: bool,
    /// Packets delivered so far. Only whoever holds the shard adds to it.
    carried: Arc<AtomicU64>,
    /// What Open said of the whole stream.
    pub(crate) header: Option<Payload>,
}

impl Shard {
    pub(crate) fn new() -> Self {
        Self {
            packets: Vec::new(),
            bound: Timestamp::PRE_STREAM,
            announced: Timestamp::PRE_STREAM,
            sent_any: false,
            carried: Arc::default(),
            header: None,
        }
    }

    pub(crate) fn bound(&self) -> Timestamp {
        self.bound
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.bound == Timestamp::DONE
    }

    /// Takes a packet, or says why it is dropped: a packet that comes too late must not end the run.
    pub(crate) fn send(&mut self, packet: Packet) -> Result<(), DropReason> {
        if self.is_closed() {
            return Err(DropReason::Closed);
        }
        let timestamp = packet.timestamp();
        let whole_stream_after_others = timestamp == Timestamp::POST_STREAM && self.sent_any;
        if timestamp < self.bound || !timestamp.is_allowed_in_stream() || whole_stream_after_others {
            return Err(DropReason::Late);
        }
        self.bound = timestamp.next_allowed_in_stream();
        if !packet.is_empty() {
            self.sent_any = true;
            self.packets.push(packet);
        }
        Ok(())
    }

    /// Raises the bound; a lower one says nothing new.
    pub(crate) fn raise(&mut self, bound: Timestamp) {
        self.bound = self.bound.max(bound);
    }

    /// Goes on with a stream whose readers were promised this bound: what Open sent for earlier times is let go of.
    /// How many those are.
    pub(crate) fn go_on_at(&mut self, bound: Timestamp) -> u64 {
        let before = self.packets.len();
        self.packets.retain(|packet| packet.timestamp() >= bound);
        self.raise(bound);
        (before - self.packets.len()) as u64
    }

    pub(crate) fn close(&mut self) {
        self.bound = Timestamp::DONE;
    }

    /// Whether consumers have something to learn.
    pub(crate) fn has_news(&self) -> bool {
        !self.packets.is_empty() || self.bound > self.announced
    }

    /// The count of the packets delivered, for reading while the node runs.
    pub(crate) fn carried(&self) -> &Arc<AtomicU64> {
        &self.carried
    }

    /// Counts there from now on, from this number.
    pub(crate) fn count_on(&mut self, counter: &Arc<AtomicU64>, carried: u64) {
        counter.store(carried, Ordering::Relaxed);
        self.carried = Arc::clone(counter);
    }

    /// What is in the shard is delivered; gives the bound that goes with it.
    pub(crate) fn announce(&mut self) -> Timestamp {
        let carried = self.carried.load(Ordering::Relaxed) + self.packets.len() as u64;
        self.carried.store(carried, Ordering::Relaxed);
        self.announced = self.bound;
        self.bound
    }

    pub(crate) fn discard(&mut self) {
        self.packets.clear();
    }
}

/// The bound an output has after Process at `input`, when its offset is declared.
pub(crate) fn offset_bound(input: Timestamp, offset: i64) -> Timestamp {
    match input {
        Timestamp::PRE_STREAM => Timestamp::MIN,
        Timestamp::POST_STREAM => Timestamp::ONE_OVER_POST_STREAM,
        Timestamp::MAX if offset >= 0 => Timestamp::POST_STREAM,
        _ => input
            .shifted(offset)
            .map_or(Timestamp::PRE_STREAM, Timestamp::next_allowed_in_stream),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    fn send(shard: &mut Shard, timestamp: Timestamp) -> Result<(), DropReason> {
        shard.send(Packet::new(0_i64, timestamp))
    }

    #[test]
    fn nothing_follows_a_pre_stream_packet() {
        let mut shard = Shard::new();
        assert_eq!(send(&mut shard, Timestamp::PRE_STREAM), Ok(()));
        assert_eq!(send(&mut shard, at(10)), Err(DropReason::Late));
        assert_eq!(shard.bound(), Timestamp::ONE_OVER_POST_STREAM);
    }

    #[test]
    fn a_post_stream_packet_is_alone() {
        let mut shard = Shard::new();
        assert_eq!(send(&mut shard, at(10)), Ok(()));
        assert_eq!(send(&mut shard, Timestamp::POST_STREAM), Err(DropReason::Late));
        let mut shard = Shard::new();
        assert_eq!(send(&mut shard, Timestamp::POST_STREAM), Ok(()));
    }

    #[test]
    fn backward_unset_and_closed_are_drops() {
        let mut shard = Shard::new();
        for refused in [
            Timestamp::UNSET,
            Timestamp::UNSTARTED,
            Timestamp::ONE_OVER_POST_STREAM,
            Timestamp::DONE,
        ] {
            assert_eq!(send(&mut shard, refused), Err(DropReason::Late), "{refused}");
        }
        assert_eq!(send(&mut shard, at(5)), Ok(()));
        assert_eq!(send(&mut shard, at(5)), Err(DropReason::Late));
        shard.close();
        assert_eq!(send(&mut shard, at(6)), Err(DropReason::Closed));
    }

    #[test]
    fn an_empty_packet_is_a_bound() {
        let mut shard = Shard::new();
        shard.send(Packet::empty(at(10))).unwrap();
        assert_eq!((shard.packets.len(), shard.bound()), (0, at(11)));
    }

    #[test]
    fn offsets() {
        assert_eq!(offset_bound(at(0), -10), at(-9));
        assert_eq!(
            offset_bound(Timestamp::MAX, -10).micros(),
            Timestamp::MAX.micros() - 9
        );
        assert_eq!(offset_bound(Timestamp::MAX, 0), Timestamp::POST_STREAM);
        assert_eq!(offset_bound(Timestamp::PRE_STREAM, 0), Timestamp::MIN);
    }
}
