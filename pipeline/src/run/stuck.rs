//! Nodes whose call doesn't return: given up after the time they declare, and made anew beside it.
//!
//! A look now and then, so that a call itself costs nothing more. The node is exchanged as a reload does it: a new
//! engine with new workers takes over, and the thread of the stuck call is left behind with the old one.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use crate::run::current::Current;
use crate::run::engine::Engine;
use crate::sync::lock;

/// Looks per declared time.
const LOOKS: u32 = 4;

/// A node that doesn't come back from a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stuck {
    pub(super) node: usize,
    /// Calls that had ended when it went in.
    calls: u64,
}

impl Stuck {
    /// Workers that are in its calls; none when it came back meanwhile.
    pub(super) fn workers(self, engine: &Engine) -> Option<usize> {
        let cell = engine.cells.get(self.node)?;
        let calls = {
            let inbox = lock(&cell.inbox);
            inbox.calls.len() + lock(&cell.meter).calls()
        };
        let workers = match cell.body.try_lock() {
            Ok(body) => body.objects.at_work(),
            Err(TryLockError::Poisoned(broken)) => broken.into_inner().objects.at_work(),
            Err(TryLockError::WouldBlock) => 1,
        };
        (calls == self.calls && workers > 0).then_some(workers)
    }
}

/// Per node name: calls that had ended when the present one was first seen, and when that was.
type Seen = BTreeMap<String, (u64, Instant)>;

impl Current {
    /// Starts looking, where a node of the graph declares a time and nobody looks yet.
    pub(super) fn watch_for_stuck_nodes(self: &Arc<Self>) -> io::Result<()> {
        if shortest(&self.engine()).is_none() || self.watched.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let current = Arc::clone(self);
        let thread = thread::Builder::new().name("pipeline-stuck".to_owned());
        thread.spawn(move || current.look_for_stuck_nodes()).map(drop)
    }

    fn look_for_stuck_nodes(&self) {
        let mut seen = Seen::new();
        loop {
            let engine = Arc::clone(&self.engine());
            let pause = shortest(&engine).map_or(Duration::from_secs(1), |shortest| shortest / LOOKS);
            {
                let outcome = lock(&self.progress.outcome);
                let changed = &self.progress.changed;
                let going = changed.wait_timeout_while(outcome, pause, |outcome| !outcome.status.is_over());
                if going.unwrap_or_else(PoisonError::into_inner).0.status.is_over() {
                    return;
                }
            }
            let stuck = stuck_nodes(&engine, &mut seen, Instant::now());
            if stuck.is_empty() {
                continue;
            }
            let named = stuck.iter().filter_map(|stuck| engine.plan.nodes.get(stuck.node));
            let names: Vec<&str> = named.map(|node| node.name.as_str()).collect();
            match self.replace_stuck(&engine, &stuck) {
                Ok(()) => tracing::warn!(nodes = ?names, "stuck: given up, and made anew"),
                Err(error) => tracing::warn!(nodes = ?names, %error, "stuck, and can't be made anew now"),
            }
        }
    }
}

fn shortest(engine: &Engine) -> Option<Duration> {
    let nodes = engine.plan.nodes.iter();
    let shortest = nodes.filter_map(|node| node.stuck_after).min()?;
    Some(Duration::from_nanos(u64::try_from(shortest).unwrap_or(0)).max(Duration::from_millis(4)))
}

/// Nodes that were in one and the same call for as long as they declare.
fn stuck_nodes(engine: &Engine, seen: &mut Seen, now: Instant) -> Vec<Stuck> {
    let mut stuck = Vec::new();
    for (index, (cell, node)) in engine.cells.iter().zip(&engine.plan.nodes).enumerate() {
        let Some(limit) = node.stuck_after else { continue };
        let calls = {
            let inbox = lock(&cell.inbox);
            if !inbox.is_at_work() {
                seen.remove(&node.name);
                continue;
            }
            inbox.calls.len() + lock(&cell.meter).calls()
        };
        let since = seen.entry(node.name.clone()).or_insert((calls, now));
        if since.0 != calls {
            *since = (calls, now);
        }
        if i64::try_from(now.duration_since(since.1).as_nanos()).unwrap_or(i64::MAX) >= limit {
            stuck.push(Stuck { node: index, calls });
        }
    }
    stuck
}
