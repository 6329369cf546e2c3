//! Changing a graph while it runs: only the nodes that differ are made anew, and the others don't notice.
//!
//! The new graph gets an engine and workers of its own. Its new nodes are opened while the old graph runs. Then, at a
//! moment when no node is called, nodes that stay move over with their queues, and the new engine takes over.

mod diff;
mod prepare;
mod report;
mod switch;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::packet::SidePacket;
use crate::run::current::Current;
use crate::run::engine::Engine;
use crate::run::reload::diff::{Diff, Fate, is_adjusted, maker};
use crate::run::reload::prepare::Prepared;
pub use crate::run::reload::report::{ReloadError, ReloadReport};
use crate::run::reload::switch::Switch;
use crate::run::stuck::Stuck;
use crate::run::{Inputs, Observed, RunError, RunStatus, RunningGraph, StartError, threads};
use crate::sync::lock;
use crate::trace::Tracing;
use crate::validate::plan::ValidatedGraph;

/// A node whose calls usually take longer isn't called again before the switch; nanoseconds.
const SLOW_NANOS: i64 = 2_000_000;
/// All others come to rest within this, or the graph goes on and it is tried again.
const STOP: Duration = Duration::from_millis(5);
/// A node that computes for so long is waited for no more.
const LIMIT: Duration = Duration::from_secs(10);

impl RunningGraph {
    /// Puts another graph in the place of this one, without ending what stays the same.
    ///
    /// A node is the same when its name, calculator, options, ports and side packets are: it keeps its object and its
    /// state, and gets other settings (wiring, age, priority, queues) on the way. All others are made anew and opened
    /// while the graph still runs; if one doesn't open, all stays as it was. `side_packets` are all that the new graph
    /// needs; values that are equal (models, numbers, texts) count as the same. What waits on a port stays as far as
    /// it is older than what comes next on it. Nodes that are gone are closed afterwards; what their Close sends is
    /// lost. The run goes on: status handlers hear nothing, unless they differ; then those of the new graph hear that
    /// it begins, and they hear of its end. Not to be called by a node or an observer.
    pub fn reload(
        &self,
        new: &ValidatedGraph,
        side_packets: BTreeMap<String, SidePacket>,
    ) -> Result<ReloadReport, ReloadError> {
        let report = self.current.reload(new, side_packets)?;
        if let Err(error) = self.current.watch_for_stuck_nodes() {
            tracing::warn!(%error, "nobody looks for nodes that are stuck");
        }
        Ok(report)
    }
}

impl Current {
    fn reload(
        &self,
        new: &ValidatedGraph,
        side_packets: BTreeMap<String, SidePacket>,
    ) -> Result<ReloadReport, ReloadError> {
        let one_at_a_time = lock(&self.changing);
        self.wait_until_open()?;
        let old = Arc::clone(&self.engine());
        let prepared = Prepared::new(new, self.inputs(&old, side_packets), &self.progress)?;
        let diff = {
            let before = lock(&old.opening.side);
            Diff::new(&old.plan, &new.0, &before, &lock(&prepared.engine.opening.side))
        };
        prepared.open(&old, &diff)?;
        if !old.has_handlers_of(&prepared.engine) {
            let told = prepared.engine.pre_run().map_err(StartError::PreRun);
            told.map_err(ReloadError::Start)?;
        }
        let switched = self.switch(&old, &prepared, &diff, &[]);
        if let (Err(_), false) = (&switched, old.has_handlers_of(&prepared.engine)) {
            // They heard that a run begins.
            prepared.engine.post_run(Some(&RunError::Cancelled));
        }
        let mut report = switched?;
        let before = std::mem::replace(&mut *lock(&self.threads), prepared.take_threads());
        // The last of the old workers closes the nodes that have no place in the new graph.
        threads::join(before);
        drop(one_at_a_time);
        name_nodes(&mut report, &old, &prepared.engine, &diff);
        Ok(report)
    }

    /// Goes over to the same graph with these nodes made anew; their present calls are left to themselves.
    pub(super) fn replace_stuck(&self, old: &Arc<Engine>, stuck: &[Stuck]) -> Result<(), ReloadError> {
        let _one_at_a_time = lock(&self.changing);
        if !Arc::ptr_eq(old, &self.engine()) {
            // A reload came first.
            return Ok(());
        }
        let given = {
            let side = lock(&old.opening.side);
            let given = side.iter().filter(|(name, _)| maker(&old.plan, name).is_none());
            given
                .map(|(name, packet)| (name.clone(), packet.clone()))
                .collect()
        };
        let graph = ValidatedGraph(Arc::clone(&old.plan));
        let prepared = Prepared::new(&graph, self.inputs(old, given), &self.progress)?;
        let nodes: Vec<usize> = stuck.iter().map(|stuck| stuck.node).collect();
        let diff = Diff::without(old.cells.len(), &nodes);
        for cell in nodes.iter().filter_map(|node| prepared.engine.cells.get(*node)) {
            cell.ports.after_stuck.store(true, Ordering::Relaxed);
        }
        prepared.open(old, &diff)?;
        self.switch(old, &prepared, &diff, stuck)?;
        for cell in nodes.iter().filter_map(|node| prepared.engine.cells.get(*node)) {
            lock(&cell.meter).failed();
        }
        // Nobody waits for the threads of the old engine: one of them is stuck.
        *lock(&self.threads) = prepared.take_threads();
        Ok(())
    }

    fn inputs(&self, old: &Engine, side_packets: BTreeMap<String, SidePacket>) -> Inputs {
        Inputs {
            side_packets,
            sink: Arc::clone(&old.services.sink.0),
            clock: Arc::clone(old.services.pool.clock()),
            backend: Arc::clone(&old.services.backend),
            services: old.services.lent.clone(),
            observer: old.observer.clone(),
            threads: self.threads_asked,
            trace: old.tracing.as_ref().map(Tracing::trace),
        }
    }

    fn wait_until_open(&self) -> Result<(), ReloadError> {
        let outcome = lock(&self.progress.outcome);
        let opening = self
            .progress
            .changed
            .wait_while(outcome, |outcome| outcome.status == RunStatus::Opening);
        match opening.unwrap_or_else(PoisonError::into_inner).status {
            RunStatus::Running => Ok(()),
            _ => Err(ReloadError::Over),
        }
    }

    /// Waits for the moment, and lets the new engine take over. `stuck` nodes are waited for no more.
    fn switch(
        &self,
        old: &Engine,
        prepared: &Prepared,
        diff: &Diff,
        stuck: &[Stuck],
    ) -> Result<ReloadReport, ReloadError> {
        let end = Instant::now() + LIMIT;
        let pool = &old.services.pool;
        let mut slow = slow_nodes(old);
        let is_stuck = |node: &usize| stuck.iter().any(|stuck| stuck.node == *node);
        slow.retain(|node| !is_stuck(node));
        loop {
            pool.keep_back(slow.iter().copied());
            while let Some(node) = slow.iter().copied().find(|node| is_running(old, *node)) {
                if Instant::now() > end || pool.is_halted() {
                    pool.release();
                    return Err(busy(old, node));
                }
                pool.wait_for_workers(STOP);
            }
            let Some(given_up) = workers_in(old, stuck) else {
                pool.release();
                return Err(ReloadError::CameBack);
            };
            // From here on nobody feeds the graph.
            let mut place = self.engine.write().unwrap_or_else(PoisonError::into_inner);
            let began = Instant::now();
            let held = pool.hold_all(STOP, given_up);
            if held && !pool.is_halted() && workers_in(old, stuck) != Some(given_up) {
                // One came back, and another may be at work in its place.
                pool.release();
                continue;
            }
            if held {
                if pool.is_halted() || old.stopping.load(Ordering::SeqCst) {
                    pool.release();
                    return Err(ReloadError::Over);
                }
                let switch = Switch {
                    old,
                    new: &prepared.engine,
                    diff,
                };
                old.hand_handlers_to(&prepared.engine);
                let closed = switch.vanishing_outputs();
                let dropped = switch.run();
                *place = Arc::clone(&prepared.engine);
                *lock(&self.timed) = Arc::downgrade(&prepared.engine);
                let gap = began.elapsed();
                drop(place);
                pool.halt();
                old.feeds.iter().for_each(crate::run::deliver::Feed::open_door);
                if let Some(observer) = &old.observer {
                    for stream in closed {
                        observer.seen(&stream, Observed::Closed);
                    }
                }
                return Ok(ReloadReport {
                    dropped,
                    gap,
                    ..ReloadReport::default()
                });
            }
            drop(place);
            // What runs now is slower than it usually is.
            let running = (0..old.cells.len()).filter(|node| is_running(old, *node) && !is_stuck(node));
            slow.extend(running);
            if Instant::now() > end {
                pool.release();
                return Err(busy(old, slow.last().copied().unwrap_or_default()));
            }
        }
    }
}

fn busy(old: &Engine, node: usize) -> ReloadError {
    if old.services.pool.is_halted() {
        return ReloadError::Over;
    }
    let node = old.plan.nodes.get(node);
    ReloadError::Busy {
        node: node.map_or(String::new(), |node| node.name.clone()),
        limit: LIMIT,
    }
}

/// Nodes that would be waited for too long; one that never ran may be one.
fn slow_nodes(old: &Engine) -> Vec<usize> {
    let cells = old.cells.iter().enumerate().skip(old.plan.sources);
    cells
        .filter(|(_, cell)| cell.usual_nanos() == 0 || cell.usual_nanos() > SLOW_NANOS)
        .map(|(index, _)| index)
        .collect()
}

/// Workers that are in the calls of these nodes; none when a node came back.
fn workers_in(engine: &Engine, stuck: &[Stuck]) -> Option<usize> {
    stuck.iter().map(|stuck| stuck.workers(engine)).sum()
}

fn is_running(engine: &Engine, node: usize) -> bool {
    let cell = engine.cells.get(node);
    cell.is_some_and(|cell| lock(&cell.inbox).is_at_work())
}

fn name_nodes(report: &mut ReloadReport, old: &Engine, new: &Engine, diff: &Diff) {
    for (fate, node) in diff.fates.iter().zip(&new.plan.nodes) {
        let name = node.name.clone();
        match fate {
            Fate::Kept(before) => {
                let before = old.plan.nodes.get(*before);
                if before.is_some_and(|before| is_adjusted(before, node)) {
                    report.adjusted.push(name.clone());
                }
                report.kept.push(name);
            }
            Fate::Replaced(_) => report.reopened.push(name),
            Fate::Added => report.added.push(name),
        }
    }
    let removed = diff.removed.iter().filter_map(|node| old.plan.nodes.get(*node));
    report.removed = removed.map(|node| node.name.clone()).collect();
}
