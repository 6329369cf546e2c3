//! Whole graphs, run on a clock that jumps.

mod arbitration;
mod bounds;
mod filters;
mod flow;
mod held;
mod life_cycle;
mod overlap;
mod ready;
mod status;
mod turns;
mod witness;

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::clock::{Clock, VirtualClock};
use crate::packet::Packet;
use crate::run::{FeedError, Inputs, RunError, RunStatus};
use crate::stats::GraphStats;
use crate::testing::{at, graph, start};
use crate::timestamp::Timestamp;

const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn a_chain_keeps_order_and_ends() {
    let graph = graph(
        "nodes:
- {calculator: Count, options: {count: 5}, outputs: [a]}
- {calculator: PassThrough, inputs: [a], outputs: [b]}
outputStreams: [b]",
    );
    for threads in 1..=3 {
        let (running, seen) = start(&graph, threads);
        running.wait().unwrap();
        assert_eq!(seen.stream("b"), "0:0 1:1 2:2 3:3 4:4 |");
        assert_eq!(running.status(), RunStatus::Finished);
        let stats = running.stats();
        assert_eq!((stats.sources[0].produced, stats.nodes[0].processed), (5, 5));
    }
}

#[test]
fn a_graph_can_be_run_again() {
    let graph = graph("nodes:\n- {calculator: Count, options: {count: 2}, outputs: [a]}\noutputStreams: [a]");
    for _ in 0..2 {
        let (running, seen) = start(&graph, 2);
        running.wait().unwrap();
        assert_eq!(seen.stream("a"), "0:0 1:1 |");
    }
}

/// A decimating branch and a queue of one: only room made while everything waits lets the join go on.
#[test]
fn a_full_queue_before_a_join_gets_room() {
    let graph = graph(
        "maxQueueSize: 1
nodes:
- {calculator: Count, options: {count: 202}, outputs: [a]}
- {calculator: Keep, inputs: [a], outputs: [b], options: {every: 101}}
- {calculator: Mix, inputs: [a, b], outputs: [c]}
outputStreams: [c]",
    );
    for threads in 1..=2 {
        let (running, seen) = start(&graph, threads);
        running.wait_timeout(LIMIT).unwrap().unwrap();
        assert_eq!(seen.seen()["c"].len(), 203);
        assert_eq!(running.stats().drops().total(), 0);
    }
}

#[test]
fn failures_name_the_node_and_the_call() {
    let faulty = |kind: &str| {
        graph(&format!(
            "nodes:
- {{calculator: Count, outputs: [a]}}
- {{name: lens, calculator: Fault, inputs: [a], outputs: [b], options: {{kind: {kind}, on: 3}}}}
- {{calculator: Discard, inputs: [b]}}"
        ))
    };
    let table = [
        ("open", "node lens: Open failed: no device"),
        ("error", "node lens: Process failed: lens cap on"),
        ("panic", "node lens: Process failed: panicked: index 9 of 3"),
    ];
    for (kind, text) in table {
        let (running, _) = start(&faulty(kind), 2);
        let error = running.wait_timeout(LIMIT).unwrap().unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!(running.status(), RunStatus::Failed(error));
        let stats = running.stats();
        assert_eq!(stats.nodes.iter().map(|node| node.errors).sum::<u64>(), 1);
    }
}

#[test]
fn a_backward_packet_is_a_counted_drop() {
    let graph = graph(
        "nodes:
- {calculator: Count, options: {count: 5}, outputs: [a]}
- {name: shaky, calculator: Fault, inputs: [a], outputs: [b], options: {kind: backward, on: 3}}
outputStreams: [b]",
    );
    let (running, seen) = start(&graph, 1);
    running.wait().unwrap();
    assert_eq!(seen.stream("b"), "0:0 1:1 2:2 4:4 |");
    assert_eq!(node(&running.stats(), "shaky").drops.late, 1);
}

#[test]
fn a_node_that_stops_ends_the_sources_and_what_is_queued_is_processed() {
    let graph = graph(
        "nodes:
- {name: endless, calculator: Generator, options: {fps: 1000, width: 2, height: 2}, outputs: [a]}
- {calculator: Fault, inputs: [a], outputs: [b], options: {kind: stop, on: 4}}
- {name: end, calculator: Discard, inputs: [b]}",
    );
    let (running, _) = start(&graph, 2);
    running.wait_timeout(LIMIT).unwrap().unwrap();
    let stats = running.stats();
    assert!(node(&stats, "end").processed >= 5, "{stats:?}");
    assert_eq!(stats.drops().total(), 0);
}

#[test]
fn cancel_ends_an_endless_run() {
    let graph = graph(
        "nodes:
- {calculator: Generator, options: {fps: 0, width: 2, height: 2}, outputs: [a]}
- {calculator: Discard, inputs: [a]}",
    );
    for threads in 1..=2 {
        let (running, _) = start(&graph, threads);
        running.cancel();
        assert_eq!(running.wait_timeout(LIMIT), Some(Err(RunError::Cancelled)));
        assert_eq!(running.status(), RunStatus::Cancelled);
    }
}

#[test]
fn stop_ends_an_endless_run_well() {
    let graph = graph(
        "nodes:
- {calculator: Generator, options: {fps: 0.001, width: 2, height: 2}, outputs: [a]}
- {name: end, calculator: Discard, inputs: [a]}",
    );
    // On a clock by hand the second frame never comes: only stop can end the run.
    let inputs = Inputs {
        clock: Arc::new(VirtualClock::by_hand(0)),
        ..Inputs::default()
    };
    let running = graph.start(inputs).unwrap();
    running.wait_idle();
    running.stop();
    running.wait_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(node(&running.stats(), "end").processed, 1);
}

#[test]
fn a_clock_by_hand_lets_one_frame_through_per_period() {
    let graph = graph(
        "nodes:
- {calculator: Generator, options: {fps: 10, width: 2, height: 2}, outputs: [a]}
- {name: end, calculator: Discard, inputs: [a]}",
    );
    let clock = Arc::new(VirtualClock::by_hand(1_000_000));
    let running = graph
        .start(Inputs {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..Inputs::default()
        })
        .unwrap();
    for frames in 1..=3 {
        running.wait_idle();
        assert_eq!(node(&running.stats(), "end").processed, frames);
        clock.advance(Duration::from_millis(100));
    }
}

#[test]
fn packets_from_outside() {
    let graph = graph(
        "inputStreams: [a, b]
outputStreams: [c]
nodes:
- {calculator: Mix, inputs: [a, b], outputs: [c]}",
    );
    let (running, seen) = start(&graph, 2);
    running.feed("a", Packet::new(1_i64, at(1))).unwrap();
    running.wait_idle();
    assert_eq!(seen.stream("c"), "");
    running.feed_bound("b", at(2)).unwrap();
    running.wait_idle();
    assert_eq!(seen.stream("c"), "1:31");
    assert!(matches!(
        running.try_feed("a", Packet::new(1_i64, at(1))),
        Err(FeedError::Late { .. })
    ));
    assert!(matches!(
        running.try_feed("x", Packet::empty(at(1))),
        Err(FeedError::Unknown(_))
    ));
    running.close_all_inputs();
    running.wait().unwrap();
    assert_eq!(seen.stream("c"), "1:31 |");
    assert_eq!(
        running.try_feed("a", Packet::new(1_i64, at(9))),
        Err(FeedError::Over)
    );
}

#[test]
fn a_full_graph_input_refuses_or_waits() {
    let graph = graph(
        "inputStreams: [a, b]
maxQueueSize: 10
nodes:
- {name: join, calculator: Mix, inputs: [a, b], outputs: [c]}",
    );
    let (running, _) = start(&graph, 1);
    let mut refused = 0;
    for time in 0..20 {
        refused += i32::from(running.try_feed("a", Packet::new(time, at(time))).is_err());
    }
    // Room is made when nothing can run, so the exact number depends on when the worker looked.
    assert!(refused > 0 || node(&running.stats(), "join").queued == 20);
    running.feed("b", Packet::new(0_i64, Timestamp::MAX)).unwrap();
    running.feed("a", Packet::new(0_i64, at(100))).unwrap();
    running.close_all_inputs();
    running.wait_timeout(LIMIT).unwrap().unwrap();
}

/// 30 frames a second into a stage of 110 ms: it runs all the time, on the newest frame, and never on an old one.
#[test]
fn overload_stays_in_real_time() {
    let text = |more: &str| {
        format!(
            "nodes:
- {{name: camera, calculator: Generator, options: {{fps: 30, count: 300, width: 2, height: 2}}, outputs: [a]}}
- {{name: slow, calculator: Busy, options: {{forMs: 110}}, inputs: [a], outputs: [b]{more}}}
- {{name: end, calculator: Discard, inputs: [b]}}"
        )
    };
    let run = |more| {
        let (running, _) = start(&graph(&text(more)), 2);
        running.wait_timeout(LIMIT).unwrap().unwrap();
        running.stats()
    };

    // The last frame has no successor and may wait for the whole stage: a maxAge above the period drops just that.
    let stats = run(", freshness: newest, maxAge: 34ms");
    let slow = node(&stats, "slow");
    assert_eq!(stats.sources[0].produced, 300);
    assert_eq!(slow.processed + slow.drops.late + slow.drops.age, 300);
    assert!(slow.drops.age <= 1, "{stats:?}");
    assert!(
        (8.9..9.2).contains(&(slow.processed as f64 / stats.elapsed_seconds)),
        "{stats:?}"
    );
    assert!(
        slow.start_age_ms.p50 <= 18.0 && slow.start_age_ms.max <= 33.4,
        "{stats:?}"
    );
    assert!(slow.end_age_ms.max <= 144.5, "{stats:?}");
    assert!(stats.sources[0].lateness_ms.max < 0.1, "{stats:?}");

    let stats = run(", maxAge: 20ms");
    let slow = node(&stats, "slow");
    assert_eq!(slow.processed + slow.drops.age, 300);
    assert!(slow.start_age_ms.max <= 20.0 && slow.processed > 70, "{stats:?}");

    let stats = run(", freshness: newest, maxAge: 5ms");
    let slow = node(&stats, "slow");
    assert_eq!(slow.processed + slow.drops.age + slow.drops.late, 300);
    assert!(slow.start_age_ms.max <= 5.0 && slow.drops.age > 0, "{stats:?}");
}

/// A stage on the newest frame must not let the rest of the graph lose anything else.
#[test]
fn only_the_stage_that_says_so_drops() {
    let graph = graph(
        "nodes:
- {calculator: Generator, options: {fps: 30, count: 60, width: 2, height: 2}, outputs: [a]}
- {name: slow, calculator: Busy, options: {forMs: 50}, inputs: [a], freshness: newest}
- {name: all, calculator: PassThrough, inputs: [a], outputs: [b]}
outputStreams: [b]",
    );
    let (running, seen) = start(&graph, 2);
    running.wait_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(seen.seen()["b"].len(), 61);
    assert!(node(&running.stats(), "slow").drops.late > 0);
    assert_eq!(node(&running.stats(), "all").drops.total(), 0);
}

#[test]
fn two_sources_take_turns() {
    let graph = graph(
        "maxQueueSize: 1
nodes:
- {calculator: Count, options: {count: 50}, outputs: [a]}
- {calculator: Count, options: {count: 50}, outputs: [b]}
- {calculator: Mix, inputs: [a, b], outputs: [c]}
outputStreams: [c]",
    );
    let (running, seen) = start(&graph, 1);
    running.wait_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(seen.seen()["c"].len(), 51);
}

fn node<'a>(stats: &'a GraphStats, name: &str) -> &'a crate::stats::NodeStats {
    stats.nodes.iter().find(|node| node.name == name).unwrap()
}

/// A graph of sources, decimators and joins: every node reads streams of earlier ones.
pub(super) fn random_graph(counts: Range<i64>) -> impl Strategy<Value = String> {
    let node = (
        0..3_u8,
        prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        1..5_i64,
    );
    (1..4_usize, prop::collection::vec(node, 1..12), 1..4_u32, counts).prop_map(
        |(sources, nodes, queue, count)| {
            let mut text = format!("maxQueueSize: {queue}\nnodes:\n");
            let mut streams = Vec::new();
            for source in 0..sources {
                let step = source + 1;
                let _ = writeln!(
                    text,
                    "- {{calculator: Count, options: {{count: {count}, step: {step}}}, outputs: [s{source}]}}"
                );
                streams.push(format!("s{source}"));
            }
            for (index, (kind, picks, every)) in nodes.into_iter().enumerate() {
                let mut inputs: Vec<String> = picks.iter().map(|pick| pick.get(&streams).clone()).collect();
                let out = format!("n{index}");
                let (calculator, options) = match kind {
                    0 => ("Keep", format!("{{every: {every}}}")),
                    1 => ("PassThrough", "{}".to_owned()),
                    _ => ("Mix", "{}".to_owned()),
                };
                if kind < 2 {
                    inputs.truncate(1);
                }
                let inputs = inputs.join(", ");
                let _ = writeln!(
                    text,
                    "- {{calculator: {calculator}, options: {options}, inputs: [{inputs}], outputs: [{out}], \
                     parallel: {every}}}"
                );
                streams.push(out);
            }
            text + &format!("outputStreams: [{}]\n", streams.join(", "))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_ends_and_gives_the_same_on_any_number_of_threads(text in random_graph(1..40)) {
        let graph = graph(&text);
        let runs: Vec<_> = [1, 2, 4]
            .into_iter()
            .map(|threads| {
                let (running, seen) = start(&graph, threads);
                let ended = running.wait_timeout(LIMIT);
                (ended, seen.seen(), running.stats().drops().total())
            })
            .collect();
        prop_assert_eq!(&runs[0].0, &Some(Ok(())));
        prop_assert_eq!(runs[0].2, 0);
        prop_assert_eq!(&runs[0], &runs[1]);
        prop_assert_eq!(&runs[0], &runs[2]);
    }
}
