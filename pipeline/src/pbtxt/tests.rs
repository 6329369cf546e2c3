//! Text in; tree, graph or the words of the mistake out.

use proptest::prelude::*;
use serde_json::json;

use super::{Name, Value, parse, read, write};
use crate::spec::{GraphSpec, InputPolicy, arbitrary};

fn value(text: &str) -> Value {
    let message = parse(&format!("x: {text}")).unwrap_or_else(|error| panic!("{text}: {error}"));
    message.fields.into_iter().next().unwrap().value
}

fn graph(text: &str) -> GraphSpec {
    read(text)
        .unwrap_or_else(|errors| panic!("{text}\n{errors:?}"))
        .graph
}

fn mistakes(text: &str) -> Vec<String> {
    let errors = read(text).map(|read| read.graph).expect_err(text);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn values_of_every_kind() {
    let text = |text: &str| Value::Text(text.to_owned());
    let word = |text: &str| Value::Word(text.to_owned());
    for (written, meant) in [
        ("12", Value::Integer(12)),
        ("-0x1F", Value::Integer(-31)),
        ("017", Value::Integer(15)),
        ("18446744073709551615", Value::Integer(i128::from(u64::MAX))),
        ("18446744073709551616", Value::Float(18_446_744_073_709_551_616.0)),
        ("- 5", Value::Integer(-5)),
        ("1.5", Value::Float(1.5)),
        (".5e-1F", Value::Float(0.05)),
        ("2f", Value::Float(2.0)),
        ("1e+3", Value::Float(1000.0)),
        ("-inf", word("-inf")),
        ("nan", word("nan")),
        ("true", word("true")),
        ("NEWEST", word("NEWEST")),
        ("'it''s'", text("its")),
        ("\"a\" # first\n 'b\"'", text("ab\"")),
        (r#""\n\x41\101\u00e9\"\\\?""#, text("\nAA\u{e9}\"\\?")),
        (r#""\ud83d\ude00""#, text("\u{1f600}")),
        (r#""\303\251""#, text("\u{e9}")),
        ("[1, 2]", Value::List(vec![Value::Integer(1), Value::Integer(2)])),
        ("[]", Value::List(Vec::new())),
    ] {
        assert_eq!(value(written), meant, "{written}");
    }
}

#[test]
fn marks_between_fields_and_names_in_brackets() {
    let message = parse("a: 1; b { c: 2, d < e: 3 > }\n[x.y/z.W] { }\nf: {}, g [{}, <>]").unwrap();
    let names: Vec<&str> = message.fields.iter().map(|field| field.name.text()).collect();
    assert_eq!(names, ["a", "b", "x.y/z.W", "f", "g"]);
    assert_eq!(message.fields[2].name, Name::Bracketed("x.y/z.W".to_owned()));
    assert_eq!(message.fields[2].line, 2);
}

#[test]
fn breaks_of_the_form_name_line_and_what_was_expected() {
    for (text, said) in [
        ("a: 1\nb 2", "line 2: expected `:` or `{` after `b`, found `2`"),
        (
            "a {\n b: 1",
            "line 2: expected the name of a field or `}`, found the end of the text",
        ),
        (
            "a: \"x",
            "line 1: expected `\"` at the end of the text, found the end of the text",
        ),
        (
            "a: 'x\n'",
            "line 1: expected `'` at the end of the text, found `\\n`",
        ),
        (
            "a: \"\\q\"",
            "line 1: expected an escape: one of n r t a b f v \\ ' \" ?, octal digits, x, u or U, found `q`",
        ),
        (
            "a: \"\\377\"",
            "line 1: expected text in UTF-8, found other bytes",
        ),
        ("a: 09", "line 1: expected a number, found `09`"),
        ("a: 1z", "line 1: expected a number, found `1z`"),
        ("a: [1", "line 1: expected `,` or `]`, found the end of the text"),
        ("[a {", "line 1: expected `]`, found `{`"),
        ("}", "line 1: expected the name of a field, found `}`"),
        ("a { >", "line 1: expected the name of a field or `}`, found `>`"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), said, "{text}");
    }
    let deep = "a{".repeat(100_000);
    let said = parse(&deep).unwrap_err().to_string();
    assert_eq!(
        said,
        "line 1: expected at most 64 messages and lists in one another, found one more"
    );
    assert!(parse(&format!("a: {}", "[".repeat(100_000))).is_err());
}

const WHOLE: &str = r#"
# proto-file: mediapipe/framework/calculator.proto
type: "Limited"
package: "mediapipe"
input_stream: "IMAGE:in"
output_stream: "out"
input_side_packet: "MODEL:model"
max_queue_size: -1
report_deadlock: true
num_threads: 3
executor { name: "slow" type: "ThreadPoolExecutor"
           options { [mediapipe.ThreadPoolExecutorOptions.ext] { num_threads: 2 stack_size: 131072 nice_priority_level: 5 } } }
input_stream_handler { input_stream_handler: "EarlyCloseInputStreamHandler" }
graph_options { [type.googleapis.com/mediapipe.LimitedOptions] { frames_under_way: 1 } }
runtime_info { enable_graph_runtime_info: true }
profiler_config { trace_enabled: true }
node: {
  name: "limit"
  calculator: "FlowLimiterCalculator"
  input_stream: "in"
  input_stream: "FINISHED:out"
  input_stream_info: { tag_index: "FINISHED" back_edge: true }
  input_stream_info: { tag_index: ":0" }
  output_stream: "limited"
  input_side_packet: "MAX_IN_FLIGHT:0:limit"
  input_side_packet: "plain"
  output_side_packet: "OUT:made"
  options { [mediapipe.FlowLimiterCalculatorOptions.ext] { max_in_flight: 2 in_flight_timeout: 1.5 } }
  option_value: "max_in_queue:options/frames_under_way"
  source_layer: 1
  buffer_size_hint: 7
  executor: "slow"
  max_in_flight: 4
  output_stream_handler { output_stream_handler: "InOrderOutputStreamHandler" }
}
node {
  calculator: "Detect"
  input_stream: "limited"
  output_stream: "out"
  input_stream_handler {
    input_stream_handler: "SyncSetInputStreamHandler"
    options { [mediapipe.SyncSetInputStreamHandlerOptions.ext] { sync_set { tag_index: "A" tag_index: ":1" } sync_set { tag_index: "" } } }
  }
  node_options {
    [type.googleapis.com/mediapipe.DetectOptions] { label: "a" label: "b" anchor { min_size: 1 } mode: FAST scores: [0.5] flip: true }
  }
}
"#;

#[test]
fn every_field_finds_its_place() {
    let expected = json!({
        "type": "Limited",
        "inputStreams": ["IMAGE:in"],
        "outputStreams": ["out"],
        "inputSidePackets": ["MODEL:model"],
        "maxQueueSize": 10_000,
        "reportDeadlock": true,
        "numThreads": 3,
        "executors": [{"name": "slow", "numThreads": 2, "nice": 5, "stackKib": 128}],
        "inputPolicy": {"earlyClose": {}},
        "options": {"framesUnderWay": 1},
        "nodes": [
            {
                "name": "limit", "calculator": "FlowLimiterCalculator",
                "inputs": ["in", "FINISHED:out"], "outputs": ["limited"], "backEdges": ["FINISHED"],
                "sidePackets": {"MAX_IN_FLIGHT": "limit", "0": "plain"}, "outputSidePackets": {"OUT": "made"},
                "options": {"maxInFlight": 2, "inFlightTimeout": 1.5},
                "optionValues": {"maxInQueue": "options/framesUnderWay"},
                "sourceLayer": 1, "queueSize": 7, "executor": "slow", "parallel": 4,
            },
            {
                "calculator": "Detect", "inputs": ["limited"], "outputs": ["out"],
                "inputPolicy": {"syncSet": {"sets": [["A", "1"], ["0"]]}},
                "options": {
                    "label": ["a", "b"], "anchor": {"minSize": 1}, "mode": "FAST", "scores": [0.5], "flip": true,
                },
            },
        ],
    });
    let read = read(WHOLE).unwrap();
    assert_eq!(serde_json::to_value(&read.graph).unwrap(), expected);
    assert_eq!(read.lines.nodes, [17, 36]);
}

#[test]
fn an_executor_without_a_name_gives_the_threads() {
    let executor = "executor { type: 'ThreadPoolExecutor' options { [mediapipe.ThreadPoolExecutorOptions.ext] { num_threads: 4 } } }";
    assert_eq!(graph(executor).num_threads, Some(4));
    assert_eq!(
        graph("executor { type: 'ApplicationThreadExecutor' }").num_threads,
        Some(1)
    );
    assert_eq!(graph("num_threads: 0 max_queue_size: 0"), GraphSpec::default());
    assert_eq!(
        mistakes(&format!("num_threads: 2\n{executor}")),
        ["line 2: `num_threads` and an executor without a name both give the graph's threads; keep one"]
    );
}

#[test]
fn nodes_of_a_switch_are_nodes() {
    let text = "node { calculator: 'SwitchContainer' options { [mediapipe.SwitchContainerOptions.ext] {
        enable: true contained_node { calculator: 'A' options { [mediapipe.AOptions.ext] { max_size: 1 } } } } } }";
    let read = graph(text);
    assert_eq!(
        serde_json::to_value(&read.nodes[0].options).unwrap(),
        json!({"enable": true, "containedNode": [{"calculator": "A", "options": {"maxSize": 1}}]})
    );
    assert_eq!(graph(&write(&read)), read);
}

#[test]
fn mistakes_name_line_node_and_field() {
    let in_node = |field: &str| format!("node {{ name: 'a' calculator: 'B'\n{field} }}");
    let b_twice = "node_options { [mediapipe.BOptions] {} [type.googleapis.com/mediapipe.BOptions] {} }";
    for (text, said) in [
        (
            "nodes {}".to_owned(),
            "line 1: a graph has no field `nodes`; did you mean node?",
        ),
        (
            in_node("input_streams: 'x'"),
            "line 2: node a: a node has no field `input_streams`; did you mean input_stream?",
        ),
        (
            in_node("input_stream: 5"),
            "line 2: node a: `input_stream` must be a quoted text, not a whole number",
        ),
        (in_node("name: 'b'"), "line 2: node a: `name` is given twice"),
        (
            in_node("source_layer: -1"),
            "line 2: node a: `source_layer` is -1, which isn't possible",
        ),
        (
            in_node(b_twice),
            "line 2: node a: options of type mediapipe.BOptions are given twice",
        ),
        (
            in_node("options { a: 1 }"),
            "line 2: node a: `options` holds messages by type, as",
        ),
        (
            in_node(
                "input_stream_info { tag_index: 'A' back_edge: true } input_stream_info { tag_index: 'A:0' }",
            ),
            "line 2: node a: `input_stream_info` of input A is given twice",
        ),
        (
            in_node("input_stream_info { tag_index: 'a' }"),
            "line 2: node a: `a` names no port",
        ),
        (
            in_node("input_side_packet: 'a:b'"),
            "line 2: node a: side packet `a:b` can't be read",
        ),
        (
            in_node("input_side_packet: ['A:b', 'A:c']"),
            "line 2: node a: side packet A is given twice",
        ),
        (
            in_node("option_value: 'a'"),
            "line 2: node a: `a` is no option_value",
        ),
        (
            in_node("input_stream_handler { input_stream_handler: 'BarierInputStreamHandler' }"),
            "line 2: node a: input stream handler `BarierInputStreamHandler` is unknown; did you mean \
             BarrierInputStreamHandler?",
        ),
        (
            in_node("output_stream_handler { output_stream_handler: 'X' }"),
            "line 2: node a: output stream handler `X` is unknown",
        ),
        (
            "node { name: 'a' }".to_owned(),
            "line 1: node a: a node has no calculator",
        ),
        (
            "status_handler {}".to_owned(),
            "line 1: a status handler has no `status_handler`",
        ),
        (
            "packet_generator {}".to_owned(),
            "line 1: `packet_generator` isn't supported",
        ),
        (
            "executor { name: 'x' }".to_owned(),
            "line 1: executor \"x\" has no type",
        ),
        (
            "executor { name: 'x' type: 'Y' }".to_owned(),
            "line 1: executor \"x\" is a Y",
        ),
        (
            "node: 5".to_owned(),
            "line 1: `node` must be a message in braces, not a whole number",
        ),
        ("node {".to_owned(), "line 1: expected the name of a field or `}`"),
    ] {
        let found = mistakes(&text);
        assert!(
            found.len() == 1 && found[0].starts_with(said),
            "{text}\n{found:#?}\n{said}"
        );
    }
}

#[test]
fn a_default_policy_is_one() {
    let text = "node { calculator: 'B' input_stream_handler {} }";
    assert_eq!(graph(text).nodes[0].input_policy, Some(InputPolicy::default()));
}

proptest! {
    #[test]
    fn graphs_come_back_from_text(spec in arbitrary::graph()) {
        let text = write(&spec);
        let back = read(&text).map_err(|errors| TestCaseError::fail(format!("{errors:?}\n{text}")))?.graph;
        prop_assert_eq!(&back, &spec, "{}", text);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = read(&text);
    }

    #[test]
    fn no_changed_text_panics(at in 0..WHOLE.len(), length in 0_usize..20, with in "[{}<>\\[\\]:\"'\\\\a-z0-9.#-]{0,6}") {
        let (mut text, end) = (WHOLE.to_owned(), (at + length).min(WHOLE.len()));
        text.replace_range(at..end, &with);
        let _ = read(&text);
    }
}
