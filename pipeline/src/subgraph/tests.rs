//! Nested graphs in; the flat list of nodes, or the mistakes, out.

use proptest::prelude::*;

use super::expand;
use crate::load::load;
use crate::registry::Registry;
use crate::spec::{GraphSpec, arbitrary};

fn spec(text: &str) -> GraphSpec {
    load(text)
        .unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
        .graph
}

/// One line a node: name, calculator, inputs, outputs, side packets, options.
fn flat(text: &str) -> Vec<String> {
    let flat = expand(&spec(text)).unwrap_or_else(|faults| panic!("{faults:?}"));
    let line = |node: &crate::spec::NodeSpec| {
        let name = node.name.as_deref().unwrap_or("-");
        let (inputs, outputs) = (node.inputs.join(" "), node.outputs.join(" "));
        let mut parts = vec![format!("{name} {} {inputs} > {outputs}", node.calculator)];
        let packets = node.side_packets.iter().chain(&node.output_side_packets);
        parts.extend(packets.map(|(port, name)| format!("{port}={name}")));
        parts.extend(
            node.options
                .iter()
                .map(|(option, value)| format!("{option}:{value}")),
        );
        parts.join(" ")
    };
    flat.graph.nodes.iter().map(line).collect()
}

fn mistakes(text: &str) -> Vec<String> {
    let errors = load(text).unwrap().validate(&Registry::standard()).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

const NESTED: &str = "
inputStreams: [in]
outputStreams: [out]
nodes:
- {name: top, calculator: Outer, inputs: ['IMAGE:in'], outputs: ['RESULT:out'], sidePackets: {MODEL: dish},
   options: {limit: 7}}
subgraphs:
  Outer:
    inputStreams: ['IMAGE:image', 'MASK:mask']
    outputStreams: ['RESULT:result', 'DEBUG:debug']
    inputSidePackets: ['MODEL:model', 'LABELS:labels']
    options: {limit: 1, other: {deep: 2}}
    executors: [{name: mine}]
    nodes:
    - {calculator: Pass, inputs: [image], outputs: [a]}
    - {calculator: Inner, inputs: [a, mask], outputs: [result], sidePackets: {M: model}}
    - name: look
      calculator: Look
      inputs: ['A:a', 'B:mask']
      outputs: ['DEBUG:debug']
      backEdges: [B]
      sidePackets: {MODEL: model, LABELS: labels, MADE: made}
      options: {x: {}}
      optionValues: {limit: options/limit, x/y: options/other/deep, none: options/unknown}
    - {name: make, calculator: Make, outputSidePackets: {MADE: made}}
    subgraphs:
      Inner:
        inputStreams: [x, y]
        outputStreams: [z]
        inputSidePackets: ['M:m']
        nodes:
        - {name: join, calculator: Join, inputs: [x, y], outputs: [z], sidePackets: {MODEL: m}, inputPolicy: {immediate: {}}}
";

#[test]
fn names_are_prefixed_and_ports_joined() {
    assert_eq!(
        flat(NESTED),
        [
            "top__Pass Pass in > top__a",
            "top__Inner__join Join top__a > out MODEL=dish",
            "top__look Look A:top__a > DEBUG:top__debug MADE=top__made MODEL=dish limit:7 x:{\"y\":2}",
            "top__make Make  >  MADE=top__made",
        ]
    );
    let flat = expand(&spec(NESTED)).unwrap();
    assert!(flat.graph.nodes[2].back_edges.is_empty());
    assert!(flat.graph.executors.is_empty());
    let scopes: Vec<(String, usize)> = flat
        .origins
        .iter()
        .map(|origin| (origin.scope.join("/"), origin.index))
        .collect();
    let scope = |scope: &str, index| (scope.to_owned(), index);
    assert_eq!(
        scopes,
        [
            scope("Outer", 0),
            scope("Outer/Inner", 0),
            scope("Outer", 2),
            scope("Outer", 3)
        ]
    );
}

#[test]
fn streams_inside_have_names_that_streams_may_have() {
    let text = "
inputStreams: [in]
outputStreams: [out]
nodes:
- {name: Left-Eye, calculator: Two, inputs: [in], outputs: [mid]}
- {calculator: Two, inputs: [mid], outputs: [out]}
subgraphs:
  Two: {inputStreams: [i], outputStreams: [o],
        nodes: [{name: a, calculator: A, inputs: [i], outputs: [m]}, {name: b, calculator: B, inputs: [m], outputs: [o]}]}
";
    assert_eq!(
        flat(text),
        [
            "Left-Eye__a A in > left_eye__m",
            "Left-Eye__b B left_eye__m > mid",
            "Two__a A mid > two__m",
            "Two__b B two__m > out",
        ]
    );
}

#[test]
fn a_graph_without_subgraphs_stays_as_it_is() {
    let text = "inputStreams: ['A:a']\nnodes: [{calculator: X, inputs: [a], options: {b: 1}}]";
    assert_eq!(expand(&spec(text)).unwrap().graph, spec(text));
}

#[test]
fn executor_and_priority_of_the_node_hold_inside() {
    let text = "nodes: [{calculator: S, executor: e, priority: high}]
executors: [{name: e}]
subgraphs: {S: {nodes: [{calculator: A}, {calculator: B, executor: own, priority: low}]}}";
    let nodes = expand(&spec(text)).unwrap().graph.nodes;
    let told: Vec<String> = nodes
        .iter()
        .map(|node| format!("{} {:?}", node.executor.as_deref().unwrap_or("-"), node.priority))
        .collect();
    assert_eq!(told, ["e High", "own Low"]);
}

#[test]
fn one_of_several_nodes_becomes_demux_nodes_and_mux() {
    let text = "
inputStreams: [in, choice]
outputStreams: [out]
nodes:
- name: pick
  calculator: SwitchContainer
  inputs: ['SELECT:choice', 'IMAGE:in']
  outputs: [out]
  sidePackets: {MODEL: m}
  options: {select: 1, containedNode: [{calculator: A, options: {x: 1}}, {calculator: S}]}
subgraphs:
  S: {inputStreams: ['IMAGE:i'], outputStreams: [o], inputSidePackets: ['MODEL:m'],
      nodes: [{name: n, calculator: N, inputs: [i], outputs: [o], sidePackets: {M: m}}]}
";
    assert_eq!(
        flat(text),
        [
            "pick__demux SwitchDemux SELECT:0:choice in > pick__c0_in_image_0 pick__c1_in_image_0 channels:2 select:1",
            "pick__mux SwitchMux SELECT:0:choice pick__c0_out_untagged_0 pick__c1_out_untagged_0 > out channels:2 \
             select:1",
            "pick__c0 A IMAGE:0:pick__c0_in_image_0 > :0:pick__c0_out_untagged_0 MODEL=m x:1",
            "pick__c1__n N pick__c1_in_image_0 > pick__c1_out_untagged_0 M=m",
        ]
    );
}

#[test]
fn mistakes_in_the_use_of_subgraphs() {
    let node = |node: &str, graph: &str| {
        format!("nodes:\n- {{name: n, calculator: S{node}}}\nsubgraphs:\n  S: {graph}\n")
    };
    let one = "{inputStreams: ['A:a'], outputStreams: [o], nodes: [{calculator: PassThrough, inputs: [a], outputs: [o]}]}";
    let switch = |rest: &str| format!("nodes:\n- {{name: n, calculator: SwitchContainer{rest}}}\n");
    for (text, said) in [
        (
            node(", sourceLayer: 1", one),
            "line 2: node n: `sourceLayer` has no effect on a node that stands for",
        ),
        (
            node(", queueSize: 1", one),
            "line 2: node n: `queueSize` has no effect",
        ),
        (
            node(", backEdges: [A]", one),
            "line 2: node n: `backEdges` has no effect",
        ),
        (
            node(", inputPolicy: {immediate: {}}", one),
            "line 2: node n: `inputPolicy` has no effect",
        ),
        (
            node(", freshness: newest", one),
            "line 2: node n: `freshness` has no effect",
        ),
        (
            node(", inputs: ['B:x']", one),
            "line 2: node n: input B isn't known to S; it has A",
        ),
        (
            node(", outputs: [x, y]", one),
            "line 2: node n: output 1 isn't known to S; it has 0",
        ),
        (
            node(", inputs: ['a:b']", one),
            "line 2: node n: input `a:b` can't be read",
        ),
        (
            node(
                "",
                "{nodes: [{calculator: T}], subgraphs: {T: {nodes: [{name: x, calculator: S}]}}}",
            ),
            "line 4: node n__T__x: the subgraphs S → T → S use each other in a circle",
        ),
        (
            node(
                ", inputs: ['A:x'], outputs: ['B:y']",
                "{inputStreams: ['A:s'], outputStreams: ['B:s'], nodes: [{calculator: PassThrough, inputs: [s], outputs: [t]}]}",
            ),
            "line 2: node n: stream s of subgraph S is given to several of its ports",
        ),
        (
            node(
                "",
                "{nodes: [{name: x, calculator: Discard, optionValues: {y: limit}}]}",
            ),
            "line 4: node n__x: optionValues of `y`: `limit` is no path to an option of the graph",
        ),
        (
            node("", "{nodes: [{name: x, calculator: Zebra}]}"),
            "line 4: node n__x: calculator Zebra is unknown",
        ),
        (switch(""), "line 2: node n: a switch needs 1 to 64 nodes"),
        (
            switch(", options: {containedNode: [{calculatr: A}]}"),
            "line 2: node n: option containedNode: unknown field",
        ),
        (
            switch(", inputs: ['SELECT:a'], options: {containedNode: {calculator: A}}"),
            "line 2: node n: a switch needs an input besides SELECT and ENABLE",
        ),
        (
            switch(", inputs: ['SELECT:a', 'ENABLE:b', c], options: {containedNode: {calculator: A}}"),
            "line 2: node n: a switch is chosen by one of SELECT and ENABLE",
        ),
    ] {
        let found = mistakes(&text);
        assert!(
            found.iter().any(|found| found.starts_with(said)),
            "{text}\n{found:#?}\n{said}"
        );
    }
}

#[test]
fn mistakes_in_files_of_subgraphs_name_the_file() {
    let mut graph = load("nodes:\n- {name: n, calculator: half}\n- {name: m, calculator: Typed}\n").unwrap();
    let half = "\n\nnodes: [{name: x, calculator: Zebra}]";
    graph
        .add_subgraph("graphs/half.yaml", load(half).unwrap())
        .unwrap();
    let typed = "type: 'Typed'\n\nnode { calculator: 'Zebra' }";
    graph.add_subgraph("b.pbtxt", load(typed).unwrap()).unwrap();
    let errors = graph.validate(&Registry::standard()).unwrap_err();
    let start = |index: usize| errors[index].to_string();
    assert!(
        start(0).starts_with("graphs/half.yaml, line 3: node n__x: calculator Zebra"),
        "{}",
        start(0)
    );
    assert!(
        start(1).starts_with("b.pbtxt, line 3: node m__Zebra: calculator Zebra"),
        "{}",
        start(1)
    );
    let again = graph
        .add_subgraph("c/half.yaml", load(half).unwrap())
        .unwrap_err();
    assert_eq!(
        again[0].to_string(),
        "c/half.yaml: there is a subgraph half already; give each its own `type`"
    );
}

#[test]
fn graphs_that_multiply_are_refused() {
    let level = |index: usize, next: usize| {
        let nodes = format!("{{calculator: S{next}}}, ").repeat(10);
        format!("  S{index}: {{nodes: [{nodes}]}}\n")
    };
    let levels: String = (0..9).map(|index| level(index, index + 1)).collect();
    let text =
        format!("nodes: [{{calculator: S0}}]\nsubgraphs:\n{levels}  S9: {{nodes: [{{calculator: X}}]}}\n");
    assert_eq!(
        mistakes(&text),
        ["the graph has more than 10000 nodes when its subgraphs are put in their places"]
    );
}

proptest! {
    #[test]
    fn no_graph_panics(spec in arbitrary::graph()) {
        if let Ok(flat) = expand(&spec) {
            prop_assert_eq!(flat.graph.nodes.len(), flat.origins.len());
        }
        let _ = crate::validate(&spec, &Registry::standard());
    }
}
