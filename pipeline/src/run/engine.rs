//! A running graph from the inside: one step of one node, delivery between nodes, throttling, the end.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::node::{Flow, NodeError};
use crate::packet::Packet;
use crate::run::cell::{Body, Cell, Life};
use crate::run::context::Services;
use crate::run::inbox::{Crossings, Inbox, Phase, Readiness};
use crate::run::meter::Call;
use crate::run::shard::{Shard, offset_bound};
use crate::run::{Observer, Observed, RunError, RunStatus};
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::validate::plan::{Outlet, Plan, PlannedNode};

pub(crate) struct Engine {
    pub(crate) plan: Arc<Plan>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) services: Services,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) feeds: Vec<Feed>,
    /// Full streams on behalf of which each source and then each graph input is held back.
    throttles: Vec<AtomicIsize>,
    /// Earliest next packet of each source: the one furthest behind runs first.
    source_bounds: Vec<AtomicI64>,
    open_nodes: AtomicUsize,
    live_workers: AtomicUsize,
    stopping: AtomicBool,
    pub(crate) outcome: Mutex<Outcome>,
    pub(crate) changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: RunStatus,
    /// What ended the run early.
    pub(crate) error: Option<RunError>,
    pub(crate) idle_asked: u64,
}

/// A stream that is fed from outside.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) shard: Mutex<Shard>,
    /// Whoever waits for room waits here, without the stream's lock.
    pub(crate) door: Mutex<()>,
    pub(crate) room: Condvar,
}

impl Feed {
    fn new() -> Self {
        Self { shard: Mutex::new(Shard::new()), door: Mutex::new(()), room: Condvar::new() }
    }

    pub(crate) fn open_door(&self) {
        drop(lock(&self.door));
        self.room.notify_all();
    }
}

/// Nodes that became able to run, for whoever made them so.
pub(crate) type Woken = Vec<usize>;

enum Step {
    Process,
    Forward(Timestamp),
    Close,
}

impl Engine {
    pub(crate) fn new(
        plan: Arc<Plan>,
        cells: Vec<Cell>,
        services: Services,
        observer: Option<Arc<dyn Observer>>,
        workers: usize,
    ) -> Self {
        Self {
            feeds: plan.inputs.iter().map(|_| Feed::new()).collect(),
            throttles: (0..plan.sources + plan.inputs.len()).map(|_| AtomicIsize::new(0)).collect(),
            source_bounds: (0..plan.sources).map(|_| AtomicI64::new(i64::MIN)).collect(),
            open_nodes: AtomicUsize::new(plan.nodes.len()),
            live_workers: AtomicUsize::new(workers),
            stopping: AtomicBool::new(false),
            outcome: Mutex::new(Outcome { status: RunStatus::Opening, error: None, idle_asked: 0 }),
            changed: Condvar::new(),
            plan,
            cells,
            services,
            observer,
        }
    }

    /// Opens every node, writers before readers, then lets them run.
    pub(crate) fn open(&self) {
        let mut woken = Woken::new();
        for index in 0..self.cells.len() {
            if self.services.pool.is_halted() {
                return;
            }
            let (Some(cell), Some(planned)) = (self.cells.get(index), self.plan.nodes.get(index)) else { return };
            let mut body = lock(&cell.body);
            let opened = body.call(&cell.ports, &self.services, |node, ctx| node.open(ctx));
            if let Err(error) = opened {
                body.life = Life::Over;
                self.node_failed(cell, "Open", &error);
                return;
            }
            body.life = Life::Open;
            self.deliver_all(planned, &mut body, &mut woken);
        }
        lock(&self.outcome).status = RunStatus::Running;
        self.changed.notify_all();
        for (index, cell) in self.cells.iter().enumerate() {
            let mut inbox = lock(&cell.inbox);
            inbox.phase = Phase::Idle;
            if index < self.plan.sources || inbox.readiness() != Readiness::Wait {
                inbox.phase = Phase::Queued;
                woken.push(index);
            }
        }
        woken.into_iter().for_each(|node| self.services.pool.publish(node));
    }

    /// Runs a node that is `Queued`. `now` is fresh; gives the time when the call ended.
    pub(crate) fn step(&self, index: usize, now: i64, woken: &mut Woken) -> i64 {
        let (Some(cell), Some(planned)) = (self.cells.get(index), self.plan.nodes.get(index)) else { return now };
        let mut body = lock(&cell.body);
        let (step, crossings) = {
            let mut inbox = lock(&cell.inbox);
            let step = if index < self.plan.sources {
                self.source_step(index, &mut inbox)
            } else {
                Self::reader_step(&mut inbox, &mut body, now)
            };
            (step, inbox.crossings())
        };
        self.apply(planned, crossings, woken);
        match step {
            None => now,
            Some(Step::Forward(bound)) => {
                self.forward(planned, &mut body, bound, woken);
                self.settle(index, cell, &mut body, now, woken);
                now
            }
            Some(Step::Close) => {
                self.close(cell, planned, &mut body, woken);
                now
            }
            Some(Step::Process) => self.process(index, cell, planned, &mut body, now, woken),
        }
    }

    /// The time that a source waited for has come.
    pub(crate) fn timer(&self, index: usize, at: i64) {
        let Some(cell) = self.cells.get(index) else { return };
        let mut inbox = lock(&cell.inbox);
        if inbox.phase == Phase::Timed(at) {
            inbox.phase = Phase::Queued;
            drop(inbox);
            self.services.pool.publish(index);
        }
    }

    /// Nothing can run: make room where streams are full, or say who waits for what.
    pub(crate) fn idle(&self, asked: u64, timers: bool) {
        let mut woken = Woken::new();
        let mut grown = false;
        for (cell, planned) in self.cells.iter().zip(&self.plan.nodes) {
            let mut inbox = lock(&cell.inbox);
            if inbox.grow() {
                grown = true;
                let crossings = inbox.crossings();
                drop(inbox);
                tracing::debug!(node = cell.ports.node, "a full stream got room: everything waited for it");
                self.apply(planned, crossings, &mut woken);
            }
        }
        woken.into_iter().for_each(|node| self.services.pool.publish(node));
        let fed = self.feeds.iter().any(|feed| !lock(&feed.shard).is_closed());
        if !grown && !fed && !timers && self.open_nodes.load(Ordering::SeqCst) > 0 {
            self.fail(self.stalled());
        }
        if !grown {
            let mut outcome = lock(&self.outcome);
            outcome.idle_asked = outcome.idle_asked.max(asked);
            drop(outcome);
            self.changed.notify_all();
        }
    }

    /// Lets the graph run dry: sources are closed instead of run.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        {
            let mut outcome = lock(&self.outcome);
            if outcome.status == RunStatus::Running {
                outcome.status = RunStatus::Stopping;
            }
        }
        for (index, cell) in self.cells.iter().enumerate().take(self.plan.sources) {
            let mut inbox = lock(&cell.inbox);
            if matches!(inbox.phase, Phase::Timed(_) | Phase::Throttled) {
                inbox.phase = Phase::Queued;
                drop(inbox);
                self.services.pool.publish(index);
            }
        }
        for index in 0..self.feeds.len() {
            self.feed(index, None, Timestamp::DONE);
        }
    }

    pub(crate) fn fail(&self, error: RunError) {
        lock(&self.outcome).error.get_or_insert(error);
        self.services.pool.halt();
        self.feeds.iter().for_each(Feed::open_door);
    }

    /// Delivers from outside. The packet was checked by the caller's use of the shard.
    pub(crate) fn feed(&self, index: usize, packet: Option<Packet>, bound: Timestamp) {
        let (Some(feed), Some(input)) = (self.feeds.get(index), self.plan.inputs.get(index)) else { return };
        let mut woken = Woken::new();
        let mut shard = lock(&feed.shard);
        if let Some(packet) = packet {
            // Too late or closed: nothing to deliver, and the caller was told by `bound`.
            let _ = shard.send(packet);
        }
        shard.raise(bound);
        if shard.has_news() {
            self.deliver(&mut shard, &input.outlet, &mut woken);
        }
        drop(shard);
        feed.open_door();
        woken.into_iter().for_each(|node| self.services.pool.publish(node));
    }

    pub(crate) fn is_throttled(&self, index: usize) -> bool {
        self.throttles.get(index).is_some_and(|count| count.load(Ordering::SeqCst) > 0)
    }

    /// Which source is furthest behind, for choosing among those that can run.
    pub(crate) fn source_bound(&self, source: usize) -> i64 {
        self.source_bounds.get(source).map_or(i64::MAX, |bound| bound.load(Ordering::Relaxed))
    }

    /// A worker ends; the last one ends the run.
    pub(crate) fn worker_left(&self) {
        if self.live_workers.fetch_sub(1, Ordering::SeqCst) > 1 {
            return;
        }
        for cell in &self.cells {
            let mut body = lock(&cell.body);
            if body.life == Life::Open {
                body.life = Life::Over;
                body.io.timestamp = Timestamp::DONE;
                // The run is over: what Close sends goes nowhere, and its error can't be the first.
                let _ = body.call(&cell.ports, &self.services, |node, ctx| node.close(ctx));
            }
        }
        let mut outcome = lock(&self.outcome);
        outcome.status = match &outcome.error {
            None => RunStatus::Finished,
            Some(RunError::Cancelled) => RunStatus::Cancelled,
            Some(error) => RunStatus::Failed(error.clone()),
        };
        drop(outcome);
        self.changed.notify_all();
    }

    fn source_step(&self, index: usize, inbox: &mut Inbox) -> Option<Step> {
        if self.stopping.load(Ordering::SeqCst) {
            inbox.phase = Phase::Running;
            return Some(Step::Close);
        }
        if self.is_throttled(index) {
            inbox.phase = Phase::Throttled;
            return None;
        }
        inbox.phase = Phase::Running;
        Some(Step::Process)
    }

    fn reader_step(inbox: &mut Inbox, body: &mut Body, now: i64) -> Option<Step> {
        inbox.phase = Phase::Running;
        match inbox.settle(now) {
            Readiness::Wait => {
                inbox.phase = Phase::Idle;
                None
            }
            Readiness::Process(at) => {
                inbox.take_set(at, &mut body.io.inputs);
                body.io.timestamp = at;
                Some(Step::Process)
            }
            Readiness::Forward(bound) => {
                inbox.forward_done(bound);
                Some(Step::Forward(bound))
            }
            Readiness::Close => Some(Step::Close),
        }
    }

    fn process(
        &self,
        index: usize,
        cell: &Cell,
        planned: &PlannedNode,
        body: &mut Body,
        start: i64,
        woken: &mut Woken,
    ) -> i64 {
        let source = index < self.plan.sources;
        if source {
            body.io.timestamp = Timestamp::clamped(0);
        }
        let called = body.call(&cell.ports, &self.services, |node, ctx| node.process(ctx));
        let end = self.services.pool.clock().nanos();
        let flow = match called {
            Ok(flow) => flow,
            Err(error) => {
                self.node_failed(cell, "Process", &error);
                return end;
            }
        };
        let at = body.io.timestamp;
        if let (Some(offset), false) = (planned.contract.timestamp_offset, source) {
            body.io.shards.iter_mut().for_each(|shard| shard.raise(offset_bound(at, offset)));
        }
        let produced = if source { body.io.shards.iter().map(|shard| shard.packets.len() as u64).sum() } else { 0 };
        let captured = (!source && at.is_range_value()).then(|| at.micros().saturating_mul(1_000));
        let planned_at = body.planned.take();
        lock(&cell.meter).record(&Call { start, end, captured, planned: planned_at, produced });
        self.deliver_all(planned, body, woken);
        match (flow, source) {
            (Flow::Stop, true) => self.close(cell, planned, body, woken),
            (Flow::Stop, false) => {
                self.stop();
                self.settle(index, cell, body, end, woken);
            }
            (Flow::Continue, _) => self.settle(index, cell, body, end, woken),
        }
        end
    }

    /// After a call: what the node does next.
    fn settle(&self, index: usize, cell: &Cell, body: &mut Body, now: i64, woken: &mut Woken) {
        let source = index < self.plan.sources;
        if let (true, Some(bound)) = (source, self.source_bounds.get(index)) {
            let earliest = body.io.shards.iter().map(Shard::bound).min().unwrap_or(Timestamp::DONE);
            bound.store(earliest.micros(), Ordering::Relaxed);
        }
        let wake_at = body.io.wake_at.take();
        let mut inbox = lock(&cell.inbox);
        take_drops(&mut inbox, body);
        if !source {
            inbox.phase = if inbox.readiness() == Readiness::Wait { Phase::Idle } else { Phase::Queued };
        } else if self.stopping.load(Ordering::SeqCst) {
            inbox.phase = Phase::Queued;
        } else {
            body.planned = wake_at;
            inbox.phase = match wake_at {
                Some(at) if at > now => Phase::Timed(at),
                _ => Phase::Queued,
            };
        }
        let phase = inbox.phase;
        drop(inbox);
        match phase {
            Phase::Queued => woken.push(index),
            Phase::Timed(at) => self.services.pool.wake_node_at(index, at),
            _ => {}
        }
    }

    fn close(&self, cell: &Cell, planned: &PlannedNode, body: &mut Body, woken: &mut Woken) {
        body.io.timestamp = Timestamp::DONE;
        body.life = Life::Over;
        let closed = body.call(&cell.ports, &self.services, |node, ctx| node.close(ctx));
        if let Err(error) = closed {
            self.node_failed(cell, "Close", &error);
            return;
        }
        body.io.shards.iter_mut().for_each(Shard::close);
        self.deliver_all(planned, body, woken);
        let crossings = {
            let mut inbox = lock(&cell.inbox);
            take_drops(&mut inbox, body);
            inbox.close();
            inbox.crossings()
        };
        self.apply(planned, crossings, woken);
        if self.open_nodes.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.services.pool.halt();
        }
    }

    fn forward(&self, planned: &PlannedNode, body: &mut Body, bound: Timestamp, woken: &mut Woken) {
        let moved = planned.contract.timestamp_offset.and_then(|offset| bound.shifted(offset));
        if let Some(moved) = moved {
            body.io.shards.iter_mut().for_each(|shard| shard.raise(moved));
            self.deliver_all(planned, body, woken);
        }
    }

    fn deliver_all(&self, planned: &PlannedNode, body: &mut Body, woken: &mut Woken) {
        for (shard, outlet) in body.io.shards.iter_mut().zip(&planned.outlets) {
            if shard.has_news() {
                self.deliver(shard, outlet, woken);
            }
        }
    }

    fn deliver(&self, shard: &mut Shard, outlet: &Outlet, woken: &mut Woken) {
        let bound = shard.announce();
        if let (Some(output), Some(observer)) = (outlet.observed, &self.observer) {
            let stream = self.plan.outputs.get(output).map_or("", String::as_str);
            for packet in &shard.packets {
                observer.seen(stream, Observed::Packet(packet));
            }
            observer.seen(stream, if bound == Timestamp::DONE { Observed::Closed } else { Observed::Bound(bound) });
        }
        let Some(((last_node, last_input), others)) = outlet.readers.split_last() else {
            shard.discard();
            return;
        };
        for (node, input) in others {
            self.hand_over(*node, *input, shard.packets.iter().cloned(), bound, woken);
        }
        // The last reader gets the packets themselves, so that a lone reader may be a packet's only holder.
        self.hand_over(*last_node, *last_input, shard.packets.drain(..), bound, woken);
    }

    fn hand_over(
        &self,
        node: usize,
        input: usize,
        packets: impl Iterator<Item = Packet>,
        bound: Timestamp,
        woken: &mut Woken,
    ) {
        let (Some(cell), Some(planned)) = (self.cells.get(node), self.plan.nodes.get(node)) else { return };
        let mut inbox = lock(&cell.inbox);
        inbox.deliver(input, packets, bound);
        let crossings = inbox.crossings();
        if inbox.phase == Phase::Idle && inbox.readiness() != Readiness::Wait {
            inbox.phase = Phase::Queued;
            woken.push(node);
        }
        drop(inbox);
        self.apply(planned, crossings, woken);
    }

    fn apply(&self, planned: &PlannedNode, crossings: Crossings, woken: &mut Woken) {
        if crossings == Crossings::default() {
            return;
        }
        for (input, ancestors) in planned.ancestors.iter().enumerate() {
            let bit = 1 << input;
            for ancestor in ancestors {
                let Some(count) = self.throttles.get(*ancestor) else { continue };
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

    fn node_failed(&self, cell: &Cell, call: &'static str, error: &NodeError) {
        lock(&cell.meter).failed();
        self.fail(RunError::Node { node: cell.ports.node.clone(), call, problem: error.to_string() });
    }

    fn stalled(&self) -> RunError {
        let waiting = self.cells.iter().zip(&self.plan.nodes).find_map(|(cell, planned)| {
            let inbox = lock(&cell.inbox);
            let awaited = (inbox.queued() > 0).then(|| inbox.awaited_input()).flatten()?;
            Some((cell.ports.node.clone(), planned.inputs.get(awaited)?.stream.clone()))
        });
        let (node, stream) = waiting.unwrap_or_default();
        RunError::Stalled { node, stream }
    }
}

fn take_drops(inbox: &mut Inbox, body: &mut Body) {
    for (sum, dropped) in inbox.dropped.iter_mut().zip(&mut body.io.dropped) {
        *sum += std::mem::take(dropped);
    }
}
