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
    let mut text = vec!["nodes:\n".to_owned(), source("camera", "s0")];
    text.extend((0..10).map(|stage| {
        let next = stage + 1;
        format!("- {{name: p{stage}, calculator: PassThrough, inputs: [s{stage}], outputs: [s{next}]}}\n")
    }));
    text.push("- {name: end, calculator: Discard, inputs: [s10]}\n".to_owned());
    let stats = run(&text.concat(), 20, None);
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
        "nodes:\n{}- {{name: slow, calculator: Busy, options: {{forMs: 110}}, inputs: [a], outputs: [b], freshness: \
         newest}}\n- {{calculator: Discard, inputs: [b]}}\n",
        source("camera", "a")
    );
    let stats = run(&text, 10, None);
    let slow = node(&stats, "slow");
    println!(
        "overload: 30 fps source, 110 ms stage: {:.2} fps, start age ms p50 {:.1}, max {:.1}, end age max {:.1}, \
         source late max {:.2}",
        slow.fps,
        slow.start_age_ms.p50,
        slow.start_age_ms.max,
        slow.end_age_ms.max,
        stats.sources[0].lateness_ms.max
    );
}

/// Unequal stages on two threads: all of them fresh, or the first alone.
pub fn stages() {
    println!("stages: rate against 1/max, p95 of end age against sum + max, 2 threads");
    let chains: [&[u32]; 5] = [&[10, 50], &[50, 10], &[40, 40], &[20, 50, 30], &[20, 60, 20, 20]];
    for all_fresh in [true, false] {
        for costs in chains {
            let mut text = vec!["nodes:\n".to_owned(), source("camera", "s0")];
            text.extend(costs.iter().enumerate().map(|(stage, cost)| {
                let fresh = if all_fresh || stage == 0 {
                    ", freshness: newest"
                } else {
                    ""
                };
                let next = stage + 1;
                format!(
                    "- {{name: b{stage}, calculator: Busy, options: {{forMs: {cost}}}, inputs: [s{stage}], outputs: \
                     [s{next}]{fresh}}}\n"
                )
            }));
            text.push(format!(
                "- {{name: end, calculator: Discard, inputs: [s{}]}}\n",
                costs.len()
            ));
            let stats = run(&text.concat(), 8, Some(2));
            let end = node(&stats, "end");
            let sum = f64::from(costs.iter().sum::<u32>());
            let max = f64::from(*costs.iter().max().unwrap());
            println!(
                "  {costs:?} {:<11} {:.1} % of the rate, p95 {:.0} of {:.0} ms, source late max {:.2} ms",
                if all_fresh { "all fresh" } else { "first fresh" },
                end.fps * max / 10.0,
                end.end_age_ms.p95,
                sum + max,
                stats.sources[0].lateness_ms.max
            );
        }
    }
}

pub fn cameras() {
    let each = |line: fn(usize) -> String| -> String { (0..4).map(line).collect() };
    let shares = |stats: &GraphStats, name: &str| -> String {
        let share = |camera| format!(" {:.1}", node(stats, &format!("{name}{camera}")).fps);
        (0..4).map(share).collect()
    };
    let cameras = each(|camera| source(&format!("camera{camera}"), &format!("c{camera}")));
    let detectors = each(|camera| {
        format!(
            "- {{name: detect{camera}, calculator: Busy, options: {{forMs: 40}}, inputs: [c{camera}], freshness: \
             newest}}\n"
        )
    });
    let watch = "- {name: watch, calculator: Busy, options: {forMs: 2}, inputs: [c0], priority: high}\n";
    let stats = run(&format!("nodes:\n{cameras}{detectors}{watch}"), 10, Some(2));
    println!(
        "cameras: 4 detectors of 40 ms on 2 threads, fps each:{}; the high branch {:.2} fps of {:.2}",
        shares(&stats, "detect"),
        node(&stats, "watch").fps,
        stats.sources[0].fps
    );
    let seen = each(|camera| {
        format!(
            "- {{name: see{camera}, calculator: PassThrough, inputs: [c{camera}], outputs: [d{camera}]}}\n"
        )
    });
    let got = each(|camera| format!("- {{name: got{camera}, calculator: Discard, inputs: [e{camera}]}}\n"));
    for policy in ["", ", inputPolicy: {immediate: {}}"] {
        let detector = format!(
            "- {{name: detect, calculator: Busy, options: {{forMs: 40}}, inputs: [d0, d1, d2, d3], outputs: [e0, e1, \
             e2, e3], freshness: newest{policy}}}\n"
        );
        let stats = run(&format!("nodes:\n{cameras}{seen}{detector}{got}"), 10, Some(2));
        println!(
            "cameras: one detector of 40 ms with 4 inputs{policy}, fps each:{}, start age max {:.1}",
            shares(&stats, "got"),
            node(&stats, "detect").start_age_ms.max
        );
    }
}
