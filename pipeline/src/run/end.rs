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
                tracing::debug!(
                    node = cell.ports.node,
                    "a full stream got room: everything waited for it"
                );
                self.apply(planned, crossings, &mut woken);
            }
        }
        self.services.pool.publish_all(woken);
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

    fn stalled(&self) -> RunError {
        let waiting = self
            .cells
            .iter()
            .zip(&self.plan.nodes)
            .find_map(|(cell, planned)| {
                let inbox = lock(&cell.inbox);
                let awaited = (inbox.queued() > 0).then(|| inbox.awaited_input()).flatten()?;
                Some((
                    cell.ports.node.clone(),
                    planned.inputs.get(awaited)?.stream.clone(),
                ))
            });
        let (node, stream) = waiting.unwrap_or_default();
        RunError::Stalled { node, stream }
    }
}
