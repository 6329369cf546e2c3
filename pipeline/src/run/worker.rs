//! A worker thread: takes the most urgent node, runs it, keeps the most urgent of those it woke.

use std::sync::Arc;
use std::thread;

use crate::run::RunError;
use crate::run::engine::{Engine, Woken};
use crate::run::pool::Work;
use crate::run::ready::ReadySet;

/// Runs until the graph ends. The first worker opens the nodes.
pub(crate) fn work(engine: &Arc<Engine>, first: bool) {
    let _leaving = Leaving(engine);
    if first {
        engine.open();
    }
    let pool = &engine.services.pool;
    let choose = |ready: &ReadySet| most_urgent(engine, ready);
    let mut own = None;
    let mut woken = Woken::new();
    let mut ended = None;
    loop {
        let (work, waited) = pool.next(own.take(), choose);
        if waited {
            ended = None;
        }
        match work {
            Work::Halt => break,
            Work::Idle { asked, timers } => engine.idle(asked, timers),
            Work::Timer { node, at } => own = engine.timer(node, at).then_some(node),
            Work::Run(node) => {
                // The end of one call is the start of the next, unless waiting or waking others came in between.
                let now = ended.take().unwrap_or_else(|| pool.clock().nanos());
                ended = Some(engine.step(node, now, &mut woken));
                own = woken.iter().max().copied();
                for node in woken.drain(..) {
                    if Some(node) != own {
                        pool.publish(node);
                        ended = None;
                    }
                }
            }
        }
    }
}

/// However a worker ends, the run must hear of it.
struct Leaving<'a>(&'a Engine);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(RunError::Broken);
        }
        self.0.worker_left();
    }
}

/// Nodes near the outputs first; among sources, the one furthest behind.
fn most_urgent(engine: &Engine, ready: &ReadySet) -> Option<usize> {
    let highest = ready.highest()?;
    let sources = engine.plan.sources;
    if highest >= sources {
        return Some(highest);
    }
    ready
        .below(sources)
        .min_by_key(|source| engine.source_bound(*source))
}
