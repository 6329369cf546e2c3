//! How nodes open: each once everything it reads from is open and all its side packets are made.

use std::sync::atomic::Ordering;

use crate::node::{Node, NodeError};
use crate::run::cell::{Body, Cell, Life, Objects};
use crate::run::context::Context;
use crate::run::engine::{Engine, Woken};
use crate::run::inbox::Phase;
use crate::run::{RunError, RunStatus};
use crate::sync::lock;
use crate::validate::plan::PlannedNode;

impl Engine {
    /// Opens every node that can, writers before readers, then lets them run.
    pub(crate) fn open(&self) {
        let mut woken = Woken::new();
        for index in self.plan.open_order.iter().copied() {
            if self.services.pool.is_halted() {
                return;
            }
            if self.is_missing_something(index) {
                continue;
            }
            let (Some(cell), Some(planned)) = (self.cells.get(index), self.plan.nodes.get(index)) else {
                return;
            };
            let mut body = lock(&cell.body);
            if !self.open_node(index, cell, planned, &mut body, &mut woken) {
                return;
            }
        }
        self.opening.passed.store(true, Ordering::SeqCst);
        {
            let mut outcome = lock(&self.progress.outcome);
            if outcome.status == RunStatus::Opening {
                outcome.status = RunStatus::Running;
            }
        }
        self.progress.changed.notify_all();
        for index in 0..self.cells.len() {
            if !self.is_missing_something(index) {
                self.begin(index, &mut woken);
            }
        }
        self.services.pool.publish_all(woken);
    }

    /// Opens a node that had to wait for a side packet.
    pub(crate) fn open_late(
        &self,
        index: usize,
        cell: &Cell,
        planned: &PlannedNode,
        body: &mut Body,
        woken: &mut Woken,
    ) {
        if self.open_node(index, cell, planned, body, woken) {
            self.begin(index, woken);
        }
    }

    /// Hands on the side packets that a call made.
    pub(crate) fn hand_side_packets(
        &self,
        cell: &Cell,
        planned: &PlannedNode,
        body: &mut Body,
        woken: &mut Woken,
    ) {
        for (output, packet) in std::mem::take(&mut body.io.side) {
            let Some((port, _, name)) = planned.side_outputs.get(output) else {
                continue;
            };
            let before = lock(&self.opening.side).insert(name.clone(), packet);
            if before.is_some() {
                let problem = format!("side packet {name} (as {port}) was made twice in one run");
                self.node_failed(cell, "Process", &crate::node::NodeError::Failed(problem));
                return;
            }
            for (reader, node) in self.plan.nodes.iter().enumerate() {
                let wanted = node.side.iter().filter(|(_, _, wanted)| wanted == name);
                for _ in wanted {
                    self.has_one_more(reader, woken);
                }
            }
        }
    }

    fn open_node(
        &self,
        index: usize,
        cell: &Cell,
        planned: &PlannedNode,
        body: &mut Body,
        woken: &mut Woken,
    ) -> bool {
        if let Err(error) = self.call_open(cell, planned, body) {
            self.node_failed(cell, "Open", &error);
            return false;
        }
        self.hand_side_packets(cell, planned, body, woken);
        self.deliver_all(cell, planned, body, self.services.pool.clock().nanos(), woken);
        for (reader, node) in self.plan.nodes.iter().enumerate() {
            if node.opens_after.contains(&index) {
                self.has_one_more(reader, woken);
            }
        }
        true
    }

    /// Opens a node, and hands on nothing but what it says of whole streams.
    pub(crate) fn call_open(
        &self,
        cell: &Cell,
        planned: &PlannedNode,
        body: &mut Body,
    ) -> Result<(), NodeError> {
        self.lend_side_packets(cell, planned);
        {
            let headers = lock(&self.opening.headers);
            for (header, port) in body.io.headers.iter_mut().zip(&planned.inputs) {
                *header = headers.get(&port.stream).cloned();
            }
        }
        let mut opened = body.call(&cell.ports, &self.services, |node, ctx| node.open(ctx));
        if let (Ok(()), Objects::Crew(crew)) = (&opened, &mut body.objects) {
            let open = |node: &mut dyn Node, ctx: &mut Context<'_>| node.open(ctx);
            opened = crew.call_others(&cell.ports, &self.services, &body.io, open);
            if opened.is_err() {
                // Its own error says less than the one that it is closed for.
                let _ = body.call(&cell.ports, &self.services, |node, ctx| node.close(ctx));
            }
        }
        if let Err(error) = opened {
            body.life = Life::Over;
            return Err(error);
        }
        body.life = Life::Open;
        if let Some(offset) = body.io.offset.take() {
            lock(&cell.inbox).offset = Some(offset);
            body.offset = Some(offset);
        }
        for (shard, port) in body.io.shards.iter_mut().zip(&planned.outputs) {
            if let Some(header) = shard.header.take() {
                lock(&self.opening.headers).insert(port.stream.clone(), header);
            }
        }
        Ok(())
    }

    /// A node that is restarted keeps the side packets it has.
    fn lend_side_packets(&self, cell: &Cell, planned: &PlannedNode) {
        cell.ports.side.get_or_init(|| {
            let made = lock(&self.opening.side);
            let side = planned.side.iter();
            side.filter_map(|(tag, index, name)| Some((*tag, *index, made.get(name)?.clone())))
                .collect()
        });
    }

    /// A node lacks one thing less to open.
    fn has_one_more(&self, index: usize, woken: &mut Woken) {
        let Some(missing) = self.opening.missing.get(index) else {
            return;
        };
        let last = missing.fetch_sub(1, Ordering::SeqCst) == 1;
        if let (true, Some(cell)) = (
            last && self.opening.passed.load(Ordering::SeqCst),
            self.cells.get(index),
        ) {
            lock(&cell.inbox).phase = Phase::Queued;
            woken.push(index);
        }
    }

    fn is_missing_something(&self, index: usize) -> bool {
        let missing = self.opening.missing.get(index);
        missing.is_some_and(|missing| missing.load(Ordering::SeqCst) > 0)
    }

    /// Lets an open node run.
    fn begin(&self, index: usize, woken: &mut Woken) {
        let (Some(cell), Some(planned)) = (self.cells.get(index), self.plan.nodes.get(index)) else {
            return;
        };
        let mut inbox = lock(&cell.inbox);
        let first_layer = lock(&self.layers).keys().next().copied();
        inbox.phase = if index < self.plan.sources {
            if first_layer.is_some_and(|first| planned.layer > first) {
                Phase::Layered
            } else {
                Phase::Queued
            }
        } else {
            inbox.idle_or_queued()
        };
        if inbox.phase == Phase::Queued {
            woken.push(index);
        }
    }

    /// A source has ended: the last of its layer lets the next layer begin.
    pub(crate) fn source_ended(&self, layer: u32, woken: &mut Woken) {
        let next = {
            let mut layers = lock(&self.layers);
            if let Some(left) = layers.get_mut(&layer) {
                *left -= 1;
            }
            layers.retain(|_, left| *left > 0);
            layers.keys().next().copied()
        };
        for (index, (cell, planned)) in self.cells.iter().zip(&self.plan.nodes).enumerate() {
            if index >= self.plan.sources || Some(planned.layer) != next {
                continue;
            }
            let mut inbox = lock(&cell.inbox);
            if inbox.phase == Phase::Layered {
                inbox.phase = Phase::Queued;
                woken.push(index);
            }
        }
    }

    /// Whether the first pass over all nodes is over.
    pub(crate) fn is_open(&self) -> bool {
        self.opening.passed.load(Ordering::SeqCst)
    }

    /// The first side packet that the node lacks.
    pub(crate) fn unmade(&self, node: &PlannedNode) -> Option<String> {
        if node.side.is_empty() {
            return None;
        }
        node.unmade(&lock(&self.opening.side)).next().cloned()
    }

    /// The node that waits in vain for a side packet.
    pub(crate) fn unopened(&self) -> Option<RunError> {
        self.plan.nodes.iter().find_map(|node| {
            let (name, node) = (self.unmade(node)?, node.name.clone());
            Some(RunError::NoSidePacket { node, name })
        })
    }
}
