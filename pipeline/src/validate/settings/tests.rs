//! One mistake a case: what is written, and what the user reads.

use super::check;
use crate::spec::GraphSpec;

/// Settings of a graph.
const OF_GRAPHS: &[(&str, &str)] = &[
    ("executors: [{name: gpu}]", "executor name `gpu` is reserved"),
    ("executors: [{name: __x}]", "executor name `__x` is reserved"),
    (
        "executors: [{name: a}, {name: a}]",
        "executor a is declared twice",
    ),
    (
        "executors: [{name: a, numThreads: 0}]",
        "numThreads is 0; it must be 1 to 64",
    ),
    (
        "executors: [{name: a, nice: 20}]",
        "nice is 20; it must be 0 to 19",
    ),
    (
        "executors: [{name: a, stackKib: 8}]",
        "stackKib is 8; it must be 64 to 1048576",
    ),
    (
        "inputPolicy: {syncSet: {sets: [[A]]}}",
        "the graph's `inputPolicy` is for all nodes",
    ),
    ("inputPolicy: {default: {batchSize: 0}}", "batchSize is 0"),
];

/// Settings of a node d with the inputs 0 and T.
const OF_NODES: &[(&str, &str)] = &[
    (
        "executor: slow",
        "node d: executor slow isn't declared; list it in the graph's `executors`",
    ),
    ("executor: default", "node d: executor name `default` is reserved"),
    ("parallel: 0", "node d: parallel is 0"),
    ("queueSize: 20000", "node d: queueSize is 20000"),
    (
        "backEdges: [U]",
        "node d: `backEdges` names U, which is no input of this node; it has 0 and T",
    ),
    ("backEdges: [T, 'T:0']", "node d: `backEdges` names input T twice"),
    (
        "backEdges: ['x y']",
        "node d: `backEdges` names x y, which is no input",
    ),
    (
        "inputPolicy: {syncSet: {sets: [[T, '0'], ['0']]}}",
        "node d: `syncSet` names input 0 twice",
    ),
    (
        "inputPolicy: {syncSet: {sets: [[]]}}",
        "node d: a set of `syncSet` is empty",
    ),
    (
        "inputPolicy: {timestampAlign: {timestampBase: '1'}}",
        "node d: `timestampBase` names 1",
    ),
    (
        "inputPolicy: {fixedSize: {triggerQueueSize: 2, targetQueueSize: 3}}",
        "node d: `targetQueueSize` is larger",
    ),
    (
        "parallel: 2, inputPolicy: {default: {batchSize: 2}}",
        "node d: `batchSize` and `parallel` don't go together",
    ),
    (
        "sourceLayer: 1",
        "node d: `sourceLayer` has an effect on sources only",
    ),
];

/// Settings of a source d.
const OF_SOURCES: &[(&str, &str)] = &[
    ("queueSize: 5", "node d: `queueSize` has no effect on a source"),
    ("deadline: 5ms", "node d: `deadline` has no effect on a source"),
    ("parallel: 5", "node d: `parallel` has no effect on a source"),
    (
        "inputPolicy: {barrier: {}}",
        "node d: `inputPolicy` has no effect on a source",
    ),
];

type Build = fn(&str) -> GraphSpec;

fn graph(text: &str) -> GraphSpec {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn whole(settings: &str) -> GraphSpec {
    graph(&format!("nodes: []\n{settings}"))
}

fn node(settings: &str) -> GraphSpec {
    graph(&format!(
        "nodes: [{{name: d, calculator: X, inputs: [a, 'T:b'], outputs: [c], {settings}}}]\n"
    ))
}

fn source(settings: &str) -> GraphSpec {
    graph(&format!(
        "nodes: [{{name: d, calculator: X, outputs: [c], {settings}}}]\n"
    ))
}

#[test]
fn each_mistake_is_named() {
    let tables = [
        (whole as Build, OF_GRAPHS),
        (node as Build, OF_NODES),
        (source as Build, OF_SOURCES),
    ];
    for (build, table) in tables {
        for (settings, said) in table {
            let found: Vec<String> = check(&build(settings)).iter().map(ToString::to_string).collect();
            assert!(
                found.len() == 1 && found[0].starts_with(said),
                "{settings}\n{found:#?}\n{said}"
            );
        }
    }
}

#[test]
fn what_makes_sense_is_taken() {
    for spec in [
        node("backEdges: [T, '0'], parallel: 2, queueSize: 3"),
        source("sourceLayer: 2"),
        whole("executors: [{name: a, numThreads: 2, nice: 3, stackKib: 64}]\ninputPolicy: {earlyClose: {}}"),
    ] {
        assert_eq!(check(&spec), []);
    }
}
