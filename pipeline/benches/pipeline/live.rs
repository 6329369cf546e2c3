//! Graphs in real time: an idle one, an overloaded one, unequal stages, several cameras.

use std::time::Duration;

use pipeline::stats::{GraphStats, NodeStats};
use pipeline::{Inputs, Registry, load_graph, validate};

fn run(text: &str, seconds: u64, threads: Option<usize>) -> GraphStats {
    let graph = validate(&load_graph(text).unwrap(), &Registry::standard()).unwrap();
    let running = graph
        .start(Inputs {
            threads,
            ..Inputs::default()
        })
        .unwrap();
    assert!(running.wait_timeout(Duration::from_secs(seconds)).is_none());
    let stats = running.stats();
    running.stop();
    running.wait().unwrap();
    stats
}

fn node<'a>(stats: &'a GraphStats, name: &str) -> &'a NodeStats {
    stats.nodes.iter().find(|node| node.name == name).unwrap()
}

fn source(name: &str, stream: &str) -> String {
    format!(
        "- {{name: {name}, calculator: Generator, options: {{fps: 30, width: 640, height: 480}}, outputs: [{stream}]}}\n"
    )
}

pub fn paced() {
    let mut text = format!("nodes:\n{}", source("camera", "s0"));
    for stage in 0..10 {
        text += &format!(
            "- {{name: p{stage}, calculator: PassThrough, inputs: [s{stage}], outputs: [s{}]}}\n",
            stage + 1
        );
    }
    text += "- {name: end, calculator: Discard, inputs: [s10]}\n";
    let stats = run(&text, 20, None);
    let age = node(&stats, "end").end_age_ms;
    println!(
        "paced: 10 empty stages at 30 fps, capture to end, µs: p50 {:.0}, p99 {:.0}, max {:.0}",
        age.p50 * 1e3,
        age.p99 * 1e3,
        age.max * 1e3
    );
}

pub fn overload() {
    let text = format!(
        "nodes:\n{}- {{name: slow, calculator: Busy, options: {{forMs: 110}}, inputs: [a], outputs: [b], freshness: newest}}\n- {{calculator: Discard, inputs: [b]}}\n",
        source("camera", "a")
    );
    let stats = run(&text, 10, None);
    let slow = node(&stats, "slow");
    println!(
        "overload: 30 fps source, 110 ms stage: {:.2} fps, start age ms p50 {:.1}, max {:.1}, end age max {:.1}, source late max {:.2}",
        slow.fps,
        slow.start_age_ms.p50,
        slow.start_age_ms.max,
        slow.end_age_ms.max,
        stats.sources[0].lateness_ms.max
    );
}

pub fn stages() {
    println!("stages: rate against 1/max, p95 of end age against sum + max, 2 threads");
    for (costs, freshness) in [
        (vec![20, 50, 30], "newest"),
        (vec![10, 50], "newest"),
        (vec![50, 10], "newest"),
        (vec![20, 60, 20, 20], "newest"),
        (vec![20, 50, 30], "first"),
        (vec![40, 40], "newest"),
        (vec![10, 50], "first"),
    ] {
        let mut text = format!("nodes:\n{}", source("camera", "s0"));
        for (stage, cost) in costs.iter().enumerate() {
            let fresh = if freshness == "newest" || stage == 0 {
                ", freshness: newest, inFlight: auto"
            } else {
                ""
            };
            let fresh = if freshness == "newest" && stage > 0 {
                ", freshness: newest"
            } else {
                fresh
            };
            text += &format!(
                "- {{name: b{stage}, calculator: Busy, options: {{forMs: {cost}}}, inputs: [s{stage}], outputs: [s{}]{fresh}}}\n",
                stage + 1
            );
        }
        text += &format!(
            "- {{name: end, calculator: Discard, inputs: [s{}]}}\n",
            costs.len()
        );
        let stats = run(&text, 8, Some(2));
        let end = node(&stats, "end");
        let (sum, max) = (
            costs.iter().sum::<i64>() as f64,
            *costs.iter().max().unwrap() as f64,
        );
        println!(
            "  {costs:?} {freshness:<7} {:.1} % of the rate, p95 {:.0} of {:.0} ms, source late max {:.2} ms",
            end.fps * max / 10.0,
            end.end_age_ms.p95,
            sum + max,
            stats.sources[0].lateness_ms.max
        );
    }
}

pub fn cameras() {
    let mut text = "nodes:\n".to_owned();
    for camera in 0..4 {
        text += &source(&format!("camera{camera}"), &format!("c{camera}"));
        text += &format!(
            "- {{name: detect{camera}, calculator: Busy, options: {{forMs: 40}}, inputs: [c{camera}], freshness: newest}}\n"
        );
    }
    text += "- {name: watch, calculator: Busy, options: {forMs: 2}, inputs: [c0], priority: high}\n";
    let stats = run(&text, 10, Some(2));
    let shares: Vec<String> = (0..4)
        .map(|camera| format!("{:.1}", node(&stats, &format!("detect{camera}")).fps))
        .collect();
    println!(
        "cameras: 4 detectors of 40 ms on 2 threads, fps each: {}; the high branch {:.2} fps of {:.2}",
        shares.join(" "),
        node(&stats, "watch").fps,
        stats.sources[0].fps
    );
    let mut text = "nodes:\n".to_owned();
    for camera in 0..4 {
        text += &source(&format!("camera{camera}"), &format!("c{camera}"));
        text += &format!(
            "- {{name: see{camera}, calculator: PassThrough, inputs: [c{camera}], outputs: [d{camera}]}}\n"
        );
    }
    text += "- {name: detect, calculator: Busy, options: {forMs: 40}, inputs: [d0, d1, d2, d3], outputs: [e0, e1, e2, e3], freshness: newest}\n";
    for camera in 0..4 {
        text += &format!("- {{name: got{camera}, calculator: Discard, inputs: [e{camera}]}}\n");
    }
    for policy in ["", ", inputPolicy: {immediate: {}}"] {
        let stats = run(
            &text.replace("freshness: newest", &format!("freshness: newest{policy}")),
            10,
            Some(2),
        );
        let shares: Vec<String> = (0..4)
            .map(|camera| format!("{:.1}", node(&stats, &format!("got{camera}")).fps))
            .collect();
        println!(
            "cameras: one detector of 40 ms with 4 inputs{policy}, fps each: {}, start age max {:.1}",
            shares.join(" "),
            node(&stats, "detect").start_age_ms.max
        );
    }
}
