use std::sync::Arc;

use serde_json::Value;

use crate::clock::VirtualClock;
use crate::run::Inputs;
use crate::testing::graph;
use crate::trace::{Trace, Written};

/// Runs a graph on a clock that jumps; gives the file.
fn traced(text: &str, threads: usize, events: usize) -> (Value, Written) {
    let trace = Arc::new(Trace::new(events));
    let inputs = Inputs {
        clock: Arc::new(VirtualClock::jumping(0)),
        threads: Some(threads),
        trace: Some(Arc::clone(&trace)),
        ..Inputs::default()
    };
    graph(text).start(inputs).unwrap().wait().unwrap();
    let mut out = Vec::new();
    let written = trace.write(&mut out).unwrap();
    (serde_json::from_slice(&out).unwrap(), written)
}

fn lines(file: &Value, phases: &str) -> Vec<String> {
    let events = file["traceEvents"].as_array().unwrap().iter();
    events
        .filter(|event| phases.contains(event["ph"].as_str().unwrap()))
        .map(|event| {
            let field = |name: &str| {
                event
                    .get(name)
                    .map_or(String::new(), |value| format!(" {name}={value}"))
            };
            let mut args: Vec<String> = event.get("args").map_or(Vec::new(), |args| {
                let args = args.as_object().unwrap().iter();
                args.map(|(name, value)| format!(" {name}={value}")).collect()
            });
            // The order of an object's fields isn't ours to say.
            args.sort();
            let (phase, name) = (event["ph"].as_str().unwrap(), event["name"].as_str().unwrap());
            let times: String = ["ts", "dur", "id"].map(field).concat();
            format!("{phase} {name}{times}{}", args.concat())
        })
        .collect()
}

const OVERLOAD: &str = "nodes:
- {name: camera, calculator: Generator, options: {fps: 100, count: 3, width: 2, height: 2}, outputs: [a]}
- {name: slow, calculator: Busy, options: {forMs: 15}, inputs: [a], maxAge: 4ms}";

#[test]
fn calls_drops_and_frames() {
    let (file, written) = traced(OVERLOAD, 2, 100);
    let calls = lines(&file, "X");
    for call in [
        "X camera ts=0.0 dur=0.0 t=0",
        "X camera ts=10000.0 dur=0.0 t=10000",
        "X slow ts=0.0 dur=15000.0 t=0",
        "X slow ts=20000.0 dur=15000.0 t=20000",
    ] {
        assert!(calls.iter().any(|found| found == call), "{call} {calls:#?}");
    }
    assert_eq!(
        lines(&file, "i"),
        ["i slow drops age ts=15000.0 node=\"slow\" packets=1 reason=\"age\""]
    );
    let arrows = [0, 20_000].map(|t| ["s", "f"].map(|phase| format!("{phase} frame ts={t}.0 id=\"{t}\"")));
    assert_eq!(lines(&file, "stf"), arrows.concat());
    assert_eq!(
        (written.lost, &file["otherData"]["lostEvents"]),
        (0, &Value::from("0"))
    );
    assert!(
        lines(&file, "M").iter().any(|line| line.contains("pipeline-0")),
        "{file:#}"
    );
}

#[test]
fn the_newest_events_are_kept_and_the_rest_is_counted() {
    let (whole, all) = traced(OVERLOAD, 1, 100);
    let (file, written) = traced(OVERLOAD, 1, 2);
    assert_eq!(
        written,
        Written {
            events: 2,
            lost: all.events - 2
        }
    );
    assert_eq!(file["otherData"]["lostEvents"], (all.events - 2).to_string());
    let names = |file: &Value| {
        lines(file, "XiC")
            .iter()
            .map(|line| line[..6].to_owned())
            .collect::<Vec<_>>()
    };
    assert!(names(&whole).ends_with(&names(&file)));
}

#[test]
fn waiting_packets_are_counters() {
    let (file, _) = traced(
        "nodes:
- {calculator: Count, options: {count: 3}, outputs: [a]}
- {calculator: Keep, inputs: [a], outputs: [b], options: {every: 3}}
- {name: join, calculator: Mix, inputs: [a, b], outputs: [c]}",
        1,
        100,
    );
    let counters = lines(&file, "C");
    assert!(
        counters.iter().any(|line| line.starts_with("C join waiting")),
        "{counters:?}"
    );
}
