//! How a run ends: nothing left to do, asked to stop, cancelled, or failed.

use std::sync::atomic::Ordering;

use crate::run::cell::Life;
use crate::run::deliver::Feed;
use crate::run::engine::{Engine, Woken};
use crate::run::inbox::Phase;
use crate::run::{RunError, RunStatus};
use crate::sync::lock;
use crate::timestamp::Timestamp;

impl Engine {
    /// Nothing can run: make room where streams are full, or see that the run is over.
    pub(crate) fn idle(&self, asked: u64, timers: bool) {
        if !self.services.pool.is_paused() && !self.make_room() && !timers {
            self.end_if_done();
        }
        let mut outcome = lock(&self.progress.outcome);
        outcome.idle_asked = outcome.idle_asked.max(asked);
        drop(outcome);
        self.progress.changed.notify_all();
    }

    /// Sources that are held back while everything waits would wait for ever. True if there were any.
    fn make_room(&self) -> bool {
        let held_back = |index: usize| self.is_throttled(index);
        if !(0..self.throttles.len()).any(held_back) {
            return false;
        }
        let mut woken = Woken::new();
        let mut grown = false;
        for (cell, planned) in self.cells.iter().zip(&self.plan.nodes) {
            let mut inbox = lock(&cell.inbox);
            if self.plan.report_deadlock {
                if let Some(port) = inbox.full_input().and_then(|input| planned.inputs.get(input)) {
                    let (node, stream) = (planned.name.clone(), port.stream.clone());
                    drop(inbox);
                    self.fail(RunError::Deadlock { node, stream });
                    return true;
                }
            } else if inbox.grow() {
                grown = true;
                let crossings = inbox.crossings();
                drop(inbox);
                tracing::debug!(
                    node = planned.name,
                    "a full stream got room: everything waited for it"
                );
                self.apply(planned, crossings, &mut woken);
            }
        }
        self.services.pool.publish_all(woken);
        grown
    }

    /// No source is left, all inputs are closed, and nothing can run: what still waits, waits in vain.
    fn end_if_done(&self) {
        let fed = self.feeds.iter().any(|feed| !lock(&feed.shard).is_closed());
        if fed || !lock(&self.layers).is_empty() || self.open_nodes.load(Ordering::SeqCst) == 0 {
            return;
        }
        // Somebody may have fed the graph, and closed it, since this worker saw that nothing could run.
        if !self.services.pool.others_rest() {
            return;
        }
        if let Some(error) = self.unopened() {
            self.fail(error);
        } else {
            self.tell_what_waits();
            self.services.pool.halt();
        }
    }

    fn tell_what_waits(&self) {
        for (cell, planned) in self.cells.iter().zip(&self.plan.nodes) {
            let inbox = lock(&cell.inbox);
            let (true, Some(input)) = (inbox.queued() > 0, inbox.awaited_input()) else {
                continue;
            };
            let bound = inbox.streams.get(input).map(crate::run::inbox::Stream::bound);
            let stream = planned.inputs.get(input).map_or("", |port| port.stream.as_str());
            tracing::debug!(
                node = planned.name,
                stream,
                ?bound,
                packets = inbox.queued(),
                "waits in vain: the run ends"
            );
        }
    }

    /// Lets the graph run dry: sources are closed instead of run.
    pub(crate) fn stop(&self) {
        if !self.in_force.load(Ordering::SeqCst) {
            return;
        }
        self.stopping.store(true, Ordering::SeqCst);
        {
            let mut outcome = lock(&self.progress.outcome);
            if outcome.status == RunStatus::Running {
                outcome.status = RunStatus::Stopping;
            }
        }
        for (index, cell) in self.cells.iter().enumerate().take(self.plan.sources) {
            let mut inbox = lock(&cell.inbox);
            if matches!(inbox.phase, Phase::Timed(_) | Phase::Throttled | Phase::Layered) {
                inbox.phase = Phase::Queued;
                drop(inbox);
                self.services.pool.publish(index);
            }
        }
        for index in 0..self.feeds.len() {
            self.feed(index, None, Timestamp::DONE);
        }
        self.look_for_the_end();
    }

    /// Inputs were closed. Where that wakes nobody, as in a loop that waits for itself, it may still be the end: the
    /// workers look once more whether anything can run.
    pub(crate) fn look_for_the_end(&self) {
        self.services.pool.ask_idle();
    }

    pub(crate) fn fail(&self, error: RunError) {
        if self.in_force.load(Ordering::SeqCst) {
            lock(&self.progress.outcome).error.get_or_insert(error);
        }
        self.services.pool.halt();
        self.feeds.iter().for_each(Feed::open_door);
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
                let _ = body.close(&cell.ports, &self.services);
            }
        }
        if !self.in_force.load(Ordering::SeqCst) {
            return;
        }
        let ended = lock(&self.progress.outcome).error.clone();
        let failed = self.post_run(ended.as_ref());
        let mut outcome = lock(&self.progress.outcome);
        if let Some(failed) = failed {
            outcome.error.get_or_insert(failed);
        }
        outcome.status = match &outcome.error {
            None => RunStatus::Finished,
            Some(RunError::Cancelled) => RunStatus::Cancelled,
            Some(error) => RunStatus::Failed(error.clone()),
        };
        drop(outcome);
        self.progress.changed.notify_all();
    }
}
