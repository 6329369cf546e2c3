use std::sync::Arc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::{Clock, VirtualClock};
use crate::packet::Packet;
use crate::run::Inputs;
use crate::testing::{at, graph};

const SECOND: i64 = 1_000_000_000;

fn start(text: &str) -> (RunningGraph, Arc<VirtualClock>) {
    let clock = Arc::new(VirtualClock::by_hand(0));
    let inputs = Inputs {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        threads: Some(2),
        ..Inputs::default()
    };
    (graph(text).start(inputs).unwrap(), clock)
}

fn said(running: &RunningGraph) -> Vec<String> {
    running.stalls().iter().map(ToString::to_string).collect()
}

const JOIN: &str = "inputStreams: [a, b]
nodes:
- {name: lens, calculator: PassThrough, inputs: [b], outputs: [c]}
- {name: join, calculator: Mix, inputs: [a, c], outputs: [d]}";

#[test]
fn a_join_names_the_input_that_it_waits_for() {
    let (running, clock) = start(JOIN);
    for time in 0..3 {
        running.feed("a", Packet::new(time, at(time * 10))).unwrap();
    }
    running.feed("b", Packet::new(0_i64, at(0))).unwrap();
    running.wait_idle();
    clock.advance(Duration::from_millis(749));
    assert_eq!(said(&running), [] as [&str; 0]);
    clock.advance(Duration::from_millis(1));
    assert_eq!(
        said(&running),
        ["join waits for c (from lens) to pass 10; it stands at 1, for 0.8 s, 2 packets waiting"]
    );
    assert_eq!(running.stalls()[0].since, 0);

    // The bound moves: not far enough, but it moves.
    running.feed_bound("b", at(5)).unwrap();
    running.wait_idle();
    assert_eq!(said(&running), [] as [&str; 0]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        said(&running),
        ["join waits for c (from lens) to pass 10; it stands at 5, for 1.0 s, 2 packets waiting"]
    );

    running.feed_bound("b", at(100)).unwrap();
    running.wait_idle();
    clock.advance(Duration::from_secs(10));
    assert_eq!(said(&running), [] as [&str; 0]);
    running.close_all_inputs();
    running.wait().unwrap();
}

#[test]
fn nothing_stalls_while_paused_or_over() {
    let (running, clock) = start(JOIN);
    running.feed("a", Packet::new(0_i64, at(0))).unwrap();
    running.wait_idle();
    clock.advance(Duration::from_secs(2));
    assert_eq!(running.stalls().len(), 1);
    running.pause();
    assert_eq!(running.stalls(), []);
    running.resume();
    running.close_all_inputs();
    running.wait().unwrap();
    assert_eq!(running.stalls(), []);
}

#[test]
fn a_call_that_does_not_return_and_who_is_held_back_by_it() {
    let (running, clock) = start(
        "nodes:
- {name: camera, calculator: Generator, options: {fps: 0, width: 2, height: 2}, outputs: [frames]}
- {name: slow, calculator: Busy, options: {forMs: 3600000}, inputs: [frames], queueSize: 2}",
    );
    // The workers come to their standstill whenever the machine lets them; each turn is one millisecond.
    while running.stalls().len() < 2 {
        clock.advance(Duration::from_millis(1));
        thread::yield_now();
    }
    let stalls = running.stalls();
    let names: Vec<_> = stalls
        .iter()
        .map(|stall| (stall.node.as_str(), stall.waits_for.name()))
        .collect();
    assert_eq!(names, [("slow", "call"), ("camera", "room")]);
    assert_eq!(
        stalls[1].waits_for,
        WaitsFor::Room {
            stream: "frames".to_owned(),
            reader: "slow".to_owned(),
        }
    );
    running.cancel();
}

#[test]
fn somebody_who_waits_to_feed_a_full_stream() {
    let plan = &graph("inputStreams: [a]\nnodes:\n- {name: slow, calculator: Discard, inputs: [a]}").0;
    let look = Look {
        nodes: vec![NodeLook {
            full: vec![0],
            ..idle()
        }],
        held: vec![Some(SECOND)],
        missing: vec![None],
    };
    let said = |now| {
        find(plan, &look, now)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(said(SECOND + STALLED_AFTER_NANOS - 1), [] as [&str; 0]);
    assert_eq!(
        said(2 * SECOND),
        ["a is held back: a is full until slow reads it, for 1.0 s, 0 packets waiting"]
    );
}

#[test]
fn a_call_is_stuck_at_ten_times_its_usual_time() {
    let plan = &graph("inputStreams: [a]\nnodes:\n- {name: slow, calculator: Discard, inputs: [a]}").0;
    let found = |usual, now| {
        let node = NodeLook {
            phase: Phase::Running,
            usual,
            ..idle()
        };
        let look = Look {
            nodes: vec![node],
            held: vec![None],
            missing: vec![None],
        };
        find(plan, &look, now).len()
    };
    assert_eq!(found(0, STALLED_AFTER_NANOS), 1);
    assert_eq!(found(SECOND / 100, STALLED_AFTER_NANOS), 1);
    assert_eq!(found(SECOND / 2, 5 * SECOND - 1), 0);
    assert_eq!(found(SECOND / 2, 5 * SECOND), 1);
}

#[test]
fn an_unmade_side_packet() {
    let plan = &graph("inputStreams: [a]\nnodes:\n- {name: slow, calculator: Discard, inputs: [a]}").0;
    let node = NodeLook {
        phase: Phase::Unopened,
        waiting: 4,
        filled: Some(0),
        ..idle()
    };
    let look = Look {
        nodes: vec![node],
        held: vec![None],
        missing: vec![Some("model".to_owned())],
    };
    assert_eq!(
        find(plan, &look, SECOND)[0].to_string(),
        "slow can't open: nothing has made side packet model, for 1.0 s, 4 packets waiting"
    );
}

fn idle() -> NodeLook {
    NodeLook {
        phase: Phase::Idle,
        since: 0,
        waiting: 0,
        usual: 0,
        filled: None,
        oldest: None,
        awaited: None,
        full: Vec::new(),
    }
}

fn any_phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        Just(Phase::Unopened),
        Just(Phase::Idle),
        Just(Phase::Queued),
        Just(Phase::Running),
        any::<i64>().prop_map(Phase::Timed),
        Just(Phase::Throttled),
        Just(Phase::Limited),
        Just(Phase::Layered),
        Just(Phase::Closed),
    ]
}

prop_compose! {
    fn any_node()(
        phase in any_phase(),
        since in 0..10 * SECOND,
        waiting in 0..3_u64,
        usual in 0..2 * SECOND,
        filled in 0..10 * SECOND,
        input in 0..3_usize,
        moved in 0..10 * SECOND,
        full in prop::collection::vec(0..3_usize, 0..2),
    ) -> NodeLook {
        NodeLook {
            phase,
            since,
            waiting,
            usual,
            filled: (waiting > 0).then_some(filled),
            oldest: (waiting > 0).then_some(at(1)),
            awaited: (waiting > 0).then_some(Awaited { input, bound: at(0), moved }),
            full,
        }
    }
}

proptest! {
    /// Whatever is looked at: what is named has stood still for long enough, and who can run isn't named.
    #[test]
    fn only_what_stands_still_is_named(
        nodes in prop::collection::vec(any_node(), 2),
        held in prop::collection::vec(prop::option::of(0..10 * SECOND), 2),
        now in 0..12 * SECOND,
    ) {
        let plan = &graph(JOIN).0;
        let look = Look { nodes, held, missing: vec![None, None] };
        for stall in find(plan, &look, now) {
            let since = stall.since * 1_000;
            prop_assert!(now - since >= STALLED_AFTER_NANOS, "{stall}");
            let node = plan.nodes.iter().position(|node| node.name == stall.node);
            if let Some(node) = node.map(|node| &look.nodes[node]) {
                prop_assert!(!matches!(node.phase, Phase::Queued | Phase::Timed(_) | Phase::Closed), "{stall}");
                // Nothing happened to the node after what is named as the beginning, to the microsecond.
                prop_assert!(since + 1_000 > node.since || node.phase == Phase::Unopened, "{stall}");
            }
        }
    }
}
