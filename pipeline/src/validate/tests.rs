//! One mistake a case: what is written, and what the user reads.

use proptest::prelude::*;

use crate::testing::registry;
use crate::{load_graph, validate};

fn errors(text: &str) -> Vec<String> {
    let spec = load_graph(text).unwrap();
    match validate(&spec, &registry()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

fn with_nodes(nodes: &str) -> Vec<String> {
    errors(&format!(
        "nodes:\n- {{name: camera, calculator: Generator, outputs: [frames]}}\n{nodes}"
    ))
}

/// Nodes beside a camera that writes `frames`, and how the error starts.
const MISTAKES: &[(&str, &str)] = &[
    (
        "- {name: d, calculator: Inferense, inputs: [frames]}",
        "node d: calculator Inferense is unknown; did you mean Inference?",
    ),
    (
        "- {name: d, calculator: Zebra, inputs: [frames]}",
        "node d: calculator Zebra is unknown; known are BeginLoop, Busy, ",
    ),
    (
        "- {name: 9d, calculator: Discard, inputs: [frames]}",
        "node 9d: the name `9d` isn't possible",
    ),
    (
        "- {name: camera, calculator: Discard, inputs: [frames]}",
        "node camera: the name is given to 2 nodes; give each its own",
    ),
    (
        "- {name: d, calculator: Discard, inputs: [Frames]}",
        "node d: input `Frames` can't be read",
    ),
    (
        "- {name: d, calculator: Discard, inputs: [frame]}",
        "node d: input 0 reads stream frame, which nothing writes; did you mean frames?",
    ),
    (
        "- {name: d, calculator: Discard, inputs: [frames, other]}",
        "node d: input 1 reads stream other, which nothing writes; write it by a node's outputs",
    ),
    (
        "- {name: d, calculator: Generator, outputs: [frames]}",
        "node d: stream frames is also written by node camera; every stream has one writer",
    ),
    (
        "- {name: d, calculator: PassThrough, inputs: [frames], outputs: [a, b]}",
        "node d: input and output streams must have the same tags and indexes",
    ),
    (
        "- {name: d, calculator: Classify, inputs: [frames], outputs: [a]}",
        "node d: input 0 takes Tensor, but stream frames carries Frame (written by camera)",
    ),
    (
        "- {name: p, calculator: PassThrough, inputs: [frames], outputs: [b]}\n\
             - {name: d, calculator: MqttSink, inputs: [b], options: {stream: x}}",
        "node d: input 0 takes Labels or Detections or ",
    ),
    (
        "- {name: d, calculator: Discard}",
        "node d: input 0 is missing; Discard needs it: anything",
    ),
    (
        "- {name: d, calculator: ImageToTensor, inputs: [frames], outputs: [a, b]}",
        "node d: output 0 takes one stream, but has 2",
    ),
    (
        "- {name: d, calculator: Busy, inputs: [frames], outputs: ['TAG:x']}",
        "node d: output TAG isn't known to Busy; it has one without a tag",
    ),
    (
        "- {name: d, calculator: Discard, inputs: [frames], outputs: [x]}",
        "node d: output 0 isn't known to Discard; it has no outputs",
    ),
    (
        "- {name: t, calculator: ImageToTensor, inputs: [frames], outputs: [a]}\n\
             - {name: d, calculator: Inference, inputs: [a], outputs: [b]}",
        "node d: side packet MODEL is missing; Inference needs it: the model",
    ),
    (
        "- {name: d, calculator: Discard, inputs: [frames], sidePackets: {MODEL: x}}",
        "node d: side packet MODEL isn't known to Discard; it has no side packets",
    ),
    (
        "- {name: d, calculator: Busy, inputs: [frames], options: {forms: 3}}",
        "node d: option forms is unknown; did you mean forMs?",
    ),
    (
        "- {name: d, calculator: Busy, inputs: [frames], options: {forMs: soon}}",
        "node d: option forMs: must be milliseconds, or a list of {afterMs, forMs}",
    ),
    (
        "- {name: d, calculator: ImageToTensor, inputs: [frames], outputs: [a], options: {width: 0}}",
        "node d: option width: 0 isn't possible; use 1 to 8192",
    ),
    (
        "- {name: d, calculator: ImageToTensor, inputs: [frames], outputs: [a], options: {width: wide}}",
        "node d: option width: invalid type: string \"wide\", expected usize",
    ),
    (
        "- {name: d, calculator: Generator, outputs: [a], freshness: newest}",
        "node d: `freshness` has no effect on a source",
    ),
    (
        "- {name: a, calculator: PassThrough, inputs: [z], outputs: [x]}\n\
             - {name: b, calculator: PassThrough, inputs: [x], outputs: [y]}\n\
             - {name: c, calculator: PassThrough, inputs: [y], outputs: [z]}",
        "the nodes a → b → c → a form a cycle",
    ),
    ("maxQueueSize: 0", "maxQueueSize is 0; it must be 1 to 10000"),
    ("inputStreams: [In]", "the graph's port `In` can't be read"),
    (
        "inputStreams: [frames]",
        "node camera: stream frames is also written by the graph's inputStreams",
    ),
    (
        "outputStreams: [x]",
        "output stream x of the graph is written by no node",
    ),
    ("outputStreams: [frames, frames]", "stream frames is listed twice"),
];

#[test]
fn each_mistake_is_named_with_what_to_do() {
    for (nodes, start) in MISTAKES {
        let found = with_nodes(nodes);
        assert!(
            found.len() == 1 && found[0].starts_with(start),
            "{nodes}\n  gave {found:#?}\n  not  {start}"
        );
    }
    assert_eq!(
        errors("nodes: []"),
        ["the graph has no nodes; list at least one under `nodes`"]
    );
}

#[test]
fn all_mistakes_are_found_at_once() {
    let found = with_nodes(
        "- {name: a, calculator: Zebra, inputs: [frames], outputs: [b]}
- {name: c, calculator: Busy, inputs: [b], options: {forMs: -1, wait: 2}}
- {name: c, calculator: Discard, inputs: [nothing]}",
    );
    for part in ["Zebra", "wait", "2 nodes", "nothing"] {
        assert!(
            found.iter().any(|error| error.contains(part)),
            "{part} isn't in {found:#?}"
        );
    }
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn writers_come_before_readers_and_sources_first() {
    let text = "nodes:
- {name: end, calculator: Discard, inputs: [b]}
- {name: mid, calculator: PassThrough, inputs: [a], outputs: [b]}
- {name: one, calculator: Count, outputs: [a]}";
    let graph = validate(&load_graph(text).unwrap(), &registry()).unwrap();
    assert_eq!(graph.node_names().collect::<Vec<_>>(), ["one", "mid", "end"]);
    assert_eq!(graph.sinks().collect::<Vec<_>>(), ["end"]);
}

#[test]
fn nodes_without_a_name_are_numbered_and_the_suffix_is_optional() {
    let text = "nodes:
- {calculator: Count, outputs: [a]}
- {calculator: DiscardCalculator, inputs: [a]}
- {calculator: Discard, inputs: [a]}
- {calculator: Discard, inputs: [a]}";
    let graph = validate(&load_graph(text).unwrap(), &registry()).unwrap();
    let names: Vec<&str> = graph.node_names().collect();
    assert_eq!(names, ["Count", "DiscardCalculator", "Discard_1", "Discard_2"]);
}

#[test]
fn required_side_packets_are_told() {
    let text = "nodes:
- {calculator: Generator, outputs: [a]}
- {calculator: ImageToTensor, inputs: [a], outputs: [b]}
- {name: dish, calculator: Inference, inputs: [b], outputs: [c], sidePackets: {MODEL: dishes}}";
    let graph = validate(&load_graph(text).unwrap(), &registry()).unwrap();
    let missing = super::missing_side_packets(&graph, ["dishs"].into_iter());
    assert_eq!(
        missing[0].to_string(),
        "node dish: side packet dishes (as MODEL) isn't given; add it to the pipeline's models, or correct the \
         name; did you mean dishs?"
    );
    assert!(super::missing_side_packets(&graph, ["dishes"].into_iter()).is_empty());
}

proptest! {
    /// Whatever is written, the answer is a graph or a list of mistakes.
    #[test]
    fn no_text_panics(text in "[a-zA-Z0-9_:,\\[\\]{} \\n\\-]{0,200}") {
        let _ = crate::load::load(&text).map(|loaded| loaded.validate(&registry()).map(|_| ()));
    }

    #[test]
    fn no_graph_panics(
        nodes in prop::collection::vec(
            (
                prop::sample::select(vec!["Count", "Mix", "PassThrough", "Inference", "Zebra", ""]),
                prop::collection::vec("[a-cA-C:0-2]{0,5}", 0..4),
                prop::collection::vec("[a-cA-C:0-2]{0,5}", 0..4),
            ),
            0..6,
        ),
    ) {
        let nodes = nodes.into_iter().map(|(calculator, inputs, outputs)| crate::spec::NodeSpec {
            calculator: calculator.to_owned(),
            inputs,
            outputs,
            ..Default::default()
        });
        let spec = crate::spec::GraphSpec { nodes: nodes.collect(), ..Default::default() };
        if let Err(errors) = validate(&spec, &registry()) {
            prop_assert!(!errors.is_empty());
        }
    }
}
