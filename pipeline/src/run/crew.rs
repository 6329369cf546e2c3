//! Calls of one node that overlap: copies of it take a set each, and what they send leaves in the order of the sets.
//!
//! A copy is at work until its results have left, not only until its call has returned. So behind one slow call no
//! results pile up, and a call that doesn't return stops the node, where whoever looks for stuck nodes finds it.

use std::collections::VecDeque;
use std::sync::MutexGuard;

use crate::node::{Flow, Node, NodeError};
use crate::packet::Packet;
use crate::run::cell::{Body, Cell, Life, call_node};
use crate::run::context::{Context, Io, Ports, Services};
use crate::run::engine::{Engine, Woken};
use crate::run::inbox::Phase;
use crate::run::shard::Shard;
use crate::run::step::Running;
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::validate::plan::PlannedNode;

/// The copies of one node.
pub(crate) struct Crew {
    free: Vec<Hand>,
    /// Calls in the order of their sets; none in the place of one that goes on.
    calls: VecDeque<Option<Done>>,
    /// The number of the first of these calls.
    first: u64,
}

/// One copy, with what its calls read and write.
pub(crate) struct Hand {
    pub(crate) node: Box<dyn Node>,
    io: Io,
    /// Which of the copies it is.
    pub(crate) copy: usize,
}

/// A call that has returned.
struct Done {
    hand: Hand,
    called: Result<Flow, NodeError>,
    panicked: bool,
    start: i64,
    end: i64,
}

impl Crew {
    pub(crate) fn new(nodes: Vec<Box<dyn Node>>, io: impl Fn() -> Io) -> Self {
        let hand = |(copy, node)| Hand { node, io: io(), copy };
        Self {
            free: nodes.into_iter().enumerate().map(hand).collect(),
            calls: VecDeque::new(),
            first: 0,
        }
    }

    pub(crate) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Copies that compute.
    pub(crate) fn at_work(&self) -> usize {
        self.calls.iter().filter(|call| call.is_none()).count()
    }

    /// The copy that stands for the node where it is opened, closed or made anew.
    pub(crate) fn foremost(&mut self) -> Option<&mut Hand> {
        self.free.first_mut()
    }

    /// Opens or closes the copies behind the foremost, all of them; gives the first error. What they send goes
    /// nowhere: the foremost has sent it.
    pub(crate) fn call_others(
        &mut self,
        ports: &Ports,
        services: &Services,
        like: &Io,
        mut call: impl FnMut(&mut dyn Node, &mut Context<'_>) -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let mut first = Ok(());
        for hand in self.free.iter_mut().skip(1) {
            hand.io.timestamp = like.timestamp;
            hand.io.headers.clone_from(&like.headers);
            let (called, _) = call_node(
                hand.node.as_mut(),
                &mut hand.io,
                hand.copy,
                (ports, services),
                &mut call,
            );
            hand.io.reset();
            first = first.and(called);
        }
        first
    }

    /// Gives a copy for the next call, and the call's number.
    fn lend(&mut self) -> Option<(u64, Hand)> {
        let hand = self.free.pop()?;
        self.calls.push_back(None);
        Some((self.first + self.calls.len() as u64 - 1, hand))
    }

    fn returned(&mut self, number: u64, done: Done) {
        if let Some(place) = self.calls.get_mut((number - self.first) as usize) {
            *place = Some(done);
        }
    }

    /// The next call in order, where it has returned.
    fn next_done(&mut self) -> Option<Done> {
        let done = self.calls.front_mut()?.take()?;
        self.calls.pop_front();
        self.first += 1;
        Some(done)
    }

    /// A copy is free again; one that failed stands foremost, to be made anew.
    fn give_back(&mut self, hand: Hand, failed: bool) {
        let place = if failed { 0 } else { self.free.len() };
        self.free.insert(place, hand);
    }
}

impl Engine {
    /// Calls a copy of the node with the set that `body` holds, without the node's lock, and hands on what is due.
    pub(super) fn overlap(
        &self,
        index: usize,
        cell: &Cell,
        planned: &PlannedNode,
        mut body: MutexGuard<'_, Body>,
        start: i64,
        woken: &mut Woken,
    ) -> i64 {
        let body_now = &mut *body;
        let Some(crew) = body_now.objects.crew() else {
            return start;
        };
        let Some((number, mut hand)) = crew.lend() else {
            return start;
        };
        std::mem::swap(&mut hand.io.inputs, &mut body_now.io.inputs);
        hand.io.timestamp = body_now.io.timestamp;
        let goes_on = {
            let mut inbox = lock(&cell.inbox);
            if crew.has_free() {
                inbox.phase = inbox.idle_or_queued();
            }
            inbox.phase == Phase::Queued
        };
        drop(body);
        if goes_on {
            woken.push(index);
        }
        // Now, not when this call returns: others may be free.
        self.publish_woken(woken);
        let (called, panicked) = call_node(
            hand.node.as_mut(),
            &mut hand.io,
            hand.copy,
            (&cell.ports, &self.services),
            |node, ctx| node.process(ctx),
        );
        let end = self.services.pool.clock().nanos();
        self.trace_call(index, &hand.io, false, (start, end));
        let mut body = lock(&cell.body);
        if let Some(crew) = body.objects.crew() {
            crew.returned(
                number,
                Done {
                    hand,
                    called,
                    panicked,
                    start,
                    end,
                },
            );
        }
        while let Some(done) = body.objects.crew().and_then(Crew::next_done) {
            let mut running = Running {
                index,
                cell,
                planned,
                body: &mut body,
            };
            self.hand_in(&mut running, done, woken);
        }
        end
    }

    /// What a copy sent goes on as if the node had sent it.
    fn hand_in(&self, running: &mut Running<'_>, done: Done, woken: &mut Woken) {
        let Done {
            mut hand,
            called,
            panicked,
            start,
            end,
        } = done;
        let body = &mut *running.body;
        body.io.timestamp = hand.io.timestamp;
        body.io.take_over(&mut hand.io, called.is_ok());
        if let Some(crew) = body.objects.crew() {
            crew.give_back(hand, called.is_err());
        }
        if body.life != Life::Open {
            return;
        }
        if panicked {
            body.life = Life::Over;
        }
        self.called(running, called, start, end, woken);
    }
}

impl Io {
    /// Forgets what the last call left.
    fn reset(&mut self) {
        self.inputs.fill(Packet::empty(Timestamp::UNSTARTED));
        self.shards.iter_mut().for_each(Shard::reset);
        self.side.clear();
        self.wake_at = None;
        self.late = None;
    }

    /// Takes what a copy's call left: of one that failed nothing but its drops.
    fn take_over(&mut self, copy: &mut Self, sent: bool) {
        if sent {
            for (output, shard) in copy.shards.iter_mut().enumerate() {
                let bound = shard.bound();
                for packet in shard.packets.drain(..) {
                    self.send(output, packet);
                }
                if let Some(own) = self.shards.get_mut(output) {
                    own.raise(bound);
                }
            }
            self.side.append(&mut copy.side);
            self.late = self.late.or(copy.late);
        }
        self.dropped.absorb(&mut copy.dropped);
        copy.reset();
    }
}
