//! The figures of a running graph's streams.

use crate::packet::Packet;
use crate::run::RunningGraph;
use crate::run::engine::Engine;
use crate::stats::{ReaderStats, StreamStats};
use crate::sync::lock;
use crate::validate::plan::Outlet;

impl RunningGraph {
    /// Streams fed from outside, then those of the nodes, in the order of the plan.
    pub(super) fn streams(&self) -> Vec<StreamStats> {
        let engine: &Engine = &self.engine();
        let now = engine.services.pool.clock().micros();
        let fed = engine.plan.inputs.iter().zip(&engine.feeds).map(|(input, feed)| {
            let carried = feed.carried.get();
            engine.stream(&input.stream, None, carried, &input.outlet, now)
        });
        let nodes = engine.plan.nodes.iter().zip(&engine.cells);
        let written = nodes.flat_map(|(planned, cell)| {
            let outputs = planned.outputs.iter().zip(&planned.outlets).zip(&cell.carried);
            outputs.map(|((output, outlet), carried)| {
                engine.stream(&output.stream, Some(&planned.name), carried.get(), outlet, now)
            })
        });
        fed.chain(written).collect()
    }
}

impl Engine {
    fn stream(
        &self,
        name: &str,
        writer: Option<&String>,
        carried: u64,
        outlet: &Outlet,
        now: i64,
    ) -> StreamStats {
        let readers = outlet.readers.iter().filter_map(|(node, input)| {
            let inbox = lock(&self.cells.get(*node)?.inbox);
            let stream = inbox.streams.get(*input)?;
            let oldest = stream.head().map(Packet::timestamp);
            Some(ReaderStats {
                node: self.plan.nodes.get(*node)?.name.clone(),
                depth: stream.len() as u64,
                oldest_ms: oldest
                    .filter(|at| at.is_range_value())
                    .map(|at| now.saturating_sub(at.micros()) as f64 / 1e3),
                grown: stream.grown(),
            })
        });
        StreamStats {
            name: name.to_owned(),
            writer: writer.cloned(),
            carried,
            readers: readers.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::clock::{Clock, VirtualClock};
    use crate::packet::Packet;
    use crate::run::Inputs;
    use crate::stats::{ReaderStats, StreamStats};
    use crate::testing::{at, graph, start};

    fn reader(node: &str, depth: u64, oldest_ms: Option<f64>) -> ReaderStats {
        ReaderStats {
            node: node.to_owned(),
            depth,
            oldest_ms,
            grown: 0,
        }
    }

    #[test]
    fn what_waits_for_whom_and_how_long() {
        let graph = graph(
            "inputStreams: [a, b]
nodes:
- {name: join, calculator: Mix, inputs: [a, b], outputs: [c]}
- {name: end, calculator: Discard, inputs: [a]}
outputStreams: [c]",
        );
        let clock = Arc::new(VirtualClock::by_hand(0));
        let inputs = Inputs {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..Inputs::default()
        };
        let running = graph.start(inputs).unwrap();
        for time in [0, 1000, 2000] {
            running.feed("a", Packet::new(time, at(time))).unwrap();
        }
        running.feed("b", Packet::new(0_i64, at(0))).unwrap();
        running.wait_idle();
        clock.advance(Duration::from_millis(5));
        let mut streams = running.stats().streams;
        for stream in &mut streams {
            stream.readers.sort_by(|one, other| one.node.cmp(&other.node));
        }
        let stream = |name: &str, writer: Option<&str>, carried, readers| StreamStats {
            name: name.to_owned(),
            writer: writer.map(str::to_owned),
            carried,
            readers,
        };
        let wanted = [
            stream(
                "a",
                None,
                3,
                vec![reader("end", 0, None), reader("join", 2, Some(4.0))],
            ),
            stream("b", None, 1, vec![reader("join", 0, None)]),
            stream("c", Some("join"), 1, vec![]),
        ];
        assert_eq!(streams, wanted);
    }

    #[test]
    fn room_made_for_a_full_queue_is_counted() {
        let graph = graph(
            "maxQueueSize: 1
nodes:
- {calculator: Count, options: {count: 9}, outputs: [a]}
- {calculator: Keep, inputs: [a], outputs: [b], options: {every: 9}}
- {calculator: Mix, inputs: [a, b], outputs: [c]}
outputStreams: [c]",
        );
        let (running, _) = start(&graph, 1);
        running.wait().unwrap();
        let streams = running.stats().streams;
        let of = |name: &str| streams.iter().find(|stream| stream.name == name).unwrap();
        let grown: u64 = of("a").readers.iter().map(|reader| reader.grown).sum();
        assert!(grown > 0, "{streams:?}");
        assert_eq!((of("a").carried, of("b").carried, of("c").carried), (9, 1, 9));
    }
}
