//! Packets between nodes: delivery to every reader, and holding sources back while a stream is full.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use crate::packet::Packet;
use crate::run::Observed;
use crate::run::cell::{Body, Cell};
use crate::run::engine::{Engine, Woken};
use crate::run::inbox::{Crossings, Phase};
use crate::run::shard::Shard;
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::validate::plan::{Outlet, PlannedNode};

/// Packets that a stream has carried, for reading while its writer runs. Only its writer adds.
#[derive(Debug, Default)]
pub(crate) struct Carried(AtomicU64);

impl Carried {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, packets: u64) {
        self.0.store(self.get() + packets, Ordering::Relaxed);
    }
}

/// A stream that is fed from outside.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) shard: Mutex<Shard>,
    pub(crate) carried: Carried,
    /// Whoever waits for room waits here, without the stream's lock; holds the time since when somebody does.
    pub(crate) door: Mutex<Option<i64>>,
    pub(crate) room: Condvar,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self {
            shard: Mutex::new(Shard::new()),
            carried: Carried::default(),
            door: Mutex::new(None),
            room: Condvar::new(),
        }
    }

    pub(crate) fn open_door(&self) {
        drop(lock(&self.door));
        self.room.notify_all();
    }
}

impl Engine {
    pub(crate) fn deliver_all(
        &self,
        cell: &Cell,
        planned: &PlannedNode,
        body: &mut Body,
        now: i64,
        woken: &mut Woken,
    ) {
        let outputs = body.io.shards.iter_mut().zip(&planned.outlets).zip(&cell.carried);
        for ((shard, outlet), carried) in outputs {
            if shard.has_news() {
                let sent = !shard.packets.is_empty();
                let taken = self.deliver(shard, outlet, carried, now, woken);
                body.delivered |= sent && taken;
            }
        }
    }

    /// True if a reader is open.
    fn deliver(
        &self,
        shard: &mut Shard,
        outlet: &Outlet,
        carried: &Carried,
        now: i64,
        woken: &mut Woken,
    ) -> bool {
        let bound = shard.announce();
        carried.add(shard.packets.len() as u64);
        if let Some(output) = outlet.observed {
            self.show(output, shard, bound);
        }
        let Some(((last_node, last_input), others)) = outlet.readers.split_last() else {
            shard.discard();
            return false;
        };
        let mut taken = false;
        for (node, input) in others {
            taken |= self.hand_over((*node, *input), shard.packets.iter().cloned(), bound, now, woken);
        }
        // The last reader gets the packets themselves, so that a lone reader may be a packet's only holder.
        let last = (*last_node, *last_input);
        taken | self.hand_over(last, shard.packets.drain(..), bound, now, woken)
    }

    /// Shows the observer what is about to be delivered on one of the graph's outputs.
    #[cold]
    fn show(&self, output: usize, shard: &Shard, bound: Timestamp) {
        // A call that was given up may still end.
        let (Some(observer), true) = (&self.observer, self.in_force.load(Ordering::Relaxed)) else {
            return;
        };
        let stream = self.plan.outputs.get(output).map_or("", String::as_str);
        for packet in &shard.packets {
            observer.seen(stream, Observed::Packet(packet));
        }
        observer.seen(
            stream,
            if bound == Timestamp::DONE {
                Observed::Closed
            } else {
                Observed::Bound(bound)
            },
        );
    }

    /// True if the reader is open.
    fn hand_over(
        &self,
        (node, input): (usize, usize),
        packets: impl Iterator<Item = Packet>,
        bound: Timestamp,
        now: i64,
        woken: &mut Woken,
    ) -> bool {
        let (Some(cell), Some(planned)) = (self.cells.get(node), self.plan.nodes.get(node)) else {
            return false;
        };
        let mut inbox = lock(&cell.inbox);
        inbox.deliver(input, packets, bound, now);
        if inbox.phase == Phase::Idle {
            inbox.phase = inbox.idle_or_queued();
            if inbox.phase == Phase::Queued {
                woken.push(node);
            }
        }
        // After the policy has looked: it may have cut a full queue down.
        let crossings = inbox.crossings();
        self.tell_drops(node, &mut inbox, now);
        let open = inbox.phase != Phase::Closed;
        drop(inbox);
        self.apply(planned, crossings, woken);
        open
    }

    #[inline]
    pub(crate) fn apply(&self, planned: &PlannedNode, crossings: Crossings, woken: &mut Woken) {
        if crossings != Crossings::default() {
            self.throttle(planned, crossings, woken);
        }
    }

    fn throttle(&self, planned: &PlannedNode, crossings: Crossings, woken: &mut Woken) {
        for (input, ancestors) in planned.ancestors.iter().enumerate() {
            let bit = 1 << input;
            for ancestor in ancestors {
                let Some(count) = self.throttles.get(*ancestor) else {
                    continue;
                };
                if crossings.filled & bit != 0 {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                if crossings.eased & bit != 0 && count.fetch_sub(1, Ordering::SeqCst) == 1 {
                    self.release(*ancestor, woken);
                }
            }
        }
    }

    /// Lets a source or a graph input run that was held back.
    fn release(&self, ancestor: usize, woken: &mut Woken) {
        if let Some(feed) = ancestor.checked_sub(self.plan.sources) {
            if let Some(feed) = self.feeds.get(feed) {
                feed.open_door();
            }
        } else if let Some(cell) = self.cells.get(ancestor) {
            let mut inbox = lock(&cell.inbox);
            if inbox.phase == Phase::Throttled {
                inbox.phase = Phase::Queued;
                woken.push(ancestor);
            }
        }
    }

    /// Delivers from outside. The packet was checked by the caller's use of the shard.
    pub(crate) fn feed(&self, index: usize, packet: Option<Packet>, bound: Timestamp) {
        let (Some(feed), Some(input)) = (self.feeds.get(index), self.plan.inputs.get(index)) else {
            return;
        };
        let mut woken = Woken::new();
        let mut shard = lock(&feed.shard);
        if let Some(packet) = packet {
            // Too late or closed: nothing to deliver, and the caller was told by `bound`.
            let _ = shard.send(packet);
        }
        shard.raise(bound);
        if shard.has_news() {
            let now = self.services.pool.clock().nanos();
            self.deliver(&mut shard, &input.outlet, &feed.carried, now, &mut woken);
        }
        // Before the stream can be seen as closed: whoever looks for the end of the run must find them.
        self.services.pool.publish_all(woken);
        drop(shard);
        feed.open_door();
    }

    pub(crate) fn is_throttled(&self, index: usize) -> bool {
        self.throttles
            .get(index)
            .is_some_and(|count| count.load(Ordering::SeqCst) > 0)
    }
}
