//! Calls of one node that overlap.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, VirtualClock};
use crate::contract::{Contract, Port};
use crate::node::{Calculator, Context, Flow, Node, NodeError, NodeType};
use crate::run::tests::{LIMIT, node};
use crate::run::{Inputs, RunError, RunningGraph};
use crate::testing::{Recorder, registry};
use crate::{load_graph, validate};

/// Takes 0, 10 or 20 ms by its number, and misbehaves on one of them.
#[derive(Debug)]
struct Uneven {
    options: UnevenOptions,
    copy: usize,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct UnevenOptions {
    /// error, panic or stop on one number; copy: an error of the third copy, whenever it is called.
    kind: String,
    on: i64,
}

impl Calculator for Uneven {
    const NAME: &'static str = "Uneven";
    const DOC: &'static str = "Takes its time.";
    type Options = UnevenOptions;

    fn contract(_options: &UnevenOptions) -> Contract {
        Contract::default()
            .stateless()
            .input(Port::of::<i64>(""))
            .output(Port::of::<i64>(""))
            .offset(0)
    }

    fn new(options: UnevenOptions) -> Self {
        Self { options, copy: 0 }
    }
}

impl Node for Uneven {
    fn open(&mut self, ctx: &mut Context<'_>) -> Result<(), NodeError> {
        self.copy = ctx.copy();
        Ok(())
    }

    fn process(&mut self, ctx: &mut Context<'_>) -> Result<Flow, NodeError> {
        let number = ctx.get::<i64>(0)?.copied().unwrap_or_default();
        ctx.spend(Duration::from_millis(10 * number.unsigned_abs().wrapping_rem(3)));
        if self.options.kind == "copy" && self.copy == 2 {
            return Err(NodeError::Failed("its session is broken".to_owned()));
        }
        if number == self.options.on {
            match self.options.kind.as_str() {
                "error" => return Err(NodeError::Failed("lens cap on".to_owned())),
                "panic" => panic!("index 9 of 3"),
                "stop" => return Ok(Flow::Stop),
                _ => {}
            }
        }
        // Nothing for every fourth: its bound has to pass all the same.
        if number % 4 != 3 {
            ctx.send_value(0, number);
        }
        Ok(Flow::Continue)
    }
}

/// Thirty numbers through `Uneven` with these settings. Gives the run and what came out.
fn run(settings: &str) -> (RunningGraph, Arc<Recorder>, Arc<VirtualClock>) {
    let text = format!(
        "nodes:
- {{calculator: Count, options: {{count: 30}}, outputs: [a]}}
- {{name: uneven, calculator: Uneven, inputs: [a], outputs: [b], {settings}}}
- {{name: join, calculator: Mix, inputs: [a, b], outputs: [c]}}
outputStreams: [b, c]"
    );
    let registry = registry().with(NodeType::of::<Uneven>());
    let graph = validate(&load_graph(&text).unwrap(), &registry).unwrap();
    let (recorder, clock) = (Arc::new(Recorder::default()), Arc::new(VirtualClock::jumping(0)));
    let inputs = Inputs {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        observer: Some(Arc::clone(&recorder) as _),
        threads: Some(4),
        ..Inputs::default()
    };
    (graph.start(inputs).unwrap(), recorder, clock)
}

fn outcome(running: &RunningGraph) -> Result<(), RunError> {
    running.wait_timeout(LIMIT).unwrap()
}

#[test]
fn results_leave_in_the_order_of_their_sets_and_sooner() {
    let (running, alone, clock) = run("parallel: 1");
    outcome(&running).unwrap();
    let one_by_one = clock.nanos();
    let (running, together, clock) = run("parallel: 3");
    outcome(&running).unwrap();
    assert_eq!(alone.seen(), together.seen());
    assert_eq!(one_by_one, 300_000_000);
    // Three copies, each of which waits for those before it.
    assert!(clock.nanos() <= 200_000_000, "{}", clock.nanos());
    let stats = running.stats();
    assert_eq!(node(&stats, "uneven").processed, 30, "{stats:?}");
}

#[test]
fn a_copy_that_fails_ends_the_run_and_is_named() {
    for (kind, problem) in [("error", "lens cap on"), ("panic", "panicked: index 9 of 3")] {
        let (running, seen, _) = run(&format!("parallel: 3, options: {{kind: {kind}, on: 9}}"));
        let error = outcome(&running).unwrap_err();
        assert_eq!(
            error,
            RunError::Node {
                node: "uneven".to_owned(),
                call: "Process",
                problem: problem.to_owned()
            }
        );
        let sent = seen.stream("b");
        assert!(
            sent.starts_with("0:0 1:1 2:2 4:4 5:5 6:6 8:8") && !sent.contains(" 9:9"),
            "{sent}"
        );
    }
}

#[test]
fn a_copy_that_fails_is_made_anew_and_the_others_go_on() {
    for kind in ["error", "panic"] {
        let (running, seen, _) = run(&format!(
            "parallel: 3, onFailure: restart, options: {{kind: {kind}, on: 9}}"
        ));
        outcome(&running).unwrap();
        let (alone, together) = (seen.stream("b"), seen.stream("c"));
        // One frame is lost: its set has no b, as a set of which nothing is sent.
        assert_eq!(
            alone.split(' ').filter(|seen| seen.contains(':')).count(),
            22,
            "{alone}"
        );
        assert_eq!(
            together.split(' ').filter(|seen| seen.contains(':')).count(),
            30,
            "{together}"
        );
        assert_eq!(node(&running.stats(), "uneven").errors, 1);
    }
}

/// Else it would use what another copy has for itself.
#[test]
fn a_copy_made_anew_keeps_its_number() {
    let (running, _, _) = run("parallel: 3, onFailure: restart, options: {kind: copy}");
    outcome(&running).unwrap();
    assert!(node(&running.stats(), "uneven").errors > 1);
}

#[test]
fn a_source_that_is_held_back_goes_on_before_the_call_that_made_room() {
    let (running, _, clock) = run("parallel: 3, queueSize: 1");
    outcome(&running).unwrap();
    assert!(clock.nanos() <= 200_000_000, "{}", clock.nanos());
}

#[test]
fn a_copy_that_stops_ends_the_sources_and_all_sets_are_used() {
    let (running, seen, _) = run("parallel: 3, options: {kind: stop, on: 5}");
    outcome(&running).unwrap();
    assert!(seen.stream("b").ends_with(" |"), "{}", seen.stream("b"));
}

/// A detector of 60 ms keeps up with 30 frames a second when two of its calls overlap.
#[test]
fn two_calls_at_once_double_the_rate() {
    let processed = |parallel: u32| {
        let text = format!(
            "nodes:
- {{name: camera, calculator: Generator, options: {{fps: 30, count: 300, width: 2, height: 2}}, outputs: [a]}}
- {{name: detect, calculator: Busy, options: {{forMs: 60}}, inputs: [a], outputs: [b], freshness: newest, parallel: \
             {parallel}}}
- {{name: track, calculator: Busy, options: {{forMs: 5}}, inputs: [b]}}"
        );
        let (running, _) = crate::testing::start(&crate::testing::graph(&text), 4);
        outcome(&running).unwrap();
        let stats = running.stats();
        // The last frame has no successor, and waits for a whole call.
        assert!(node(&stats, "track").end_age_ms.max <= 125.0, "{stats:?}");
        node(&stats, "track").processed
    };
    let (one, two) = (processed(1), processed(2));
    assert!((140..=170).contains(&one) && two >= 285, "{one} {two}");
}
