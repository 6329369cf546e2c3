//! The figures of a running graph, read while it runs.

use crate::run::RunningGraph;
use crate::run::meter::{Meter, Tally};
use crate::stats::{Drops, GraphStats, NodeStats, SourceStats};
use crate::sync::lock;

impl RunningGraph {
    /// Everything since the start.
    pub fn stats(&self) -> GraphStats {
        self.collect(self.started, |meter, dropped| (meter.total(), dropped))
    }

    /// Everything since the last call of this. For one reader: whoever calls it takes the window away.
    pub fn take_window(&self) -> GraphStats {
        let now = self.engine().services.pool.clock().nanos();
        let since = std::mem::replace(&mut *lock(&self.window_started), now);
        self.collect(since, Meter::take_window)
    }

    /// Everything since the last call of `take_window`, which goes on.
    pub fn window(&self) -> GraphStats {
        let since = *lock(&self.window_started);
        self.collect(since, Meter::window)
    }

    fn collect(&self, since: i64, read: impl Fn(&mut Meter, Drops) -> (Tally, Drops)) -> GraphStats {
        let engine = self.engine();
        let now = engine.services.pool.clock().nanos();
        let seconds = (now - since) as f64 / 1e9;
        let per_second = |count: u64| {
            if seconds > 0.0 {
                count as f64 / seconds
            } else {
                0.0
            }
        };
        let mut stats = GraphStats {
            elapsed_seconds: seconds,
            streams: self.streams(),
            ..GraphStats::default()
        };
        for (index, (cell, planned)) in engine.cells.iter().zip(&engine.plan.nodes).enumerate() {
            let (queued, (tally, drops)) = {
                let mut inbox = lock(&cell.inbox);
                engine.trace_inbox(index, &mut inbox, now);
                let mut meter = lock(&cell.meter);
                meter.fold(&mut inbox.calls);
                (inbox.queued(), read(&mut meter, inbox.dropped.figures()))
            };
            let (name, calculator) = (planned.name.clone(), planned.kind.name.to_owned());
            if index < engine.plan.sources {
                stats.sources.push(SourceStats {
                    name,
                    calculator,
                    produced: tally.produced,
                    fps: per_second(tally.produced),
                    lateness_ms: tally.lateness_ms(),
                    process_ms: tally.process_ms(),
                    drops,
                    errors: tally.errors,
                });
            } else {
                stats.nodes.push(NodeStats {
                    name,
                    calculator,
                    processed: tally.processed,
                    fps: per_second(tally.processed),
                    process_ms: tally.process_ms(),
                    start_age_ms: tally.start_age_ms(),
                    end_age_ms: tally.end_age_ms(),
                    drops,
                    queued,
                    errors: tally.errors,
                    latency: tally.latency(),
                });
            }
        }
        stats
    }
}
