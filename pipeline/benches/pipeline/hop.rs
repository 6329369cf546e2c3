//! What one hop costs: chains of PassThrough, and the slope between two lengths.

use std::sync::Arc;
use std::time::Instant;

use pipeline::trace::Trace;
use pipeline::{Inputs, Registry, load_graph, validate};

const RUNS: usize = 7;

pub fn print() {
    println!(
        "hop: nanoseconds a packet and stage, slope between chains of two lengths, median of {RUNS} runs"
    );
    for (what, threads, limit, traced) in [
        ("1 thread", 1, 100, false),
        ("1 thread, tracing", 1, 100, true),
        ("2 threads", 2, 100, false),
        ("2 threads, tracing", 2, 100, true),
        ("2 threads, one packet in flight", 2, 1, false),
    ] {
        for (short, long) in [(10, 50), (50, 200)] {
            let hop = median(
                (0..RUNS)
                    .map(|_| slope(short, long, threads, limit, traced))
                    .collect(),
            );
            println!("  {what:<34} N = {short} to {long:<4} {hop:>6.0}");
        }
    }
}

fn slope(short: usize, long: usize, threads: usize, limit: u32, traced: bool) -> f64 {
    let packets = 400_000 / long as u64;
    let of = |stages| chain(stages, threads, limit, traced, packets);
    (of(long) - of(short)) / (packets * (long - short) as u64) as f64
}

/// Nanoseconds of a whole run. `limit` 1 lets a frame in when the last one has left.
fn chain(stages: usize, threads: usize, limit: u32, traced: bool, count: u64) -> f64 {
    let mut text = format!(
        "nodes:\n- {{calculator: Generator, options: {{fps: 0, count: {count}, width: 2, height: 2}}, outputs: \
         [s0]}}\n"
    );
    for stage in 0..stages {
        let limited = if stage == 0 && limit == 1 {
            ", inFlight: 1, queueSize: 1"
        } else {
            ""
        };
        text += &format!(
            "- {{name: p{stage}, calculator: PassThrough, inputs: [s{stage}], outputs: [s{}]{limited}}}\n",
            stage + 1
        );
    }
    text += &format!("- {{name: end, calculator: Discard, inputs: [s{stages}]}}\n");
    let graph = validate(&load_graph(&text).unwrap(), &Registry::standard()).unwrap();
    let start = Instant::now();
    let running = graph
        .start(Inputs {
            threads: Some(threads),
            trace: traced.then(|| Arc::new(Trace::new(1 << 16))),
            ..Inputs::default()
        })
        .unwrap();
    running.wait().unwrap();
    let nanos = start.elapsed().as_nanos() as f64;
    let stats = running.stats();
    let end = stats.nodes.iter().find(|node| node.name == "end").unwrap();
    assert_eq!(end.processed, count);
    nanos
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
