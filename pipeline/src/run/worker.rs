//! A worker thread: takes the most urgent node, runs it, keeps the most urgent of those it woke.

use std::cmp::Reverse;
use std::sync::Arc;
use std::thread;

use crate::run::RunError;
use crate::run::engine::{Engine, Woken};
use crate::run::pool::Work;
use crate::run::ready::ReadySet;
use crate::spec::Priority;
use crate::trace::Tracing;

/// Runs until the graph ends. The first worker opens the nodes.
pub(crate) fn work(engine: &Arc<Engine>, lane: usize, first: bool) {
    let _leaving = Leaving(engine);
    engine.tracing.iter().for_each(Tracing::attach);
    if first {
        engine.open();
    }
    let pool = &engine.services.pool;
    let choose =
        |ready: &ReadySet, own: Option<usize>, top_only: bool| most_urgent(engine, ready, own, top_only);
    let mut own = None;
    let mut woken = Woken::new();
    let mut ended = None;
    loop {
        let (work, waited) = pool.next(lane, own.take(), &choose);
        if waited {
            ended = None;
        }
        match work {
            Work::Halt => break,
            Work::Idle { asked, timers } => engine.idle(asked, timers),
            Work::Timer { node, at } => {
                if engine.timer(node, at) {
                    if pool.is_of(node, lane) {
                        own = Some(node);
                    } else {
                        pool.publish(node);
                    }
                }
            }
            Work::Run(node) => {
                // The end of one call is the start of the next, unless waiting or waking others came in between.
                let now = ended.take().unwrap_or_else(|| pool.clock().nanos());
                ended = Some(engine.step(node, now, &mut woken));
                pool.finished(lane, node);
                own = match woken.as_slice() {
                    [] => None,
                    // The usual case: the one reader of a stream.
                    [node] if pool.is_of(*node, lane) => woken.pop(),
                    several => several
                        .iter()
                        .filter(|node| pool.is_of(**node, lane))
                        .max()
                        .copied(),
                };
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

/// Keeps the sources' time when all workers are busy: runs those that are overdue, and nothing else.
pub(crate) fn stand_in(engine: &Arc<Engine>) {
    let _leaving = Leaving(engine);
    engine.tracing.iter().for_each(Tracing::attach);
    let pool = &engine.services.pool;
    let mut woken = Woken::new();
    while let Some((node, at)) = pool.overdue() {
        if !engine.timer(node, at) {
            continue;
        }
        if node < engine.plan.sources {
            engine.step(node, pool.clock().nanos(), &mut woken);
        } else {
            woken.push(node);
        }
        pool.publish_all(std::mem::take(&mut woken));
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

/// The most urgent published node, if it is more urgent than the worker's own.
fn most_urgent(engine: &Engine, ready: &ReadySet, own: Option<usize>, top_only: bool) -> Option<usize> {
    let highest = ready.highest()?;
    let sources = engine.plan.sources;
    if highest < sources && own.is_some_and(|own| own >= sources) {
        return None;
    }
    let plain = !top_only && engine.plan.reader_branches <= 1;
    let best = if highest >= sources && plain {
        Some(highest)
    } else {
        best_of_branches(engine, ready, top_only).or_else(|| best_source(engine, ready))
    };
    best.filter(|best| own.is_none_or(|own| urgency(engine, *best) > urgency(engine, own)))
}

/// Nodes near the outputs first, in the branch that has had the least; where branches join comes before them.
fn best_of_branches(engine: &Engine, ready: &ReadySet, top_only: bool) -> Option<usize> {
    let nodes = ready
        .below(engine.plan.nodes.len())
        .filter(|node| *node >= engine.plan.sources);
    nodes
        .filter(|node| !top_only || *node >= engine.plan.top_from)
        .max_by_key(|node| urgency(engine, *node))
}

/// The source furthest behind.
fn best_source(engine: &Engine, ready: &ReadySet) -> Option<usize> {
    ready
        .below(engine.plan.sources)
        .min_by_key(|source| engine.source_bound(*source))
}

/// Readers before sources; the class; where branches have joined; after they have forked; the branch that has had
/// least; the later stage.
type Urgency = (bool, Priority, usize, Reverse<usize>, Reverse<i64>, usize);

fn urgency(engine: &Engine, node: usize) -> Urgency {
    let Some(planned) = engine.plan.nodes.get(node) else {
        return (false, Priority::Low, 0, Reverse(0), Reverse(0), node);
    };
    let reader = node >= engine.plan.sources;
    let used = if reader { engine.used(planned.branch) } else { 0 };
    let leads_to = Reverse(planned.leads_to);
    (
        reader,
        planned.class,
        planned.fed_by,
        leads_to,
        Reverse(used),
        node,
    )
}
