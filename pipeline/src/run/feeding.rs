//! What comes from outside: packets and bounds for the graph's input streams.

use std::sync::Arc;

use crate::packet::Packet;
use crate::run::engine::Engine;
use crate::run::{FeedError, RunError, RunningGraph};
use crate::sync::lock;
use crate::timestamp::Timestamp;

impl RunningGraph {
    /// Gives a packet to an input stream; waits while the stream is full.
    pub fn feed(&self, stream: &str, packet: Packet) -> Result<(), FeedError> {
        let mut packet = Some(packet);
        loop {
            // Apart from the graph's own lock: a reload doesn't wait for room.
            let engine = Arc::clone(&self.engine());
            let index = feed_index(&engine, stream)?;
            let throttle = engine.plan.sources + index;
            if let Some(feed) = engine.feeds.get(index) {
                let pool = &engine.services.pool;
                let full = |held_since: &mut Option<i64>| {
                    let full = engine.is_throttled(throttle) && !pool.is_halted();
                    *held_since = full.then(|| held_since.unwrap_or_else(|| pool.clock().nanos()));
                    full
                };
                drop(feed.room.wait_while(lock(&feed.door), full));
            }
            match self.offer(stream, &mut packet) {
                Err(FeedError::Full(_)) => {}
                fed => return fed,
            }
        }
    }

    /// Gives a packet to an input stream, if it has room.
    pub fn try_feed(&self, stream: &str, packet: Packet) -> Result<(), FeedError> {
        self.offer(stream, &mut Some(packet))
    }

    /// Takes the packet where it can be fed.
    fn offer(&self, stream: &str, packet: &mut Option<Packet>) -> Result<(), FeedError> {
        let engine = self.engine();
        let index = feed_index(&engine, stream)?;
        if engine.services.pool.is_halted() {
            return Err(FeedError::Over);
        }
        if engine.is_throttled(engine.plan.sources + index) {
            return Err(FeedError::Full(stream.to_owned()));
        }
        let timestamp = packet.as_ref().map_or(Timestamp::DONE, Packet::timestamp);
        let feed = engine.feeds.get(index);
        let bound = feed.map_or(Timestamp::DONE, |feed| lock(&feed.shard).bound());
        if bound == Timestamp::DONE {
            return Err(FeedError::Closed(stream.to_owned()));
        }
        if timestamp < bound || !timestamp.is_allowed_in_stream() {
            if engine.plan.late_is_error {
                let stream = stream.to_owned();
                engine.fail(RunError::LateInput {
                    stream,
                    timestamp,
                    bound,
                });
            }
            return Err(FeedError::Late {
                stream: stream.to_owned(),
                timestamp,
                bound,
            });
        }
        engine.feed(index, packet.take(), Timestamp::PRE_STREAM);
        Ok(())
    }

    /// Promises that nothing before `bound` comes on an input stream any more.
    pub fn feed_bound(&self, stream: &str, bound: Timestamp) -> Result<(), FeedError> {
        let engine = self.engine();
        engine.feed(feed_index(&engine, stream)?, None, bound);
        if bound == Timestamp::DONE {
            engine.look_for_the_end();
        }
        Ok(())
    }

    pub fn close_input(&self, stream: &str) -> Result<(), FeedError> {
        self.feed_bound(stream, Timestamp::DONE)
    }

    /// Closes them one after the other, by name.
    pub fn close_all_inputs(&self) {
        let engine = self.engine();
        let inputs = engine.plan.inputs.iter().enumerate();
        let mut by_name: Vec<(&str, usize)> = inputs
            .map(|(index, input)| (input.stream.as_str(), index))
            .collect();
        by_name.sort_unstable();
        for (_, index) in by_name {
            engine.feed(index, None, Timestamp::DONE);
        }
        engine.look_for_the_end();
    }
}

fn feed_index(engine: &Engine, stream: &str) -> Result<usize, FeedError> {
    let mut inputs = engine.plan.inputs.iter();
    let found = inputs.position(|input| input.stream == stream);
    found.ok_or_else(|| FeedError::Unknown(stream.to_owned()))
}
