//! The switch itself, while all workers of both graphs rest: what stays moves from the old engine to the new one.

use std::collections::BTreeMap;
use std::mem;
use std::sync::TryLockError;
use std::sync::atomic::Ordering;

use crate::run::cell::{Cell, Life, rules};
use crate::run::deliver::Carried;
use crate::run::engine::{Engine, Woken};
use crate::run::inbox::{Inbox, Phase, Stream};
use crate::run::reload::diff::{Diff, Fate};
use crate::run::reload::prepare::made_by_kept_nodes;
use crate::run::shard::Shard;
use crate::sync::lock;
use crate::timestamp::Timestamp;
use crate::validate::plan::{Outlet, PlannedNode};

pub(super) struct Switch<'a> {
    pub(super) old: &'a Engine,
    pub(super) new: &'a Engine,
    pub(super) diff: &'a Diff,
}

impl Switch<'_> {
    /// Moves everything and lets the new engine run. Gives how many packets had no place in the new graph.
    pub(super) fn run(&self) -> u64 {
        let (mut phases, mut dropped) = (Vec::new(), 0);
        for (index, fate) in self.diff.fates.iter().enumerate() {
            let (phase, lost) = self.move_node(index, *fate);
            phases.push(phase);
            dropped += lost;
        }
        dropped += self.queued_for_removed_nodes();
        self.move_feeds();
        self.keep_promises();
        self.count_on();
        dropped += self.connect();
        self.count();
        self.old.in_force.store(false, Ordering::SeqCst);
        self.new.in_force.store(true, Ordering::SeqCst);
        let mut woken = Woken::new();
        self.send_what_open_sent(&mut woken);
        self.resume(&phases, &mut woken);
        self.new.services.pool.publish_all(woken);
        self.new.services.pool.take_over(&self.old.services.pool);
        dropped
    }

    /// Graph outputs that were open and aren't in the new graph.
    pub(super) fn vanishing_outputs(&self) -> Vec<String> {
        let (old, new) = (&self.old.plan, &self.new.plan);
        let gone = old.outputs.iter().filter(|stream| !new.outputs.contains(stream));
        gone.filter(|stream| self.old_bound(stream) != Some(Timestamp::DONE))
            .cloned()
            .collect()
    }

    /// Who writes a stream in the old graph, and by which output.
    fn old_writer(&self, stream: &str) -> Option<(&Cell, usize)> {
        let mut nodes = self.old.plan.nodes.iter().zip(&self.old.cells);
        nodes.find_map(|(node, cell)| {
            let output = node.outputs.iter().position(|port| port.stream == stream)?;
            Some((cell, output))
        })
    }

    /// The bound of a stream in the old graph; none where a kept node or nobody has it.
    fn old_bound(&self, stream: &str) -> Option<Timestamp> {
        let (cell, output) = self.old_writer(stream)?;
        // A node that is stuck keeps its body to itself.
        let body = match cell.body.try_lock() {
            Ok(body) => body,
            Err(TryLockError::Poisoned(broken)) => broken.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(body.io.shards.get(output)?.bound())
    }

    /// Gives the phase that the node was in, and how many packets had no place.
    fn move_node(&self, index: usize, fate: Fate) -> (Option<Phase>, u64) {
        let (Fate::Kept(before) | Fate::Replaced(before)) = fate else {
            return (None, 0);
        };
        let (Some((old, was)), Some((new, now))) = (node(self.old, before), node(self.new, index)) else {
            return (None, 0);
        };
        let kept = matches!(fate, Fate::Kept(_));
        if kept {
            mem::swap(&mut *lock(&old.body), &mut *lock(&new.body));
            if let Some(side) = old.ports.side.get() {
                new.ports.side.get_or_init(|| side.clone());
            }
            new.learn(old);
        }
        mem::swap(&mut *lock(&old.meter), &mut *lock(&new.meter));
        if let (Some(old), Some(new)) = (self.old.limiters.get(before), self.new.limiters.get(index)) {
            new.take_over(old);
        }
        let waiting = mem::replace(&mut *lock(&old.inbox), Inbox::vacant());
        let phase = waiting.phase;
        let as_is = kept && rules(was) == rules(now);
        let offset = lock(&new.body).offset;
        let mut inbox = lock(&new.inbox);
        let lost = inbox.carry(waiting, as_is, &ports_before(was, now));
        inbox.offset = offset;
        if kept && phase == Phase::Closed {
            inbox.close();
        }
        (kept.then_some(phase), lost)
    }

    fn queued_for_removed_nodes(&self) -> u64 {
        let cells = self
            .diff
            .removed
            .iter()
            .filter_map(|node| self.old.cells.get(*node));
        cells.map(|cell| lock(&cell.inbox).queued()).sum()
    }

    fn move_feeds(&self) {
        for (input, feed) in self.new.plan.inputs.iter().zip(&self.new.feeds) {
            let before = self.old.plan.inputs.iter().zip(&self.old.feeds);
            for (_, old) in before.filter(|(before, _)| before.stream == input.stream) {
                mem::swap(&mut *lock(&old.shard), &mut *lock(&feed.shard));
                feed.carried.add(old.carried.get());
            }
        }
    }

    /// A stream goes on where its readers, and who watches it, were told it would: its new writer begins there.
    fn keep_promises(&self) {
        for (index, (cell, planned)) in self.new.cells.iter().zip(&self.new.plan.nodes).enumerate() {
            if self.diff.kept(index).is_some() {
                continue;
            }
            for (output, (port, outlet)) in planned.outputs.iter().zip(&planned.outlets).enumerate() {
                let told = self.told(outlet).into_iter().chain(self.old_bound(&port.stream));
                let told = told.filter(|bound| *bound < Timestamp::DONE).max();
                if let (Some(told), Some(shard)) = (told, lock(&cell.body).io.shards.get_mut(output)) {
                    shard.go_on_at(told);
                }
            }
        }
        for (input, feed) in self.new.plan.inputs.iter().zip(&self.new.feeds) {
            let mut known = self.old.plan.inputs.iter();
            let is_new = !known.any(|before| before.stream == input.stream);
            if let (true, Some(told)) = (is_new, self.told(&input.outlet)) {
                lock(&feed.shard).go_on_at(told);
            }
        }
    }

    /// A stream's count goes on, whoever writes it now.
    fn count_on(&self) {
        for (cell, planned) in self.new.cells.iter().zip(&self.new.plan.nodes) {
            for (port, carried) in planned.outputs.iter().zip(&cell.carried) {
                let before = self.old_writer(&port.stream);
                let before = before.and_then(|(cell, output)| cell.carried.get(output));
                carried.add(before.map_or(0, Carried::get));
            }
        }
    }

    /// The latest bound that readers know, of those whose streams haven't ended.
    fn told(&self, outlet: &Outlet) -> Option<Timestamp> {
        let bounds = outlet.readers.iter().filter_map(|(reader, input)| {
            let inbox = lock(&self.new.cells.get(*reader)?.inbox);
            inbox.streams.get(*input).map(Stream::bound)
        });
        bounds.filter(|bound| *bound < Timestamp::DONE).max()
    }

    /// Every reader learns how far its writers are. Gives how many packets wait in vain.
    fn connect(&self) -> u64 {
        let mut dropped = 0;
        for (cell, planned) in self.new.cells.iter().zip(&self.new.plan.nodes) {
            for (output, outlet) in planned.outlets.iter().enumerate() {
                let bound = lock(&cell.body).io.shards.get(output).map(Shard::bound);
                dropped += bound.map_or(0, |bound| self.tell(outlet, bound));
            }
        }
        for (input, feed) in self.new.plan.inputs.iter().zip(&self.new.feeds) {
            let bound = lock(&feed.shard).bound();
            dropped += self.tell(&input.outlet, bound);
        }
        dropped
    }

    fn tell(&self, outlet: &Outlet, bound: Timestamp) -> u64 {
        let readers = outlet.readers.iter();
        readers
            .filter_map(|(reader, input)| {
                let mut inbox = lock(&self.new.cells.get(*reader)?.inbox);
                inbox.go_on_at(*input, bound)
            })
            .sum()
    }

    /// What the engine counts of its nodes.
    fn count(&self) {
        let new = self.new;
        lock(&new.opening.side).extend(made_by_kept_nodes(self.old, new, self.diff));
        let lives: Vec<Life> = new.cells.iter().map(|cell| lock(&cell.body).life).collect();
        let side = lock(&new.opening.side);
        for (missing, node) in new.opening.missing.iter().zip(&new.plan.nodes) {
            let writers = node.opens_after.iter();
            let unopened = writers.filter(|writer| lives.get(**writer) == Some(&Life::New));
            missing.store(unopened.count() + node.unmade(&side).count(), Ordering::SeqCst);
        }
        new.opening.passed.store(true, Ordering::SeqCst);
        let left = lives.iter().filter(|life| **life != Life::Over).count();
        new.open_nodes.store(left, Ordering::SeqCst);
        let mut layers: BTreeMap<u32, usize> = BTreeMap::new();
        for (index, (node, life)) in new.plan.nodes.iter().zip(&lives).enumerate() {
            if index < new.plan.sources && *life != Life::Over {
                *layers.entry(node.layer).or_default() += 1;
            }
        }
        *lock(&new.layers) = layers;
        for (index, bound) in new.source_bounds.iter().enumerate() {
            if let Some(before) = self.diff.kept(index) {
                bound.store(self.old.source_bound(before), Ordering::Relaxed);
            }
        }
    }

    fn send_what_open_sent(&self, woken: &mut Woken) {
        for (index, (cell, planned)) in self.new.cells.iter().zip(&self.new.plan.nodes).enumerate() {
            if self.diff.kept(index).is_none() {
                let mut body = lock(&cell.body);
                let now = self.new.services.pool.clock().nanos();
                self.new.deliver_all(cell, planned, &mut body, now, woken);
                body.delivered = false;
            }
        }
    }

    /// Lets every node go on with what it waited for.
    fn resume(&self, phases: &[Option<Phase>], woken: &mut Woken) {
        let new = self.new;
        let first_layer = lock(&new.layers).keys().next().copied();
        for (index, (cell, planned)) in new.cells.iter().zip(&new.plan.nodes).enumerate() {
            let life = lock(&cell.body).life;
            let missing = new.opening.missing.get(index);
            let waits = missing.is_some_and(|missing| missing.load(Ordering::SeqCst) > 0);
            let mut inbox = lock(&cell.inbox);
            let phase = match (life, phases.get(index).copied().flatten()) {
                (Life::Over, _) => Phase::Closed,
                (Life::New, _) if waits => Phase::Unopened,
                (Life::Open, Some(Phase::Timed(at))) => Phase::Timed(at),
                (Life::Open, _) if index < new.plan.sources => {
                    if first_layer.is_some_and(|first| planned.layer > first) {
                        Phase::Layered
                    } else {
                        Phase::Queued
                    }
                }
                (Life::Open, _) => inbox.idle_or_queued(),
                (Life::New, _) => Phase::Queued,
            };
            inbox.phase = phase;
            let crossings = inbox.crossings();
            drop(inbox);
            new.apply(planned, crossings, woken);
            match phase {
                Phase::Queued => woken.push(index),
                Phase::Timed(at) => new.services.pool.wake_node_at(index, at),
                _ => {}
            }
        }
    }
}

fn node(engine: &Engine, index: usize) -> Option<(&Cell, &PlannedNode)> {
    Some((engine.cells.get(index)?, engine.plan.nodes.get(index)?))
}

/// For each input of a node the number that it had before.
fn ports_before(was: &PlannedNode, now: &PlannedNode) -> Vec<Option<usize>> {
    let before = |port: &crate::validate::plan::PlannedPort| {
        let mut inputs = was.inputs.iter();
        inputs.position(|before| before.tag == port.tag && before.index == port.index)
    };
    now.inputs.iter().map(before).collect()
}
