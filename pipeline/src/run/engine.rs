//! A running graph from the inside: its state, and one step of one node.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::node::{Flow, NodeError};
use crate::run::cell::{Body, Cell, Life};
use crate::run::context::Services;
use crate::run::deliver::Feed;
use crate::run::inbox::{Inbox, Phase, Readiness};
use crate::run::meter::Call;
use crate::run::shard::{Shard, offset_bound};
use crate::run::{Observer, RunError, RunStatus};
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::validate::plan::{Plan, PlannedNode};

pub(crate) struct Engine {
    pub(crate) plan: Arc<Plan>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) services: Services,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) feeds: Vec<Feed>,
    /// Full streams on behalf of which each source and then each graph input is held back.
    pub(crate) throttles: Vec<AtomicIsize>,
    /// Earliest next packet of each source: the one furthest behind runs first.
    source_bounds: Vec<AtomicI64>,
    pub(crate) open_nodes: AtomicUsize,
    pub(crate) live_workers: AtomicUsize,
    pub(crate) stopping: AtomicBool,
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
            throttles: (0..plan.sources + plan.inputs.len())
                .map(|_| AtomicIsize::new(0))
                .collect(),
            source_bounds: (0..plan.sources).map(|_| AtomicI64::new(i64::MIN)).collect(),
            open_nodes: AtomicUsize::new(plan.nodes.len()),
            live_workers: AtomicUsize::new(workers),
            stopping: AtomicBool::new(false),
            outcome: Mutex::new(Outcome {
                status: RunStatus::Opening,
                error: None,
                idle_asked: 0,
            }),
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
            let (Some(cell), Some(planned)) = (self.cells.get(index), self.plan.nodes.get(index)) else {
                return;
            };
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
        self.services.pool.publish_all(woken);
    }

    /// Runs a node that is `Queued`. `now` is fresh; gives the time when the call ended.
    pub(crate) fn step(&self, index: usize, now: i64, woken: &mut Woken) -> i64 {
        let (Some(cell), Some(planned)) = (self.cells.get(index), self.plan.nodes.get(index)) else {
            return now;
        };
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

    /// The time that a source waited for has come; true if it still waited, and is now the caller's to run.
    pub(crate) fn timer(&self, index: usize, at: i64) -> bool {
        let Some(cell) = self.cells.get(index) else {
            return false;
        };
        let mut inbox = lock(&cell.inbox);
        let waited = inbox.phase == Phase::Timed(at);
        if waited {
            inbox.phase = Phase::Queued;
        }
        waited
    }

    /// Which source is furthest behind, for choosing among those that can run.
    pub(crate) fn source_bound(&self, source: usize) -> i64 {
        self.source_bounds
            .get(source)
            .map_or(i64::MAX, |bound| bound.load(Ordering::Relaxed))
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
            body.io
                .shards
                .iter_mut()
                .for_each(|shard| shard.raise(offset_bound(at, offset)));
        }
        let produced = if source {
            body.io
                .shards
                .iter()
                .map(|shard| shard.packets.len() as u64)
                .sum()
        } else {
            0
        };
        let captured = (!source && at.is_range_value()).then(|| at.micros().saturating_mul(1_000));
        let planned_at = body.planned.take();
        lock(&cell.meter).record(&Call {
            start,
            end,
            captured,
            planned: planned_at,
            produced,
        });
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
            let earliest = body
                .io
                .shards
                .iter()
                .map(Shard::bound)
                .min()
                .unwrap_or(Timestamp::DONE);
            bound.store(earliest.micros(), Ordering::Relaxed);
        }
        let wake_at = body.io.wake_at.take();
        let mut inbox = lock(&cell.inbox);
        take_drops(&mut inbox, body);
        if !source {
            inbox.phase = if inbox.readiness() == Readiness::Wait {
                Phase::Idle
            } else {
                Phase::Queued
            };
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
        let moved = planned
            .contract
            .timestamp_offset
            .and_then(|offset| bound.shifted(offset));
        if let Some(moved) = moved {
            body.io.shards.iter_mut().for_each(|shard| shard.raise(moved));
            self.deliver_all(planned, body, woken);
        }
    }

    fn node_failed(&self, cell: &Cell, call: &'static str, error: &NodeError) {
        lock(&cell.meter).failed();
        self.fail(RunError::Node {
            node: cell.ports.node.clone(),
            call,
            problem: error.to_string(),
        });
    }
}

fn take_drops(inbox: &mut Inbox, body: &mut Body) {
    for (sum, dropped) in inbox.dropped.iter_mut().zip(&mut body.io.dropped) {
        *sum += std::mem::take(dropped);
    }
}
