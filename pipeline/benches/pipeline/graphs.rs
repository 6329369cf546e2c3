//! Graphs as text, and how they are run.

use std::time::Duration;

use pipeline::stats::{GraphStats, NodeStats};
use pipeline::{Inputs, Registry, RunningGraph, load_graph, validate};

pub fn start(text: &str, inputs: Inputs) -> RunningGraph {
    let graph = validate(&load_graph(text).unwrap(), &Registry::standard()).unwrap();
    graph.start(inputs).unwrap()
}

pub fn on_threads(threads: usize) -> Inputs {
    Inputs {
        threads: Some(threads),
        ..Inputs::default()
    }
}

/// Lets time pass; the graph must not end meanwhile.
pub fn let_run(running: &RunningGraph, time: Duration) {
    assert!(running.wait_timeout(time).is_none());
}

/// Everything from the start on.
pub fn run_for(text: &str, seconds: u64, inputs: Inputs) -> GraphStats {
    let running = start(text, inputs);
    let_run(&running, Duration::from_secs(seconds));
    let stats = running.stats();
    running.stop();
    running.wait().unwrap();
    stats
}

pub fn node<'a>(stats: &'a GraphStats, name: &str) -> &'a NodeStats {
    stats.nodes.iter().find(|node| node.name == name).unwrap()
}

/// 640×480 at 30 frames a second.
pub fn camera(name: &str, stream: &str) -> String {
    format!(
        "- {{name: {name}, calculator: Generator, options: {{fps: 30, width: 640, height: 480}}, outputs: [{stream}]}}\n"
    )
}

/// `stages` PassThroughs, from stream s0 to the stream of their number.
pub fn chain(stages: usize) -> String {
    let line = |stage| {
        let next = stage + 1;
        format!("- {{name: p{stage}, calculator: PassThrough, inputs: [s{stage}], outputs: [s{next}]}}\n")
    };
    (0..stages).map(line).collect()
}
