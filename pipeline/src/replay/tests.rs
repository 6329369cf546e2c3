//! Lines in, lines out.

use std::path::Path;

use proptest::prelude::*;

use super::case::Case;
use super::{Feed, Record, ReplayClock, Settings, compare, run};
use crate::registry::Registry;
use crate::run::Inputs;
use crate::testing::graph;

fn feed(text: &str) -> Feed {
    Feed::parse(text, Path::new("")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn replayed(nodes: &str, lines: &str, settings: &Settings) -> String {
    let graph = graph(nodes);
    let inputs = Inputs {
        threads: Some(2),
        ..Inputs::default()
    };
    let record = run(&graph, &feed(lines), inputs, settings).unwrap_or_else(|error| panic!("{error}"));
    record.write(None).unwrap()
}

const PASS: &str = "inputStreams: [a, b]
outputStreams: [y, x]
nodes: [{name: pass, calculator: PassThrough, inputs: [a, b], outputs: [x, y]}]";

#[test]
fn values_of_every_kind_go_through() {
    let lines = r#"
{"stream": "a", "t": 1, "value": 5}
{"stream": "b", "t": 1, "value": "text"}
{"idle": true}
{"stream": "a", "t": 2, "value": true}
{"stream": "b", "t": 3, "value": 1.5}
{"stream": "b", "t": 4, "value": [1, 2]}
{"stream": "b", "close": true}
{"stream": "a", "t": 7, "value": ["x", null]}
{"stream": "a", "t": "Max", "value": {"k": []}}
"#;
    let given = r#"{"stream":"y","t":1,"value":"text"}
{"stream":"y","t":3,"value":1.5}
{"stream":"y","t":4,"value":[1,2]}
{"stream":"x","t":1,"value":5}
{"stream":"x","t":2,"value":true}
{"stream":"x","t":7,"value":["x",null]}
{"stream":"x","t":"Max","value":{"k":[]}}
{"status":"ok"}
"#;
    assert_eq!(replayed(PASS, lines, &Settings::default()), given);
}

#[test]
fn bounds_and_ends_are_recorded_when_asked_for() {
    let one = "inputStreams: [a]\noutputStreams: [x]\nnodes: [{calculator: PassThrough, inputs: [a], outputs: [x]}]";
    let lines = "{\"stream\":\"a\",\"t\":1,\"value\":5}\n{\"idle\":true}\n{\"stream\":\"a\",\"bound\":10}\n{\"idle\":true}";
    let settings = Settings {
        bounds: true,
        ..Settings::default()
    };
    assert_eq!(
        replayed(one, lines, &settings),
        "{\"stream\":\"x\",\"t\":1,\"value\":5}\n{\"stream\":\"x\",\"bound\":10}\n{\"stream\":\"x\",\"closed\":true}\n\
         {\"status\":\"ok\"}\n"
    );
}

#[test]
fn what_comes_late_or_after_the_end_is_a_drop() {
    let lines = r#"{"stream": "a", "t": 5, "value": 1}
{"stream": "a", "t": 5, "value": 2}
{"stream": "b", "close": true}
{"stream": "b", "t": 6, "value": 2}"#;
    let text = replayed(PASS, lines, &Settings::default());
    assert_eq!(
        text,
        "{\"stream\":\"x\",\"t\":5,\"value\":1}\n{\"node\":\"a\",\"dropped\":\"late\",\"t\":5}\n\
         {\"node\":\"b\",\"dropped\":\"closed\",\"t\":6}\n{\"status\":\"ok\"}\n"
    );
}

#[test]
fn timers_run_at_their_virtual_times() {
    // A frame every 100 ms from 0 on: the clock stands at 250 ms when the graph is cancelled.
    let camera = "outputStreams: [x]\nnodes: [{name: camera, calculator: Generator, outputs: [x],
                  options: {fps: 10, width: 2, height: 1}}]";
    let lines = "{\"advance\": 250000}\n{\"idle\": true}\n{\"cancel\": true}";
    let text = replayed(camera, lines, &Settings::default());
    let frame = |t: i64| {
        format!("{{\"stream\":\"x\",\"t\":{t},\"value\":{{\"width\":2,\"height\":1,\"format\":\"rgb\"}}}}")
    };
    let given: Vec<&str> = text.lines().collect();
    assert_eq!(given[..3], [frame(0), frame(100_000), frame(200_000)]);
    assert_eq!(
        given[3..],
        ["{\"status\":\"error\",\"code\":\"cancelled\",\"message\":\"the run was cancelled\"}"]
    );
}

#[test]
fn computing_takes_its_time_and_drops_are_told() {
    let busy = "inputStreams: [a]\noutputStreams: [x]
nodes:
- {name: door, calculator: FlowLimiter, inputs: [a, 'FINISHED:x'], backEdges: [FINISHED], outputs: [b],
   options: {maxInQueue: 1}}
- {name: work, calculator: Busy, options: {forMs: 5}, inputs: [b], outputs: [x]}";
    let lines: Vec<String> = (1..5)
        .map(|t| format!("{{\"stream\":\"a\",\"t\":{t},\"value\":{t}}}"))
        .collect();
    let settings = Settings {
        head_start: 10,
        ..Settings::default()
    };
    assert_eq!(
        replayed(busy, &lines.join("\n"), &settings),
        "{\"stream\":\"x\",\"t\":1,\"value\":1}\n{\"stream\":\"x\",\"t\":4,\"value\":4}\n\
         {\"node\":\"door\",\"dropped\":\"limited\",\"t\":2}\n{\"node\":\"door\",\"dropped\":\"limited\",\"t\":3}\n\
         {\"status\":\"ok\"}\n"
    );
}

#[test]
fn a_failing_node_is_named() {
    let fault = "inputStreams: [a]\noutputStreams: [x]
nodes: [{name: bad, calculator: Fault, inputs: [a], outputs: [x], options: {kind: error, on: 1}}]";
    let lines =
        "{\"stream\":\"a\",\"t\":1,\"value\":5}\n{\"idle\":true}\n{\"stream\":\"a\",\"t\":2,\"value\":5}";
    for clock in [ReplayClock::Virtual, ReplayClock::Real] {
        let settings = Settings {
            clock,
            ..Settings::default()
        };
        assert_eq!(
            replayed(fault, lines, &settings),
            "{\"stream\":\"x\",\"t\":1,\"value\":5}\n{\"status\":\"error\",\"code\":\"unknown\",\"node\":\"bad\",\
             \"message\":\"node bad: Process failed: lens cap on\"}\n"
        );
    }
}

#[test]
fn frames_travel_as_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let pixels = image::RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
    pixels.save(folder.path().join("in.png")).unwrap();
    let lines = "{\"stream\":\"a\",\"t\":1,\"value\":{\"file\":\"in.png\"}}";
    let feed = Feed::parse(lines, folder.path()).unwrap();
    let record = run(&graph(PASS), &feed, Inputs::default(), &Settings::default()).unwrap();
    let text = record.write(Some(&folder.path().join("out.frames"))).unwrap();
    assert_eq!(
        text.lines().next(),
        Some("{\"stream\":\"x\",\"t\":1,\"value\":{\"file\":\"out.frames/x-1.png\"}}")
    );
    let back = Record::parse(&text, folder.path()).unwrap();
    assert_eq!(back, record);
}

#[test]
fn lines_that_make_no_sense_are_named() {
    for (text, said) in [
        ("{}", "line 1: has ; a line is one of {stream, t, value}"),
        ("\n[1]", "line 2: is no JSON object"),
        ("{\"idle\": 1}", "line 1: `idle` must be true"),
        ("{\"idle\"", "line 1: is no JSON: "),
        (
            "{\"stream\": \"a\", \"t\": \"soon\", \"value\": 1}",
            "line 1: `t`: `soon` is neither microseconds nor",
        ),
        (
            "{\"stream\": \"a\", \"t\": 1.5, \"value\": 1}",
            "line 1: `t` must be microseconds",
        ),
        (
            "{\"stream\": \"a\", \"t\": 9223372036854775807, \"value\": 1}",
            "line 1: `t`: 9223372036854775807 µs is reserved",
        ),
        (
            "{\"stream\": 1, \"close\": true}",
            "line 1: `stream` must be a name",
        ),
        (
            "{\"advance\": -1}",
            "line 1: `advance` must be a number of microseconds",
        ),
        (
            "{\"stream\": \"a\", \"bound\": 1, \"t\": 2}",
            "line 1: has stream, bound, t; a line is one of",
        ),
        (
            "{\"sidePacket\": \"a\", \"value\": {\"file\": \"none.png\"}}",
            "line 1: none.png: ",
        ),
    ] {
        let error = Feed::parse(text, Path::new("")).unwrap_err().to_string();
        assert!(error.starts_with(said), "{text}: {error}");
    }
    let unknown = feed("{\"idle\": true}\n{\"stream\": \"z\", \"t\": 1, \"value\": 1}");
    let error = run(&graph(PASS), &unknown, Inputs::default(), &Settings::default()).unwrap_err();
    assert_eq!(error.to_string(), "line 2: the graph has no input stream z");
}

#[test]
fn differences_are_said() {
    let record = |text: &str| Record::parse(text, Path::new("")).unwrap();
    let wanted = record(
        "{\"stream\":\"x\",\"t\":1,\"value\":5}\n{\"stream\":\"y\",\"t\":1,\"value\":\"?\"}\n{\"status\":\"ok\"}",
    );
    for (found, said) in [
        (
            "{\"stream\":\"y\",\"t\":1,\"value\":[]}\n{\"stream\":\"x\",\"t\":1,\"value\":5}\n{\"status\":\"ok\"}",
            None,
        ),
        (
            "{\"stream\":\"y\",\"t\":1,\"value\":[]}\n{\"status\":\"ok\"}",
            Some("stream x, line 0 of 1: no more, expected 5 at 1"),
        ),
        (
            "{\"stream\":\"x\",\"t\":1,\"value\":6}\n{\"stream\":\"y\",\"t\":1,\"value\":1}\n{\"status\":\"ok\"}",
            Some("stream x, line 0 of 1: 6 at 1, expected 5 at 1"),
        ),
        (
            "{\"status\":\"error\",\"code\":\"unknown\",\"message\":\"oh\"}",
            Some("ends with an error (oh), expected ok"),
        ),
    ] {
        assert_eq!(compare(&wanted, &record(found)).as_deref(), said, "{found}");
    }
}

/// Cases that differ today, and why; `tests/README.md` says more. One that agrees must leave the list.
const DIFFERING: &[(&str, &str)] = &[
    ("check/output-without-producer.pbtxt", "refused on purpose"),
    ("check/source-layer-and-names.pbtxt", "refused on purpose"),
];

#[test]
fn every_case_gives_its_record() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let cases = Case::find(&folder).unwrap();
    let registry = Registry::standard();
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.path().strip_prefix(&folder).unwrap().to_str().unwrap();
        let known = DIFFERING.iter().find(|(differing, _)| *differing == name);
        let threads: &[usize] = if case.runs() { &[1, 2, 4] } else { &[1] };
        for threads in threads {
            let differs = case.differs(&registry, *threads, 0).unwrap();
            match (known, differs) {
                (None, Some(what)) => wrong.push(format!("{name} ({threads} threads): {what}")),
                (Some((_, why)), None) => wrong.push(format!("{name} agrees now; listed because {why}")),
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let listed = |name: &str| cases.iter().any(|case| case.path() == folder.join(name));
    assert!(
        DIFFERING.iter().all(|(name, _)| listed(name)),
        "a listed case is gone"
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Feed::parse(&text, Path::new(""));
        let _ = Record::parse(&text, Path::new(""));
    }

    #[test]
    fn no_feed_panics(
        steps in prop::collection::vec((0_usize..9, -3_i64..9, prop::sample::select(vec!["a", "b"])), 0..12),
    ) {
        let lines = steps.iter().map(|(kind, t, stream)| match kind {
            0..=4 => format!("{{\"stream\": \"{stream}\", \"t\": {t}, \"value\": {t}}}"),
            5 => format!("{{\"stream\": \"{stream}\", \"bound\": {t}}}"),
            6 => format!("{{\"stream\": \"{stream}\", \"close\": true}}"),
            7 => "{\"idle\": true}".to_owned(),
            _ => format!("{{\"advance\": {}}}", t.unsigned_abs()),
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        let first = replayed(PASS, &text, &Settings::default());
        prop_assert_eq!(replayed(PASS, &text, &Settings::default()), first);
    }
}
