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
    pub(crate) fn trace_drops(&self, index: usize, inbox: &mut Inbox, now: i64) {
        if let Some(tracing) = &self.tracing {
            tell_drops(tracing, index, inbox, now);
        }
    }

    /// Drops, and how many packets wait where that has changed.
    #[inline]
    pub(crate) fn trace_inbox(&self, index: usize, inbox: &mut Inbox, now: i64) {
        if let Some(tracing) = &self.tracing {
            tell_drops(tracing, index, inbox, now);
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

fn tell_drops(tracing: &Tracing, index: usize, inbox: &mut Inbox, now: i64) {
    if inbox.dropped == inbox.traced.dropped {
        return;
    }
    for (reason, (dropped, told)) in
        (DropReason::ALL.into_iter()).zip(inbox.dropped.iter().zip(&mut inbox.traced.dropped))
    {
        if dropped > told {
            tracing.drops(index, reason, dropped - *told, now);
            *told = *dropped;
        }
    }
}
