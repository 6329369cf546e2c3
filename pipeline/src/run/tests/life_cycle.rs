//! When nodes are opened, called and closed, and what they see of the graph then.

use crate::run::RunStatus;
use crate::run::tests::witness::{Journal, Stage, witnesses};

#[test]
fn each_call_has_its_time() {
    let stage = Stage::start(
        "inputStreams: [a]\nnodes:\n- {name: w, calculator: Witness, inputs: [a]}",
        1,
    );
    stage.feed("a@5=1");
    stage.end().unwrap();
    assert_eq!(
        stage.journal.lines(),
        [
            "w Open Unstarted <Min",
            "w Process 5 1",
            "w Close Done <OneOverPostStream"
        ]
    );
    let stage = Stage::start(
        "nodes:\n- {name: s, calculator: Witness, outputs: [a], options: {process: [['7=1']]}}",
        1,
    );
    stage.end().unwrap();
    assert_eq!(
        stage.journal.lines(),
        ["s Open Unstarted", "s Process 0", "s Process 0", "s Close Done"]
    );
}

/// A source, a node in the middle and a last one that sends as it closes.
fn chain(middle: &str) -> String {
    format!(
        "outputStreams: [c]
nodes:
- {{name: first, calculator: Witness, outputs: [a], options: {{process: [['1=1'], ['2=2']]}}}}
- {{name: middle, calculator: Witness, inputs: [a], outputs: [b], options: {{{middle}}}}}
- {{name: last, calculator: Witness, inputs: [b], outputs: [c], options: {{close: ['9=9']}}}}"
    )
}

#[test]
fn after_an_error_open_nodes_are_closed_and_what_they_send_is_lost() {
    for threads in [1, 2] {
        let stage = Stage::start(&chain("process: [[fail]]"), threads);
        let error = stage.end().unwrap_err();
        assert_eq!(error.to_string(), "node middle: Process failed: told to");
        for node in ["first", "middle", "last"] {
            assert_eq!(stage.journal.count(&format!("{node} Close Done")), 1, "{node}");
        }
        assert_eq!(stage.journal.count("last Process"), 0);
        assert_eq!(stage.packets("c"), "");
    }
    let stage = Stage::start(&chain("process: [[pass]]"), 2);
    stage.end().unwrap();
    assert_eq!(stage.packets("c"), "9=9");
}

#[test]
fn a_node_that_does_not_open_is_called_no_more_and_those_before_it_are_closed() {
    let stage = Stage::start(&chain("open: [fail]"), 2);
    let error = stage.end().unwrap_err();
    assert_eq!(error.to_string(), "node middle: Open failed: told to");
    assert_eq!(
        stage.journal.lines(),
        [
            "first Open Unstarted",
            "middle Open Unstarted <Min",
            "first Close Done"
        ]
    );
}

#[test]
fn all_nodes_are_open_before_one_is_called() {
    for threads in [1, 4] {
        let stage = Stage::start(&chain("process: [[pass]]"), threads);
        stage.end().unwrap();
        let lines = stage.journal.lines();
        let opens = lines.iter().take(3);
        assert!(opens.clone().all(|line| line.contains(" Open ")), "{lines:?}");
        for node in ["first", "middle", "last"] {
            assert_eq!(stage.journal.count(&format!("{node} Open")), 1);
            assert_eq!(stage.journal.count(&format!("{node} Close")), 1);
        }
    }
}

/// The stream is full from Open on, and what was sent there isn't there yet when its reader opens.
#[test]
fn what_open_sends_is_processed_when_all_are_open() {
    for threads in [1, 2] {
        let stage = Stage::start(
            "maxQueueSize: 1
outputStreams: [b]
nodes:
- {name: first, calculator: Witness, outputs: [a],
   options: {open: ['0=0'], process: [['1=1'], ['2=2'], ['3=3'], ['4=4'], ['5=5']]}}
- {name: last, calculator: Witness, inputs: [a], outputs: [b], options: {process: [[pass]]}}",
            threads,
        );
        stage.end().unwrap();
        assert_eq!(stage.packets("b"), "0=0 1=1 2=2 3=3 4=4 5=5");
        assert_eq!(stage.journal.count("last Open Unstarted <Min"), 1);
    }
}

#[test]
fn a_graph_can_be_run_again_after_it_failed() {
    for call in ["open: [may fail]", "process: [[may fail, pass]]"] {
        let graph = witnesses(&chain(call));
        for _ in 0..2 {
            assert!(Stage::start_graph(&graph, 2, Journal::failing()).end().is_err());
            let stage = Stage::start_graph(&graph, 2, Journal::default());
            stage.end().unwrap();
            assert_eq!(stage.packets("c"), "9=9");
        }
    }
}

#[test]
fn headers_are_what_open_says() {
    let graph = |writer: &str| {
        format!(
            "nodes:
- {{name: first, calculator: Witness, outputs: [a], options: {{{writer}, process: [[header late, '1=1']]}}}}
- {{calculator: StreamToSidePacket, inputs: [a], outputSidePackets: {{'0': made}}}}
- {{name: last, calculator: Witness, inputs: [a], sidePackets: {{AFTER: made}}, options: {{open: [read header]}}}}"
        )
    };
    let stage = Stage::start(&graph("open: [header early]"), 1);
    stage.end().unwrap();
    assert_eq!(stage.journal.count("last header early Unstarted"), 1);
    // `last` opens after the first call of `first`: that one's header is none.
    let error = Stage::start(&graph("open: []"), 1).end().unwrap_err();
    assert_eq!(error.to_string(), "node last: Open failed: no header");
}

#[test]
fn side_packets_are_readable_from_outside_once_they_are_made() {
    let stage = Stage::start(
        "inputStreams: [a]
outputSidePackets: [made]
nodes:
- {calculator: StreamToSidePacket, inputs: [a], outputSidePackets: {'0': made}}",
        1,
    );
    let read = || {
        let packet = stage.running.side_packet("made");
        packet.and_then(|packet| packet.get::<i64>().copied())
    };
    stage.running.wait_idle();
    assert_eq!(read(), None);
    stage.feed("a@1=7");
    assert_eq!(read(), Some(7));
    stage.end().unwrap();
    assert_eq!(read(), Some(7));
    assert!(stage.running.side_packet("other").is_none());
}

/// An endless source and a graph input; the run is asked to stop.
#[test]
fn stopping_closes_each_node_once() {
    let stage = Stage::start(
        "inputStreams: [b]
nodes:
- {name: endless, calculator: Generator, options: {fps: 0.001, width: 2, height: 2}, outputs: [a]}
- {name: w, calculator: Witness, inputs: [a, b], inputPolicy: {immediate: {}}}",
        2,
    );
    stage.running.stop();
    stage.end().unwrap();
    assert_eq!(stage.running.status(), RunStatus::Finished);
    assert_eq!(
        (stage.journal.count("w Open"), stage.journal.count("w Close")),
        (1, 1)
    );
}

#[test]
fn a_source_that_has_ended_is_not_called_when_its_stream_has_room_again() {
    for threads in [1, 2] {
        let stage = Stage::start(
            "maxQueueSize: 1
inputStreams: [b]
nodes:
- {name: first, calculator: Witness, outputs: [a], options: {process: [['1=1', '2=2', stop]]}}
- {name: join, calculator: Witness, inputs: [a, b]}",
            threads,
        );
        stage.feed("b@1=1 b@2=2");
        stage.end().unwrap();
        assert_eq!(stage.journal.count("join Process"), 2);
        assert_eq!(
            (
                stage.journal.count("first Process"),
                stage.journal.count("first Close")
            ),
            (1, 1)
        );
    }
}

/// A loop whose inputs close while nothing runs: nobody is woken by that.
#[test]
fn a_graph_whose_inputs_close_while_it_rests_ends() {
    let stage = Stage::start(
        "inputStreams: [a]
nodes:
- {name: join, calculator: Witness, inputs: [a, l], outputs: [b], backEdges: ['1'], options: {process: [[pass]]}}
- {name: back, calculator: Witness, inputs: [b], outputs: [l]}",
        2,
    );
    stage.feed("a@1=1");
    stage.end().unwrap();
    assert_eq!(stage.journal.count("join Close"), 1);
}
