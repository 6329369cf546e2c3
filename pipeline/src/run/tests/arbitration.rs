//! What the runtime decides between nodes: classes of urgency, turns, frames under way, layers, restarts, deadlines.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, VirtualClock};
use crate::packet::Packet;
use crate::run::tests::{LIMIT, node};
use crate::run::{Inputs, RunError, RunStatus};
use crate::stats::GraphStats;
use crate::testing::{at, graph, start};

/// Runs a graph whose sources end, on a clock that jumps.
fn stats_of(text: &str, threads: usize) -> GraphStats {
    let (running, _) = start(&graph(text), threads);
    running.wait_timeout(LIMIT).unwrap().unwrap();
    running.stats()
}

fn camera(name: &str, stream: &str) -> String {
    format!(
        "- {{name: {name}, calculator: Generator, options: {{fps: 30, count: 300, width: 2, height: 2}}, outputs: \
         [{stream}]}}\n"
    )
}

#[test]
fn the_urgent_branch_keeps_its_rate_when_there_is_too_much_to_do() {
    let slow: Vec<String> = (0..4)
        .map(|slow| {
            format!(
                "- {{name: slow{slow}, calculator: Busy, options: {{forMs: 90}}, inputs: [a], freshness: newest}}\n"
            )
        })
        .collect();
    let slow = slow.concat();
    let text = format!(
        "nodes:\n{}{slow}- {{name: prepare, calculator: PassThrough, inputs: [a], outputs: [b]}}\n- {{name: watch, \
         calculator: Busy, options: {{forMs: 5}}, inputs: [b], freshness: newest, priority: high}}\n",
        camera("camera", "a")
    );
    let stats = stats_of(&text, 2);
    let watch = node(&stats, "watch");
    assert_eq!((watch.processed, watch.drops.total()), (300, 0), "{stats:?}");
    assert!(watch.end_age_ms.max < 7.0, "{stats:?}");
    assert!(node(&stats, "slow0").processed > 20, "{stats:?}");
}

/// Four cameras with a detector each, twice as much work as the threads can do.
#[test]
fn cameras_share_the_threads_alike() {
    let text: String = (0..4)
        .map(|number| {
            camera(&format!("camera{number}"), &format!("c{number}"))
                + &format!(
                    "- {{name: detect{number}, calculator: Busy, options: {{forMs: 40}}, inputs: [c{number}], \
                     freshness: newest}}\n"
                )
        })
        .collect();
    let stats = stats_of(&format!("nodes:\n{text}"), 2);
    let shares: Vec<f64> = (0..4)
        .map(|number| node(&stats, &format!("detect{number}")).processed as f64)
        .collect();
    let mean = shares.iter().sum::<f64>() / 4.0;
    assert!(mean > 100.0, "{shares:?}");
    assert!(
        shares.iter().all(|share| (share - mean).abs() <= mean / 10.0),
        "{shares:?}"
    );
}

/// Four cameras into one detector, whether it waits for all of them or not.
#[test]
fn cameras_share_one_detector_alike() {
    for policy in ["{default: {}}", "{immediate: {}}"] {
        let cameras: String = (0..4)
            .map(|number| camera(&format!("camera{number}"), &format!("c{number}")))
            .collect();
        let counters: Vec<String> = (0..4)
            .map(|number| format!("- {{name: got{number}, calculator: Discard, inputs: [d{number}]}}\n"))
            .collect();
        let counters = counters.concat();
        let stats = stats_of(
            &format!(
                "nodes:\n{cameras}- {{name: detect, calculator: Busy, options: {{forMs: 40}}, inputs: [c0, c1, c2, \
                 c3], outputs: [d0, d1, d2, d3], freshness: newest, inputPolicy: {policy}}}\n{counters}"
            ),
            2,
        );
        let shares: Vec<u64> = (0..4)
            .map(|number| node(&stats, &format!("got{number}")).processed)
            .collect();
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(
            *least > 0 && most - least <= most / 10 + 1,
            "{policy}: {shares:?}"
        );
    }
}

/// In a row of stages the slowest sets the pace: it is never idle, and nothing grows old before it.
#[test]
fn frames_under_way_are_as_many_as_the_slowest_stage_needs() {
    for (costs, fresh) in [
        (vec![10, 50], "newest"),
        (vec![20, 50, 30], "newest"),
        (vec![10, 50], "all"),
        (vec![20, 60, 20, 20], "all"),
    ] {
        let stages: Vec<String> = costs
            .iter()
            .enumerate()
            .map(|(stage, cost)| {
                let fresh = if stage == 0 { "newest" } else { fresh };
                let next = stage + 1;
                format!(
                    "- {{name: b{stage}, calculator: Busy, options: {{forMs: {cost}}}, inputs: [s{stage}], outputs: \
                     [s{next}], freshness: {fresh}}}\n"
                )
            })
            .collect();
        let stages = stages.concat();
        let text = format!(
            "nodes:\n{}{stages}- {{name: end, calculator: Discard, inputs: [s{}]}}\n",
            camera("camera", "s0"),
            costs.len()
        );
        let stats = stats_of(&text, 2);
        let (sum, max) = (costs.iter().sum::<i32>(), *costs.iter().max().unwrap());
        let end = node(&stats, "end");
        let rate = end.processed as f64 / stats.elapsed_seconds * f64::from(max) / 1e3;
        assert!(rate >= 0.95, "{costs:?} {fresh}: {rate} {stats:?}");
        assert!(
            end.end_age_ms.p95 <= f64::from(sum + max),
            "{costs:?} {fresh}: {stats:?}"
        );
    }
}

#[test]
fn a_given_number_of_frames_is_kept() {
    let text = format!(
        "nodes:\n{}- {{name: first, calculator: Busy, options: {{forMs: 1}}, inputs: [a], outputs: [b], freshness: \
         newest, inFlight: 1}}\n- {{name: second, calculator: Busy, options: {{forMs: 50}}, inputs: [b], outputs: \
         [c]}}\n- {{name: end, calculator: Discard, inputs: [c]}}\n",
        camera("camera", "a")
    );
    let stats = stats_of(&text, 2);
    // Nothing waits before the second stage: each frame enters when the last has left.
    assert!(node(&stats, "second").start_age_ms.max <= 34.5, "{stats:?}");
    assert!(node(&stats, "end").processed > 180, "{stats:?}");
}

#[test]
fn what_cannot_be_done_by_its_deadline_is_not_begun() {
    let text = format!(
        "nodes:\n{}- {{name: slow, calculator: Busy, options: {{forMs: 50}}, inputs: [a], outputs: [b], freshness: \
         newest, deadline: 70ms}}\n- {{calculator: Discard, inputs: [b]}}\n",
        camera("camera", "a")
    );
    let stats = stats_of(&text, 2);
    let slow = node(&stats, "slow");
    assert!(
        slow.end_age_ms.max <= 71.0 && slow.drops.age > 0 && slow.processed > 100,
        "{stats:?}"
    );
}

#[test]
fn layers_of_sources_follow_each_other() {
    let graph = graph(
        "nodes:
- {name: late, calculator: Count, options: {count: 3}, outputs: [b], sourceLayer: 1}
- {name: early, calculator: Count, options: {count: 3}, outputs: [a]}
- {calculator: Merge, inputs: [a, b], outputs: [c], inputPolicy: {immediate: {}}}
outputStreams: [a, b]",
    );
    for threads in [1, 4] {
        let (running, seen) = start(&graph, threads);
        running.wait_timeout(LIMIT).unwrap().unwrap();
        assert_eq!(seen.stream("a"), "0:0 1:1 2:2 |");
        assert_eq!(seen.stream("b"), "0:0 1:1 2:2 |");
    }
}

#[test]
fn a_node_that_fails_is_made_anew_and_goes_on() {
    let graph = graph(
        "nodes:
- {calculator: Generator, options: {fps: 10, count: 50, width: 2, height: 2}, outputs: [a]}
- {name: shaky, calculator: Fault, inputs: [a], outputs: [b], options: {kind: panic, on: 3}, onFailure: restart}
- {name: end, calculator: Discard, inputs: [b]}
- {name: other, calculator: Discard, inputs: [a]}",
    );
    let (running, _) = start(&graph, 2);
    running.wait_timeout(LIMIT).unwrap().unwrap();
    let stats = running.stats();
    // A new node fails on its own fourth packet again.
    assert_eq!(node(&stats, "shaky").errors, 12, "{stats:?}");
    assert_eq!(node(&stats, "end").processed, 38, "{stats:?}");
    assert_eq!(node(&stats, "other").processed, 50, "{stats:?}");
}

#[test]
fn late_packets_end_the_run_where_the_graph_says_so() {
    let graph = graph(
        "latePackets: error
nodes:
- {calculator: Count, options: {count: 5}, outputs: [a]}
- {name: shaky, calculator: Fault, inputs: [a], outputs: [b], options: {kind: backward, on: 3}}
outputStreams: [b]",
    );
    let (running, _) = start(&graph, 1);
    let error = running.wait_timeout(LIMIT).unwrap().unwrap_err();
    assert!(
        matches!(&error, RunError::Late { node, .. } if node == "shaky"),
        "{error}"
    );
    assert_eq!(error.code(), "invalidArgument");
}

#[test]
fn a_deadlock_is_told_where_the_graph_says_so() {
    let graph = graph(
        "reportDeadlock: true
maxQueueSize: 1
nodes:
- {calculator: Count, options: {count: 202}, outputs: [a]}
- {calculator: Keep, inputs: [a], outputs: [b], options: {every: 101}}
- {name: join, calculator: Mix, inputs: [a, b], outputs: [c]}",
    );
    let (running, _) = start(&graph, 2);
    let error = running.wait_timeout(LIMIT).unwrap().unwrap_err();
    assert!(
        matches!(&error, RunError::Deadlock { node, stream } if node == "join" && stream == "a"),
        "{error}"
    );
}

#[test]
fn nothing_runs_while_a_graph_is_paused() {
    let graph = graph(
        "nodes:
- {calculator: Generator, options: {fps: 10, width: 2, height: 2}, outputs: [a]}
- {name: end, calculator: Discard, inputs: [a]}",
    );
    let clock = Arc::new(VirtualClock::by_hand(0));
    let running = graph
        .start(Inputs {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            threads: Some(2),
            ..Inputs::default()
        })
        .unwrap();
    running.wait_idle();
    running.pause();
    clock.advance(Duration::from_millis(500));
    running.wait_idle();
    assert_eq!(node(&running.stats(), "end").processed, 1);
    running.resume();
    running.wait_idle();
    assert!(node(&running.stats(), "end").processed > 1);
    running.pause();
    running.cancel();
    assert_eq!(running.wait_timeout(LIMIT), Some(Err(RunError::Cancelled)));
    assert_eq!(running.status(), RunStatus::Cancelled);
}

#[test]
fn nodes_of_an_executor_run_in_its_threads() {
    let graph = graph(
        "executors: [{name: slow, numThreads: 1, nice: 5}]
numThreads: 1
inputStreams: [a]
outputStreams: [c]
nodes:
- {calculator: PassThrough, inputs: [a], outputs: [b], executor: slow}
- {calculator: Mix, inputs: [b], outputs: [c]}",
    );
    let (running, seen) = start(&graph, 1);
    for time in 0..20 {
        running.feed("a", Packet::new(time, at(time))).unwrap();
    }
    running.close_all_inputs();
    running.wait_timeout(LIMIT).unwrap().unwrap();
    assert_eq!(seen.seen()["c"].len(), 21);
}

/// What is dropped as too old is under way no more, whoever waits for that.
#[test]
fn a_frame_that_is_dropped_on_its_way_lets_the_next_one_in() {
    let text = camera("camera", "a")
        + "- {name: door, calculator: PassThrough, inputs: [a], outputs: [b], inFlight: 1}
- {name: slow, calculator: Busy, options: {forMs: 20}, inputs: [b], outputs: [c]}
- {name: end, calculator: Discard, inputs: [c], maxAge: 10ms}
";
    let stats = stats_of(&format!("nodes:\n{text}"), 2);
    let (slow, end) = (node(&stats, "slow"), node(&stats, "end"));
    assert_eq!(
        (slow.processed, end.processed, end.drops.age),
        (300, 0, 300),
        "{stats:?}"
    );
}

/// Only the last set of a batch is called for at the end; then the node is closed, not at work.
#[test]
fn a_batch_flushed_at_the_end_leaves_its_node_closed() {
    let graph = graph(
        "inputStreams: [a, b]
nodes:
- {name: pairs, calculator: PassThrough, inputs: [a], outputs: [c], inputPolicy: {default: {batchSize: 2}}}
- {calculator: Discard, inputs: [b]}
- {calculator: Discard, inputs: [c]}",
    );
    let clock = Arc::new(VirtualClock::by_hand(0));
    let inputs = Inputs {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..Inputs::default()
    };
    let running = graph.start(inputs).unwrap();
    for time in 0..3 {
        running.feed("a", Packet::new(time, at(time))).unwrap();
    }
    running.close_input("a").unwrap();
    running.wait_idle();
    clock.advance(Duration::from_mins(1));
    running.wait_idle();
    assert_eq!(
        (node(&running.stats(), "pairs").processed, running.stalls()),
        (3, vec![])
    );
}
