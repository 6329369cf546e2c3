//! One step of one node: take a set, call the node, deliver what it sent, and see what it does next.

use std::sync::atomic::Ordering;

use crate::node::{Flow, NodeError};
use crate::packet::Packet;
use crate::run::RunError;
use crate::run::cell::{Body, Cell, Life};
use crate::run::context::Io;
use crate::run::engine::{Engine, Woken};
use crate::run::inbox::{Gathered, Inbox, Phase, Readiness};
use crate::run::limiter::Admission;
use crate::run::meter::{Call, Made};
use crate::run::shard::{Shard, offset_bound};
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::validate::plan::PlannedNode;

enum Step {
    Process,
    Batch(Vec<Gathered>),
    /// The set waits for others of its batch.
    Gathered,
    Forward(Timestamp),
    Close(Vec<Gathered>),
    /// Nothing to do any more.
    Rest,
    /// Not before this time.
    Later(i64),
}

/// A node under way, with its lock held.
pub(super) struct Running<'a> {
    pub(super) index: usize,
    pub(super) cell: &'a Cell,
    pub(super) planned: &'a PlannedNode,
    pub(super) body: &'a mut Body,
}

impl Engine {
    /// Runs a node that is `Queued`. `now` is fresh; gives the time when the call ended.
    pub(crate) fn step(&self, index: usize, now: i64, woken: &mut Woken) -> i64 {
        let (Some(cell), Some(planned)) = (self.cells.get(index), self.plan.nodes.get(index)) else {
            return now;
        };
        let mut body = lock(&cell.body);
        if body.life == Life::New {
            self.open_late(index, cell, planned, &mut body, woken);
            return self.services.pool.clock().nanos();
        }
        // A batch that is flushed at the end queues its node once more.
        if body.life == Life::Over || !body.objects.has_free() {
            return now;
        }
        let (step, crossings) = {
            let mut inbox = lock(&cell.inbox);
            let step = if index < self.plan.sources {
                self.source_step(index, &mut inbox, now)
            } else {
                self.reader_step(index, planned, cell.usual_nanos(), &mut inbox, &mut body.io, now)
            };
            self.tell_drops(index, &mut inbox, now);
            (step, inbox.crossings())
        };
        self.apply(planned, crossings, woken);
        if let (Some(Step::Process), true) = (&step, planned.parallel > 1) {
            return self.overlap(index, cell, planned, body, now, woken);
        }
        let mut running = Running {
            index,
            cell,
            planned,
            body: &mut body,
        };
        match step {
            None => now,
            Some(Step::Rest) => {
                // What was too old is under way no more.
                self.fewer_under_way(index, woken);
                now
            }
            Some(Step::Process) => {
                // A source that has room again needn't wait for this call.
                self.publish_woken(woken);
                self.process(&mut running, now, woken)
            }
            Some(Step::Batch(sets)) => self.process_sets(&mut running, sets, now, woken),
            Some(Step::Gathered) => {
                self.settle(&mut running, now, woken);
                now
            }
            Some(Step::Forward(bound)) => {
                self.forward(&mut running, bound, now, woken);
                self.settle(&mut running, now, woken);
                now
            }
            Some(Step::Close(rest)) => {
                let end = self.process_sets(&mut running, rest, now, woken);
                self.close(&mut running, end, woken);
                end
            }
            Some(Step::Later(at)) => {
                self.services.pool.wake_node_at(index, at);
                now
            }
        }
    }

    /// Offers others what was woken before a call.
    #[inline]
    pub(super) fn publish_woken(&self, woken: &mut Woken) {
        for node in woken.drain(..) {
            self.services.pool.publish(node);
        }
    }

    /// The time that a node waited for has come; true if it still waited, and is now the caller's to run.
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

    fn source_step(&self, index: usize, inbox: &mut Inbox, now: i64) -> Option<Step> {
        inbox.since = now;
        if self.stopping.load(Ordering::SeqCst) {
            inbox.phase = Phase::Running;
            return Some(Step::Close(Vec::new()));
        }
        if self.is_throttled(index) {
            inbox.phase = Phase::Throttled;
            return None;
        }
        inbox.phase = Phase::Running;
        Some(Step::Process)
    }

    fn reader_step(
        &self,
        index: usize,
        planned: &PlannedNode,
        usual_nanos: i64,
        inbox: &mut Inbox,
        io: &mut Io,
        now: i64,
    ) -> Option<Step> {
        inbox.phase = Phase::Running;
        inbox.since = now;
        // What can't be done in time any more isn't begun.
        let latest_start = planned.deadline.map(|deadline| deadline - usual_nanos);
        match inbox.settle(now, latest_start) {
            Readiness::Wait => {
                inbox.phase = Phase::Idle;
                Some(Step::Rest)
            }
            Readiness::Process(at) if inbox.gathers() => {
                Some(inbox.gather(at).map_or(Step::Gathered, Step::Batch))
            }
            Readiness::Process(at) => {
                let admission = match planned.in_flight {
                    Some(rule) => self.admission(index, rule, at, now, inbox.running),
                    None => Admission::Now,
                };
                match admission {
                    Admission::Now => {}
                    Admission::At(time) => {
                        inbox.phase = Phase::Timed(time);
                        return Some(Step::Later(time));
                    }
                    Admission::WhenFewer => {
                        inbox.phase = Phase::Limited;
                        return None;
                    }
                }
                inbox.take_set(at, &mut io.inputs);
                inbox.began(at, planned.parallel > 1);
                io.timestamp = at;
                Some(Step::Process)
            }
            Readiness::Forward(bound) => {
                inbox.forward_done(bound);
                Some(Step::Forward(bound))
            }
            Readiness::Close => Some(Step::Close(inbox.take_gathered())),
        }
    }

    /// Calls the node once for each set of a batch.
    fn process_sets(
        &self,
        running: &mut Running<'_>,
        sets: Vec<Gathered>,
        now: i64,
        woken: &mut Woken,
    ) -> i64 {
        let mut end = now;
        for Gathered { at, set } in sets {
            if running.body.life != Life::Open {
                break;
            }
            running.body.io.inputs = set.into();
            running.body.io.timestamp = at;
            end = self.process(running, end, woken);
        }
        end
    }

    fn process(&self, running: &mut Running<'_>, start: i64, woken: &mut Woken) -> i64 {
        let Running {
            index,
            cell,
            planned: _,
            body,
        } = running;
        let source = *index < self.plan.sources;
        if source {
            body.io.timestamp = Timestamp::clamped(0);
        }
        let called = body.call(&cell.ports, &self.services, |node, ctx| node.process(ctx));
        let end = self.services.pool.clock().nanos();
        self.trace_call(*index, &body.io, source, (start, end));
        // What the node didn't take is free, and Close sees none of it.
        body.io.inputs.fill(Packet::empty(Timestamp::DONE));
        self.called(running, called, start, end, woken);
        end
    }

    /// After a call of Process: counts it and hands on what it sent.
    pub(super) fn called(
        &self,
        running: &mut Running<'_>,
        called: Result<Flow, NodeError>,
        start: i64,
        end: i64,
        woken: &mut Woken,
    ) {
        let Running {
            index,
            cell,
            planned,
            body,
        } = running;
        let flow = match called {
            Ok(flow) => flow,
            Err(error) => return self.process_failed(running, &error, end, woken),
        };
        let source = *index < self.plan.sources;
        let at = body.io.timestamp;
        if let (Some(offset), false) = (body.offset, source) {
            body.io
                .shards
                .iter_mut()
                .for_each(|shard| shard.raise(offset_bound(at, offset)));
        }
        let captured = (!source && at.is_range_value()).then(|| at.micros().saturating_mul(1_000));
        body.ended = Some(Call { start, end, captured });
        if source {
            let sent = body.io.shards.iter().map(|shard| shard.packets.len() as u64);
            let (packets, planned) = (sent.sum(), body.planned.take());
            lock(&cell.meter).made(start, Made { packets, planned });
        }
        cell.took(end - start);
        body.failures = 0;
        self.charge(planned.branch, end - start);
        self.sent(running, flow, end, woken);
    }

    /// After a call that went well.
    fn sent(&self, running: &mut Running<'_>, flow: Flow, end: i64, woken: &mut Woken) {
        let Running {
            index,
            cell,
            planned,
            body,
        } = running;
        if let Some(late) = body.io.late.take().filter(|_| self.plan.late_is_error) {
            keep_call(cell, &mut lock(&cell.inbox), body);
            let node = cell.ports.node.clone();
            self.fail(RunError::Late {
                node,
                timestamp: late.timestamp,
                bound: late.bound,
            });
            return;
        }
        if !body.io.side.is_empty() {
            self.hand_side_packets(cell, planned, body, woken);
        }
        self.deliver_all(cell, planned, body, end, woken);
        let source = *index < self.plan.sources;
        match (flow, source) {
            (Flow::Stop, true) => self.close(running, end, woken),
            (Flow::Stop, false) => {
                self.stop();
                self.settle(running, end, woken);
            }
            (Flow::Continue, _) => self.settle(running, end, woken),
        }
    }

    /// After a call: what the node does next.
    fn settle(&self, running: &mut Running<'_>, now: i64, woken: &mut Woken) {
        let Running {
            index, cell, body, ..
        } = running;
        let index = *index;
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
        keep_call(cell, &mut inbox, body);
        inbox.dropped.absorb(&mut body.io.dropped);
        self.trace_inbox(index, &mut inbox, now);
        inbox.ended();
        inbox.since = now;
        let next = if !matches!(inbox.phase, Phase::Running | Phase::Idle) {
            // Calls overlap, and the node waits for its turn or is on its way to another worker.
            None
        } else if let Some(at) = body.not_before.take().filter(|at| *at > now) {
            Some(Phase::Timed(at))
        } else if !source {
            Some(inbox.idle_or_queued())
        } else if self.stopping.load(Ordering::SeqCst) {
            Some(Phase::Queued)
        } else {
            body.planned = wake_at;
            Some(match wake_at {
                Some(at) if at > now => Phase::Timed(at),
                _ => Phase::Queued,
            })
        };
        inbox.phase = next.unwrap_or(inbox.phase);
        drop(inbox);
        match next {
            Some(Phase::Queued) => woken.push(index),
            Some(Phase::Timed(at)) => self.services.pool.wake_node_at(index, at),
            _ => {}
        }
        // A frame that goes on to another node is still under way.
        if !std::mem::take(&mut body.delivered) {
            self.fewer_under_way(index, woken);
        }
    }

    fn close(&self, running: &mut Running<'_>, now: i64, woken: &mut Woken) {
        let Running {
            index,
            cell,
            planned,
            body,
        } = running;
        body.io.timestamp = Timestamp::DONE;
        let again = body.life != Life::Open;
        body.life = Life::Over;
        if again {
            return;
        }
        if let Err(error) = body.close(&cell.ports, &self.services) {
            self.node_failed(cell, "Close", &error);
            return;
        }
        self.hand_side_packets(cell, planned, body, woken);
        body.io.shards.iter_mut().for_each(Shard::close);
        self.deliver_all(cell, planned, body, now, woken);
        let crossings = {
            let mut inbox = lock(&cell.inbox);
            keep_call(cell, &mut inbox, body);
            inbox.dropped.absorb(&mut body.io.dropped);
            inbox.close();
            self.trace_inbox(*index, &mut inbox, now);
            inbox.crossings()
        };
        self.apply(planned, crossings, woken);
        if *index < self.plan.sources {
            self.source_ended(planned.layer, woken);
        }
        self.fewer_under_way(*index, woken);
        if self.open_nodes.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.services.pool.halt();
        }
    }

    fn forward(&self, running: &mut Running<'_>, bound: Timestamp, now: i64, woken: &mut Woken) {
        let Running {
            cell, planned, body, ..
        } = running;
        let moved = body.offset.and_then(|offset| bound.shifted(offset));
        if let Some(moved) = moved {
            body.io.shards.iter_mut().for_each(|shard| shard.raise(moved));
            self.deliver_all(cell, planned, body, now, woken);
        }
    }

    fn process_failed(&self, running: &mut Running<'_>, error: &NodeError, now: i64, woken: &mut Woken) {
        if self.restart(running.cell, running.planned, running.body, error, now) {
            self.settle(running, now, woken);
        } else {
            self.node_failed(running.cell, "Process", error);
        }
    }
}

/// The call that ended goes to the node's figures.
fn keep_call(cell: &Cell, inbox: &mut Inbox, body: &mut Body) {
    if let Some(call) = body.ended.take()
        && inbox.calls.push(call)
    {
        lock(&cell.meter).fold(&mut inbox.calls);
    }
}
