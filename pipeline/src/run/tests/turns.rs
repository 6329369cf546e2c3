//! Frames that are let in for a stage whose calls don't all take the same time.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, Port};
use crate::load::load_graph;
use crate::node::{Calculator, Context, Flow, Node, NodeError, NodeType};
use crate::run::tests::{LIMIT, node};
use crate::testing::{registry, start};
use crate::validate::validate;

/// Takes `of` milliseconds, or up to a share more or less, differently from call to call.
#[derive(Debug)]
struct Wavering {
    options: Options,
    calls: u64,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Options {
    of: f64,
    by: f64,
}

impl Calculator for Wavering {
    const NAME: &'static str = "Wavering";
    const DOC: &'static str = "Computes for about as long.";
    type Options = Options;

    fn contract(_options: &Options) -> Contract {
        Contract::default()
            .input(Port::any(""))
            .output(Port::same_as("", ""))
            .offset(0)
    }

    fn new(options: Options) -> Self {
        Self { options, calls: 0 }
    }
}

impl Node for Wavering {
    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        self.calls += 1;
        // Evenly spread over -1 to 1 and far apart from call to call.
        let place = (self.calls as f64 * 0.618_034).fract() * 2.0 - 1.0;
        let millis = self.options.of * (1.0 + self.options.by * place);
        ctx.spend(Duration::from_secs_f64(millis / 1e3));
        let packet = ctx.take(0);
        ctx.send(0, packet);
        Ok(Flow::Continue)
    }
}

/// Rate as a share of what the slow stage reaches without a pause, and the 95th percentile of the age at its start.
fn reached(before: f64, slow: f64, by: f64) -> (f64, f64) {
    let text = format!(
        "nodes:
- {{calculator: Generator, options: {{fps: 30, count: 900, width: 2, height: 2}}, outputs: [a]}}
- {{name: before, calculator: Busy, options: {{forMs: {before}}}, inputs: [a], outputs: [b], freshness: newest}}
- {{name: slow, calculator: Wavering, options: {{of: {slow}, by: {by}}}, inputs: [b], outputs: [c]}}
- {{name: after, calculator: Busy, options: {{forMs: 1}}, inputs: [c], outputs: [d]}}
- {{name: end, calculator: Discard, inputs: [d]}}"
    );
    let registry = registry().with(NodeType::of::<Wavering>());
    let graph = validate(&load_graph(&text).unwrap(), &registry).unwrap();
    let (running, _) = start(&graph, 2);
    running.wait_timeout(LIMIT).unwrap().unwrap();
    let stats = running.stats();
    let node = node(&stats, "slow");
    (
        node.processed as f64 / stats.elapsed_seconds * slow / 1e3,
        node.start_age_ms.p95,
    )
}

#[test]
fn a_stage_that_wavers_is_kept_at_work_and_its_frames_are_fresh() {
    for (before, slow) in [(3.0, 70.0), (20.0, 110.0), (60.0, 70.0)] {
        for by in [0.0, 0.08] {
            let (rate, age) = reached(before, slow, by);
            // What a camera's frame waits, the way, and what was planned to wait at the stage.
            let fresh = 33.4 + before + slow * (0.1 + 2.0 * by);
            assert!(
                rate >= 0.99 && age <= fresh,
                "{before} {slow} {by}: {rate} {age} <= {fresh}"
            );
        }
    }
}
