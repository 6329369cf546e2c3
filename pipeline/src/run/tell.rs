//! What a run tells its trace: calls, drops and waiting packets, at times that the step knows anyway.

use crate::packet::Packet;
use crate::run::context::Io;
use crate::run::engine::Engine;
use crate::run::inbox::Inbox;
use crate::stats::DropReason;
use crate::timestamp::Timestamp;
use crate::trace::Tracing;

impl Engine {
    #[inline]
    pub(crate) fn trace_call(&self, index: usize, io: &Io, source: bool, (start, end): (i64, i64)) {
        if let Some(tracing) = &self.tracing {
            tracing.call(
                index,
                if source { first_sent(io) } else { io.timestamp },
                start,
                end,
            );
        }
    }

    /// Packets dropped at the node since this was last asked.
    #[inline]
    pub(crate) fn tell_drops(&self, index: usize, inbox: &mut Inbox, now: i64) {
        if self.tells() {
            self.tell_drops_to(index, inbox, now);
        }
    }

    /// Whether somebody traces or observes.
    #[inline]
    fn tells(&self) -> bool {
        self.tracing.is_some() || self.observer.is_some()
    }

    fn tell_drops_to(&self, index: usize, inbox: &mut Inbox, now: i64) {
        if let Some(tracing) = &self.tracing {
            trace_drops(tracing, index, inbox, now);
        }
        if inbox.dropped.has_log() {
            self.observe_drops(index, inbox);
        }
    }

    fn observe_drops(&self, index: usize, inbox: &mut Inbox) {
        let node = self.plan.nodes.get(index).map_or("", |node| node.name.as_str());
        for (reason, at) in inbox.dropped.take_log() {
            if let Some(observer) = &self.observer {
                observer.dropped(node, reason, at);
            }
        }
    }

    /// Drops, and how many packets wait where that has changed.
    #[inline]
    pub(crate) fn trace_inbox(&self, index: usize, inbox: &mut Inbox, now: i64) {
        if !self.tells() {
            return;
        }
        self.tell_drops_to(index, inbox, now);
        if let Some(tracing) = &self.tracing {
            let waiting = inbox.queued();
            if waiting != inbox.traced.waiting {
                inbox.traced.waiting = waiting;
                tracing.waiting(index, waiting, now);
            }
        }
    }
}

/// A source's frame is the first that it sends.
fn first_sent(io: &Io) -> Timestamp {
    let mut sent = io.shards.iter().filter_map(|shard| shard.packets.first());
    sent.next().map_or(Timestamp::UNSET, Packet::timestamp)
}

fn trace_drops(tracing: &Tracing, index: usize, inbox: &mut Inbox, now: i64) {
    if *inbox.dropped.counts() == inbox.traced.dropped {
        return;
    }
    for (reason, (dropped, told)) in
        (DropReason::ALL.into_iter()).zip(inbox.dropped.counts().iter().zip(&mut inbox.traced.dropped))
    {
        if dropped > told {
            tracing.drops(index, reason, dropped - *told, now);
            *told = *dropped;
        }
    }
}
